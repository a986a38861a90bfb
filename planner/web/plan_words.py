"""A plan in words: one sentence for what to hold, rent and pay; its page's sections; why not the others, by reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from planner import units
from planner.plans.solution import Plan
from planner.plans.supply import RENTED, Kind
from planner.services.plans import PlanView
from planner.web.formats import in_unit
from planner.web.plan_charts import used_by_supply

MOST_NAMED = 3  # supplies that a sentence names; the tables name all
VERBS: Mapping[Kind, str] = {Kind.RESERVED: "reserve", Kind.PURCHASE: "buy"}


def plan_sentence(view: PlanView, plan: Plan, unpriced: Sequence[str]) -> str:
    """ "Reserve 3 × lambda; rent 9 GPU-hours of aws: $108.90 over 24 h"; `unpriced` supplies cost what nobody said."""
    kinds = {supply.name: supply.kind for supply in view.request.supplies}
    held: dict[str, int] = {}
    for item in plan.commitments:
        held[item.supply] = held.get(item.supply, 0) + item.num_gpus
    used = {name: hours for name, (hours, _) in used_by_supply(plan).items() if hours > 0}
    groups = [
        *(
            _part(verb, [f"{held[name]} × {name}" for name in held if kinds[name] is kind])
            for kind, verb in VERBS.items()
        ),
        _part("rent", [_hours(name, used[name]) for name in _by_hours(used) if kinds[name] in RENTED]),
        _part("use", [_hours(name, used[name]) for name in _by_hours(used) if kinds[name] is Kind.OWNED]),
    ]
    what = "; ".join(part for part in groups if part) or "nothing is needed"
    is_unknown = plan.cost is None or (unpriced and not plan.cost)
    cost = "a cost that is unknown" if is_unknown else in_unit(view.request.currency)(plan.cost or 0.0)
    return f"{what[:1].upper()}{what[1:]}: {cost} over {units.format_seconds(view.request.horizon.hours * units.HOUR)}"


def plan_parts(view: PlanView, found: Plan, shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The sections of a found plan's page that are there, by anchor."""
    parts = [
        ("setback", "In all", shown["setback"] is not None),
        ("commit", "Commit to", bool(found.commitments)),
        ("use", "Where the work is done", True),
        ("demands", "Each demand", True),
        ("timetable", "Timetable", shown["timetable"] is not None),
        ("curve", "Spending", shown["curve"] is not None),
        ("heat", "Where it is tight", bool(shown["loads"])),
        ("flips", "Own, reserve or rent", bool(shown["flips"])),
        ("moves", "What moves it", view.outlook is not None),
        ("whynot", "Why not the others", True),
        ("rests", "What it rests on", True),
        ("whatif", "What if", True),
        ("decision", "Decision", True),
    ]
    return [(anchor, words) for anchor, words, is_there in parts if is_there]


def grouped_refusals(found: Plan) -> list[tuple[str, str, list[str]]]:
    """What is not taken by its reason and the demand it was for, in the order in which each reason comes first."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for refusal in found.refusals:
        grouped.setdefault((refusal.reason, refusal.demand), []).append(refusal.supply)
    return [(reason, demand, list(dict.fromkeys(names))) for (reason, demand), names in grouped.items()]


def _by_hours(used: Mapping[str, float]) -> list[str]:
    return sorted(used, key=lambda name: -used[name])


def _hours(name: str, hours: float) -> str:
    return f"{units.format_count(hours)} GPU-hours of {name}"


def _part(verb: str, names: Sequence[str]) -> str:
    """ "rent A, B and 4 more"; empty where there is none."""
    if not names:
        return ""
    more = len(names) - MOST_NAMED
    shown = ", ".join(names[:MOST_NAMED])
    return f"{verb} {shown}" + (f" and {more} more" if more > 0 else "")
