"""Small line charts as figures for an SVG: where the lines, ticks and marks lie; templates draw them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from planner import units
from planner.services.asset_reports import AssetReport, RentLine

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 36, 14, 38
LEAST_GAP = 14  # between two letters at the right
NUM_TICKS = 5
LETTERS = "ABCDEFGHIJKL"


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis in the view box, and its words."""

    at: float
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its points as SVG wants them, its letter, where that stands, and which of the styles it has."""

    points: str
    letter: str
    letter_y: float
    style: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point that something is said of."""

    x: float
    y: float
    words: str
    style: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over two axes, in a view box of WIDTH × HEIGHT."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_title: str
    y_title: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    num_above: int = 0  # lines that would lie above it
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class _Scale:
    """From two quantities to pixels; what lies above the chart is cut off there by the template."""

    x_most: float
    y_most: float

    def x(self, value: float | Decimal) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * float(value) / self.x_most, 2)

    def y(self, value: float | Decimal) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * float(value) / self.y_most, 2)

    def points(self, places: Sequence[tuple[float | Decimal, float | Decimal]]) -> str:
        return " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in places)


def letters_of(report: AssetReport) -> list[tuple[str, RentLine]]:
    """Each rent with the letter that it has in the chart."""
    return list(zip(LETTERS, report.rents, strict=False))


def break_even_chart(report: AssetReport) -> Chart:
    """The cost of a used hour over utilisation, every rent as a level line, and where they cross."""
    cost, currency = report.cost, report.view.currency
    rents = letters_of(report)
    scale = _Scale(1.0, _highest_cost(report))
    own = [(point.utilisation, point.cost) for point in cost.curve if point.cost <= Decimal(scale.y_most) * 3]
    levels = {letter: line.rent_per_hour for letter, line in rents if float(line.rent_per_hour) <= scale.y_most}
    heights = spread_apart({letter: scale.y(level) for letter, level in levels.items()})
    lines = [
        Line(scale.points([(0, level), (1, level)]), letter, heights[letter], f"rent-{LETTERS.index(letter) % 6 + 1}")
        for letter, level in levels.items()
    ]
    lines.append(Line(scale.points(own), "", 0, "own"))
    marks = [
        Mark(scale.x(point), scale.y(levels[letter]), f"{letter}: {point:.1%}", "cross")
        for letter, line in rents
        if letter in levels and (point := line.break_even_utilisation) is not None and point <= 1
    ]
    if cost.utilisation is not None and cost.used_hour is not None and float(cost.used_hour) <= scale.y_most:
        share = cost.utilisation.share
        marks.append(Mark(scale.x(share), scale.y(cost.used_hour), f"used {share:.0%} of the time", "now"))
    return Chart(
        x_ticks=tuple(Tick(scale.x(share / 100), f"{share} %") for share in range(0, 101, 20)),
        y_ticks=_ticks(scale, lambda value: _money(value, currency)),
        x_title="share of the hours in which it is used",
        y_title=f"{currency} per used hour",
        lines=tuple(lines),
        marks=tuple(marks),
        num_above=len(rents) - len(levels),
    )


def payback_chart(report: AssetReport) -> Chart | None:
    """What owning and renting have cost after each year; None where that cannot be said."""
    if not report.years or report.against is None:
        return None
    lead, currency = report.view.lead_years, report.view.currency
    last = report.years[-1]
    ends = [max(year.owning_so_far, year.renting_so_far) for year in report.years]
    scale = _Scale(float(last.number + lead), float(max(ends)) * 1.1)
    owning = [(year.number + lead if year.number else Decimal(0), year.owning_so_far) for year in report.years]
    renting = [(year.number + lead if year.number else lead, year.renting_so_far) for year in report.years]
    ends_at = spread_apart({"own": scale.y(last.owning_so_far), "A": scale.y(last.renting_so_far)})
    step = 1 if last.number <= 10 else 5
    return Chart(
        x_ticks=tuple(Tick(scale.x(number), str(number)) for number in range(0, last.number + 1, step)),
        y_ticks=_ticks(scale, lambda value: _money(value, currency)),
        x_title="years since the purchase",
        y_title=f"{currency} paid so far, per GPU",
        lines=(
            Line(scale.points(renting), "A", ends_at["A"], "rent-1"),
            Line(scale.points(owning), "own", ends_at["own"], "own"),
        ),
        marks=(),
    )


def _highest_cost(report: AssetReport) -> float:
    """High enough for the rents and for what is used now, yet not so that the curve's far end hides the rest."""
    always = float(report.cost.curve[-1].cost)
    wanted = [1.15 * float(line.rent_per_hour) for line in report.rents]
    if report.cost.used_hour is not None:
        wanted.append(1.1 * float(report.cost.used_hour))
    return min(max(*wanted, 1.8 * always, 1e-9), max(6 * always, 1e-9))


def spread_apart(heights: dict[str, float]) -> dict[str, float]:
    """The same heights moved apart where words would lie on each other, from the lowest line up."""
    placed: dict[str, float] = {}
    above = math.inf
    for name, height in sorted(heights.items(), key=lambda item: -item[1]):
        placed[name] = above = min(height, above - LEAST_GAP)
    return placed


def round_step(most: float, num_ticks: int) -> float:
    """1, 2 or 5 times a power of ten: the step by which about so many ticks reach `most` (above 0)."""
    rough = most / num_ticks
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def round_values(most: float, num_ticks: int = NUM_TICKS) -> list[float]:
    """Round numbers from 0 up to at most `most` (above 0), about so many."""
    step = round_step(most, num_ticks)
    return [step * number for number in range(int(most / step * 1.000001) + 1)]


def _ticks(scale: _Scale, words: Callable[[float], str]) -> tuple[Tick, ...]:
    return tuple(Tick(scale.y(value), words(value)) for value in round_values(scale.y_most))


def _money(value: float, currency: str) -> str:
    """Whole thousands and more with K, M, B: an axis has little room."""
    sign = units.format_money(Decimal(0), currency).removesuffix("0.00")
    if value >= 1000:
        return f"{sign}{units.format_count(value)}".replace(" ", "")
    return f"{sign}{value:.10g}"
