"""From a sent file to an import: which source it is of, how its rows are read, and what they would do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from planner.errors import InvalidInput, NotFound
from planner.feeds.registry import SOURCES, SourceEntry, detect, get_source, read_file
from planner.feeds.source import Quote, ReadContext, Refused
from planner.hardware.catalogue import load_catalogue
from planner.offers.change_guard import AllowedChanges
from planner.services.importing import ImportPreview, Origin
from planner.services.price_imports import AppliedImport, apply_import, first_received, preview_import
from planner.web.database import now, session
from planner.web.uploads import Upload

ACTOR = "user"
_FIRST_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """How a file is to be read; `source` None: told from its content."""

    source: str | None = None
    stated_date: date | None = None
    allow_large_changes: AllowedChanges = AllowedChanges.NONE


def preview_file(upload: Upload, asked: Asked) -> tuple[SourceEntry, ImportPreview]:
    """What importing the file would do, and which source it was read as. Raises InvalidInput."""
    entry = source_of(upload, asked.source)
    with _rows(upload, entry, asked) as (rows, more):
        return entry, preview_import(session(), rows, entry.name, now(), **more)


def apply_file(upload: Upload, asked: Asked) -> AppliedImport:
    """Import the file. Raises InvalidInput where nothing of it can be kept."""
    entry = source_of(upload, asked.source)
    origin = Origin(upload.name, upload.sha256, ACTOR)
    with _rows(upload, entry, asked) as (rows, more):
        return apply_import(session(), rows, entry.name, now(), origin=origin, **more)


def source_of(upload: Upload, wanted: str | None) -> SourceEntry:
    """The source that was asked for, else the one that the file's first bytes are certain to be of."""
    if wanted is not None:
        try:
            return get_source(wanted)
        except NotFound:
            raise InvalidInput.of("source", f"{wanted!r} is no price source") from None
    with upload.path.open("rb") as file:
        found = detect(file.read(_FIRST_BYTES), upload.name)
    if found is None:
        raise InvalidInput.of("source", "the file's form is none that is known for certain; choose what it is")
    return SOURCES[found]


@contextmanager
def _rows(
    upload: Upload, entry: SourceEntry, asked: Asked
) -> Iterator[tuple[Iterator[Quote | Refused], dict[str, Any]]]:
    """The file's rows while it is open. A file without a date of its own is of the day it first came."""
    received = first_received(session(), entry.name, upload.sha256) or now()
    context = ReadContext(load_catalogue(), received, asked.stated_date)
    with upload.path.open("rb") as file:
        rows = read_file(entry, file, context)
        yield rows, {"allow_large_changes": asked.allow_large_changes, "left_out": context.left_out}
