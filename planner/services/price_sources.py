"""Refreshing prices by the clock: a rule per source, what is due, and how the last attempt went.

A source that fails keeps its last good prices and shows their age and its error; the other sources go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from planner.calibration.due import Rule
from planner.errors import NotFound
from planner.offers.change_guard import AllowedChanges
from planner.readers.registry import SOURCES
from planner.services.requests.imports import PriceSourceRequest
from planner.store import offers as offer_store
from planner.store import price_sources as store
from planner.store.engine import Session
from planner.store.tables import PriceSourceRow

LONGEST_ERROR = 2000


@dataclass(frozen=True, slots=True)
class PriceSourceView:
    """A source's rule in words, when it is due next, and its last result; None: never, or unknown."""

    name: str
    enabled: bool
    cron: str
    timezone: str
    in_words: str
    allowed_changes: AllowedChanges
    next_due: datetime | None
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


def source_titles() -> dict[str, str]:
    """What each source is called in words, by its name."""
    return {name: entry.title for name, entry in SOURCES.items()}


def set_price_source(session: Session, name: str, request: PriceSourceRequest, now: datetime) -> PriceSourceView:
    """Give a source its rule, or change it. Raises InvalidInput for a rule or a zone that cannot be used.

    Due times before this moment do not count. Whether there is such a source is for the caller to know.
    """
    rule = Rule.read(request.cron, request.timezone)
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


def list_price_sources(session: Session, now: datetime) -> list[PriceSourceView]:
    """All sources that were given a rule or tried, by name."""
    return [_view(row, now) for row in store.price_sources(session)]


def get_price_source(session: Session, name: str, now: datetime) -> PriceSourceView:
    """The source of that name; raises NotFound while it has no rule."""
    row = store.get_price_source(session, name)
    if row is None:
        raise NotFound(f"the price source {name!r} has no rule yet")
    return _view(row, now)


def claim_due_sources(session: Session, now: datetime) -> list[PriceSourceView]:
    """The sources that are due, each given to one caller only: the attempt is recorded as it is handed out."""
    claimed = []
    for row in store.price_sources(session, lock=True):
        since = row.updated_at if row.last_attempt_at is None else max(row.updated_at, row.last_attempt_at)
        if row.enabled and Rule(row.cron, row.timezone).latest_due(since, now) is not None:
            row.last_attempt_at = now
            claimed.append(_view(row, now))
    session.flush()
    return claimed


def record_refresh(session: Session, name: str, import_id: str, num_rows: int, now: datetime) -> None:
    """Keep that the source was read and its prices were brought in."""
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


def _view(row: PriceSourceRow, now: datetime) -> PriceSourceView:
    rule = Rule(row.cron, row.timezone)
    coming = rule.next_due(now, 1) if row.enabled else []
    return PriceSourceView(
        name=row.name,
        enabled=row.enabled,
        cron=row.cron,
        timezone=row.timezone,
        in_words=rule.in_words(),
        allowed_changes=AllowedChanges(row.allowed_changes),
        next_due=coming[0] if coming else None,
        last_attempt_at=row.last_attempt_at,
        last_success_at=row.last_success_at,
        last_error=row.last_error,
        last_error_at=row.last_error_at,
        last_import_id=row.last_import_id,
        last_num_rows=row.last_num_rows,
        age_days=None if row.last_success_at is None else (now - row.last_success_at).days,
    )
