"""Price sources: what there is, a rule of refreshing for each, what is due or asked for, and how it went.

A source that fails keeps its last good prices and shows their age and its error; the other sources go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from planner.calibration.due import Rule
from planner.errors import Conflict
from planner.offers.change_guard import AllowedChanges
from planner.readers.registry import SOURCES, get_source
from planner.services.requests.imports import PriceSourceRequest
from planner.store import offers as offer_store
from planner.store import price_imports as import_store
from planner.store import price_sources as store
from planner.store.engine import Session
from planner.store.tables import PriceImportRow, PriceSourceRow

LONGEST_ERROR = 2000
LONGEST_READING = timedelta(hours=6)  # an attempt of which nothing was heard for so long has no end any more


class SourceState(StrEnum):
    """How it stands with a source, as far as the last attempt to read it tells."""

    NEVER = "never read"
    GOOD = "read well"
    QUEUED = "asked for"
    READING = "being read"
    CUT_OFF = "cut off"  # an attempt that has no end: the worker that made it is gone
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class PriceSourceView:
    """A source, its rule in words, when it is due next, and its last result; None: never, or unknown.

    `last_success_at` counts files that people sent, too; `age_days` is how long ago it was. `address` is "" for a
    source that is read from files only, `credential` the setting with the key that it asks for.
    """

    name: str
    title: str
    address: str
    credential: str
    state: SourceState
    enabled: bool
    cron: str
    timezone: str
    in_words: str
    allowed_changes: AllowedChanges
    next_due: datetime | None
    requested_at: datetime | None
    requested_by: str | None
    last_attempt_at: datetime | None
    last_success_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    last_import_id: str | None
    last_num_rows: int | None
    age_days: int | None

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt that ended was a failure."""
        return self.last_error is not None

    @property
    def is_on_network(self) -> bool:
        return bool(self.address)


def source_titles() -> dict[str, str]:
    """What each source is called in words, by its name."""
    return {name: entry.title for name, entry in SOURCES.items()}


def set_price_source(session: Session, name: str, request: PriceSourceRequest, now: datetime) -> PriceSourceView:
    """Give a source its rule, or change it. Raises InvalidInput for a rule or a zone that cannot be used.

    Due times before this moment do not count. Whether there is such a source is for the caller to know; Conflict
    where it is known to be read from files only.
    """
    rule = Rule.read(request.cron, request.timezone)
    if request.enabled and name in SOURCES and not SOURCES[name].is_on_network:
        raise Conflict(f"the price source {name} is read from files only; nothing can be read by a rule")
    offer_store.lock_writers(session)
    row = store.get_price_source(session, name, lock=True)
    if row is None:
        row = PriceSourceRow(name=name)
        session.add(row)
    row.enabled = request.enabled
    row.cron = rule.cron
    row.timezone = rule.timezone
    row.allowed_changes = request.allow_large_changes.value
    row.updated_at = now
    session.flush()
    return _view(row, now)


def request_refresh(session: Session, name: str, now: datetime, actor: str = "") -> PriceSourceView:
    """Ask for a source to be read at once; a worker takes it up. Asking again before that changes nothing.

    Raises NotFound where there is no such source, Conflict where it is read from files only.
    """
    if not get_source(name).is_on_network:
        raise Conflict(f"the price source {name} is read from files only; send its file as an import")
    offer_store.lock_writers(session)
    row = store.get_price_source(session, name, lock=True)
    if row is None:
        rule = PriceSourceRequest()
        row = PriceSourceRow(
            name=name,
            enabled=False,
            cron=rule.cron,
            timezone=rule.timezone,
            allowed_changes=rule.allow_large_changes.value,
            updated_at=now,
        )
        session.add(row)
    if row.requested_at is None:
        row.requested_at, row.requested_by = now, actor
    session.flush()
    return _view(row, now)


def list_price_sources(session: Session, now: datetime, *, every: bool = False) -> list[PriceSourceView]:
    """Sources that were given a rule or asked for, by name; `every`: all that there are, in the order of the list."""
    rows = {row.name: row for row in store.price_sources(session)}
    imports = import_store.last_imports(session)
    names = list(SOURCES) if every else list(rows)
    return [_view(rows.get(name) or _unruled(name, now), now, imports.get(name)) for name in names]


def get_price_source(session: Session, name: str, now: datetime) -> PriceSourceView:
    """The source of that name, with the rule it would get while it has none; raises NotFound."""
    row = store.get_price_source(session, name)
    if row is None:
        get_source(name)
        row = _unruled(name, now)
    return _view(row, now, import_store.last_imports(session).get(name))


def claim_due_sources(session: Session, now: datetime) -> list[PriceSourceView]:
    """The sources that are due or asked for, each given to one caller only: the attempt is recorded as it is given."""
    claimed = []
    for row in store.price_sources(session, lock=True):
        since = row.updated_at if row.last_attempt_at is None else max(row.updated_at, row.last_attempt_at)
        is_due = row.enabled and Rule(row.cron, row.timezone).latest_due(since, now) is not None
        if is_due or row.requested_at is not None:
            row.last_attempt_at = now
            row.requested_at = row.requested_by = None
            claimed.append(_view(row, now))
    session.flush()
    return claimed


def record_refresh(session: Session, name: str, import_id: str | None, num_rows: int, now: datetime) -> None:
    """Keep that the source was read and brought in; `import_id` is that of its prices, None for exchange rates."""
    row = store.get_price_source(session, name, lock=True)
    if row is not None:
        row.last_success_at = now
        row.last_error = None
        row.last_error_at = None
        row.last_import_id = import_id
        row.last_num_rows = num_rows
        session.flush()


def record_failure(session: Session, name: str, error: str, now: datetime) -> None:
    """Keep why the source could not be read; its last good prices stay as they are."""
    row = store.get_price_source(session, name, lock=True)
    if row is not None:
        row.last_error = error.replace("\x00", "�")[:LONGEST_ERROR]
        row.last_error_at = now
        session.flush()


def _unruled(name: str, now: datetime) -> PriceSourceRow:
    """A source that nobody has said anything of: off, with the rule that a form starts from. It is not stored."""
    rule = PriceSourceRequest()
    return PriceSourceRow(
        name=name,
        enabled=False,
        cron=rule.cron,
        timezone=rule.timezone,
        allowed_changes=rule.allow_large_changes.value,
        updated_at=now,
    )


def _view(row: PriceSourceRow, now: datetime, sent: PriceImportRow | None = None) -> PriceSourceView:
    """The view of a row; `sent` is the last import of the source in whatever way, which may be a person's."""
    rule, entry = Rule(row.cron, row.timezone), SOURCES.get(row.name)
    coming = rule.next_due(now, 1) if row.enabled else []
    success, import_id, num_rows = row.last_success_at, row.last_import_id, row.last_num_rows
    if sent is not None and (success is None or sent.recorded_at > success):
        success, import_id, num_rows = sent.recorded_at, sent.id, sent.counts.get("num_rows")
    return PriceSourceView(
        name=row.name,
        title=row.name if entry is None else entry.title,
        address="" if entry is None else entry.address,
        credential="" if entry is None else entry.credential,
        state=_state(row, success, now),
        enabled=row.enabled,
        cron=row.cron,
        timezone=row.timezone,
        in_words=rule.in_words(),
        allowed_changes=AllowedChanges(row.allowed_changes),
        next_due=coming[0] if coming else None,
        requested_at=row.requested_at,
        requested_by=row.requested_by,
        last_attempt_at=row.last_attempt_at,
        last_success_at=success,
        last_error=row.last_error,
        last_error_at=row.last_error_at,
        last_import_id=import_id,
        last_num_rows=num_rows,
        age_days=None if success is None else max((now - success).days, 0),
    )


def _state(row: PriceSourceRow, success: datetime | None, now: datetime) -> SourceState:
    if row.requested_at is not None:
        return SourceState.QUEUED
    ends = [moment for moment in (success, row.last_error_at) if moment is not None]
    if row.last_attempt_at is not None and all(end < row.last_attempt_at for end in ends):
        return SourceState.READING if now - row.last_attempt_at < LONGEST_READING else SourceState.CUT_OFF
    if row.last_error is not None:
        return SourceState.FAILING
    return SourceState.NEVER if success is None else SourceState.GOOD
