"""Capacity plans: the list, the form, the plan with its timetable and costs, scenarios, the decision and a brief."""

from __future__ import annotations

import json
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import Conflict, FieldProblem, InvalidInput
from planner.plans.break_even import break_evens
from planner.services.estimates import list_estimates
from planner.services.offers import price_facets
from planner.services.plan_comparison import compare_family
from planner.services.plan_tracking import track_plan
from planner.services.plans import (
    PlanView,
    ask_plan,
    ask_rest,
    ask_scenario,
    cancel_plan,
    get_plan,
    list_plans,
    move_plan,
    unpriced_supplies,
)
from planner.services.requests import parse
from planner.services.requests.plans import PlanQuestion, ReplanRequest, ScenarioRequest, StageRequest
from planner.version import code_version
from planner.web.clients import client
from planner.web.commitment_charts import commitment_charts, tornado_chart
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.pages.estimates import OFFER_KINDS
from planner.web.plan_charts import cost_curve, heat, sorted_costs, timetable, used_by_supply
from planner.web.queries import ListQuery, read_query

JOB_ROWS, SERVICE_ROWS, CHOICES = 4, 2, 100
MOST_REFUSALS = 15
WAITING = frozenset({"queued", "solving"})
SUPPLY_BOXES = ("own", "purchases", "offers", "share_instances")
LISTS = frozenset({"kinds", "providers"})


@pages.get("/plans")
def plans_page() -> tuple[str, int]:
    """Capacity plans, newest first."""
    query, form = read_query(ListQuery)
    wanted = query or ListQuery()
    found = list_plans(session(), wanted.limit, wanted.after)
    page = render_template(
        "plans/list.html",
        plans=found,
        form=form,
        query=wanted,
        more=found[-1].id if len(found) == wanted.limit else None,
    )
    return page, 422 if query is None else 200


@pages.get("/plans/new")
def new_plan() -> tuple[str, int]:
    """The form of a new plan."""
    start = {"span": "7 days", "slot": "1 h", "goal": "cost", "gap": "0.01", "time_limit": "60 s", "own": "true"}
    chosen = request.args.get("estimate_id", "")[:100]
    given = {"job1_estimate": chosen} if chosen else {}
    return _form_page(Form.filled({**start, **given, "purchases": "true", "offers": "true"}), 200)


@pages.post("/plans")
def create_plan_page() -> Response | tuple[str, int]:
    """Keep the question; a form that cannot be used comes back with its faults."""
    form = Form.sent()
    try:
        made = ask_plan(
            session(), parse(PlanQuestion, question_of(form)), now(), code_version(), "form", client("form")
        )
    except InvalidInput as error:
        form.problems = [FieldProblem(_field_of(item.field), item.message) for item in error.problems]
        return _form_page(form, 422)
    except Conflict as error:
        form.problems = list(InvalidInput.of("name", str(error)).problems)
        return _form_page(form, 409)
    return redirect(url_for("pages.plan_page", plan_id=made.id), 303)


@pages.get("/plans/<plan_id>")
def plan_page(plan_id: str) -> str:
    """A plan, or how far its search is."""
    view = get_plan(session(), plan_id)
    return render_template(
        "plans/show.html", **_shown(view), form=Form(), family=list_plans(session(), 20, None, view.root_id)
    )


@pages.get("/plans/<plan_id>/progress")
def plan_progress(plan_id: str) -> tuple[str, int, dict[str, str]]:
    """How far the search is, for the page that waits for it."""
    view = get_plan(session(), plan_id)
    page = render_template("plans/_progress.html", view=view, is_waiting=view.state in WAITING)
    return page, 200, ({} if view.state in WAITING else {"HX-Refresh": "true"})


@pages.get("/plans/<plan_id>/brief")
def plan_brief(plan_id: str) -> str:
    """The plan on paper: findings first, assumptions apart."""
    return render_template("plans/brief.html", **_shown(get_plan(session(), plan_id)) | {"is_brief": True})


@pages.get("/plans/<plan_id>/compare")
def compare_plans_page(plan_id: str) -> str:
    """The plan's family side by side."""
    view = get_plan(session(), plan_id)
    return render_template("plans/compare.html", view=view, plans=compare_family(session(), plan_id))


@pages.get("/plans/<plan_id>/tracking")
def track_plan_page(plan_id: str) -> Response | str:
    """A locked plan beside what happened."""
    view = get_plan(session(), plan_id)
    try:
        tracking = track_plan(session(), plan_id, now())
    except Conflict as error:
        flash(str(error), "warn")
        return redirect(url_for("pages.plan_page", plan_id=plan_id) + "#decision", 303)
    return render_template("plans/tracking.html", view=view, tracking=tracking, form=Form())


@pages.post("/plans/<plan_id>/cancel")
def cancel_plan_page(plan_id: str) -> Response:
    """End the search with the best plan so far."""
    try:
        cancel_plan(session(), plan_id, now())
        flash("The search ends with the best plan so far.", "good")
    except Conflict as error:
        flash(str(error), "warn")
    return redirect(url_for("pages.plan_page", plan_id=plan_id), 303)


@pages.post("/plans/<plan_id>/stage")
def move_plan_page(plan_id: str) -> Response:
    """A step of the decision."""
    form = Form.sent()
    try:
        moved = move_plan(session(), plan_id, parse(StageRequest, form.given(StageRequest)), now())
        flash(f"The plan is now {moved.stage}.", "good")
    except (Conflict, InvalidInput) as error:
        flash(str(error), "warn")
    return redirect(url_for("pages.plan_page", plan_id=plan_id) + "#decision", 303)


@pages.post("/plans/<plan_id>/scenario")
def create_scenario_page(plan_id: str) -> Response | tuple[str, int]:
    """The same question with what was typed changed."""
    form = Form.sent()
    try:
        made = ask_scenario(
            session(),
            plan_id,
            parse(ScenarioRequest, _changes(plan_id, form)),
            now(),
            code_version(),
            "form",
            client("form"),
        )
    except (InvalidInput, Conflict) as error:
        form.problems = (
            list(error.problems)
            if isinstance(error, InvalidInput)
            else list(InvalidInput.of("name", str(error)).problems)
        )
        view = get_plan(session(), plan_id)
        page = render_template(
            "plans/show.html", **_shown(view), form=form, family=list_plans(session(), 20, None, view.root_id)
        )
        return page, error.status
    return redirect(url_for("pages.plan_page", plan_id=made.id), 303)


@pages.post("/plans/<plan_id>/rest")
def replan_page(plan_id: str) -> Response:
    """Plan what is left, from now on or from the moment that was typed."""
    form = Form.sent()
    try:
        made = ask_rest(
            session(),
            plan_id,
            parse(ReplanRequest, form.given(ReplanRequest)),
            now(),
            code_version(),
            "form",
            client("form"),
        )
    except (Conflict, InvalidInput) as error:
        flash(str(error), "warn")
        return redirect(url_for("pages.plan_page", plan_id=plan_id) + "#whatif", 303)
    return redirect(url_for("pages.plan_page", plan_id=made.id), 303)


def question_of(form: Form) -> dict[str, Any]:
    """What the form asks, as the request's fields. Raises InvalidInput for a whole question that is no JSON."""
    if form.value("whole").strip():
        try:
            whole = json.loads(form.value("whole"))
        except (ValueError, RecursionError) as error:
            raise InvalidInput.of("whole", f"is not JSON: {error}") from None
        if not isinstance(whole, dict):
            raise InvalidInput.of("whole", "must be a JSON object")
        return whole
    question: dict[str, Any] = {
        name: form.value(name).strip()
        for name in ("name", "span", "slot", "goal", "time_limit")
        if form.value(name).strip()
    }
    if form.value("gap").strip():
        question["gap"] = _share(form.value("gap"))
    question["jobs"] = [job for row in range(1, JOB_ROWS + 1) if (job := _job(form, f"job{row}_"))]
    question["services"] = [found for row in range(1, SERVICE_ROWS + 1) if (found := _service(form, f"service{row}_"))]
    supply: dict[str, Any] = {name: form.value(name) == "true" for name in SUPPLY_BOXES}
    if form.value("quantity").strip():
        supply["quantity"] = form.value("quantity").strip()
    supply |= {name: form.many(name) for name in LISTS if form.many(name)}
    return {**question, "supply": supply}


def _job(form: Form, prefix: str) -> dict[str, Any]:
    estimate = form.value(f"{prefix}estimate").strip()
    if not estimate:
        return {}
    job: dict[str, Any] = {"estimate_id": estimate, "divisible": form.value(f"{prefix}divisible") == "true"}
    for name in ("name", "release", "deadline", "copies", "drop_cost"):
        if form.value(prefix + name).strip():
            job[name] = form.value(prefix + name).strip()
    return job


def _service(form: Form, prefix: str) -> dict[str, Any]:
    estimate = form.value(f"{prefix}estimate").strip()
    if not estimate:
        return {}
    demand = {name: form.value(prefix + name).strip() for name in ("low", "high") if form.value(prefix + name).strip()}
    if set(demand) == {"high"}:
        demand = {"level": demand["high"]}
    service: dict[str, Any] = {"estimate_id": estimate, "demand": demand}
    if form.value(f"{prefix}headroom").strip():
        service["headroom"] = _share(form.value(f"{prefix}headroom"))
    return service


def _changes(plan_id: str, form: Form) -> dict[str, Any]:
    """What a scenario changes: the span, the goal, the kinds and the quantity of offers."""
    changes: dict[str, Any] = {"name": form.value("name").strip()}
    for name in ("span", "goal"):
        if form.value(name).strip():
            changes[name] = form.value(name).strip()
    supply = dict(get_plan(session(), plan_id).asked.get("supply", {}))
    if form.many("kinds"):
        supply["kinds"] = form.many("kinds")
    if form.value("quantity").strip():
        supply["quantity"] = form.value("quantity").strip()
    if form.many("without"):
        changes["without"] = form.many("without")
    return {**changes, "supply": supply} if supply else changes


def _share(text: str) -> float | str:
    """A share as people write it: "1 %" or "0.01"; what is neither is left for the request to refuse."""
    plain = text.strip().removesuffix("%").strip()
    try:
        value = float(plain)
    except ValueError:
        return text
    return value / 100 if text.strip().endswith("%") else value


def _field_of(field: str) -> str:
    """The form's field that a fault belongs to: "jobs.0.deadline" → "job1_deadline"."""
    parts = field.split(".")
    if parts[0] in ("jobs", "services") and len(parts) > 1 and parts[1].isdigit():
        last = {"estimate_id": "estimate", "options": "estimate", "demand": "high"}
        name = parts[2] if len(parts) > 2 else "estimate"
        return f"{parts[0][:-1]}{int(parts[1]) + 1}_{last.get(name, name)}"
    return {"jobs": "job1_estimate", "services": "service1_estimate", "supply": "offers"}.get(parts[0], parts[0])


def _shown(view: PlanView) -> dict[str, Any]:
    """What the pages of a plan show of it; of one that was not found, its question and the reasons."""
    found = view.plan
    shown: dict[str, Any] = {
        "view": view,
        "plan": found,
        "is_waiting": view.state in WAITING,
        "kinds": OFFER_KINDS,
        "assumed": _assumed(view),
        "refusals": () if found is None else found.refusals,
        "most_refusals": MOST_REFUSALS,
        "costs": () if found is None else sorted_costs(found.costs),
        "used": {} if found is None else used_by_supply(found),
        "unpriced": unpriced_supplies(view),
        "next_stages": view.next_stages if found is not None and found.cost is not None else _without_plan(view),
        "is_brief": False,
        "is_tracked": False,
        "tornado": None,
    }
    if found is None or found.cost is None:
        return shown
    heads, loads = heat(view.request, found)
    use, fault = _use()
    swings = () if view.outlook is None else view.outlook.swings
    return shown | {
        "is_tracked": any(step.stage == "locked" for step in view.stages),
        "timetable": timetable(view.request, found),
        "curve": cost_curve(view.request, found),
        "heads": heads,
        "loads": loads,
        "flips": break_evens(view.request, found),
        "commitment_charts": commitment_charts(view.request, found, use),
        "use_given": request.args.get("use", "")[:20],
        "use_fault": fault,
        "tornado": tornado_chart(found.cost, swings, view.request.currency),
    }


def _use() -> tuple[float | None, str]:
    """The use that commitments are drawn for, as a share, and what is wrong with what was typed."""
    text = request.args.get("use", "").strip()[:20]
    if not text:
        return None, ""
    value = _share(text)
    if isinstance(value, float) and 0 < value <= 1:
        return value, ""
    return None, "must be a share above 0 and at most 100 %"


def _without_plan(view: PlanView) -> tuple[str, ...]:
    """The steps that can be taken where there is nothing to decide on."""
    return tuple(stage for stage in view.next_stages if stage in ("draft", "withdrawn"))


def _assumed(view: PlanView) -> list[tuple[str, list[str]]]:
    """What is assumed of supplies, each assumption once with the supplies that it holds for."""
    found: dict[str, list[str]] = {}
    for supply in view.sources.get("supplies", []):
        for words in supply["assumed"]:
            found.setdefault(words, []).append(supply["name"])
    return sorted(found.items(), key=lambda item: -len(item[1]))


def _form_page(form: Form, status: int) -> tuple[str, int]:
    estimates = list_estimates(session(), CHOICES)
    facets = price_facets(session())
    page = render_template(
        "plans/form.html",
        form=form,
        trainings=[(item.id, _titled(item)) for item in estimates if item.best and item.best.seconds is not None],
        services=[(item.id, _titled(item)) for item in estimates if item.best and item.best.seconds is None],
        job_rows=range(1, JOB_ROWS + 1),
        service_rows=range(1, SERVICE_ROWS + 1),
        kinds=[kind for kind in OFFER_KINDS if kind[0] != "owned"],
        providers=[(facet.value, facet.value) for facet in facets.providers],
    )
    return page, status


def _titled(item: Any) -> str:
    return f"{item.job_name}, {item.created_at:%d %b %H:%M}"
