"""Capacity plans: asked, solved by a worker in the background, compared as scenarios, and decided on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from planner.errors import Conflict, InvalidInput, NotFound
from planner.plans.outlook import Outlook
from planner.plans.replan import remaining
from planner.plans.request import PlanRequest
from planner.plans.setback import without
from planner.plans.solution import Plan
from planner.plans.to_the_minute import ToTheMinute, minute_runs
from planner.services.documents import document
from planner.services.plan_actuals import frozen, happened_of
from planner.services.plan_questions import build_request
from planner.services.plan_queue import check_queue
from planner.services.plan_setbacks import before, lost_of, told, with_lost
from planner.services.requests import parse
from planner.services.requests.plans import PlanQuestion, ReplanRequest, ScenarioRequest, StageRequest
from planner.store import plans as store
from planner.store.engine import Session
from planner.store.plans import ListedPlan, StoredPlan, StoredStage
from planner.store.span import EVER, Span

# Which step may follow which: a draft is handed in, approved or sent back, then locked; a locked one only withdrawn.
NEXT: Mapping[str, tuple[str, ...]] = {
    "draft": ("submitted", "withdrawn"),
    "submitted": ("approved", "draft", "withdrawn"),
    "approved": ("locked", "draft", "withdrawn"),
    "locked": ("withdrawn",),
    "withdrawn": (),
}
PlanStep = StoredStage  # who took which step of the decision, when


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: what the decision's history names, and whom the limits of the queue count for."""

    actor: str
    client: str


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """How far the search is: the least cost found, the bound below which none can be, and the gap between them."""

    cost: float | None
    bound: float | None
    gap: float | None
    seconds: float
    stage: str


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan in a line."""

    id: str
    name: str
    parent_id: str | None
    root_id: str
    created_at: datetime
    state: str
    reason: str
    stage: str
    progress: SearchProgress | None
    currency: str


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan with the question, what it was made from, how far the search is and what was found.

    `to_the_minute` is there where the timetable of the plan's own slots would end late.
    """

    id: str
    name: str
    parent_id: str | None
    root_id: str
    created_at: datetime
    asked: Mapping[str, Any]
    request: PlanRequest
    sources: Mapping[str, Any]
    gap: float
    time_limit: float
    state: str
    reason: str
    stage: str
    next_stages: tuple[str, ...]
    progress: SearchProgress | None
    plan: Plan | None
    outlook: Outlook | None
    to_the_minute: ToTheMinute | None
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    code_version: str
    stages: tuple[PlanStep, ...]


def ask_plan(
    session: Session,
    question: PlanQuestion,
    now: datetime,
    code_version: str,
    actor: str = "api",
    client: str = "",
) -> PlanView:
    """Store the question with the program's input as it is now; a worker solves it.

    `client` is whom the limits of the queue count for; empty: the actor. Raises InvalidInput, and Conflict where a
    limit of the queue is reached.
    """
    return _ask(session, question, None, now, code_version, Asker(actor, client or actor))


def ask_scenario(
    session: Session,
    parent_id: str,
    changes: ScenarioRequest,
    now: datetime,
    code_version: str,
    actor: str = "api",
    client: str = "",
) -> PlanView:
    """The parent's question with some fields replaced, as a plan of its own in the same family.

    Prices are those of now, unless the question names a day.
    """
    parent = stored_plan(session, parent_id)
    asked = {**parent.asked, **document(changes.model_dump(exclude_none=True, exclude_defaults=True))}
    if "request" in asked and {"jobs", "services", "supply"} & changes.model_fields_set:
        raise InvalidInput.of("jobs", "the parent was asked as a whole request; give the changed request as a new plan")
    kept = {
        name: parent.sources[name] for name in ("before", "frozen") if name in parent.sources and "request" in asked
    }
    return _ask(session, parse(PlanQuestion, asked), parent, now, code_version, Asker(actor, client or actor), kept)


def ask_rest(
    session: Session,
    plan_id: str,
    request: ReplanRequest,
    now: datetime,
    code_version: str,
    actor: str = "api",
    client: str = "",
) -> PlanView:
    """What is left of a plan that was found, from `at` on, as a plan of its own in the same family.

    What was committed to is kept, and what the ledger has of its jobs counts before what the timetable had of them.
    What it has cost by then is kept beside it (`planner.services.plan_setbacks`).
    Raises Conflict for a plan without an answer, InvalidInput for a moment outside it.
    """
    parent = stored_plan(session, plan_id)
    view = _view(session, parent)
    if view.plan is None or not view.plan.is_found:
        raise Conflict(f"there is nothing to go on from yet: the search is {view.state}")
    started, at = view.request.starts_at or view.created_at, request.at or now
    elapsed = (at - started).total_seconds() / 3600
    happened = happened_of(session, view.sources, started, at)[0] if request.from_ledger else {}
    done = {name: 1.0 for name, item in happened.items() if item.hours is not None} | request.done
    paces = {
        name: (item.gpu, item.pace)
        for name, item in happened.items()
        if item.hours is None and item.pace is not None and name not in request.done
    }
    runs = minute_runs(view.request, view.plan, view.to_the_minute).runs
    lost, kept_of = lost_of(view.request, view.plan, runs, elapsed, request.lost, request.gone, set(done), paces)
    rest = without(remaining(view.request, view.plan, elapsed, {**done, **kept_of}, paces), request.gone)
    rest = replace(rest, starts_at=at)
    asked = PlanQuestion(name=request.name or f"{view.name}, the rest", request=rest.to_document(), gap=view.gap)
    question = asked.model_copy(update={"time_limit": view.time_limit})
    known = frozen(view.request, view.plan, elapsed, request.done, happened)
    past = before(view.id, view.name, view.request, view.plan, elapsed, request.gone)
    kept = {**view.sources, "frozen": document(told(known, lost, kept_of)), "before": with_lost(past, lost)}
    return _ask(session, question, parent, now, code_version, Asker(actor, client or actor), kept)


def get_plan(session: Session, plan_id: str) -> PlanView:
    """The plan; raises NotFound."""
    return _view(session, stored_plan(session, plan_id))


def unpriced_supplies(view: PlanView) -> tuple[str, ...]:
    """Supplies that the plan uses though what their use costs is unknown: in no sum of its costs."""
    used = set() if view.plan is None else {use.supply for use in view.plan.uses}
    sources = view.sources.get("supplies", ())
    return tuple(each["name"] for each in sources if each["name"] in used and not each.get("is_priced", True))


def list_plans(
    session: Session, limit: int | None = 50, after: str | None = None, root_id: str | None = None, span: Span = EVER
) -> list[PlanSummary]:
    """The newest first; `root_id`: one plan with its scenarios."""
    return [_summary(row) for row in store.newest(session, limit, after, root_id, span)]


def cancel_plan(session: Session, plan_id: str, now: datetime) -> PlanView:
    """End the search with the best plan so far. Raises Conflict where it has ended."""
    found = stored_plan(session, plan_id)
    if not store.ask_to_cancel(session, plan_id, now):
        raise Conflict(f"the search for this plan has ended already: {found.state}")
    if found.state == "queued":
        store.change(session, plan_id, state="cancelled", reason="cancelled before it began", finished_at=now)
    return get_plan(session, plan_id)


def move_plan(session: Session, plan_id: str, request: StageRequest, now: datetime) -> PlanView:
    """A step of the decision. Raises Conflict for one that does not follow, or of a plan without an answer."""
    found = stored_plan(session, plan_id)
    allowed = NEXT[found.stage]
    if request.stage not in allowed:
        raise Conflict(f"a plan that is {found.stage} can become {' or '.join(allowed) or 'nothing else'}")
    if request.stage in ("submitted", "approved", "locked") and found.result is None:
        raise Conflict(f"there is nothing to decide on yet: the search is {found.state}")
    store.add_stage(session, plan_id, now, request.stage, request.actor or "unnamed", request.note)
    return get_plan(session, plan_id)


def _ask(
    session: Session,
    question: PlanQuestion,
    parent: StoredPlan | None,
    now: datetime,
    code_version: str,
    asker: Asker,
    sources: Mapping[str, Any] | None = None,
) -> PlanView:
    check_queue(session, asker.client, question.time_limit)
    built = build_request(session, question, now)
    row = store.add(
        session,
        name=question.name,
        parent=parent,
        created_at=now,
        asked=document(question.model_dump(exclude_defaults=True)),
        request=built.request.to_document(),
        sources={**built.sources(), **(sources or {})},
        gap=question.gap,
        seconds=question.time_limit,
        code_version=code_version,
        actor=asker.actor,
        client=asker.client,
    )
    return _view(session, row)


def _outlook(result: Mapping[str, Any] | None) -> Outlook | None:
    stored = None if result is None else result["outlook"]
    return None if stored is None else Outlook.from_document(stored)


def _to_the_minute(result: Mapping[str, Any] | None) -> ToTheMinute | None:
    stored = None if result is None else result.get("timetable")
    return None if stored is None else ToTheMinute.from_document(stored)


def stored_plan(session: Session, plan_id: str) -> StoredPlan:
    """A plan as it is stored; raises NotFound."""
    found = store.get(session, plan_id)
    if found is None:
        raise NotFound(f"there is no plan {plan_id!r}")
    return found


def _summary(row: ListedPlan) -> PlanSummary:
    return PlanSummary(
        row.id,
        row.name,
        row.parent_id,
        row.root_id,
        row.created_at,
        row.state,
        row.reason,
        row.stage,
        _progress(row.progress),
        row.currency,
    )


def _progress(stored: Mapping[str, Any] | None) -> SearchProgress | None:
    return None if stored is None else SearchProgress(**stored)


def _view(session: Session, row: StoredPlan) -> PlanView:
    return PlanView(
        id=row.id,
        name=row.name,
        parent_id=row.parent_id,
        root_id=row.root_id,
        created_at=row.created_at,
        asked=row.asked,
        request=PlanRequest.from_document(row.request),
        sources=row.sources,
        gap=row.gap,
        time_limit=row.seconds,
        state=row.state,
        reason=row.reason,
        stage=row.stage,
        next_stages=NEXT[row.stage],
        progress=_progress(row.progress),
        plan=None if row.result is None else Plan.from_document(row.result["plan"]),
        outlook=_outlook(row.result),
        to_the_minute=_to_the_minute(row.result),
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        code_version=row.code_version,
        stages=tuple(store.stages(session, row.id)),
    )
