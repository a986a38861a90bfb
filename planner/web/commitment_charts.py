"""Commitments as places in SVGs: what buying, reserving and renting one GPU has cost by when; and a plan's tornado."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from planner import units
from planner.plans.break_even import Crossover, Way, cheapest_rent, crossovers, planned_use, ways_of
from planner.plans.request import PlanRequest
from planner.plans.sensitivity import Swing
from planner.plans.solution import Plan
from planner.plans.supply import COMMITTED
from planner.web.charts import Tick, round_values

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 84, 12, 10, 28
STEPS = 120
SERIES = 5
BAR, BAR_GAP, TORNADO_LEFT, TORNADO_RIGHT = 18, 10, 180, 40
APART = 80  # of the view box: places nearer than this would be written over each other
LEAST_USE = 0.01


@dataclass(frozen=True, slots=True)
class Line:
    """One way to have a GPU: its colour, its points, and what it has cost by the end."""

    way: Way
    series: int
    points: str
    total: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a commitment has cost less than renting from then on."""

    x: float
    y: float
    words: str


@dataclass(frozen=True, slots=True)
class CommitmentChart:
    """What one GPU of a kind costs by when, in each way to have it, where it is used `use` of the time."""

    gpu: str
    use: float
    hours: float
    lines: tuple[Line, ...]
    crossovers: tuple[Crossover, ...]
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure of a tornado: between which places its bar lies, and its words."""

    figure: str
    y: float
    low_x: float
    high_x: float
    words: str


@dataclass(frozen=True, slots=True)
class Tornado:
    """How far each figure moves the cost, the widest first; `middle` is the plan's own cost."""

    bars: tuple[Bar, ...]
    middle: float
    ticks: tuple[Tick, ...]
    height: float
    width: int = WIDTH
    left: int = TORNADO_LEFT
    bar: int = BAR


def commitment_charts(request: PlanRequest, plan: Plan, use: float | None) -> tuple[CommitmentChart, ...]:
    """A chart for each GPU that could be bought or reserved. `use` None: as much as the plan uses it."""
    gpus = dict.fromkeys(s.gpu for s in request.supplies if s.kind in COMMITTED and s.num_gpus != 0)
    found = []
    for gpu in gpus:
        share = use if use is not None else _own_use(request, plan, gpu)
        if share is None or cheapest_rent(request, gpu) is None:
            continue
        found.append(_chart(request, gpu, min(max(share, LEAST_USE), 1.0)))
    return tuple(found)


def tornado_chart(cost: float, swings: Sequence[Swing], currency: str) -> Tornado | None:
    """The swings whose both ends have a plan; None where there are none."""
    known = [s for s in swings if s.low_cost is not None and s.high_cost is not None]
    ends = [end for s in known for end in (s.low_cost, s.high_cost) if end is not None]
    if not ends:
        return None
    low, high = min(*ends, cost), max(*ends, cost)
    room = (high - low) or 1.0

    def across(money: float) -> float:
        return round(TORNADO_LEFT + (WIDTH - TORNADO_LEFT - TORNADO_RIGHT) * (money - low) / room, 1)

    bars = []
    for number, swing in enumerate(known):
        if swing.low_cost is None or swing.high_cost is None:
            continue
        least, most = sorted((swing.low_cost, swing.high_cost))
        words = (
            f"{swing.figure} × {swing.low_factor:g} to × {swing.high_factor:g}: "
            f"{units.format_money(swing.low_cost, currency)} to {units.format_money(swing.high_cost, currency)}"
        )
        y = TOP + number * (BAR + BAR_GAP)
        bars.append(Bar(swing.figure, y, across(least), max(across(most), across(least) + 1.0), words))
    height = TOP + len(bars) * (BAR + BAR_GAP) + BOTTOM
    return Tornado(tuple(bars), across(cost), _tornado_ticks(across, low, cost, high, currency), height)


def _tornado_ticks(
    across: Callable[[float], float], low: float, cost: float, high: float, currency: str
) -> tuple[Tick, ...]:
    """The plan's own cost, and the least and the most where they do not lie on it."""
    ends = [end for end in (low, high) if abs(across(end) - across(cost)) >= APART]
    return tuple(Tick(across(money), units.format_money(money, currency)) for money in sorted([cost, *ends]))


def _own_use(request: PlanRequest, plan: Plan, gpu: str) -> float | None:
    """How much of the time the plan uses, or would use, a committed GPU of the kind."""
    found = [planned_use(request, plan, s)[0] for s in request.supplies if s.gpu == gpu and s.kind in COMMITTED]
    return max((share for share in found if share is not None), default=None)


def _chart(request: PlanRequest, gpu: str, use: float) -> CommitmentChart:
    ways = ways_of(request, gpu, use)
    hours = max((way.term_hours for way in ways if way.term_hours is not None), default=request.horizon.hours)
    most = max(way.paid_by(hours) for way in ways) or 1.0

    def across(hour: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * hour / hours, 1)

    def up(money: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * money / most, 1)

    lines = []
    for number, way in enumerate(ways):
        places = [hours * step / STEPS for step in range(STEPS + 1)]
        points = " ".join(f"{across(hour)},{up(way.paid_by(hour))}" for hour in places)
        lines.append(Line(way, number % SERIES + 1, points, way.paid_by(hours)))
    found = crossovers(ways)
    by_name = {way.name: way for way in ways}
    marks = tuple(
        Mark(
            across(item.cheaper_from_hours),
            up(by_name[item.name].paid_by(item.cheaper_from_hours)),
            f"{item.name} has cost less than renting from {units.format_seconds(item.cheaper_from_hours * 3600)} on",
        )
        for item in found
        if item.cheaper_from_hours is not None and 0 < item.cheaper_from_hours <= hours
    )
    return CommitmentChart(
        gpu=gpu,
        use=use,
        hours=hours,
        lines=tuple(lines),
        crossovers=found,
        marks=marks,
        x_ticks=tuple(
            Tick(across(hours * part / 4), units.format_seconds(hours * part / 4 * 3600) if part else "0")
            for part in range(5)
        ),
        y_ticks=tuple(Tick(up(money), units.format_money(money, request.currency)) for money in round_values(most)),
    )
