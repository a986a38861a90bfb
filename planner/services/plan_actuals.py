"""What the ledger says of a plan's demands since the plan began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from planner import units
from planner.estimates.ledger import HEADLINES, RATES, Metric
from planner.plans.replan import done_share, job_at_pace
from planner.plans.request import PlanRequest
from planner.plans.solution import Plan
from planner.plans.tracking import Happened
from planner.services.actuals import ActualView, MeasuredFigure, list_actuals
from planner.store.engine import Session

MOST_ROWS = 200  # of one estimate, the newest
NO_PRICE = "no actual can be joined to it"


def happened_of(
    session: Session, sources: Mapping[str, Any], started: datetime, now: datetime
) -> tuple[dict[str, Happened], dict[str, str]]:
    """By demand what the ledger says, and for the others why nothing is known.

    A row counts from the plan's start on, unless another corrects it. Where several demands rest on one estimate, a row
    is of the demand that its reference or note names.
    """
    demands = sources.get("demands", ())
    sharing = Counter(demand["estimate_id"] for demand in demands if demand["estimate_id"])
    found: dict[str, Happened] = {}
    reasons: dict[str, str] = {}
    for demand in demands:
        name, estimate_id = demand["name"], demand["estimate_id"]
        if estimate_id is None:
            reasons[name] = f"entered by hand, so it has no estimate and {NO_PRICE}"
            continue
        rows = [
            row
            for row in list_actuals(session, MOST_ROWS, estimate_id=estimate_id)
            if row.replaced_by is None and started <= _moment(row) <= now
        ]
        if sharing[estimate_id] > 1:
            mine = [row for row in rows if name in (row.reference, row.note)]
            if rows and not mine:
                reasons[name] = (
                    f"{sharing[estimate_id]} demands rest on its estimate: a ledger row counts for the one that its "
                    "reference or note names"
                )
            rows = mine
        if rows:
            found[name] = _happened(rows[0], started)
    return found, reasons


@dataclass(frozen=True, slots=True)
class Frozen:
    """How much of a job is done when the rest is planned: the share, and whether it was stated, measured or only
    planned so."""

    demand: str
    share: float
    known: str
    words: str


def frozen(
    request: PlanRequest, plan: Plan, elapsed: float, stated: Mapping[str, float], happened: Mapping[str, Happened]
) -> list[Frozen]:
    """What has happened of each job by a moment, with where that is known from."""
    found = []
    for job in request.jobs:
        actual = happened.get(job.name)
        if job.name in stated:
            found.append(Frozen(job.name, stated[job.name], "stated", "as stated"))
        elif actual is not None and actual.hours is not None:
            found.append(Frozen(job.name, 1.0, "measured", f"done in {actual.hours:,.1f} h by the ledger"))
        elif actual is not None and actual.pace is not None:
            share = done_share(job_at_pace(job, (actual.gpu, actual.pace)), plan, elapsed, {})
            words = f"by the timetable at its measured pace, × {actual.pace:.2f} the time predicted on {actual.gpu}"
            found.append(Frozen(job.name, share, "measured", words))
        else:
            share = done_share(job, plan, elapsed, {})
            found.append(Frozen(job.name, share, "planned", "by the timetable; the ledger has nothing of it"))
    return found


def _moment(row: ActualView) -> datetime:
    return row.measured_at or row.recorded_at


def _happened(row: ActualView, started: datetime) -> Happened:
    by_metric = {figure.metric: figure for figure in row.figures}
    whole, cost = by_metric.get(Metric.SECONDS), by_metric.get(Metric.COST)
    hours = None if whole is None else whole.measured / units.HOUR
    ended = None if hours is None else (_moment(row) - started).total_seconds() / units.HOUR
    return Happened(
        row=row.id,
        gpu=row.gpu_key,
        hours=hours,
        cost=None if cost is None else cost.measured,
        pace=_pace(by_metric),
        ended_hours=ended,
    )


def _pace(by_metric: Mapping[Metric, MeasuredFigure]) -> float | None:
    """Measured ÷ predicted time by the first figure that speaks for the job; None where none was predicted."""
    for metric in HEADLINES:
        figure = by_metric.get(metric)
        if figure is not None and figure.predicted:
            ratio = figure.measured / figure.predicted
            return 1 / ratio if metric in RATES else ratio
    return None
