"""Bringing prices in from a file or from the network, by a command or by the clock.

A source is fetched whole, to a temporary file, before a transaction begins: nothing waits on the network with the
database open, and what broke off on the way leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import structlog

from planner.errors import InvalidInput, NotFound, PlannerError
from planner.feeds.fetch import FetchSettings, fetch
from planner.feeds.registry import SourceEntry, detect, get_source, read_file
from planner.feeds.source import ReadContext
from planner.hardware.catalogue import load_catalogue
from planner.offers.change_guard import AllowedChanges
from planner.services.price_imports import (
    AppliedImport,
    ImportPreview,
    Origin,
    apply_import,
    first_received,
    preview_import,
)
from planner.services.price_sources import PriceSourceView, claim_due_sources, record_failure, record_refresh
from planner.store.engine import DatabaseError, Sessions

log = structlog.get_logger()

_CHUNK = 1 << 20
_FIRST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Wish:
    """How prices are to be brought in."""

    allowed: AllowedChanges = AllowedChanges.NONE
    dry_run: bool = False
    stated_date: date | None = None
    actor: str = ""


def import_file(
    sessions: Sessions, path: Path, source: str | None, wish: Wish, now: datetime
) -> ImportPreview | AppliedImport:
    """Bring in a file. Raises InvalidInput where its format is not recognised and none is named, or it is unusable."""
    try:
        with path.open("rb") as stream:
            name = source or detect(stream.read(_FIRST_BYTES), str(path))
            if name is None:
                raise InvalidInput.of("source", f"the format of {path.name} is not recognised; name its source")
            stream.seek(0)
            return import_stream(sessions, get_source(name), stream, path.name, wish, now, is_dated_by_receipt=True)
    except OSError as error:
        raise InvalidInput.of("file", f"{path} cannot be read: {error.strerror}") from None


def import_network(
    sessions: Sessions, entry: SourceEntry, wish: Wish, now: datetime, settings: FetchSettings | None = None
) -> ImportPreview | AppliedImport:
    """Fetch a source and bring it in. Raises NotFound for one that is read from files only, FetchError as fetched."""
    if entry.plan is None:
        raise NotFound(f"the price source {entry.name} is read from files only")
    with TemporaryFile() as whole:
        for page in fetch(entry.plan, settings or fetch_settings(os.environ)):
            while chunk := page.read(_CHUNK):
                whole.write(chunk)
        whole.seek(0)
        return import_stream(sessions, entry, whole, entry.plan.first.place, wish, now)


def network_source(name: str) -> SourceEntry:
    """The source of that name. Raises NotFound where there is none, or it is read from files only."""
    entry = get_source(name)
    if entry.plan is None:
        raise NotFound(f"the price source {name} is read from files only")
    return entry


def import_stream(
    sessions: Sessions,
    entry: SourceEntry,
    stream: BinaryIO,
    place: str,
    wish: Wish,
    now: datetime,
    *,
    is_dated_by_receipt: bool = False,
) -> ImportPreview | AppliedImport:
    """Bring in what a stream that can be read twice holds.

    With `is_dated_by_receipt` the same bytes that came in before keep the day of then, where they bear none of their
    own, so that a file read again is nothing new.
    """
    content_hash = _hash(stream)
    with sessions.begin() as session:
        received = first_received(session, entry.name, content_hash) if is_dated_by_receipt else None
        context = ReadContext(
            catalogue=load_catalogue(), received_at=received or now, stated_date=wish.stated_date, source=place[:500]
        )
        quotes = read_file(entry, stream, context)
        allowed, left_out = wish.allowed, context.left_out
        if wish.dry_run:
            return preview_import(session, quotes, entry.name, now, allow_large_changes=allowed, left_out=left_out)
        origin = Origin(place[:500], content_hash, wish.actor)
        return apply_import(
            session, quotes, entry.name, now, allow_large_changes=allowed, left_out=left_out, origin=origin
        )


def refresh_due_sources(
    sessions: Sessions,
    now: datetime,
    settings: FetchSettings | None = None,
    find: Callable[[str], SourceEntry] = get_source,
) -> list[str]:
    """Read the sources that are due, each by itself: one that fails says so and leaves the others. Their names."""
    with sessions.begin() as session:
        due = claim_due_sources(session, now)
    for source in due:
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
    find: Callable[[str], SourceEntry],
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


def _hash(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    stream.seek(0)
    return digest.hexdigest()
