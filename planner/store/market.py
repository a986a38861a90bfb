"""The prices of all offers of one GPU: which currencies there are, and every price in order of validity."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from planner.offers.offer import OfferKind
from planner.store.tables import OfferRow, PriceRow


def currencies_of(session: Session, gpu_key: str, kind: OfferKind) -> dict[str, int]:
    """The number of a GPU's offers of that kind by currency."""
    query = _of(select(OfferRow.currency, func.count()), gpu_key, kind).group_by(OfferRow.currency)
    return dict(session.execute(query).all())


def priced_hours(
    session: Session, gpu_key: str, kind: OfferKind, currency: str, as_of: datetime, known_at: datetime
) -> Iterator[tuple[int, Decimal, datetime, Decimal | None]]:
    """(offer id, GPUs, valid from, amount) of every price of these offers, by validity and then as learnt."""
    columns = (OfferRow.id, OfferRow.num_gpus, PriceRow.valid_from, PriceRow.amount)
    query = (
        _of(select(*columns).join(PriceRow, PriceRow.offer_id == OfferRow.id), gpu_key, kind)
        .where(OfferRow.currency == currency, PriceRow.valid_from <= as_of, PriceRow.recorded_at <= known_at)
        .order_by(PriceRow.valid_from, PriceRow.recorded_at, PriceRow.id)
    )
    for row in session.execute(query):
        yield row[0], row[1], row[2], row[3]


def _of(query: Select[Any], gpu_key: str, kind: OfferKind) -> Select[Any]:
    return query.where(OfferRow.gpu_key == gpu_key, OfferRow.kind == kind.value)
