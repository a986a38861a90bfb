"""A plan as places in SVGs: its timetable, GPUs in use by slot, and what it costs as time goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from planner import units
from planner.plans.request import PlanRequest
from planner.plans.solution import Plan
from planner.plans.supply import Kind, Supply
from planner.services.plan_timetable import TimetableRun
from planner.web.charts import Tick, round_values

WIDTH, LEFT, RIGHT, TOP = 720, 150, 12, 8
ROW, GAP = 16, 6
CHART_HEIGHT, BOTTOM = 220, 26
MOST_TICKS = 6
SERIES = 6
LEAST_SHOWN = 0.005
TOUCH = 1e-3  # hours: runs that lie less than this apart touch


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of a row: where it lies, which colour, and what it says."""

    x: float
    y: float
    width: float
    height: float
    series: int
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the timetable and its name."""

    y: float
    words: str


@dataclass(frozen=True, slots=True)
class Timetable:
    """Which demand runs when, a row each; the colour tells the GPU."""

    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    gpus: tuple[str, ...]
    height: float
    width: int = WIDTH
    left: int = LEFT
    right: int = WIDTH - RIGHT


@dataclass(frozen=True, slots=True)
class CostCurve:
    """What has been spent by the end of each slot, in all and by the way of getting GPUs."""

    lines: tuple[tuple[str, int, str], ...]  # name, series, points
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    totals: tuple[tuple[str, float], ...]
    width: int = WIDTH
    height: int = CHART_HEIGHT
    left: int = 70
    right: int = WIDTH - RIGHT
    bottom: int = CHART_HEIGHT - BOTTOM
    top: int = TOP


def timetable(
    request: PlanRequest, plan: Plan, runs: Sequence[TimetableRun], shown: Collection[str] | None = None
) -> Timetable | None:
    """The runs of a plan that was found, of some demands or all; those of one demand on one GPU that touch or overlap
    are drawn as one. None where nothing runs."""
    if not runs:
        return None
    end = plan.edges[-1]
    names = [demand.name for demand in request.demands if shown is None or demand.name in shown]
    gpus = sorted({run.gpu for run in runs})
    mine: dict[str, list[TimetableRun]] = defaultdict(list)
    for run in runs:
        mine[run.demand].append(run)
    rows, bars, y = [], [], float(TOP)
    for name in names:
        pieces = _joined(mine[name])
        if not pieces:
            rows.append(Row(y + ROW / 2, f"{name}: not done"))
        else:
            rows.append(Row(y + ROW / 2, name))
        for gpu, start, stop, most in pieces:
            x, right = _across(start, end), _across(min(stop, end), end)
            words = f"{name} on {most} × {gpu}, {_hours(start)} to {_hours(stop)}"
            bars.append(Bar(x, y, max(right - x, 1.0), ROW, gpus.index(gpu) % SERIES + 1, words))
        y += ROW + GAP
    ticks = tuple(Tick(_across(hour, end), _hours(hour)) for hour in _ticks(end))
    return Timetable(tuple(rows), tuple(bars), ticks, tuple(gpus), y + BOTTOM)


def cost_curve(request: PlanRequest, plan: Plan) -> CostCurve | None:
    """Commitments by the hour they are held, uses when they happen. None where nothing costs anything."""
    if not plan.is_found:
        return None
    kinds = {supply.name: supply.kind for supply in request.supplies}
    edges, weights = plan.edges, request.horizon.weights
    spent: dict[str, list[float]] = {}
    for use in plan.uses:
        row = spent.setdefault(kinds[use.supply].value, [0.0] * (len(edges) - 1))
        if use.slot < len(row):
            row[use.slot] += use.cost
    for commitment in plan.commitments:
        row = spent.setdefault(kinds[commitment.supply].value, [0.0] * (len(edges) - 1))
        shares = [
            max(0.0, min(edges[slot + 1], commitment.until_hours) - max(edges[slot], commitment.from_hours))
            * (float(weights[slot]) if slot < len(weights) else 1.0)
            for slot in range(len(row))
        ]
        whole = sum(shares)
        for slot, share in enumerate(shares):
            row[slot] += commitment.cost * share / whole if whole else 0.0
    totals = {name: sum(row) for name, row in spent.items() if sum(row) > 0}
    if not totals:
        return None
    order = [kind.value for kind in Kind if kind.value in totals]
    top = sum(totals.values())
    chart_left, chart_right, chart_bottom = 70, WIDTH - RIGHT, CHART_HEIGHT - BOTTOM

    def place(hour: float, money: float) -> str:
        x = chart_left + (chart_right - chart_left) * hour / edges[-1]
        y = chart_bottom - (chart_bottom - TOP) * money / top
        return f"{x:.1f},{y:.1f}"

    lines = []
    everything = [sum(spent[name][slot] for name in order) for slot in range(len(edges) - 1)]
    for series, (name, row) in enumerate([("in all", everything), *((name, spent[name]) for name in order)]):
        points, total = [place(0.0, 0.0)], 0.0
        for slot, money in enumerate(row):
            total += money
            points.append(place(edges[slot + 1], total))
        lines.append((name.replace("_", " "), series, " ".join(points)))
    if len(order) == 1:
        lines = lines[:1]
    return CostCurve(
        lines=tuple(lines),
        x_ticks=tuple(
            Tick(round(chart_left + (chart_right - chart_left) * hour / edges[-1], 1), _hours(hour))
            for hour in _ticks(edges[-1])
        ),
        y_ticks=tuple(
            Tick(round(chart_bottom - (chart_bottom - TOP) * step / top, 1), units.format_money(step, plan.currency))
            for step in round_values(top)
        ),
        totals=tuple((name.replace("_", " "), totals[name]) for name in order),
    )


@dataclass(frozen=True, slots=True)
class Load:
    """How much of what could be used of a GPU is used, a share per part of the time; None where nothing can be."""

    gpu: str
    shares: tuple[float | None, ...]


def heat(request: PlanRequest, plan: Plan, columns: int = 24) -> tuple[tuple[str, ...], tuple[Load, ...]]:
    """GPU-hours used of those that are limited, by GPU and by part of the time: where it is tight.

    Only supplies of a limited number count: what can be had without end is never short. GPUs that are hardly used are
    left out.
    """
    edges, num_slots = plan.edges, len(plan.edges) - 1
    parts = min(columns, num_slots)
    limited = {
        supply.name: supply for supply in request.supplies if supply.num_gpus is not None and supply.num_gpus > 0
    }
    used: dict[tuple[str, int], float] = {}
    for use in plan.uses:
        if use.supply in limited and use.slot < num_slots:
            key = (limited[use.supply].gpu, use.slot * parts // num_slots)
            used[key] = used.get(key, 0.0) + use.gpu_hours
    rows = []
    for gpu in sorted({supply.gpu for supply in limited.values()}):
        there = [0.0] * parts
        for slot in range(num_slots):
            for supply in limited.values():
                if supply.gpu == gpu:
                    there[slot * parts // num_slots] += _there(supply, edges[slot], edges[slot + 1], plan)
        shares = tuple(
            None if there[part] <= 0 else min(used.get((gpu, part), 0.0) / there[part], 1.0) for part in range(parts)
        )
        if max((share for share in shares if share is not None), default=0.0) >= LEAST_SHOWN:
            rows.append(Load(gpu, shares))
    heads = tuple(_hours(edges[part * num_slots // parts]) for part in range(parts))
    return heads, tuple(rows)


def _there(supply: Supply, start: float, stop: float, plan: Plan) -> float:
    """GPU-hours of a supply that could be used between two moments."""
    if supply.kind in (Kind.PURCHASE, Kind.RESERVED):
        return sum(
            commitment.num_gpus * max(0.0, min(stop, commitment.until_hours) - max(start, commitment.from_hours))
            for commitment in plan.commitments
            if commitment.supply == supply.name
        )
    until = stop if supply.until_hours is None else min(stop, supply.until_hours)
    return float((supply.num_gpus or 0) * supply.availability * max(0.0, until - max(start, supply.from_hours)))


def _joined(runs: Sequence[TimetableRun]) -> list[tuple[str, float, float, int]]:
    """(GPU, from, to, most GPUs at once) of a demand's runs, those that touch or overlap joined."""
    found: list[tuple[str, float, float, int]] = []
    by_gpu: dict[str, list[TimetableRun]] = defaultdict(list)
    for run in runs:
        by_gpu[run.gpu].append(run)
    for gpu, mine in sorted(by_gpu.items()):
        changes = sorted(
            change
            for run in mine
            for change in ((run.from_hours, 1, run.num_gpus), (run.until_hours - TOUCH, 0, -run.num_gpus))
        )
        held, most, start, stop = 0, 0, 0.0, -1.0
        for hour, _, change in changes:
            if held == 0 and hour > stop + 2 * TOUCH:
                if most:
                    found.append((gpu, start, stop, most))
                start, most = hour, 0
            held += change
            most = max(most, held)
            stop = hour + TOUCH if change < 0 else stop
        found.append((gpu, start, stop, most))
    return found


def _across(hour: float, end: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * hour / end, 2)


def _ticks(end: float) -> list[float]:
    for step in (1, 2, 3, 6, 12, 24, 48, 72, 168, 336, 730, 1460, 2190, 4380, 8760, 17520):
        if end / step <= MOST_TICKS:
            return [float(step * place) for place in range(int(end / step) + 1)]
    return [0.0, end]


def _hours(hour: float) -> str:
    if hour < 48 and hour == int(hour):
        return f"{hour:g} h"
    if hour < 48:
        return f"{hour:.1f} h"
    return f"{hour / 24:.3g} d"


def used_by_supply(plan: Plan) -> Mapping[str, tuple[float, float]]:
    """GPU-hours and cost of each supply that is used."""
    found: dict[str, tuple[float, float]] = {}
    for use in plan.uses:
        hours, cost = found.get(use.supply, (0.0, 0.0))
        found[use.supply] = (hours + use.gpu_hours, cost + use.cost)
    return found


def sorted_costs(costs: Mapping[str, float]) -> Sequence[tuple[str, float]]:
    """The components of a cost, the largest first, those that are nothing left out."""
    return sorted(((name, cost) for name, cost in costs.items() if abs(cost) > 1e-9), key=lambda item: -item[1])
