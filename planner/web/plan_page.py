"""What the pages of a plan show of it: the answer in short, demands, timetable, costs, commitments, what moves it."""

from __future__ import annotations

from typing import Any

from flask import request

from planner.plans.assessment import assessment
from planner.plans.break_even import break_evens
from planner.plans.shares import idle_commitments
from planner.plans.solution import Plan
from planner.services.plan_setbacks import setback_of
from planner.services.plan_timetable import timetable_of
from planner.services.plans import PlanView, unpriced_supplies
from planner.web.commitment_charts import commitment_charts, tornado_chart
from planner.web.pages.estimates import OFFER_KINDS
from planner.web.plan_charts import cost_curve, heat, sorted_costs, timetable, used_by_supply
from planner.web.plan_demands import demand_page, every_demand
from planner.web.plan_form import share_of
from planner.web.plan_words import grouped_refusals, plan_parts, plan_sentence

MOST_REFUSALS, MOST_RUNS = 15, 60
WAITING = frozenset({"queued", "solving"})


def shown(view: PlanView, is_brief: bool = False) -> dict[str, Any]:
    """What the pages of a plan show of it; of one that was not found, its question and the reasons."""
    found = view.plan
    page: dict[str, Any] = {
        "view": view,
        "plan": found,
        "is_waiting": view.state in WAITING,
        "kinds": OFFER_KINDS,
        "assumed": _assumed(view),
        "refusals": () if found is None else grouped_refusals(found),
        "most_refusals": MOST_REFUSALS,
        "most_runs": MOST_RUNS,
        "costs": () if found is None else sorted_costs(found.costs),
        "used": {} if found is None else used_by_supply(found),
        "unpriced": unpriced_supplies(view),
        "held": held(found),
        "setback": setback_of(view.sources, found),
        "next_stages": view.next_stages if found is not None and found.cost is not None else _without_plan(view),
        "is_brief": is_brief,
        "demands": None,
        "is_tracked": False,
        "tornado": None,
    }
    if found is None or found.cost is None:
        return page
    heads, loads = heat(view.request, found)
    page["sentence"] = plan_sentence(view, found, page["unpriced"])
    use, fault = _use()
    swings = () if view.outlook is None else view.outlook.swings
    runs = timetable_of(view)
    demands = (
        every_demand(view, found)
        if is_brief
        else demand_page(view, found, request.args.get("find", "")[:200], request.args.get("page", 1, type=int))
    )
    page |= {
        "demands": demands,
        "idle": idle_commitments(found),
        "is_tracked": any(step.stage == "locked" for step in view.stages),
        "timetable": timetable(view.request, found, runs.runs, demands.names),
        "runs": [run for run in runs.runs if run.demand in demands.names],
        "run_notes": runs.notes,
        "too_few": runs.too_few,
        "scheduled": runs if runs.is_scheduled else None,
        "assessment": assessment(found, view.gap),
        "curve": cost_curve(view.request, found),
        "heads": heads,
        "loads": loads,
        "flips": break_evens(view.request, found),
        "commitment_charts": commitment_charts(view.request, found, use),
        "use_given": request.args.get("use", "")[:20],
        "use_fault": fault,
        "tornado": tornado_chart(found.cost, swings, view.request.currency),
    }
    return page | {"parts": plan_parts(view, found, page)}


def held(found: Plan | None) -> list[tuple[str, str]]:
    """The supplies that a plan uses or commits to, as choices of what cannot be had any more."""
    if found is None:
        return []
    names = dict.fromkeys([*(item.supply for item in found.commitments), *used_by_supply(found)])
    return [(name, name) for name in names]


def _use() -> tuple[float | None, str]:
    """The use that commitments are drawn for, as a share, and what is wrong with what was typed."""
    text = request.args.get("use", "").strip()[:20]
    if not text:
        return None, ""
    value = share_of(text)
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
