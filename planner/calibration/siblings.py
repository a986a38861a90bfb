"""Siblings: one of several equal devices that falls behind the others under equal conditions, and what it costs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from planner.calibration.conditions import what_differs
from planner.calibration.drift import LEAST_SPREAD, MAD_TO_DEVIATION, MATTERS, NUM_SPREADS

MIN_SIBLINGS = 3  # of two that differ nobody can say which is off
HOURS_PER_MONTH = Decimal(730)


@dataclass(frozen=True, slots=True)
class Sibling:
    """One device's newest run: what it is, under which conditions, seconds by bench key with its version."""

    device_id: str
    conditions: Mapping[str, Any]
    seconds: Mapping[tuple[str, int], float]


@dataclass(frozen=True, slots=True)
class Laggard:
    """A device behind its siblings: `behind` 0.08 is eight per cent more time; without a price no `loss_per_month`."""

    device_id: str
    behind: float
    spread: float
    num_siblings: int
    num_benches: int
    loss_per_month: Decimal | None

    @property
    def sentence(self) -> str:
        loss = "" if self.loss_per_month is None else f", worth {self.loss_per_month:.2f} a month at full use"
        return (
            f"{self.behind:.1%} behind its {self.num_siblings} siblings over {self.num_benches} benches "
            f"(usual ±{self.spread:.1%}){loss}"
        )


def laggards(siblings: Sequence[Sibling], price_per_hour: Decimal | None = None) -> tuple[Laggard, ...]:
    """The devices that are behind, worst first.

    A device is compared with the median of those measured under its own conditions (driver, limits, clock rules).
    A device's time is worth its price: behind by b it does 1 ÷ (1 + b) of the work, so b ÷ (1 + b) of it is lost.
    """
    found = [_against_others(one, siblings, price_per_hour) for one in siblings]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: -one.behind))


def _against_others(one: Sibling, siblings: Sequence[Sibling], price: Decimal | None) -> Laggard | None:
    others = [
        other
        for other in siblings
        if other.device_id != one.device_id and not what_differs(one.conditions, other.conditions)
    ]
    if len(others) + 1 < MIN_SIBLINGS:
        return None
    shared = [key for key in one.seconds if sum(key in other.seconds for other in others) >= MIN_SIBLINGS - 1]
    if not shared:
        return None
    middle = {key: statistics.median(math.log(o.seconds[key]) for o in others if key in o.seconds) for key in shared}
    behind = math.expm1(statistics.median(math.log(one.seconds[key]) - middle[key] for key in shared))
    spread = max(LEAST_SPREAD, _usual(others, middle))
    if behind < MATTERS or behind <= NUM_SPREADS * spread:
        return None
    loss = None if price is None else price * HOURS_PER_MONTH * Decimal(str(behind / (1 + behind)))
    return Laggard(one.device_id, behind, spread, len(others), len(shared), loss)


def _usual(others: Sequence[Sibling], middle: Mapping[tuple[str, int], float]) -> float:
    """How far the others are from their own middle, each as its median over the benches: a robust deviation."""
    offsets = [
        statistics.median(math.log(other.seconds[key]) - value for key, value in middle.items() if key in other.seconds)
        for other in others
        if any(key in other.seconds for key in middle)
    ]
    return MAD_TO_DEVIATION * statistics.median(abs(offset) for offset in offsets)
