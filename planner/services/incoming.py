"""Bringing a list of prices in, from its bytes to stored rows, holding the database's writers up for a moment only.

The rows are read and checked before any transaction. Where one writer at a time is all the database allows (SQLite)
and the list is long, they are compared with a copy of the price tables, too: what is left for the transaction that
writes is to see that nothing has changed since, and to append.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from tempfile import TemporaryFile
from typing import BinaryIO

from planner.errors import InvalidInput
from planner.hardware.catalogue import load_catalogue
from planner.offers.change_guard import AllowedChanges
from planner.offers.quote import Quote, Refused
from planner.readers import own_csv
from planner.readers.registry import SOURCES, SourceEntry, detect, get_source, read_file
from planner.readers.source import ReadContext
from planner.services.import_report import ImportPreview, Origin
from planner.services.price_imports import AppliedImport, apply_import, first_received, preview_import
from planner.store import scratch
from planner.store.engine import Session, Sessions, readers_of

LARGE = 5_000  # rows; so many take SQLite's one writer about a second
ATTEMPTS = 3  # on a copy; after that the list is compared while others wait
_BATCH = 1000
_CHUNK = 1 << 20
_FIRST_BYTES = 1 << 16
_LONGEST_PLACE = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """How prices are to be brought in."""

    allowed: AllowedChanges = AllowedChanges.NONE
    dry_run: bool = False
    stated_date: date | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A list as it came: a stream that can be read twice, and where it is from (a file's name, an address).

    With `is_dated_by_receipt` the same bytes that came in before keep the day of then, where they bear none of their
    own: a file read again is nothing new.
    """

    entry: SourceEntry
    stream: BinaryIO
    place: str
    is_dated_by_receipt: bool = True


def price_template() -> str:
    """The project's own CSV form with all columns and one example row."""
    return own_csv.template()


def recognise(stream: BinaryIO, filename: str, wanted: str | None) -> SourceEntry:
    """The source that was asked for, else the one that the first bytes are certain to be of. Raises InvalidInput."""
    if wanted is not None:
        if wanted not in SOURCES:
            raise InvalidInput.of("source", f"{wanted!r} is no price source")
        return get_source(wanted)
    found = detect(stream.read(_FIRST_BYTES), filename)
    stream.seek(0)
    if found is None:
        raise InvalidInput.of("source", "the file's form is none that is known for certain; choose what it is")
    return SOURCES[found]


def bring_in(sessions: Sessions, incoming: Incoming, wish: Wish, now: datetime) -> ImportPreview | AppliedImport:
    """Import the list, or with `wish.dry_run` say what that would do. Raises InvalidInput for an unusable one.

    `sessions` makes the transactions, which end here: reading, comparing and writing each have their own.
    """
    content_hash = _hash(incoming.stream)
    origin = Origin(incoming.place[:_LONGEST_PLACE], content_hash, wish.actor)
    with readers_of(sessions)() as session:
        name = incoming.entry.name
        received = first_received(session, name, content_hash) if incoming.is_dated_by_receipt else None
    context = ReadContext(load_catalogue(), received or now, wish.stated_date)
    with _kept(read_file(incoming.entry, incoming.stream, context)) as rows:
        work = _Work(rows, incoming.entry.name, now, wish, origin, context.left_out)
        if rows.number > LARGE and scratch.is_needed(sessions):
            for _ in range(ATTEMPTS):
                done = _on_copy(sessions, work)
                if done is not None:
                    return done
        with sessions.begin() as session:
            return work.preview(session) if wish.dry_run else work.apply(session)


@dataclass
class _Rows:
    """Rows that were read, kept in a file without a name; they can be gone through again and again."""

    file: BinaryIO
    number: int = 0

    def __iter__(self) -> Iterator[Quote | Refused]:
        self.file.seek(0)
        for _ in range(-(-self.number // _BATCH)):
            yield from pickle.load(self.file)  # noqa: S301 - our own bytes: nobody else can reach the file


@dataclass(frozen=True)
class _Work:
    """One import that can be tried more than once."""

    rows: _Rows
    source: str
    now: datetime
    wish: Wish
    origin: Origin
    left_out: Counter[str] = field(default_factory=Counter)

    def preview(self, session: Session) -> ImportPreview:
        allowed = self.wish.allowed
        return preview_import(
            session, self.rows, self.source, self.now, allow_large_changes=allowed, left_out=self.left_out
        )

    def apply(self, session: Session) -> AppliedImport:
        return apply_import(
            session,
            self.rows,
            self.source,
            self.now,
            allow_large_changes=self.wish.allowed,
            origin=self.origin,
            left_out=self.left_out,
        )


def _on_copy(sessions: Sessions, work: _Work) -> ImportPreview | AppliedImport | None:
    """The import done on a copy and taken over; None where prices were written in the meantime."""
    with scratch.copied(sessions) as copy:
        if work.wish.dry_run:
            with copy.sessions.begin() as session:
                return work.preview(session)
        with copy.sessions.begin() as session:
            done = work.apply(session)
        added = copy.added()
        with sessions.begin() as session:
            return done if added.take_over(session, done.id) else None


@contextmanager
def _kept(found: Iterable[Quote | Refused]) -> Iterator[_Rows]:
    with TemporaryFile() as file:
        rows, iterator = _Rows(file), iter(found)
        while batch := list(islice(iterator, _BATCH)):
            pickle.dump(batch, file, pickle.HIGHEST_PROTOCOL)
            rows.number += len(batch)
        yield rows


def _hash(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    stream.seek(0)
    return digest.hexdigest()
