"""Capacity plans: the list, the form, the plan with its timetable and costs, scenarios, the decision and a brief."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import Conflict, InvalidInput
from planner.services.estimates import list_estimates
from planner.services.offers import price_facets
from planner.services.plan_comparison import compare_family
from planner.services.plan_tracking import track_plan
from planner.services.plans import (
    ask_plan,
    ask_rest,
    ask_scenario,
    cancel_plan,
    get_plan,
    list_plans,
    move_plan,
)
from planner.services.requests import parse
from planner.services.requests.plans import PlanQuestion, ReplanRequest, ScenarioRequest, StageRequest
from planner.version import code_version
from planner.web.clients import client
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.pages.estimates import OFFER_KINDS
from planner.web.plan_form import JOB_ROWS, SERVICE_ROWS, changes_of, faults_of, question_of
from planner.web.plan_page import WAITING, held, shown
from planner.web.queries import ListQuery, read_query

CHOICES = 100  # estimates to choose from


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
        form.problems = faults_of(form, error.problems)
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
        "plans/show.html", **shown(view), form=Form(), family=list_plans(session(), 20, None, view.root_id)
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
    return render_template("plans/brief.html", **shown(get_plan(session(), plan_id), is_brief=True))


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
    estimates = {each["name"]: each.get("estimate_id") for each in view.sources.get("demands", [])}
    page = {"view": view, "tracking": tracking, "estimates": estimates}
    return render_template("plans/tracking.html", **page, form=Form(), held=held(view.plan))


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
            parse(ScenarioRequest, changes_of(form, get_plan(session(), plan_id).asked)),
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
            "plans/show.html", **shown(view), form=form, family=list_plans(session(), 20, None, view.root_id)
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
            parse(ReplanRequest, form.given(ReplanRequest, lists=("gone",))),
            now(),
            code_version(),
            "form",
            client("form"),
        )
    except (Conflict, InvalidInput) as error:
        flash(str(error), "warn")
        return redirect(url_for("pages.plan_page", plan_id=plan_id) + "#whatif", 303)
    return redirect(url_for("pages.plan_page", plan_id=made.id), 303)


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
