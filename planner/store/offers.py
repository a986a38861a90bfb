"""Offers and prices: rows ↔ dataclasses, and what held at one moment as far as was known at another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    String,
    and_,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session, aliased

from planner.offers.offer import Offer, OfferKind, Price, Upfront
from planner.offers.priced import PricedOffer
from planner.store.chunks import chunks
from planner.store.keyset import behind, encode_place
from planner.store.offer_orders import AMOUNT_PLACES, GPU_PLACES, ORDERS
from planner.store.tables import OfferRow, PriceRow
from planner.store.types import ScaledDecimal

_WRITERS_LOCK = 7_301_001  # PostgreSQL's advisory lock of whoever writes offers and prices
_IDENTITY = (
    *(OfferRow.provider, OfferRow.region, OfferRow.zone),
    *(OfferRow.instance_type, OfferRow.kind, OfferRow.currency, OfferRow.upfront),
)
_OFFER_FIELDS = tuple(field.name for field in fields(Offer))
_PLACES_KEPT = {"num_gpus": GPU_PLACES, "vcpus": GPU_PLACES, "quota_gpus": GPU_PLACES, "interruptions_per_hour": 12}
_OFFER_COLUMNS = tuple(getattr(OfferRow, name) for name in _OFFER_FIELDS)
Identity = tuple[str, ...]


class Upserted(NamedTuple):
    """The ids of the offers in the order given, and how many rows were new or got another description."""

    ids: list[int]
    num_added: int
    num_updated: int


class ProviderDates(NamedTuple):
    """The oldest and newest stated dates of the prices that hold for a provider's offers."""

    provider: str
    num_offers: int
    oldest: date
    newest: date


@dataclass(frozen=True, slots=True)
class OfferFilter:
    """Which offers: every field given must hold. `least_num_gpus` by GPU key leaves out the keys it does not list."""

    gpu_key: str | None = None
    provider: str | None = None
    region: str | None = None
    kind: OfferKind | None = None
    words: tuple[str, ...] = ()
    least_num_gpus: Mapping[str, Decimal] | None = None


def lock_writers(session: Session) -> None:
    """Let one transaction at a time write offers and prices, until it ends; SQLite does so of itself."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS_LOCK})


def upsert_offers(session: Session, offers: Iterable[Offer], now: datetime) -> Upserted:
    """Add the offers whose identity is new; give the others the description of now (GPU, count, vCPUs, memory).

    What a description leaves open stays as it was known. Of an offer that is there twice the last one counts.
    """
    found = Upserted([], 0, 0)
    for chunk in chunks(offers):
        part = _upsert_chunk(session, chunk, now)
        found = Upserted(found.ids + part.ids, found.num_added + part.num_added, found.num_updated + part.num_updated)
    return found


def known_offers(session: Session, identities: Iterable[Identity]) -> dict[Identity, tuple[int, Offer]]:
    """The id and the description of those of these offers that are known."""
    found: dict[Identity, tuple[int, Offer]] = {}
    for chunk in chunks(set(identities)):
        wanted = _wanted(session, chunk)
        same = and_(*(column == wanted.c[column.key] for column in _IDENTITY))
        for row in session.execute(select(OfferRow.id, *_OFFER_COLUMNS).join(wanted, same)):
            offer = _offer(row)
            found[offer.identity] = (row.id, offer)
    return found


def add_offers(session: Session, offers: Sequence[Offer], now: datetime) -> list[int]:
    """Add offers whose identities are new; their ids in the order given."""
    ids: list[int] = []
    for chunk in chunks(offers):
        statement = insert(OfferRow).returning(OfferRow.id, sort_by_parameter_order=True)
        ids += session.scalars(statement, [_columns(offer) | {"created_at": now} for offer in chunk])
    return ids


def describe_offers(session: Session, offers: Mapping[int, Offer]) -> None:
    """Give the offers of these ids these descriptions."""
    if offers:
        session.execute(update(OfferRow), [{"id": offer_id} | _columns(offer) for offer_id, offer in offers.items()])


def described_by(known: Offer, stated: Offer) -> Offer:
    """The offer as it is stated now; what is not stated stays as it is known."""
    if stated == known:
        return known
    unstated = {name: getattr(known, name) for name in _OFFER_FIELDS if getattr(stated, name) in (None, "")}
    return as_kept(replace(stated, **unstated))


def as_kept(offer: Offer) -> Offer:
    """The offer as it will be read back, so that rounding to the places kept is no change."""
    rounded = {
        name: kept
        for name, places in _PLACES_KEPT.items()
        if (value := getattr(offer, name)) is not None and (kept := round(value, places)) != value
    }
    return replace(offer, **rounded) if rounded else offer


def append_prices(session: Session, prices: Iterable[tuple[int, Price]]) -> int:
    """Append each price that says something new of its offer; the number appended.

    What is known already is the last price recorded for the same `valid_from`. Only another amount or reason, or
    the same one confirmed at a later date, is new. So repeating adds nothing, and the order of imports is no matter.
    """
    return sum(_append_chunk(session, chunk) for chunk in chunks(prices))


def find(
    session: Session,
    filters: OfferFilter,
    as_of: datetime,
    known_at: datetime,
    *,
    order: str = "per_gpu_hour",
    limit: int | None = None,
    after: str | None = None,
) -> list[PricedOffer]:
    """Offers known at `known_at` with the price that held at `as_of`, unknown prices last.

    Amounts are compared within a currency only: no rate is assumed. Raises InvalidInput for an `after` that does
    not belong to this order.
    """
    conditions = _conditions(filters)
    query, price = _with_prices(as_of, known_at, conditions)
    keys = ORDERS[order].keys(price)
    if after is not None:
        query = query.where(behind(after, order, keys))
    query = query.order_by(*(key.clause for key in keys)).limit(limit)
    return [_priced(row) for row in session.execute(query)]


def get(session: Session, offer_id: int, as_of: datetime, known_at: datetime) -> PricedOffer | None:
    """The offer with the price that held at `as_of` as far as was known at `known_at`."""
    query, _ = _with_prices(as_of, known_at, [OfferRow.id == offer_id])
    row = session.execute(query).one_or_none()
    return None if row is None else _priced(row)


def place_of(item: PricedOffer, order: str) -> str:
    """The place behind this row in a list of that order: what `find` takes as `after`."""
    return encode_place(order, ORDERS[order].values(item))


def history(session: Session, offer_id: int, known_at: datetime) -> list[tuple[int, Price]]:
    """Every price of the offer recorded by `known_at`, by `valid_from` and then as learnt; corrected ones stay."""
    query = (
        select(PriceRow)
        .where(PriceRow.offer_id == offer_id, PriceRow.recorded_at <= known_at)
        .order_by(PriceRow.valid_from, PriceRow.recorded_at, PriceRow.id)
    )
    return [(row.id, _price(row)) for row in session.scalars(query)]


def count_by(session: Session, column: str) -> list[tuple[str | None, int]]:
    """The values of one offer column with the number of offers of each, most frequent first."""
    value = getattr(OfferRow, column)
    number = func.count()
    query = select(value, number).group_by(value).order_by(number.desc(), value)
    return [(found, count) for found, count in session.execute(query)]


def dates_by_provider(session: Session, as_of: datetime, known_at: datetime) -> list[ProviderDates]:
    """Per provider, how many offers have a known price and the range of the dates that their sources state."""
    query, price = _with_prices(as_of, known_at, [])
    priced = query.add_columns().where(price.amount.is_not(None)).subquery()
    stated = priced.c.source_date
    grouped = select(priced.c.provider, func.count(), func.min(stated), func.max(stated))
    return [
        ProviderDates(*row) for row in session.execute(grouped.group_by(priced.c.provider).order_by(priced.c.provider))
    ]


def _wanted(session: Session, identities: Sequence[Identity]) -> CTE:
    """Identities as a table to join with: looked up by index, where a list of tuples is compared row by row."""
    names = [column.key for column in _IDENTITY]
    if session.get_bind().dialect.name == "postgresql":
        arrays = ", ".join(f"CAST(:{name} AS text[])" for name in names)
        query = text(f"SELECT * FROM unnest({arrays}) AS asked({', '.join(names)})")  # noqa: S608 - names of columns
        values = [list(each) for each in zip(*identities, strict=True)]
        found = query.bindparams(**dict(zip(names, values, strict=True)))
    else:
        members = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(names))
        query = text(f"SELECT {members} FROM json_each(:rows)")  # noqa: S608 - names of columns
        found = query.bindparams(rows=json.dumps(identities))
    return found.columns(**dict.fromkeys(names, String())).cte("wanted")


def _upsert_chunk(session: Session, offers: Sequence[Offer], now: datetime) -> Upserted:
    known = known_offers(session, [offer.identity for offer in offers])
    merged: dict[Identity, Offer] = {}
    for offer in offers:
        before = merged.get(offer.identity) or (known[offer.identity][1] if offer.identity in known else None)
        merged[offer.identity] = as_kept(offer) if before is None else described_by(before, offer)
    changed = {known[key][0]: offer for key, offer in merged.items() if key in known and known[key][1] != offer}
    describe_offers(session, changed)
    new = [offer for key, offer in merged.items() if key not in known]
    ids = {key: offer_id for key, (offer_id, _) in known.items()}
    ids |= dict(zip((offer.identity for offer in new), add_offers(session, new, now), strict=True))
    return Upserted([ids[offer.identity] for offer in offers], len(new), len(changed))


def _append_chunk(session: Session, prices: Sequence[tuple[int, Price]]) -> int:
    stated = {(offer_id, price.valid_from): price for offer_id, price in prices}
    if any(price.amount != stated[offer_id, price.valid_from].amount for offer_id, price in prices):
        raise ValueError("an offer has two prices from the same moment in one batch")
    offer_ids, moments = {key[0] for key in stated}, {key[1] for key in stated}
    query = (
        select(PriceRow.offer_id, PriceRow.valid_from, PriceRow.amount, PriceRow.reason, PriceRow.source_date)
        .where(PriceRow.offer_id.in_(offer_ids), PriceRow.valid_from.in_(moments))
        .order_by(PriceRow.recorded_at, PriceRow.id)
    )
    known = {(row.offer_id, row.valid_from): row for row in session.execute(query)}  # the last recorded one remains
    new = [
        {
            "offer_id": offer_id,
            "amount": price.amount,
            "reason": price.reason,
            "valid_from": price.valid_from,
            "recorded_at": price.recorded_at,
            "source": price.source,
            "source_date": price.source_date,
        }
        for (offer_id, _), price in stated.items()
        if _says_something_new(price, known.get((offer_id, price.valid_from)))
    ]
    if new:
        session.execute(insert(PriceRow), new)
    return len(new)


def _says_something_new(price: Price, known: Any) -> bool:
    if known is None:
        return True
    amount = None if price.amount is None else round(price.amount, AMOUNT_PLACES)
    if (amount, price.reason) != (known.amount, known.reason):
        return True
    return bool(price.source_date > known.source_date)


def _columns(offer: Offer) -> dict[str, Any]:
    columns = {name: getattr(offer, name) for name in _OFFER_FIELDS}
    return columns | {"kind": offer.kind.value, "upfront": offer.upfront.value}


def _offer(row: Any) -> Offer:
    columns = {name: getattr(row, name) for name in _OFFER_FIELDS}
    return Offer(**columns | {"kind": OfferKind(row.kind), "upfront": Upfront(row.upfront)})


def _price(row: Any) -> Price:
    return Price(
        amount=row.amount,
        valid_from=row.valid_from,
        recorded_at=row.recorded_at,
        source=row.source,
        source_date=row.source_date,
        reason=row.reason,
    )


def _priced(row: Any) -> PricedOffer:
    price = None if row.price_id is None else _price(row)
    return PricedOffer(offer_id=row.offer_id, offer=_offer(row), price_id=row.price_id, price=price)


def _conditions(filters: OfferFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.gpu_key is not None:
        conditions.append(OfferRow.gpu_key == filters.gpu_key)
    if filters.provider is not None:
        conditions.append(OfferRow.provider == filters.provider)
    if filters.region is not None:
        conditions.append(OfferRow.region == filters.region)
    if filters.kind is not None:
        conditions.append(OfferRow.kind == filters.kind.value)
    for word in filters.words:
        searched = (OfferRow.provider, OfferRow.region, OfferRow.instance_type, OfferRow.gpu_name, OfferRow.gpu_key)
        conditions.append(or_(*(column.icontains(word, autoescape=True) for column in searched)))
    if filters.least_num_gpus is not None:
        shares = {key: literal(share, ScaledDecimal(GPU_PLACES)) for key, share in filters.least_num_gpus.items()}
        enough = OfferRow.num_gpus >= case(shares, value=OfferRow.gpu_key) if shares else literal(False)
        conditions.append(enough)
    return conditions


def _with_prices(
    as_of: datetime, known_at: datetime, conditions: Sequence[ColumnElement[bool]]
) -> tuple[Select[Any], type[PriceRow]]:
    """Offers, each with the price in force or nulls: the valid-latest one, of its corrections the last recorded.

    One step into the index of prices per offer: ranking all prices with a window took PostgreSQL up to 36 s for
    20,000 filtered offers where its statistics were not yet there, this takes 0.1 s with and without.
    """
    held = aliased(PriceRow)
    in_force = (
        select(held.id)
        .where(held.offer_id == OfferRow.id, held.valid_from <= as_of, held.recorded_at <= known_at)
        .order_by(held.valid_from.desc(), held.recorded_at.desc())
        .limit(1)
        .correlate(OfferRow)
        .scalar_subquery()
    )
    price = aliased(PriceRow)
    query = (
        select(
            OfferRow.id.label("offer_id"),
            *_OFFER_COLUMNS,
            price.id.label("price_id"),
            price.amount,
            price.reason,
            price.valid_from,
            price.recorded_at,
            price.source,
            price.source_date,
        )
        .outerjoin(price, price.id == in_force)
        .where(OfferRow.created_at <= known_at, *conditions)
    )
    return query, price
