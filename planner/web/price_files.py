"""From a sent file to an import: which source it is of, and what it would do or did."""

from __future__ import annotations

from planner.services.import_report import ImportPreview
from planner.services.incoming import Incoming, Wish, bring_in, recognise
from planner.services.price_imports import AppliedImport
from planner.services.requests.imports import ReadRequest
from planner.web.clients import actor
from planner.web.database import now, sessions
from planner.web.uploads import Upload

ACTOR = "user"


def preview_file(upload: Upload, asked: ReadRequest) -> ImportPreview:
    """What importing the file would do. Raises InvalidInput for a form that is not known."""
    found = _brought_in(upload, asked, is_dry_run=True)
    if isinstance(found, AppliedImport):
        raise TypeError("a preview stores nothing")
    return found


def apply_file(upload: Upload, asked: ReadRequest) -> AppliedImport:
    """Import the file, in transactions of its own. Raises InvalidInput where nothing of it can be kept."""
    found = _brought_in(upload, asked, is_dry_run=False)
    if isinstance(found, ImportPreview):
        raise TypeError("an import that is applied is no preview")
    return found


def _brought_in(upload: Upload, asked: ReadRequest, *, is_dry_run: bool) -> ImportPreview | AppliedImport:
    wish = Wish(asked.allow_large_changes, is_dry_run, asked.stated_date, actor(ACTOR))
    with upload.path.open("rb") as stream:
        incoming = Incoming(recognise(stream, upload.name, asked.source), stream, upload.name)
        return bring_in(sessions(), incoming, wish, now())
