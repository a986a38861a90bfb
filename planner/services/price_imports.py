"""Bringing prices in safely: previewed, applied in one transaction, guarded against slips, rolled back by appending.

A price that moves by more than a fifth is held until a person approves it; what is held or rejected is kept with its
reason and never stops the rows that are sound. A file that cannot be trusted as a whole leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from planner.errors import Conflict, InvalidInput, NotFound
from planner.offers.change_guard import AllowedChanges
from planner.offers.quote import Quote, Refused
from planner.services.gpu_names import MappedName, UnmappedName, map_gpu_name, unmapped_names
from planner.services.import_report import ChangedPrice, HeldPrice, ImportCounts, ImportPreview, Origin, RejectedRow
from planner.services.importing import Import, add_import, next_recorded_at
from planner.store import offers as offer_store
from planner.store import price_imports as store
from planner.store.engine import Session
from planner.store.tables import OfferRow, PriceImportLogRow, PriceImportRow

__all__ = [
    "AllowedChanges",
    "AppliedImport",
    "ChangedPrice",
    "HeldPrice",
    "ImportCounts",
    "ImportPreview",
    "ImportView",
    "LoggedRow",
    "MappedName",
    "Origin",
    "RejectedRow",
    "UnmappedName",
    "apply_import",
    "approve_rows",
    "first_received",
    "get_import",
    "import_rows",
    "list_imports",
    "map_gpu_name",
    "preview_import",
    "refuse_rows",
    "roll_back_import",
    "unmapped_names",
]


@dataclass(frozen=True, slots=True)
class AppliedImport:
    """An import that was stored."""

    id: str
    recorded_at: datetime
    preview: ImportPreview


@dataclass(frozen=True, slots=True)
class ImportView:
    """A stored import, approval or rollback, for lists."""

    id: str
    action: str
    of_import_id: str | None
    source: str
    origin: str
    actor: str
    allowed_changes: AllowedChanges
    recorded_at: datetime
    counts: ImportCounts
    left_out: Mapping[str, int]
    rolled_back_by: str | None
    num_waiting: int


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """A row that an import did not take: rejected, or held with what was decided on it (None: not yet)."""

    id: int
    import_id: str
    place: str
    outcome: str
    reason: str
    text: str
    provider: str | None
    region: str | None
    instance_type: str | None
    kind: str | None
    currency: str | None
    amount: Decimal | None
    compared_with: Decimal | None
    valid_from: datetime | None
    decision: str | None
    decided_at: datetime | None
    decided_by: str | None


def preview_import(
    session: Session,
    quotes: Iterable[Quote | Refused],
    source_name: str,
    now: datetime,
    *,
    allow_large_changes: AllowedChanges = AllowedChanges.NONE,
    left_out: Mapping[str, int] | None = None,
) -> ImportPreview:
    """What applying these rows would do. It is really done, row by row, and then taken back within the transaction.

    `left_out` may be filled while the rows are read.
    """
    savepoint = session.begin_nested()
    try:
        return Import(session, source_name, now, Origin(), allow_large_changes).take(quotes, left_out)
    finally:
        savepoint.rollback()


def apply_import(
    session: Session,
    quotes: Iterable[Quote | Refused],
    source_name: str,
    now: datetime,
    *,
    allow_large_changes: AllowedChanges = AllowedChanges.NONE,
    origin: Origin | None = None,
    left_out: Mapping[str, int] | None = None,
) -> AppliedImport:
    """Append what is new in these rows and keep a log. Raises InvalidInput, and stores nothing, for an unusable file.

    Safe to repeat: what is known already is not stored again, and what waits for a person is not asked again.
    """
    with session.begin_nested():
        running = Import(session, source_name, now, origin or Origin(), allow_large_changes)
        preview = running.take(quotes, left_out)
        if preview.unusable:
            raise InvalidInput.of("file", f"{preview.unusable}; nothing of it was stored")
    return AppliedImport(running.id, running.recorded_at, preview)


def roll_back_import(session: Session, import_id: str, now: datetime, actor: str = "") -> ImportView:
    """Let everything hold as if the import, and the approvals of rows it had held, had never been: by appending.

    Raises NotFound, or Conflict where it was rolled back already or is a rollback itself.
    """
    offer_store.lock_writers(session)
    row = _import_row(session, import_id)
    if row.action == store.ROLLBACK:
        raise Conflict(f"{import_id} is a rollback; to undo it, import the file again")
    earlier = store.rolled_back_by(session, [import_id])
    if earlier:
        raise Conflict(f"import {import_id} was rolled back already, by {earlier[import_id]}")
    recorded_at = next_recorded_at(session, now)
    rollback_id = add_import(
        session, store.ROLLBACK, row.source, recorded_at, Origin(row.origin, None, actor), of=import_id
    )
    affected = [import_id, *store.approvals_of(session, import_id)]
    reason = f"the import {import_id} was rolled back, and no earlier price is known"
    number = store.roll_back(session, affected, rollback_id, recorded_at, reason)
    store.set_counts(session, rollback_id, asdict(ImportCounts(num_rows=number, num_changed=number)))
    session.expire_all()
    return get_import(session, rollback_id)


def approve_rows(
    session: Session, import_id: str, now: datetime, row_ids: Sequence[int] | None = None, actor: str = ""
) -> ImportView:
    """Append the prices that this import held: those of `row_ids`, or all that wait. Raises NotFound or Conflict."""
    offer_store.lock_writers(session)
    row = _import_row(session, import_id)
    chosen = _waiting(session, import_id, row_ids)
    prices = {(held.offer_id, held.valid_from): _held_price(held) for held, _ in chosen}
    if len(prices) < len(chosen):
        raise Conflict("two of these rows state different prices for the same offer and moment; approve one of them")
    recorded_at = next_recorded_at(session, now)
    approval_id = add_import(
        session, store.APPROVAL, row.source, recorded_at, Origin(row.origin, None, actor), of=import_id
    )
    store.append_prices(session, prices.values(), approval_id, recorded_at)
    store.decide(session, [held.id for held, _ in chosen], store.APPROVED, recorded_at, actor)
    counts = ImportCounts(num_rows=len(chosen), num_changed=len(chosen))
    store.set_counts(session, approval_id, asdict(counts))
    session.expire_all()
    return get_import(session, approval_id)


def refuse_rows(
    session: Session, import_id: str, now: datetime, row_ids: Sequence[int] | None = None, actor: str = ""
) -> int:
    """Decide that these held rows are wrong: the same amounts are rejected from now on. The number refused."""
    offer_store.lock_writers(session)
    _import_row(session, import_id)
    chosen = _waiting(session, import_id, row_ids)
    store.decide(session, [held.id for held, _ in chosen], store.REFUSED, now, actor)
    session.expire_all()
    return len(chosen)


def list_imports(
    session: Session, limit: int = 50, after: str | None = None, source: str | None = None
) -> list[ImportView]:
    """The newest first, of one source where it is named; `after` is the id of the last one already seen."""
    rows = store.newest_imports(session, limit, after, source)
    ids = [row.id for row in rows]
    rolled_back, waiting = store.rolled_back_by(session, ids), store.num_waiting(session, ids)
    return [_view(row, rolled_back.get(row.id), waiting.get(row.id, 0)) for row in rows]


def get_import(session: Session, import_id: str) -> ImportView:
    """The import of that id; raises NotFound."""
    row = _import_row(session, import_id)
    rolled_back, waiting = store.rolled_back_by(session, [import_id]), store.num_waiting(session, [import_id])
    return _view(row, rolled_back.get(import_id), waiting.get(import_id, 0))


def import_rows(
    session: Session,
    import_id: str | None = None,
    outcome: str | None = None,
    *,
    waiting: bool = False,
    limit: int | None = 100,
    after: int = 0,
) -> list[LoggedRow]:
    """Rows that were not taken, of one import or of all; `waiting`: only those that a person has yet to decide."""
    if import_id is not None:
        _import_row(session, import_id)
    found = store.logged_rows(session, import_id, outcome, waiting=waiting, limit=limit, after=after)
    return [
        LoggedRow(
            id=row.id,
            import_id=row.import_id,
            place=row.place,
            outcome=row.outcome,
            reason=row.reason,
            text=row.text,
            provider=None if offer is None else offer.provider,
            region=None if offer is None else offer.region,
            instance_type=None if offer is None else offer.instance_type,
            kind=None if offer is None else offer.kind,
            currency=None if offer is None else offer.currency,
            amount=row.amount,
            compared_with=row.compared_with,
            valid_from=row.valid_from,
            decision=row.decision,
            decided_at=row.decided_at,
            decided_by=row.decided_by,
        )
        for row, offer in found
    ]


def first_received(session: Session, source_name: str, content_hash: str) -> datetime | None:
    """When the very same bytes were first imported: the day to date them by if they bear no date of their own."""
    row = store.first_import_of(session, source_name, content_hash)
    return None if row is None else row.recorded_at


def _held_price(row: PriceImportLogRow) -> store.NewPrice:
    if row.offer_id is None or row.valid_from is None or row.source is None or row.source_date is None:
        raise ValueError(f"the held row {row.id} lacks what a price needs")
    return store.NewPrice(row.offer_id, row.amount, "", row.valid_from, row.source, row.source_date)


def _waiting(
    session: Session, import_id: str, row_ids: Sequence[int] | None
) -> list[tuple[PriceImportLogRow, OfferRow | None]]:
    """The chosen rows, all of them waiting; raises NotFound or Conflict otherwise."""
    if store.rolled_back_by(session, [import_id]):
        raise Conflict(f"import {import_id} was rolled back; import the file again")
    waiting = store.logged_rows(session, import_id, store.HELD, waiting=True, limit=None, after=0)
    if row_ids is None:
        if not waiting:
            raise Conflict(f"no row of import {import_id} waits for a decision")
        return waiting
    chosen = [(row, offer) for row, offer in waiting if row.id in set(row_ids)]
    missing = sorted(set(row_ids) - {row.id for row, _ in chosen})
    if missing:
        raise NotFound(f"no row {', '.join(map(str, missing))} of import {import_id} waits for a decision")
    return chosen


def _import_row(session: Session, import_id: str) -> PriceImportRow:
    row = store.get_import(session, import_id)
    if row is None:
        raise NotFound(f"there is no price import {import_id!r}")
    return row


def _view(row: PriceImportRow, rolled_back_by: str | None, num_waiting: int) -> ImportView:
    counts = dict(row.counts)
    left_out = counts.pop("left_out", {})
    return ImportView(
        id=row.id,
        action=row.action,
        of_import_id=row.of_import_id,
        source=row.source,
        origin=row.origin,
        actor=row.actor,
        allowed_changes=AllowedChanges(row.allowed_changes),
        recorded_at=row.recorded_at,
        counts=ImportCounts(**counts),
        left_out=left_out,
        rolled_back_by=rolled_back_by,
        num_waiting=num_waiting,
    )
