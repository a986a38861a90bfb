"""Imports of prices: send a file, see what it would do, apply it, decide on what was held, roll it back."""

from __future__ import annotations

from typing import Any

from flask import Response as FlaskResponse
from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput, NotFound
from planner.offers.change_guard import AllowedChanges
from planner.services.gpu_names import unmapped_names
from planner.services.import_report import ImportPreview
from planner.services.incoming import price_template
from planner.services.price_imports import (
    approve_rows,
    get_import,
    import_rows,
    list_imports,
    refuse_rows,
    roll_back_import,
)
from planner.services.price_sources import source_titles
from planner.services.requests import parse
from planner.services.requests.imports import ReadRequest
from planner.web.database import now, session
from planner.web.exports import download
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.price_files import ACTOR, apply_file, preview_file
from planner.web.queries import ApplyRequest, ImportRowsQuery, ListQuery, RowsRequest, read_query
from planner.web.uploads import MOST_BYTES, Upload, uploads

LEAVES = {
    AllowedChanges.NONE: "hold every change over 20 % for approval",
    AllowedChanges.SPOT: "let spot prices move freely, hold the rest",
    AllowedChanges.ALL: "accept every change without asking",
}
NUM_LISTED = 200  # rows on a page; each may bring a field, and a form has at most 500


@pages.get("/imports")
def imports_page() -> tuple[str, int]:
    """The log of imports, newest first."""
    query, form = read_query(ListQuery)
    wanted = query or ListQuery()
    found = list_imports(session(), wanted.limit, wanted.after)
    page = render_template(
        "imports/list.html",
        imports=found,
        titles=source_titles(),
        form=form,
        query=wanted,
        more=found[-1].id if len(found) == wanted.limit else None,
        num_unmapped=len(unmapped_names(session())),
    )
    return page, 422 if query is None else 200


@pages.get("/imports/new")
def new_import() -> tuple[str, int]:
    """Choose a file."""
    return _file_page(Form(), 200)


@pages.get("/imports/template.csv")
def import_template() -> FlaskResponse:
    """The project's own CSV form with one example row."""
    return download("prices-template.csv", price_template(), "text/csv; charset=utf-8; header=present")


@pages.post("/imports/preview")
def preview_import_file() -> tuple[str, int]:
    """Read the file and show what it would do; nothing is stored but the file itself, until it is applied."""
    form = Form.sent()
    kept: Upload | None = None
    try:
        asked = parse(ReadRequest, form.given(ReadRequest))
        kept = _sent_file()
        return _preview_page(form, kept, asked, preview_file(kept, asked)), 200
    except InvalidInput as error:
        if kept is not None:
            uploads().drop(kept)
        form.problems = list(error.problems)
        return _file_page(form, 422)


@pages.post("/imports")
def apply_import_file() -> Response | tuple[str, int]:
    """Apply a file that was previewed."""
    form = Form.sent()
    try:
        asked = parse(ApplyRequest, form.given(ApplyRequest))
        upload = uploads().find(asked.token, asked.filename)
        done = apply_file(upload, asked)
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _file_page(form, 422)
    except NotFound as error:
        form.problems = list(InvalidInput.of("file", str(error)).problems)
        return _file_page(form, 404)
    uploads().drop(upload)
    counts = done.preview.counts
    flash(f"Prices stored: {counts.num_accepted:,} of {counts.num_rows:,} rows.", "good")
    if counts.num_held:
        flash(f"{counts.num_held:,} rows changed by more than 20 % and wait for you.", "warn")
    return redirect(url_for("pages.import_page", import_id=done.id), 303)


@pages.get("/imports/<import_id>")
def import_page(import_id: str) -> tuple[str, int]:
    """One import with the rows that it did not take."""
    query, form = read_query(ImportRowsQuery)
    return _import_page(import_id, query or ImportRowsQuery(), form, 422 if query is None else 200)


@pages.post("/imports/<import_id>/approve")
def approve_import_rows(import_id: str) -> Response | tuple[str, int]:
    """Let held rows hold after all: the ticked ones, or all."""
    return _decide(import_id, approving=True)


@pages.post("/imports/<import_id>/refuse")
def refuse_import_rows(import_id: str) -> Response | tuple[str, int]:
    """Decide that held rows are wrong: the ticked ones, or all."""
    return _decide(import_id, approving=False)


@pages.post("/imports/<import_id>/roll-back")
def roll_back(import_id: str) -> Response:
    """Let everything hold as if the import had never been."""
    made = roll_back_import(session(), import_id, now(), ACTOR)
    flash(f"The import is rolled back: {made.counts.num_changed:,} prices hold again as before.", "good")
    return redirect(url_for("pages.import_page", import_id=import_id), 303)


def _decide(import_id: str, *, approving: bool) -> Response | tuple[str, int]:
    form = Form.sent()
    try:
        asked = parse(RowsRequest, form.given(RowsRequest, lists=("rows",)))
        if approving:
            number = approve_rows(session(), import_id, now(), asked.chosen, ACTOR).counts.num_changed
            flash(f"{number:,} held prices are approved and hold now.", "good")
        else:
            number = refuse_rows(session(), import_id, now(), asked.chosen, ACTOR)
            flash(f"{number:,} held prices are refused; the same amounts are rejected from now on.", "good")
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _import_page(import_id, ImportRowsQuery(), form, 422)
    return redirect(url_for("pages.import_page", import_id=import_id), 303)


def _sent_file() -> Upload:
    sent = request.files.getlist("file")
    if unknown := [name for name in request.files if name != "file"]:
        raise InvalidInput.of(unknown[0], "is not a field of this form")
    if len(sent) != 1 or not sent[0].filename:
        raise InvalidInput.of("file", "choose one file")
    return uploads().keep(sent[0].stream, sent[0].filename)


def _preview_page(form: Form, upload: Upload, asked: ReadRequest, preview: ImportPreview) -> str:
    if preview.unusable:
        uploads().drop(upload)
    return render_template(
        "imports/preview.html",
        form=form,
        upload=upload,
        asked=asked,
        title=source_titles()[preview.source],
        preview=preview,
        leaves=LEAVES,
        num_listed=NUM_LISTED,
        unmapped=sorted(preview.unmapped.items(), key=lambda item: (-item[1], item[0])),
    )


def _file_page(form: Form, status: int) -> tuple[str, int]:
    page = render_template(
        "imports/new.html",
        form=form,
        sources=sorted(source_titles().items(), key=lambda item: item[1].casefold()),
        leaves=[(allowed.value, words) for allowed, words in LEAVES.items()],
        most_bytes=MOST_BYTES,
    )
    return page, status


def _import_page(import_id: str, query: ImportRowsQuery, form: Form, status: int) -> tuple[str, int]:
    found = get_import(session(), import_id)
    of: dict[str, Any] = {"limit": NUM_LISTED, "after": query.after or 0}
    waiting = import_rows(session(), import_id, waiting=True, limit=NUM_LISTED)
    rejected = import_rows(session(), import_id, "rejected", **of)
    page = render_template(
        "imports/show.html",
        found=found,
        title=source_titles().get(found.source, found.source),
        leaves=LEAVES,
        form=form,
        waiting=waiting,
        rejected=rejected,
        decided=[row for row in import_rows(session(), import_id, "held", limit=NUM_LISTED) if row.decision],
        more=rejected[-1].id if len(rejected) == NUM_LISTED else None,
        query=query,
    )
    return page, status
