"""How good a plan is, in words: what lies between it and its bound, where, and what more time would give."""

from __future__ import annotations

from collections.abc import Sequence

from planner import units
from planner.plans.solution import Plan, SearchStep

FAR = 0.05  # of the cost: a gap above it is told at length
STANDS = 1e-3  # of the cost: what moved less stood still
GAINING, STILL = 0.01, 0.75  # of the cost or the bound, in what is left of a search after this share of its time


def assessment(plan: Plan, gap: float) -> tuple[str, ...]:
    """Sentences about a plan whose gap is wider than the `gap` asked for; empty for one that is good enough."""
    if plan.cost is None or plan.bound is None or plan.gap is None or plan.gap <= gap:
        return ()
    cost, bound = (units.format_money(amount, plan.currency) for amount in (plan.cost, plan.bound))
    if plan.bound > 0:
        words = f"This plan costs at most {plan.cost / plan.bound:.3g} times the least possible"
    else:
        words = "How far this plan is from the least possible is unknown"
    found = [
        f"{words}: that lies between {bound} and {cost}. Whether the plan is dear or the bound is low, the search has "
        "not proved."
    ]
    if plan.gap > FAR:
        found += _where(plan)
    found += _more_time(plan)
    return tuple(found)


def _where(plan: Plan) -> list[str]:
    """Which parts of the plan cost more than in the relaxed program, and which less."""
    if not plan.relaxed_costs:
        return []
    apart = {name: cost - plan.relaxed_costs.get(name, 0.0) for name, cost in plan.costs.items()}
    least = STANDS * (plan.cost or 0.0)
    names = sorted((name for name in apart if abs(apart[name]) > least), key=lambda name: -apart[name])
    parts = [_part(name, apart[name], plan.currency) for name in names]
    if not parts:
        return []
    return [
        "Against the relaxed program, in which jobs and commitments may be fractions of themselves, the plan spends on "
        f"{', '.join(parts)}: where more is spent, whole gangs at whole times are what costs, or the plan is not yet "
        "good."
    ]


def _part(name: str, apart: float, currency: str) -> str:
    amount = units.format_money(abs(apart), currency)
    return f"{name.replace('_', ' ')} {amount} {'more' if apart > 0 else 'less'}"


def _more_time(plan: Plan) -> list[str]:
    """What the last half of the search gave; nothing where it was too short to tell."""
    steps = [step for step in plan.steps if step.cost is not None]
    if len(steps) < 2 or plan.cost is None or plan.bound is None or plan.seconds <= 0:
        return ["More time may make the plan cheaper or raise the bound: ask again with a longer limit."]
    since = max(plan.seconds / 2, steps[0].seconds)
    then, late = _at(steps, since), _at(steps, max(plan.seconds * STILL, steps[0].seconds))
    took = units.format_seconds(max(plan.seconds - since, 0.0))
    fallen, risen = _share(then.cost, plan.cost), _share(plan.bound, then.bound)
    if fallen <= STANDS and risen <= STANDS:
        return [
            f"In its last {took} the search moved neither cost nor bound: the same again is unlikely to help. Fewer or "
            "divisible jobs, longer slots or looser deadlines make the question easier."
        ]
    words = f"In its last {took} the search took {fallen:.1%} off the cost and raised the bound by {risen:.1%}."
    if max(_share(late.cost, plan.cost), _share(plan.bound, late.bound)) > GAINING:
        return [f"{words} It was still gaining when it ended: ask again with a longer limit."]
    return [f"{words} It had slowed down by its end, so as long again is likely to give less than that."]


def _share(larger: float | None, smaller: float) -> float:
    """By how much of the larger figure the smaller one lies below it."""
    return 0.0 if larger is None or larger <= smaller else (larger - smaller) / larger


def _at(steps: Sequence[SearchStep], seconds: float) -> SearchStep:
    """The newest step by a moment; before the first, that one."""
    return next((step for step in reversed(steps) if step.seconds <= seconds), steps[0])
