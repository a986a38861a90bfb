"""Deadline, budget and the age of prices: options beyond them become rejections that say by how much."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from planner import units
from planner.estimates.estimate import Answer, Bottleneck, Option, Rejection


@dataclass(frozen=True, slots=True)
class Limits:
    """The latest the job may end (seconds from its start), the most it may cost, how many days before `today` its price
    may have been stated, and what its GPUs may draw together on average; None is no limit."""

    deadline_seconds: float | None = None
    budget: Decimal | None = None
    price_age_days: int | None = None
    today: date | None = None
    power_watts: float | None = None


def apply_limits(answer: Answer, limits: Limits) -> Answer:
    """Keep the options whose middle estimate is inside the limits; of the first one kept, `why_not` is empty."""
    kept: list[Option] = []
    rejections = list(answer.rejections)
    for option in answer.options:
        fault = _beyond(option, limits)
        if fault is None:
            kept.append(option)
        else:
            rejections.append(Rejection(option.placement, *fault))
    if kept:
        kept[0] = replace(kept[0], why_not="")
    return Answer(tuple(kept), tuple(rejections))


def _beyond(option: Option, limits: Limits) -> tuple[Bottleneck, str] | None:
    price = option.placement.price
    if limits.price_age_days is not None and limits.today is not None and price is not None:
        days = (limits.today - price.source_date).days
        if days > limits.price_age_days:
            stated = f"was stated {days} days ago ({price.source_date.isoformat()}, {price.source})"
            return Bottleneck.PRICE, f"its last price {stated}: the limit is {limits.price_age_days} days"
    if limits.deadline_seconds is not None and option.seconds is not None:
        asked = units.format_seconds(limits.deadline_seconds)
        if option.seconds.mid > limits.deadline_seconds:
            return Bottleneck.DEADLINE, f"takes {units.format_seconds(option.seconds.mid)}, the deadline is {asked}"
    if limits.power_watts is not None:
        drawn, asked = option.average_power_watts, units.format_watts(limits.power_watts)
        if drawn is None:
            return Bottleneck.POWER, "what its GPUs draw is unknown, so it cannot be held against the power limit"
        if drawn.mid > limits.power_watts:
            return Bottleneck.POWER, f"its GPUs draw {units.format_watts(drawn.mid)} on average, the limit is {asked}"
    if limits.budget is not None:
        cost = option.cost
        if cost is None:
            why = option.unknown.get("cost", "no price is known")
            return Bottleneck.PRICE, f"the cost is unknown ({why}), so it cannot be held against the budget"
        if cost.mid > float(limits.budget):
            currency = option.placement.currency
            spent, allowed = units.format_money(cost.mid, currency), units.format_money(limits.budget, currency)
            return Bottleneck.BUDGET, f"costs {spent}, the budget is {allowed}"
    return None
