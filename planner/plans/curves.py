"""How much a service is asked for by the hour: constant, by day, by week, growing, or as a trace shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from planner.plans.horizon import Horizon

HOURS_PER_DAY = 24
HOURS_PER_WEEK = 168
HOURS_PER_YEAR = 8760


def constant(horizon: Horizon, level: float) -> tuple[float, ...]:
    """The same demand in every slot."""
    return (level,) * horizon.num_slots


def diurnal(
    horizon: Horizon, low: float, high: float, peak_hour: float = 15.0, first_hour: float = 0.0
) -> tuple[float, ...]:
    """A cosine between `low` and `high` each day, highest at `peak_hour`; the plan starts at `first_hour` of a day.

    Each slot takes the highest demand within it: a mean would leave the busiest minutes unserved.
    """

    def at(hour: float) -> float:
        turn = 2 * math.pi * (hour + first_hour - peak_hour) / HOURS_PER_DAY
        return low + (high - low) * (1 + math.cos(turn)) / 2

    def highest(start: float, end: float) -> float:
        days = math.ceil((start + first_hour - peak_hour) / HOURS_PER_DAY - 1e-12)
        peak = peak_hour - first_hour + days * HOURS_PER_DAY
        return high if peak <= end else max(at(start), at(end))

    return tuple(highest(a, b) for a, b in zip(horizon.edges, horizon.edges[1:], strict=False))


def weekly(horizon: Horizon, by_hour: Sequence[float], first_hour: float = 0.0) -> tuple[float, ...]:
    """The 168 levels of a week, repeated; the plan starts at `first_hour` of a week. A slot takes its highest hour."""
    if len(by_hour) != HOURS_PER_WEEK:
        raise ValueError(f"a week has {HOURS_PER_WEEK} hours, not {len(by_hour)}")
    return _repeated(horizon, by_hour, 1.0, first_hour)


def growing(horizon: Horizon, demand: Sequence[float], yearly_growth: float) -> tuple[float, ...]:
    """A demand by slot that grows by a share each year, compounded continuously, at each slot's end."""
    if len(demand) != horizon.num_slots:
        raise ValueError(f"{len(demand)} levels for {horizon.num_slots} slots")
    if yearly_growth <= -1:
        raise ValueError(f"growth must be above -1 a year, not {yearly_growth}")
    return tuple(
        level * (1 + yearly_growth) ** (end / HOURS_PER_YEAR)
        for level, end in zip(demand, horizon.edges[1:], strict=True)
    )


def trace(horizon: Horizon, levels: Sequence[float], step_hours: float) -> tuple[float, ...]:
    """Levels measured every `step_hours` from the start on, repeated where the horizon is longer; highest per slot."""
    if not levels or step_hours <= 0:
        raise ValueError("a trace needs levels and a positive step")
    return _repeated(horizon, levels, step_hours, 0.0)


def _repeated(horizon: Horizon, levels: Sequence[float], step: float, first: float) -> tuple[float, ...]:
    def highest(start: float, end: float) -> float:
        begin = math.floor((start + first) / step + 1e-9)
        stop = max(math.ceil((end + first) / step - 1e-9), begin + 1)
        return max(levels[place % len(levels)] for place in range(begin, min(stop, begin + len(levels))))

    return tuple(highest(a, b) for a, b in zip(horizon.edges, horizon.edges[1:], strict=False))
