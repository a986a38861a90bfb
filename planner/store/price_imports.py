"""Imports of prices: their log, what a new price is compared with, taking a batch back, and people's own aliases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    String,
    and_,
    case,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session, aliased

from planner.store.chunks import chunks
from planner.store.tables import GpuAliasRow, OfferRow, PriceImportLogRow, PriceImportRow, PriceRow
from planner.store.types import UtcDateTime

IMPORT, APPROVAL, ROLLBACK = "import", "approval", "rollback"
REJECTED, HELD = "rejected", "held"
APPROVED, REFUSED = "approved", "refused"
LONGEST = {
    column.name: column.type.length
    for column in OfferRow.__table__.columns
    if isinstance(column.type, String) and column.type.length is not None
}
LONGEST_PLACE = 200
_SQLITE_MOMENT = "%Y-%m-%d %H:%M:%S.%f"  # as SQLite keeps our times


class Known(NamedTuple):
    """What is known at a moment: the price that holds there, and the amount that a new one is compared with.

    `holds_from` None: no price holds yet. `compared_from` is when the compared amount holds from: the last known
    amount up to the moment, or where there is none, the first one after it.
    """

    holds_from: datetime | None
    amount: Decimal | None
    reason: str | None
    source_date: date | None
    import_id: str | None
    compared_from: datetime | None
    compared_with: Decimal | None


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A price to append."""

    offer_id: int
    amount: Decimal | None
    reason: str
    valid_from: datetime
    source: str
    source_date: date


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """A row that an import did not take, to be kept with the import."""

    place: str
    outcome: str
    reason: str
    text: str = ""
    offer_id: int | None = None
    amount: Decimal | None = None
    compared_with: Decimal | None = None
    valid_from: datetime | None = None
    source: str | None = None
    source_date: date | None = None


def newest_recorded_at(session: Session) -> datetime | None:
    """When the last price or import was recorded."""
    found = [
        moment
        for query in (select(func.max(PriceRow.recorded_at)), select(func.max(PriceImportRow.recorded_at)))
        if (moment := session.execute(query).scalar_one()) is not None
    ]
    return max(found, default=None)


def add_import(session: Session, row: Mapping[str, Any]) -> None:
    """Add an import's own row, before its prices."""
    session.execute(insert(PriceImportRow), [dict(row)])


def set_counts(session: Session, import_id: str, counts: Mapping[str, Any]) -> None:
    """Complete an import that is being made in this transaction."""
    session.execute(update(PriceImportRow).where(PriceImportRow.id == import_id).values(counts=dict(counts)))


def known_at(session: Session, wanted: Sequence[tuple[int, datetime]]) -> list[Known]:
    """What is known of each of these offers at each of these moments, in the order given."""
    found: list[Known] = []
    for chunk in chunks(wanted):
        found += _known_chunk(session, chunk)
    return found


def append_prices(session: Session, prices: Iterable[NewPrice], import_id: str, recorded_at: datetime) -> None:
    """Append prices as part of that import."""
    for chunk in chunks(prices):
        rows = [
            {
                "offer_id": price.offer_id,
                "amount": price.amount,
                "reason": price.reason,
                "valid_from": price.valid_from,
                "recorded_at": recorded_at,
                "source": price.source,
                "source_date": price.source_date,
                "import_id": import_id,
            }
            for price in chunk
        ]
        session.execute(insert(PriceRow), rows)


def log_rows(session: Session, import_id: str, rows: Sequence[LoggedRow]) -> None:
    """Keep the rows that the import did not take."""
    if rows:
        fields = LoggedRow.__slots__
        session.execute(
            insert(PriceImportLogRow),
            [{"import_id": import_id, **{name: getattr(row, name) for name in fields}} for row in rows],
        )


def earlier_decisions(session: Session, offer_ids: Iterable[int]) -> dict[tuple[int, Decimal], str | None]:
    """Of amounts held before for these offers, the last decision; None: a person has yet to decide."""
    decisions: dict[tuple[int, Decimal], str | None] = {}
    for chunk in chunks(set(offer_ids)):
        query = (
            select(PriceImportLogRow.offer_id, PriceImportLogRow.amount, PriceImportLogRow.decision)
            .where(PriceImportLogRow.offer_id.in_(chunk), PriceImportLogRow.outcome == HELD, not_(_is_of_rolled_back()))
            .order_by(PriceImportLogRow.id)
        )
        for offer_id, amount, decision in session.execute(query):
            if offer_id is not None and amount is not None:
                decisions[offer_id, amount] = decision
    return decisions


def roll_back(session: Session, import_ids: Sequence[str], rollback_id: str, recorded_at: datetime, reason: str) -> int:
    """Append, for each price of these imports that is in force, what would hold without them; the number appended.

    Where nothing else is known of an offer up to then, the price becomes unknown for `reason`.
    """
    price, newer, before = aliased(PriceRow), aliased(PriceRow), aliased(PriceRow)
    other = aliased(PriceRow)
    is_superseded = select(newer.id).where(
        newer.offer_id == price.offer_id,
        newer.valid_from == price.valid_from,
        newer.recorded_at > price.recorded_at,
    )
    remaining = (
        select(other.id)
        .where(
            other.offer_id == price.offer_id,
            other.valid_from <= price.valid_from,
            or_(other.import_id.is_(None), other.import_id.not_in(import_ids)),
        )
        .order_by(other.valid_from.desc(), other.recorded_at.desc())
        .limit(1)
        .correlate(price)
        .scalar_subquery()
    )
    copies = (
        select(
            price.offer_id,
            before.amount,
            case((before.id.is_(None), literal(reason)), else_=before.reason),
            price.valid_from,
            literal(recorded_at, UtcDateTime),
            func.coalesce(before.source, price.source),
            func.coalesce(before.source_date, price.source_date),
            literal(rollback_id),
        )
        .outerjoin(before, before.id == remaining)
        .where(price.import_id.in_(import_ids), ~is_superseded.exists())
    )
    names = ["offer_id", "amount", "reason", "valid_from", "recorded_at", "source", "source_date", "import_id"]
    session.execute(insert(PriceRow).from_select(names, copies))
    query = select(func.count()).select_from(PriceRow).where(PriceRow.import_id == rollback_id)
    return session.execute(query).scalar_one()


def get_import(session: Session, import_id: str) -> PriceImportRow | None:
    """The import of that id."""
    return session.get(PriceImportRow, import_id)


def newest_imports(session: Session, limit: int, after: str | None, source: str | None = None) -> list[PriceImportRow]:
    """The newest first, of one source where it is named; `after` leaves out that one and all newer ones."""
    query = select(PriceImportRow)
    if source is not None:
        query = query.where(PriceImportRow.source == source)
    if after is not None:
        query = query.where(PriceImportRow.id < after)
    return list(session.scalars(query.order_by(PriceImportRow.id.desc()).limit(limit)))


def last_imports(session: Session) -> dict[str, PriceImportRow]:
    """The last import of each source, approvals and rollbacks not counted."""
    newest = select(func.max(PriceImportRow.id)).where(PriceImportRow.action == IMPORT).group_by(PriceImportRow.source)
    return {row.source: row for row in session.scalars(select(PriceImportRow).where(PriceImportRow.id.in_(newest)))}


def first_import_of(session: Session, source: str, content_hash: str) -> PriceImportRow | None:
    """The first import of the very same content from that source."""
    query = select(PriceImportRow).where(PriceImportRow.source == source, PriceImportRow.content_hash == content_hash)
    return session.scalars(query.order_by(PriceImportRow.recorded_at).limit(1)).one_or_none()


def rolled_back_by(session: Session, import_ids: Iterable[str]) -> dict[str, str]:
    """The rollback of each of these imports that has one."""
    query = select(PriceImportRow.of_import_id, PriceImportRow.id)
    query = query.where(PriceImportRow.action == ROLLBACK, PriceImportRow.of_import_id.in_(list(import_ids)))
    return {of_import_id: rollback_id for of_import_id, rollback_id in session.execute(query) if of_import_id}


def approvals_of(session: Session, import_id: str) -> list[str]:
    """The approvals of rows that this import had held."""
    query = select(PriceImportRow.id).where(PriceImportRow.action == APPROVAL, PriceImportRow.of_import_id == import_id)
    return list(session.scalars(query.order_by(PriceImportRow.id)))


def num_waiting(session: Session, import_ids: Iterable[str]) -> dict[str, int]:
    """How many held rows of each of these imports wait for a person."""
    query = (
        select(PriceImportLogRow.import_id, func.count())
        .where(PriceImportLogRow.import_id.in_(list(import_ids)), _is_waiting())
        .group_by(PriceImportLogRow.import_id)
    )
    return dict(session.execute(query).all())


def logged_rows(
    session: Session, import_id: str | None, outcome: str | None, *, waiting: bool, limit: int | None, after: int
) -> list[tuple[PriceImportLogRow, OfferRow | None]]:
    """Rows that were not taken, with their offer where one is known, in the order in which they stood."""
    query = select(PriceImportLogRow, OfferRow).outerjoin(OfferRow, OfferRow.id == PriceImportLogRow.offer_id)
    query = query.where(PriceImportLogRow.id > after)
    if import_id is not None:
        query = query.where(PriceImportLogRow.import_id == import_id)
    if outcome is not None:
        query = query.where(PriceImportLogRow.outcome == outcome)
    if waiting:
        query = query.where(_is_waiting())
    return [(row, offer) for row, offer in session.execute(query.order_by(PriceImportLogRow.id).limit(limit))]


def decide(session: Session, row_ids: Sequence[int], decision: str, at: datetime, actor: str) -> None:
    """Keep what a person decided on held rows."""
    for chunk in chunks(row_ids):
        change = update(PriceImportLogRow).where(PriceImportLogRow.id.in_(chunk))
        session.execute(change.values(decision=decision, decided_at=at, decided_by=actor))


def aliases(session: Session) -> list[GpuAliasRow]:
    """People's own aliases, oldest first."""
    return list(session.scalars(select(GpuAliasRow).order_by(GpuAliasRow.id)))


def add_alias(session: Session, name: str, scope: str, gpu_key: str, actor: str, at: datetime) -> None:
    """Append an alias."""
    row = {"name": name, "scope": scope, "gpu_key": gpu_key, "actor": actor, "recorded_at": at}
    session.execute(insert(GpuAliasRow), [row])


def gpu_names(session: Session, scope: str) -> list[str]:
    """The providers' words for GPUs among the offers of that provider, of all where `scope` is empty."""
    query = select(OfferRow.gpu_name).distinct()
    return list(session.scalars(query.where(OfferRow.provider == scope) if scope else query))


def map_offers(session: Session, names: Sequence[str], scope: str, gpu_key: str, replaced: str | None) -> int:
    """Give offers under these names that key where they have none or the replaced one; the number changed."""
    number = 0
    for chunk in chunks(names):
        has_no_other = or_(OfferRow.gpu_key.is_(None), OfferRow.gpu_key == replaced)
        change = update(OfferRow).where(OfferRow.gpu_name.in_(chunk), has_no_other)
        change = change.where(OfferRow.provider == scope) if scope else change
        number += len(session.execute(change.values(gpu_key=gpu_key).returning(OfferRow.id)).all())
    return number


def unmapped(session: Session) -> list[tuple[str, str, int, str]]:
    """Provider, its word, how many offers bear it without a catalogue key, and the first of their instance types."""
    number = func.count()
    query = (
        select(OfferRow.provider, OfferRow.gpu_name, number, func.min(OfferRow.instance_type))
        .where(OfferRow.gpu_key.is_(None))
        .group_by(OfferRow.provider, OfferRow.gpu_name)
        .order_by(number.desc(), OfferRow.provider, OfferRow.gpu_name)
    )
    return [(provider, name, count, example) for provider, name, count, example in session.execute(query)]


def _known_chunk(session: Session, wanted: Sequence[tuple[int, datetime]]) -> list[Known]:
    lines = _lines(session, wanted)
    held, compared = aliased(PriceRow), aliased(PriceRow)
    query = (
        select(
            held.valid_from,
            held.amount,
            held.reason,
            held.source_date,
            held.import_id,
            compared.valid_from,
            compared.amount,
        )
        .select_from(lines)
        .outerjoin(held, held.id == _held_id(lines))
        .outerjoin(compared, compared.id == func.coalesce(_amount_until_id(lines), _amount_after_id(lines)))
        .order_by(lines.c.position)
    )
    return [Known(*row) for row in session.execute(query)]


def _lines(session: Session, wanted: Sequence[tuple[int, datetime]]) -> CTE:
    """Offer ids and moments as a table with their places. One parameter, so that the statement is compiled once."""
    columns = {"position": Integer, "offer_id": BigInteger, "moment": UtcDateTime}
    if session.get_bind().dialect.name == "postgresql":
        unnested = text(
            "SELECT position, offer_id, moment"
            " FROM unnest(CAST(:offer_ids AS bigint[]), CAST(:moments AS timestamptz[]))"
            " WITH ORDINALITY AS asked(offer_id, moment, position)"
        )
        found = unnested.bindparams(
            offer_ids=[offer_id for offer_id, _ in wanted], moments=[moment for _, moment in wanted]
        )
    else:
        parsed = text(
            "SELECT key AS position, json_extract(value, '$[0]') AS offer_id, json_extract(value, '$[1]') AS moment"
            " FROM json_each(:rows)"
        )
        rows = [(offer_id, moment.astimezone(UTC).strftime(_SQLITE_MOMENT)) for offer_id, moment in wanted]
        found = parsed.bindparams(rows=json.dumps(rows))
    return found.columns(**columns).cte("lines")


def _held_id(lines: CTE) -> ColumnElement[Any]:
    price = aliased(PriceRow)
    query = select(price.id).where(price.offer_id == lines.c.offer_id, price.valid_from <= lines.c.moment)
    query = query.order_by(price.valid_from.desc(), price.recorded_at.desc()).limit(1)
    return query.correlate(lines).scalar_subquery()


def _amount_until_id(lines: CTE) -> ColumnElement[Any]:
    price = aliased(PriceRow)
    query = select(price.id).where(price.valid_from <= lines.c.moment, *_has_amount(price, lines))
    query = query.order_by(price.valid_from.desc(), price.recorded_at.desc()).limit(1)
    return query.correlate(lines).scalar_subquery()


def _amount_after_id(lines: CTE) -> ColumnElement[Any]:
    price = aliased(PriceRow)
    query = select(price.id).where(price.valid_from > lines.c.moment, *_has_amount(price, lines))
    query = query.order_by(price.valid_from, price.recorded_at.desc()).limit(1)
    return query.correlate(lines).scalar_subquery()


def _has_amount(price: type[PriceRow], lines: CTE) -> tuple[ColumnElement[bool], ...]:
    """The price is of the asked offer, states an amount, and was not corrected since."""
    newer = aliased(PriceRow)
    corrected = select(newer.id).where(
        newer.offer_id == price.offer_id, newer.valid_from == price.valid_from, newer.recorded_at > price.recorded_at
    )
    return price.offer_id == lines.c.offer_id, price.amount.is_not(None), ~corrected.exists()


def _is_waiting() -> ColumnElement[bool]:
    undecided = and_(PriceImportLogRow.outcome == HELD, PriceImportLogRow.decision.is_(None))
    return and_(undecided, not_(_is_of_rolled_back()))


def _is_of_rolled_back() -> ColumnElement[bool]:
    rollback = aliased(PriceImportRow)
    query = select(rollback.id).where(rollback.action == ROLLBACK, rollback.of_import_id == PriceImportLogRow.import_id)
    return query.correlate(PriceImportLogRow).exists()
