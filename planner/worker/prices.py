"""Bringing prices in from a file or from the network, by a command or by the clock.

A source is fetched whole, to a temporary file, before a transaction begins: nothing waits on the network with the
database open, and what broke off on the way leaves nothing behind.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

import structlog

from planner.errors import InvalidInput, PlannerError
from planner.feeds.fetch import FetchSettings
from planner.feeds.plans import Feed, get_feed
from planner.feeds.rates import RATE_FEEDS, RateFeed, get_rate_feed
from planner.services.import_report import ImportPreview
from planner.services.incoming import Incoming, Wish, bring_in, recognise
from planner.services.price_imports import AppliedImport
from planner.services.price_sources import PriceSourceView, claim_due_sources, record_failure, record_refresh
from planner.store.engine import DatabaseError, Sessions
from planner.worker.rates import refresh_rates

__all__ = ["Refreshing", "fetch_settings", "get_feed", "import_file", "import_network", "refresh_due_sources"]

log = structlog.get_logger()

_CHUNK = 1 << 20


def import_file(
    sessions: Sessions, path: Path, source: str | None, wish: Wish, now: datetime
) -> ImportPreview | AppliedImport:
    """Bring in a file. Raises InvalidInput where its format is not recognised and none is named, or it is unusable."""
    try:
        with path.open("rb") as stream:
            return bring_in(sessions, Incoming(recognise(stream, str(path), source), stream, path.name), wish, now)
    except OSError as error:
        raise InvalidInput.of("file", f"{path} cannot be read: {error.strerror}") from None


def import_network(
    sessions: Sessions, feed: Feed, wish: Wish, now: datetime, settings: FetchSettings | None = None
) -> ImportPreview | AppliedImport:
    """Fetch a source and bring it in. Raises FetchError as fetched, and InvalidInput for an unusable list."""
    with TemporaryFile() as whole:
        for page in feed.pages(settings or fetch_settings(os.environ)):
            while chunk := page.read(_CHUNK):
                whole.write(chunk)
        whole.seek(0)
        incoming = Incoming(feed.entry, whole, feed.place, is_dated_by_receipt=False)
        return bring_in(sessions, incoming, wish, now)


def refresh_due_sources(
    sessions: Sessions,
    now: datetime,
    settings: FetchSettings | None = None,
    find: Callable[[str], Feed] = get_feed,
    find_rates: Callable[[str], RateFeed] = get_rate_feed,
) -> list[str]:
    """Read the sources that are due, each by itself: one that fails says so and leaves the others. Their names."""
    with sessions.begin() as session:
        due = claim_due_sources(session, now)
    for source in due:
        if source.name in RATE_FEEDS:
            refresh_rates(sessions, source, now, settings, find_rates)
        else:
            _refresh(sessions, source, now, settings, find)
    return [source.name for source in due]


@dataclass
class Refreshing:
    """Looks again and again, on a thread of its own, whether a source is due."""

    sessions: Sessions
    every_seconds: float = 30.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._until_stopped, name="prices", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """End; a source that is being fetched is left, and nothing of it is kept."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _until_stopped(self) -> None:
        while not self._stop.is_set():
            try:
                refresh_due_sources(self.sessions, datetime.now(UTC))
            except DatabaseError as error:
                log.warning("prices.database_away", error=str(error.orig))
            except Exception:
                log.exception("prices.fault")
            self._stop.wait(self.every_seconds)


def fetch_settings(environment: Mapping[str, str]) -> FetchSettings:
    """Limits of fetching, with the keys of sources that ask for one."""
    keys = {name: value for name, value in environment.items() if name.startswith("PLANNER_") and name.endswith("_KEY")}
    return FetchSettings(credentials=keys)


def _refresh(
    sessions: Sessions,
    source: PriceSourceView,
    now: datetime,
    settings: FetchSettings | None,
    find: Callable[[str], Feed],
) -> None:
    wish = Wish(source.allowed_changes, actor="schedule")
    try:
        found = import_network(sessions, find(source.name), wish, now, settings)
    except Exception as error:
        reason = str(error) if isinstance(error, PlannerError) else f"a fault of ours ({type(error).__name__})"
        with sessions.begin() as session:
            record_failure(session, source.name, reason, now)
        if not isinstance(error, PlannerError):
            log.exception("prices.fault", source=source.name)
        log.warning("prices.source_failed", source=source.name, error=reason)
        return
    if isinstance(found, ImportPreview):
        raise TypeError("a refresh is never a dry run")
    counts = found.preview.counts
    with sessions.begin() as session:
        record_refresh(session, source.name, found.id, counts.num_rows, now)
    log.info(
        "prices.refreshed", source=source.name, rows=counts.num_rows, changed=counts.num_changed, held=counts.num_held
    )
