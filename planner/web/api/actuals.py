"""The API of the ledger: what finished jobs took, beside what was predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import request, url_for

from planner.errors import InvalidInput
from planner.estimates.ledger import TrackRecord
from planner.services.actual_tables import CSV_COLUMNS, Upload, upload_actuals
from planner.services.actuals import (
    ActualView,
    Logged,
    get_actual,
    ledger_summary,
    list_actuals,
    record_actual,
    record_step_log,
)
from planner.services.requests.actuals import ActualRequest, StepLogRequest
from planner.version import code_version
from planner.web.api.resources import api
from planner.web.database import now, session
from planner.web.exports import Table
from planner.web.queries import LedgerOfSpanQuery

ACTUAL_COLUMNS = (
    *("id", "recorded_at", "measured_at", "source", "reference", "estimate_id", "option", "title", "job_kind"),
    *("family", "gpu", "metric", "unit", "measured", "predicted", "low", "high", "error", "inside", "replaced_by"),
    "unknown_reason",
)
NOT_PREDICTED = "the estimate does not say it"


@dataclass(frozen=True, slots=True)
class ActualList:
    actuals: list[ActualView]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class RecordList:
    records: list[TrackRecord]


@api.get("/actuals", tag="ledger", answers=ActualList, query=LedgerOfSpanQuery)
def list_all_actuals(query: LedgerOfSpanQuery) -> ActualList:
    """What finished jobs took beside what was predicted, newest first; corrected rows name their successor."""
    found = list_actuals(session(), query.limit, query.after, query.estimate_id, span=query.span)
    return ActualList(found, found[-1].id if len(found) == query.limit else None)


@api.post(
    "/actuals", tag="ledger", answers=ActualView, body=ActualRequest, status=201, problems=(404, 409), location=True
)
def enter_actual(body: ActualRequest) -> tuple[ActualView, str]:
    """Enter what a job took. The same `reference` with the same figures is entered once; leave out what is unknown."""
    made = record_actual(session(), body, now(), code_version())
    return made, url_for("api.get_one_actual", actual_id=made.id)


@api.post(
    "/step-logs", tag="ledger", answers=Logged, body=StepLogRequest, status=201, problems=(404, 409), location=True
)
def enter_step_log(body: StepLogRequest) -> tuple[Logged, str]:
    """Enter the median step of a log, or its images or samples per second: CSV, JSON lines, or what was printed."""
    made = record_step_log(session(), body, now(), code_version())
    return made, url_for("api.get_one_actual", actual_id=made.actual.id)


@api.post("/actual-tables", tag="ledger", answers=Upload, status=201, upload=True)
def upload_table() -> Upload:
    """Enter every row of a CSV table; lines that cannot be used are left out and answered with the reason."""
    return upload_actuals(session(), table_text(request.get_data()), now(), code_version())


@api.table("/actuals", tag="ledger", query=LedgerOfSpanQuery)
def get_actuals_table(query: LedgerOfSpanQuery) -> Table:
    """The same as CSV, a line per measured figure; without `limit` the whole ledger."""
    found = list_actuals(session(), query.rows, query.after, query.estimate_id, span=query.span)
    return Table("ledger", ACTUAL_COLUMNS, actual_rows(found), found[-1].id if len(found) == query.rows else None)


def actual_rows(found: list[ActualView]) -> list[list[Any]]:
    """The cells of ACTUAL_COLUMNS: one line per measured figure."""
    return [
        [
            *(row.id, row.recorded_at, row.measured_at, row.source, row.reference, row.estimate_id, row.option),
            *(row.title, row.job_kind, row.family, row.gpu_key, figure.metric, figure.unit, figure.measured),
            *(figure.predicted, figure.low, figure.high, figure.error, figure.is_inside, row.replaced_by),
            NOT_PREDICTED if figure.predicted is None else "",
        ]
        for row in found
        for figure in row.figures
    ]


@api.get("/track-records", tag="ledger", answers=RecordList)
def list_track_records() -> RecordList:
    """How estimates have come true so far, by sort of job and basis; fractions."""
    return RecordList(list(ledger_summary(session())))


@api.get("/actuals/<actual_id>", tag="ledger", answers=ActualView)
def get_one_actual(actual_id: str) -> ActualView:
    """One row of the ledger."""
    return get_actual(session(), actual_id)


def table_text(data: bytes) -> str:
    """An uploaded table as text. Raises InvalidInput for an empty one and for what is not UTF-8."""
    if not data:
        raise InvalidInput.of("file", "is empty")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput.of("file", f"is not UTF-8 text; the columns are {', '.join(CSV_COLUMNS)}") from None
