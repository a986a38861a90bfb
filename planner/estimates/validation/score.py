"""Scores of predictions against what was published: per row, per source, and the median over sources."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from planner.estimates.validation.table import Row


@dataclass(frozen=True, slots=True)
class Scored:
    """A row with its prediction and range in the row's own metric, or the reason why there is none."""

    row: Row
    predicted: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    gpu_key: str = ""
    basis: str = ""
    assumptions: tuple[str, ...] = ()
    kind: str = ""  # of inference: the class of its range

    @property
    def ratio(self) -> float | None:
        """Predicted ÷ published."""
        return None if self.predicted is None else self.predicted / self.row.value

    @property
    def error(self) -> float | None:
        """|ln(predicted ÷ published)|."""
        return None if self.ratio is None else abs(math.log(self.ratio))

    @property
    def is_inside(self) -> bool | None:
        """Whether the published value lies in the range."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.row.value <= self.high

    @property
    def range_width(self) -> float | None:
        """Half of the range as a fraction: e^w − 1 of the half-width in logarithms."""
        if self.low is None or self.high is None:
            return None
        return math.expm1(math.log(self.high / self.low) / 2.0)


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of the answered rows as fractions (e^x − 1 of logarithms), None where no row was answered."""

    source: str
    rows: int
    declined: int
    median: float | None
    p90: float | None
    bias: float | None
    coverage: float | None


@dataclass(frozen=True, slots=True)
class Overall:
    """The medians over the sources that have answered rows; coverage and widths over all answered rows."""

    median_of_source_medians: float | None
    p90: float | None
    bias: float | None
    coverage: float | None
    median_range_width: float | None
    rows: int
    declined: int


def score(name: str, scored: Sequence[Scored]) -> Score:
    """The score of some rows under one name."""
    errors = sorted(item.error for item in scored if item.error is not None)
    signed = sorted(math.log(item.ratio) for item in scored if item.ratio is not None)
    inside = [item.is_inside for item in scored if item.is_inside is not None]
    return Score(
        source=name,
        rows=len(scored),
        declined=sum(item.predicted is None for item in scored),
        median=_fraction(quantile(errors, 0.5)),
        p90=_fraction(quantile(errors, 0.9)),
        bias=_fraction(quantile(signed, 0.5)),
        coverage=sum(inside) / len(inside) if inside else None,
    )


def by_source(scored: Iterable[Scored]) -> list[Score]:
    """The score of each source, in the order of the table."""
    return [score(name, items) for name, items in grouped(scored, lambda item: item.row.source).items()]


def grouped(scored: Iterable[Scored], key: Callable[[Scored], str]) -> dict[str, list[Scored]]:
    """Rows by a function of them, in the order of the table."""
    found: dict[str, list[Scored]] = {}
    for item in scored:
        found.setdefault(key(item), []).append(item)
    return found


def overall(scored: Sequence[Scored], sources: Sequence[Score]) -> Overall:
    """Medians over sources, so that long tables count no more than short ones."""
    widths = sorted(item.range_width for item in scored if item.range_width is not None)
    inside = [item.is_inside for item in scored if item.is_inside is not None]
    return Overall(
        median_of_source_medians=quantile(sorted(s.median for s in sources if s.median is not None), 0.5),
        p90=quantile(sorted(s.p90 for s in sources if s.p90 is not None), 0.5),
        bias=quantile(sorted(s.bias for s in sources if s.bias is not None), 0.5),
        coverage=sum(inside) / len(inside) if inside else None,
        median_range_width=quantile(widths, 0.5),
        rows=len(scored),
        declined=sum(item.predicted is None for item in scored),
    )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which that share lies, between neighbours in proportion; None of nothing."""
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _fraction(value: float | None) -> float | None:
    return None if value is None else math.expm1(value)
