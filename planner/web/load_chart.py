"""Latency against load as a picture: percentiles of whole requests over requests per second, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from planner import units
from planner.estimates.load.curve import LoadCurve, LoadPoint
from planner.services.pass_sizing import PassSizingView
from planner.web.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, Line, Mark, Tick

STYLES = {"p50": "own", "p95": "rent-1", "p99": "rent-3"}


def load_chart(curve: LoadCurve, kind: str = "whole") -> Chart:
    """p50, p95 and p99 of the whole request or of the first token, with the knee and where the level ends."""
    found = {name: [_seconds(point, kind, name) for point in curve.points] for name in STYLES}
    low = 10.0 ** math.floor(math.log10(min(found["p50"])))
    high = 10.0 ** math.ceil(math.log10(max(found["p99"])))
    x, y = _across(curve.most_per_second), _upward(low, max(high, 10.0 * low))
    ends = _apart({name: y(values[-1]) for name, values in found.items()})
    lines = tuple(
        Line(
            " ".join(f"{x(p.requests_per_second):g},{y(v):g}" for p, v in zip(curve.points, found[name], strict=True)),
            name,
            ends[name],
            style,
        )
        for name, style in STYLES.items()
    )
    return Chart(
        x_ticks=tuple(
            Tick(x(share * curve.most_per_second), f"{share * curve.most_per_second:.3g}")
            for share in (0.0, 0.25, 0.5, 0.75, 1.0)
        ),
        y_ticks=_powers(low, max(high, 10.0 * low), y),
        x_title="requests per second on one replica",
        y_title="time of a whole request" if kind == "whole" else "time to the first token",
        lines=lines,
        marks=_marks(curve, kind, x, y),
    )


def pass_chart(view: PassSizingView) -> Chart:
    """p50, p95 and p99 of an item on one GPU over items per second, on a logarithmic scale."""
    found = {name: [getattr(point.waited, name) for point in view.curve] for name in STYLES}
    low = 10.0 ** math.floor(math.log10(min(found["p50"])))
    high = max(10.0 ** math.ceil(math.log10(max(found["p99"]))), 10.0 * low)
    most = view.options[0].most_per_second
    x, y = _across(most), _upward(low, high)
    ends = _apart({name: y(values[-1]) for name, values in found.items()})
    lines = tuple(
        Line(
            " ".join(f"{x(point.per_second):g},{y(v):g}" for point, v in zip(view.curve, found[name], strict=True)),
            name,
            ends[name],
            style,
        )
        for name, style in STYLES.items()
    )
    kept = [point for point in view.curve if point.keeps_deadline]
    marks = (Mark(x(kept[-1].per_second), y(kept[-1].waited.p99), "deadline", "now"),) if kept else ()
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    return Chart(
        x_ticks=tuple(Tick(x(share * most), f"{share * most:.3g}") for share in shares),
        y_ticks=_powers(low, high, y),
        x_title=f"{view.item}s per second on one GPU",
        y_title=f"time of a {view.item}",
        lines=lines,
        marks=marks,
    )


def _marks(curve: LoadCurve, kind: str, x: Callable[[float], float], y: Callable[[float], float]) -> tuple[Mark, ...]:
    marks = []
    for rate, words, style in ((curve.knee_per_second, "knee", "cross"), (curve.level_per_second, "level", "now")):
        point = next((p for p in curve.points if p.requests_per_second == rate), None)
        if point is not None:
            marks.append(Mark(x(point.requests_per_second), y(_seconds(point, kind, "p95")), words, style))
    return tuple(marks)


def _seconds(point: LoadPoint, kind: str, name: str) -> float:
    percentiles = point.found.whole if kind == "whole" else point.found.first_token
    return {"p50": percentiles.p50, "p95": percentiles.p95, "p99": percentiles.p99}[name]


def _across(most: float) -> Callable[[float], float]:
    return lambda value: round(LEFT + (WIDTH - LEFT - RIGHT) * value / most, 2)


def _upward(low: float, high: float) -> Callable[[float], float]:
    span = math.log10(high / low)
    return lambda value: round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log10(value / low) / span, 2)


def _powers(low: float, high: float, y: Callable[[float], float]) -> tuple[Tick, ...]:
    first, last = round(math.log10(low)), round(math.log10(high))
    factors: Sequence[int] = (1,) if last - first > 2 else (1, 2, 5)
    values = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    return tuple(Tick(y(value), units.format_seconds(value)) for value in values if low <= value <= high * 1.0001)


def _apart(heights: dict[str, float], gap: float = 14.0) -> dict[str, float]:
    """The words at the ends of lines, moved apart where they would lie on each other, from the lowest up."""
    placed: dict[str, float] = {}
    above = math.inf
    for name, height in sorted(heights.items(), key=lambda item: -item[1]):
        placed[name] = above = min(height, above - gap)
    return placed
