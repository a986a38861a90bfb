"""The API of price imports and of names that no alias knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import request, url_for

from planner.services.gpu_names import MappedName, UnmappedName, map_gpu_name, unmapped_names
from planner.services.import_report import ChangedPrice, HeldPrice, ImportCounts, ImportPreview, RejectedRow
from planner.services.price_imports import (
    AppliedImport,
    ImportView,
    LoggedRow,
    approve_rows,
    get_import,
    import_rows,
    list_imports,
    refuse_rows,
    roll_back_import,
)
from planner.services.requests.imports import MapNameRequest
from planner.web.api.layer import Answered
from planner.web.api.resources import api
from planner.web.clients import actor
from planner.web.database import now, session
from planner.web.price_files import ACTOR, apply_file, preview_file
from planner.web.queries import ImportQuery, ListQuery, RowsQuery, RowsRequest
from planner.web.uploads import uploads


@dataclass(frozen=True, slots=True)
class UnmappedRows:
    """How many rows name a GPU that no alias knows."""

    provider: str
    gpu_name: str
    num_rows: int


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did, or would do (`id` null). The lists hold the first rows of each kind, the counts all."""

    id: str | None
    recorded_at: datetime | None
    source: str
    num_accepted: int
    counts: ImportCounts
    changed: list[ChangedPrice]
    held: list[HeldPrice]
    rejected: list[RejectedRow]
    unmapped: list[UnmappedRows]
    left_out: Mapping[str, int]
    unusable: str


@dataclass(frozen=True, slots=True)
class ImportList:
    imports: list[ImportView]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class ImportRowList:
    rows: list[LoggedRow]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class RefusedRows:
    num_refused: int


@dataclass(frozen=True, slots=True)
class UnmappedList:
    names: list[UnmappedName]


@api.get("/price-imports", tag="price imports", answers=ImportList, query=ListQuery)
def list_price_imports(query: ListQuery) -> ImportList:
    """Imports, approvals and rollbacks, newest first."""
    found = list_imports(session(), query.limit, query.after)
    return ImportList(found, found[-1].id if len(found) == query.limit else None)


@api.post(
    "/price-imports", tag="price imports", answers=ImportResult, query=ImportQuery, status=201, upload=True, also=200
)
def import_prices(query: ImportQuery) -> Answered:
    """Import the file that is the body, or with `dry_run=1` say what that would do (200, nothing stored).

    `source` names the format (`/price-sources`); without it the content tells. `filename` may help there.
    `stated_date` is the day of prices whose format does not say it. Changes over 20 % are held for approval unless
    `allow_large_changes` is `spot` or `all`.
    """
    upload = uploads().keep(request.stream, query.filename)
    try:
        if query.dry_run:
            return Answered(_result(preview_file(upload, query), None), 200)
        done = apply_file(upload, query)
        return Answered(_result(done.preview, done), 201, url_for("api.get_price_import", import_id=done.id))
    finally:
        uploads().drop(upload)


@api.get("/price-imports/<import_id>", tag="price imports", answers=ImportView)
def get_price_import(import_id: str) -> ImportView:
    """One import with its counts."""
    return get_import(session(), import_id)


@api.get("/price-imports/<import_id>/rows", tag="price imports", answers=ImportRowList, query=RowsQuery)
def list_price_import_rows(import_id: str, query: RowsQuery) -> ImportRowList:
    """The rows that an import rejected or held, with the reason, and what was decided on held ones."""
    found = import_rows(
        session(), import_id, query.outcome, waiting=query.waiting, limit=query.limit, after=query.after
    )
    return ImportRowList(found, found[-1].id if len(found) == query.limit else None)


@api.post(
    "/price-imports/<import_id>/approve",
    tag="price imports",
    answers=ImportView,
    body=RowsRequest,
    status=201,
    location=True,
    problems=(409,),
)
def approve_price_import_rows(import_id: str, body: RowsRequest) -> tuple[ImportView, str]:
    """Let held rows hold after all: `rows` by id, or every one that waits with `all`. Answers with the approval."""
    made = approve_rows(session(), import_id, now(), body.chosen, actor(ACTOR))
    return made, url_for("api.get_price_import", import_id=made.id)


@api.post(
    "/price-imports/<import_id>/refuse", tag="price imports", answers=RefusedRows, body=RowsRequest, problems=(409,)
)
def refuse_price_import_rows(import_id: str, body: RowsRequest) -> RefusedRows:
    """Decide that held rows are wrong; the same amounts are rejected from now on."""
    return RefusedRows(refuse_rows(session(), import_id, now(), body.chosen, actor(ACTOR)))


@api.post(
    "/price-imports/<import_id>/roll-back",
    tag="price imports",
    answers=ImportView,
    status=201,
    location=True,
    problems=(409,),
)
def roll_back_price_import(import_id: str) -> tuple[ImportView, str]:
    """Let everything hold as if the import had never been, by appending. Answers with the rollback."""
    made = roll_back_import(session(), import_id, now(), actor(ACTOR))
    return made, url_for("api.get_price_import", import_id=made.id)


@api.get("/unmapped-names", tag="price imports", answers=UnmappedList)
def list_unmapped_names() -> UnmappedList:
    """Providers' words for GPUs that no alias knows, with the number of offers, the most frequent first."""
    return UnmappedList(unmapped_names(session()))


@api.post("/gpu-aliases", tag="price imports", answers=MappedName, body=MapNameRequest, status=201)
def map_one_name(body: MapNameRequest) -> MappedName:
    """Say which GPU a provider's word stands for; its offers follow, now and in imports to come."""
    return map_gpu_name(session(), body.name, body.scope, body.gpu_key, now(), actor(ACTOR))


def _result(preview: ImportPreview, done: AppliedImport | None) -> ImportResult:
    return ImportResult(
        id=None if done is None else done.id,
        recorded_at=None if done is None else done.recorded_at,
        source=preview.source,
        num_accepted=preview.counts.num_accepted,
        counts=preview.counts,
        changed=list(preview.changed),
        held=list(preview.held),
        rejected=list(preview.rejected),
        unmapped=[UnmappedRows(provider, name, number) for (provider, name), number in preview.unmapped.items()],
        left_out=preview.left_out,
        unusable=preview.unusable,
    )
