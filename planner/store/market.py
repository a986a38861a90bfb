"""The prices of all offers of one GPU: which currencies there are, and every price in order of validity."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from planner.offers.offer import OfferKind
from planner.store.tables import OfferRow, PriceRow


def currencies_of(session: Session, gpu_key: str, kind: OfferKind) -> dict[str, int]:
    """The number of a GPU's offers of that kind by currency."""
    query = select(OfferRow.currency, func.count()).where(_is_of(gpu_key, kind)).group_by(OfferRow.currency)
    return dict(session.execute(query).all())


def priced_hours(
    session: Session, gpu_key: str, kind: OfferKind, currency: str, as_of: datetime, known_at: datetime
) -> Iterator[tuple[int, Decimal, datetime, Decimal | None]]:
    """(offer id, GPUs, valid from, amount) of every price of these offers, by validity and then as learnt."""
    query = (
        select(OfferRow.id, OfferRow.num_gpus, PriceRow.valid_from, PriceRow.amount)
        .join(PriceRow, PriceRow.offer_id == OfferRow.id)
        .where(_is_of(gpu_key, kind), OfferRow.currency == currency)
        .where(PriceRow.valid_from <= as_of, PriceRow.recorded_at <= known_at)
        .order_by(PriceRow.valid_from, PriceRow.recorded_at, PriceRow.id)
    )
    for row in session.execute(query):
        yield row[0], row[1], row[2], row[3]


def _is_of(gpu_key: str, kind: OfferKind) -> ColumnElement[bool]:
    return and_(OfferRow.gpu_key == gpu_key, OfferRow.kind == kind.value)
