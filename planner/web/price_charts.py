"""Charts of prices over time: the steps of one offer, and the band from the lowest to the highest of many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from planner import units
from planner.offers.market import MarketPoint, Step
from planner.web.charts import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Chart, Line, Tick, round_step, spread_apart

RIGHT = 40  # room for the words at the ends of the lines
NUM_MOMENTS = 5
NUM_AMOUNTS = 5
Place = tuple[datetime, Decimal]


@dataclass(frozen=True, slots=True)
class _Scale:
    """From moments and amounts to pixels; amounts begin at 0, so that heights compare."""

    first: datetime
    last: datetime
    most: float

    def x(self, moment: datetime) -> float:
        share = (moment - self.first) / (self.last - self.first)
        return round(LEFT + (WIDTH - LEFT - RIGHT) * share, 2)

    def y(self, amount: Decimal | float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * float(amount) / self.most, 2)

    def points(self, places: Iterable[Place]) -> str:
        return " ".join(f"{self.x(moment):g},{self.y(amount):g}" for moment, amount in places)


def step_chart(steps: Sequence[Step], as_of: datetime, currency: str) -> Chart | None:
    """The price per hour of one offer until `as_of`; a gap where it was unknown. None where it never was known."""
    amounts = [step.amount for step in steps if step.amount is not None]
    if not amounts:
        return None
    scale = _scale(steps[0].since, as_of, max(amounts))
    runs = _runs([(step.since, step.until or as_of, step.amount) for step in steps])
    return _chart(scale, [Line(scale.points(run), "", 0, "own") for run in runs], f"{currency} per hour", currency)


def band_chart(points: Sequence[MarketPoint], currency: str) -> Chart | None:
    """Lowest, middle and highest GPU-hour; None where there never was a price."""
    highest = [point.highest for point in points if point.highest is not None]
    if not highest:
        return None
    scale = _scale(points[0].at, points[-1].at, max(highest))
    lines: list[Line] = []
    ends: dict[str, float] = {}
    for name, style in (("highest", "rent-1"), ("median", "own"), ("lowest", "rent-2")):
        spans = [
            (point.at, following.at, getattr(point, name))
            for point, following in zip(points, [*points[1:], points[-1]], strict=True)
        ]
        runs = _runs(spans)
        letter = {"highest": "max", "median": "mid", "lowest": "min"}[name]
        last = spans[-1][2]
        if last is not None:
            ends[letter] = scale.y(last)
        lines += [
            Line(scale.points(run), letter if last is not None and run is runs[-1] else "", 0, style) for run in runs
        ]
    heights = spread_apart(ends)
    placed = [Line(line.points, line.letter, heights.get(line.letter, 0), line.style) for line in lines]
    return _chart(scale, placed, f"{currency} per GPU-hour", currency)


def _runs(spans: Sequence[tuple[datetime, datetime, Decimal | None]]) -> list[list[Place]]:
    """The corners of the steps, a run ends where the amount is not known."""
    runs: list[list[Place]] = []
    is_open = False
    for since, until, amount in spans:
        if amount is None:
            is_open = False
            continue
        if not is_open:
            runs.append([])
        runs[-1] += [(since, amount), (until, amount)]
        is_open = True
    return runs


def _scale(first: datetime, last: datetime, most: Decimal) -> _Scale:
    """A price of one moment only is drawn over a day."""
    return _Scale(min(first, last - timedelta(days=1)), last, float(most) * 1.1)


def _chart(scale: _Scale, lines: list[Line], y_title: str, currency: str) -> Chart:
    return Chart(
        x_ticks=_moments(scale),
        y_ticks=_amounts(scale, currency),
        x_title="holds from (UTC)",
        y_title=y_title,
        lines=tuple(lines),
        marks=(),
        right=WIDTH - RIGHT,
    )


def _moments(scale: _Scale) -> tuple[Tick, ...]:
    span = scale.last - scale.first
    form = "%H:%M" if span < timedelta(days=2) else "%d %b" if span < timedelta(days=200) else "%b %Y"
    moments = [scale.first + span * place / (NUM_MOMENTS - 1) for place in range(NUM_MOMENTS)]
    return tuple(Tick(scale.x(moment), f"{moment.astimezone(UTC):{form}}") for moment in moments)


def _amounts(scale: _Scale, currency: str) -> tuple[Tick, ...]:
    """Round amounts from 0 up."""
    step = round_step(scale.most, NUM_AMOUNTS)
    amounts = [Decimal(f"{step * number:.10g}") for number in range(int(scale.most / step) + 1)]
    sign = units.format_money(Decimal(0), currency).removesuffix("0.00")
    return tuple(Tick(scale.y(amount), f"{sign}{units.plain_decimal(amount)}") for amount in amounts)
