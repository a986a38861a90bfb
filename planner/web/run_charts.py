"""Small charts of what was read beside a run, and of a device's runs over time; templates draw the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from planner import units
from planner.services.drift import RunLevel
from planner.services.runs import RunDetail, TelemetryPoint
from planner.web import formats

WIDTH, HEIGHT, EDGE = 320, 72, 4
MAX_POINTS = 240
LEVEL_WIDTH, LEVEL_HEIGHT, LEVEL_LEFT, LEVEL_BOTTOM = 720, 240, 52, 28
LEAST_CHANGE = 0.03  # the chart reaches at least this far up and down: less is no change in practice

Pick = Callable[[TelemetryPoint], float | None]
FIELDS: tuple[tuple[str, str, Pick, Callable[[float], str]], ...] = (
    ("power_watts", "Power", lambda p: p.power_watts, units.format_watts),
    ("temperature_celsius", "Temperature", lambda p: p.temperature_celsius, lambda value: f"{value:.0f} °C"),
    ("clock_hz", "Clock", lambda p: p.clock_hz, formats.hertz),
    ("memory_clock_hz", "Memory clock", lambda p: p.memory_clock_hz, formats.hertz),
    ("utilization", "Utilisation", lambda p: p.utilization, formats.percent),
    ("memory_used_bytes", "Memory used", lambda p: p.memory_used_bytes, units.format_bytes),
)


@dataclass(frozen=True, slots=True)
class Trace:
    """One quantity over a run: its lines (broken where nothing was told), lowest, highest and last in words.

    Without any reading there are no lines and `reason` says why.
    """

    name: str
    lines: tuple[str, ...]
    low: str
    high: str
    last: str
    reason: str


def traces(run: RunDetail) -> tuple[Trace, ...]:
    """Every quantity that a driver may tell, as far as it was told."""
    return tuple(_trace(run, *field) for field in FIELDS)


def _trace(run: RunDetail, field: str, name: str, pick: Pick, words: Callable[[float], str]) -> Trace:
    step = max(1, -(-len(run.telemetry) // MAX_POINTS))
    points = [(point.seconds_in, pick(point)) for point in run.telemetry[::step]]
    told = [value for _, value in points if value is not None]
    if not told:
        return Trace(name, (), "", "", "", _why_absent(run, field))
    low, high, last = min(told), max(told), max(points[-1][0], 1e-9)
    reach = (high - low) or 1.0

    def place(seconds: float, value: float) -> str:
        x = EDGE + (WIDTH - 2 * EDGE) * seconds / last
        y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * ((value - low) / reach if high > low else 0.5)
        return f"{x:.1f},{y:.1f}"

    lines: list[list[str]] = [[]]
    for seconds, value in points:
        if value is None:
            lines.append([])
        else:
            lines[-1].append(place(seconds, value))
    drawn = tuple(" ".join(line) for line in lines if line)
    return Trace(name, drawn, words(low), words(high), words(told[-1]), "")


def _why_absent(run: RunDetail, field: str) -> str:
    absent = run.conditions.get("telemetry_absent") or {}
    if not run.is_final:
        return "nothing was read yet"
    return str(absent.get(field) or absent.get("telemetry") or "the driver did not tell it")


@dataclass(frozen=True, slots=True)
class LevelDot:
    """A run in the chart, with what a reader gets told of it."""

    x: float
    y: float
    run_id: str
    words: str
    is_large: bool


@dataclass(frozen=True, slots=True)
class ChangeMark:
    """A moment at which the device's conditions changed."""

    x: float
    number: int
    words: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LevelChart:
    """Runs over time against what is usual; up is slower. `ticks` are (y, words), `band` the part that is no change."""

    width: int
    height: int
    left: int
    bottom: int
    dots: tuple[LevelDot, ...]
    marks: tuple[ChangeMark, ...]
    ticks: tuple[tuple[float, str], ...]
    band: tuple[float, float]
    first: datetime
    last: datetime


def level_chart(runs: Sequence[RunLevel]) -> LevelChart | None:
    """The chart of a device's runs; None where fewer than two of them can be compared."""
    known = [run for run in runs if run.change is not None]
    if len(known) < 2:
        return None
    first, last = runs[0].at, runs[-1].at
    seconds = max((last - first).total_seconds(), 1.0)
    most = max(LEAST_CHANGE * 1.5, *(abs(run.change or 0.0) for run in known)) * 1.15
    usable = LEVEL_HEIGHT - LEVEL_BOTTOM

    def x(at: datetime) -> float:
        return round(LEVEL_LEFT + 10 + (LEVEL_WIDTH - LEVEL_LEFT - 20) * (at - first).total_seconds() / seconds, 1)

    def y(change: float) -> float:
        return round(usable / 2 - change / most * (usable / 2 - 6), 1)

    dots = [
        LevelDot(
            x(run.at), y(run.change), run.run_id, f"{run.change:+.1%} on {run.at:%Y-%m-%d}", abs(run.change) >= 0.03
        )
        for run in known
        if run.change is not None
    ]
    changed = [run for run in runs if run.changed]
    marks = [ChangeMark(x(run.at), number, in_words(run), run.at) for number, run in enumerate(changed, start=1)]
    ticks = [(y(value), f"{value:+.0%}" if value else "usual") for value in (-LEAST_CHANGE, 0.0, LEAST_CHANGE)]
    if most > 4 * LEAST_CHANGE:
        ticks += [(y(value), f"{value:+.0%}") for value in (-most / 1.15, most / 1.15)]
    band = (y(LEAST_CHANGE), y(-LEAST_CHANGE))
    return LevelChart(
        LEVEL_WIDTH, LEVEL_HEIGHT, LEVEL_LEFT, usable, tuple(dots), tuple(marks), tuple(ticks), band, first, last
    )


def in_words(run: RunLevel) -> str:
    """ "driver version went from 580 to 590; power limit watts from 700 to 500"."""
    return "; ".join(f"{name.replace('_', ' ')} went from {old} to {new}" for name, (old, new) in run.changed.items())
