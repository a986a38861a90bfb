"""The API of capacity plans: asked, followed while they are solved, cloned as scenarios, compared, decided on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from flask import url_for

from planner.plans.assessment import assessment
from planner.plans.break_even import BreakEven, break_evens
from planner.plans.shares import idle_commitments
from planner.services.plan_comparison import ComparedPlan, compare_family
from planner.services.plan_setbacks import Setback, setback_of
from planner.services.plan_timetable import PlanTimetable, timetable_of
from planner.services.plan_tracking import Tracking, track_plan
from planner.services.plans import (
    PlanStep,
    PlanSummary,
    PlanView,
    SearchProgress,
    ask_plan,
    ask_rest,
    ask_scenario,
    cancel_plan,
    get_plan,
    list_plans,
    move_plan,
    unpriced_supplies,
)
from planner.services.requests.lists import SpanQuery
from planner.services.requests.plans import PlanQuestion, ReplanRequest, ScenarioRequest, StageRequest
from planner.version import code_version
from planner.web.api.plan_tables import plan_lines_table, plans_table, timetable_table, tracking_table
from planner.web.api.resources import api
from planner.web.clients import actor, client
from planner.web.database import now, session
from planner.web.exports import Table

APART = ("request", "plan", "outlook", "to_the_minute")  # documents of their own, from which the rest is worked out


@dataclass(frozen=True, slots=True)
class PlanList:
    plans: list[PlanSummary]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """A plan. `request` is the program's input and `plan` what was found, null until there is something.

    `break_evens`: where each reservation and purchase costs what renting does. `idle_commitments`: those that nobody
    uses, with their cost, which is in no demand's. `unpriced`: supplies in use whose cost
    of use is unknown and in no sum. `setback`: of a plan of the rest, what it costs in all beside the plan before.
    `assessment`: how far the plan may be from the least cost, and what more time would give, in sentences.
    """

    id: str
    name: str
    parent_id: str | None
    root_id: str
    created_at: datetime
    asked: Mapping[str, Any]
    request: Mapping[str, Any]
    sources: Mapping[str, Any]
    gap: float
    time_limit: float
    state: str
    reason: str
    stage: str
    next_stages: tuple[str, ...]
    progress: SearchProgress | None
    plan: Mapping[str, Any] | None
    outlook: Mapping[str, Any] | None
    break_evens: tuple[BreakEven, ...]
    idle_commitments: Mapping[str, float]
    unpriced: tuple[str, ...]
    setback: Setback | None
    assessment: tuple[str, ...]
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    code_version: str
    stages: tuple[PlanStep, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    plans: list[ComparedPlan]


@api.get("/plans", tag="plans", answers=PlanList, query=SpanQuery)
def list_all_plans(query: SpanQuery) -> PlanList:
    """Capacity plans, newest first."""
    found = list_plans(session(), query.limit, query.after, span=query.span)
    return PlanList(found, found[-1].id if len(found) == query.limit else None)


@api.table("/plans", tag="plans", query=SpanQuery)
def list_plans_table(query: SpanQuery) -> Table:
    """The same as CSV, a line per plan; without `limit` all that pass the filters."""
    found = list_plans(session(), query.rows, query.after, span=query.span)
    return plans_table(found, found[-1].id if len(found) == query.rows else None)


@api.table("/plans/<plan_id>/lines", tag="plans")
def get_plan_lines_table(plan_id: str) -> Table:
    """A plan as CSV: its total, the parts that add up to it, commitments, use by slot, and what runs where.

    `line` tells them apart. Sum the costs of one sort of line only: each sort divides the same money anew.
    """
    view = get_plan(session(), plan_id)
    return plan_lines_table(view, unpriced_supplies(view))


@api.get("/plans/<plan_id>/timetable", tag="plans", answers=PlanTimetable)
def get_timetable(plan_id: str) -> PlanTimetable:
    """When each job and service of a plan runs, to the minute: on how many GPUs of which kind and supply."""
    return timetable_of(get_plan(session(), plan_id))


@api.table("/plans/<plan_id>/timetable", tag="plans")
def get_timetable_table(plan_id: str) -> Table:
    """The same as CSV, a line per run."""
    return timetable_table(timetable_of(get_plan(session(), plan_id)))


@api.post("/plans", tag="plans", answers=PlanAnswer, body=PlanQuestion, status=202, problems=(404, 409), location=True)
def create_plan(body: PlanQuestion) -> tuple[PlanAnswer, str]:
    """Ask for a plan; a worker solves it in the background, and the plan's own address tells how far it is.

    Demands come from stored estimates or by hand, supply from what is owned, planned and on offer; or give a whole
    `request` in the program's own form.
    """
    made = ask_plan(session(), body, now(), code_version(), actor(), client("api"))
    return _answer(made), url_for("api.get_one_plan", plan_id=made.id)


@api.get("/plans/<plan_id>", tag="plans", answers=PlanAnswer)
def get_one_plan(plan_id: str) -> PlanAnswer:
    """A plan: its question, what it was made from, how far the search is, and what was found."""
    return _answer(get_plan(session(), plan_id))


@api.post("/plans/<plan_id>/cancel", tag="plans", answers=PlanAnswer, status=202, problems=(409,))
def cancel_one_plan(plan_id: str) -> PlanAnswer:
    """End the search; the best plan so far is kept."""
    return _answer(cancel_plan(session(), plan_id, now()))


@api.get("/plans/<plan_id>/scenarios", tag="plans", answers=PlanList)
def list_scenarios(plan_id: str) -> PlanList:
    """The plan's whole family: the first plan and every scenario cloned from it, newest first."""
    root = get_plan(session(), plan_id).root_id
    return PlanList(list_plans(session(), 200, root_id=root), None)


@api.post(
    "/plans/<plan_id>/scenarios",
    tag="plans",
    answers=PlanAnswer,
    body=ScenarioRequest,
    status=202,
    problems=(404, 409),
    location=True,
)
def create_scenario(plan_id: str, body: ScenarioRequest) -> tuple[PlanAnswer, str]:
    """Ask the plan's question again with some fields replaced, under a name of its own."""
    made = ask_scenario(session(), plan_id, body, now(), code_version(), actor(), client("api"))
    return _answer(made), url_for("api.get_one_plan", plan_id=made.id)


@api.get("/plans/<plan_id>/compare", tag="plans", answers=Comparison)
def compare_plans(plan_id: str) -> Comparison:
    """The plan's family side by side: cost, bound, what is committed to, and the difference to the first plan."""
    return Comparison(list(compare_family(session(), plan_id)))


@api.post(
    "/plans/<plan_id>/rest",
    tag="plans",
    answers=PlanAnswer,
    body=ReplanRequest,
    status=202,
    problems=(404, 409),
    location=True,
)
def replan(plan_id: str, body: ReplanRequest) -> tuple[PlanAnswer, str]:
    """Plan what is left from a moment on: what happened stays, what was committed to is kept."""
    made = ask_rest(session(), plan_id, body, now(), code_version(), actor(), client("api"))
    return _answer(made), url_for("api.get_one_plan", plan_id=made.id)


@api.get("/plans/<plan_id>/tracking", tag="plans", answers=Tracking, problems=(409,))
def get_tracking(plan_id: str) -> Tracking:
    """A locked plan beside what happened: each demand's time and cost by the ledger, prices then and now."""
    return track_plan(session(), plan_id, now())


@api.table("/plans/<plan_id>/tracking", tag="plans", problems=(409,))
def get_tracking_table(plan_id: str) -> Table:
    """The same as CSV, a line per demand: planned, happened, and the difference."""
    return tracking_table(track_plan(session(), plan_id, now()))


@api.post("/plans/<plan_id>/stages", tag="plans", answers=PlanAnswer, body=StageRequest, problems=(409,))
def decide_on_plan(plan_id: str, body: StageRequest) -> PlanAnswer:
    """A step of the decision: draft, submitted, approved, locked, withdrawn."""
    return _answer(move_plan(session(), plan_id, body, now()))


def _answer(view: PlanView) -> PlanAnswer:
    same = {field.name: getattr(view, field.name) for field in fields(PlanView) if field.name not in APART}
    plan = None if view.plan is None else view.plan.to_document()
    outlook = None if view.outlook is None else view.outlook.to_document()
    flips = () if view.plan is None or not view.plan.is_found else break_evens(view.request, view.plan)
    return PlanAnswer(
        **same,
        request=view.request.to_document(),
        plan=plan,
        outlook=outlook,
        break_evens=flips,
        idle_commitments={} if view.plan is None else idle_commitments(view.plan),
        unpriced=unpriced_supplies(view),
        setback=setback_of(view.sources, view.plan),
        assessment=() if view.plan is None else assessment(view.plan, view.gap),
    )
