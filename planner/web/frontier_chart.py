"""Time against cost of an estimate's options as places in an SVG; the template draws them, a table stands beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from planner import units
from planner.estimates.estimate import Option
from planner.estimates.frontier import frontier
from planner.web.charts import Tick

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 40
MOST_TICKS = 5
ROOM = 24  # pixels that the words of the last tick need
ROUND_AMOUNTS = tuple(digit * 10.0**power for power in range(-6, 12) for digit in (1, 2, 5))
ROUND_SECONDS = (
    *(digit * 10.0**power for power in range(-6, 1) for digit in (1, 2, 5)),
    *(10.0, 20.0, 30.0, 60.0),
    *(minutes * 60.0 for minutes in (2, 5, 10, 20, 30, 60)),
    *(hours * units.HOUR for hours in (2, 4, 8, 16, 24)),
    *(days * units.DAY for days in (2, 4, 7, 14, 28, 56)),
    *(weeks * 7 * units.DAY for weeks in (13, 26, 52, 104)),
    *(years * 365.25 * units.DAY for years in (5, 10, 20, 50, 100, 200, 500, 1000)),
)


@dataclass(frozen=True, slots=True)
class FrontierChart:
    """Logarithmic axes: time to the right, cost upwards. `steps` are positions in the estimate's options."""

    dots: tuple[tuple[float, float], ...]
    line: str
    marks: tuple[tuple[float, float], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    steps: tuple[int, ...]
    currency: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def frontier_chart(options: Sequence[Option]) -> FrontierChart | None:
    """The chart, or None where fewer than two options are on the frontier."""
    steps = frontier(options)
    if len(steps) < 2:
        return None
    currency = options[steps[0]].placement.currency
    places = [
        (option.seconds.mid, option.cost.mid)
        for option in options
        if option.seconds is not None and option.cost is not None and option.placement.currency == currency
    ]
    x = _Axis.over([seconds for seconds, _ in places], LEFT, WIDTH - RIGHT)
    y = _Axis.over([cost for _, cost in places], HEIGHT - BOTTOM, TOP)
    marks = [
        (x.at(option.seconds.mid), y.at(option.cost.mid))
        for option in (options[step] for step in steps)
        if option.seconds is not None and option.cost is not None
    ]
    return FrontierChart(
        dots=tuple(sorted({(x.at(seconds), y.at(cost)) for seconds, cost in places})),
        line=" ".join(f"{left:g},{top:g}" for left, top in marks),
        marks=tuple(marks),
        x_ticks=tuple(Tick(x.at(value), units.format_seconds(value)) for value in x.ticks(ROUND_SECONDS)),
        y_ticks=tuple(Tick(y.at(value), units.format_money(value, currency)) for value in y.ticks(ROUND_AMOUNTS)),
        steps=steps,
        currency=currency,
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic axis from `start` to `end` pixels."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> _Axis:
        low, high = min(values), max(values)
        return cls(low / 1.15, max(high, low * 1.01) * 1.15, start, end)

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + (self.end - self.start) * share, 1)

    def ticks(self, rounds: Sequence[float]) -> list[float]:
        """Up to five of the round values that lie on the axis; on a short one three places, evenly apart."""
        inside = [v for v in rounds if self.low < v < self.high and abs(self.at(v) - self.end) > ROOM]
        if len(inside) >= 2:
            return inside[:: math.ceil(len(inside) / MOST_TICKS)]
        ratio = (self.high / self.low) ** (1 / 4)
        return [self.low * ratio**place for place in (1, 2, 3)]
