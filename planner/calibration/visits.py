"""Visits: a bench is measured several times, far apart in its run, so that its spread tells of slow changes too.

Windows timed one right after the other agree better than two runs do: caches, memory pages, clocks and neighbours
change over seconds and minutes. A run therefore goes through its benches in rounds. How far the visits of one bench lie
apart says how far another run may lie from this one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from planner.calibration.sample import Bench, Sample

NUM_VISITS = 2
# Two visits tell little of how far visits lie apart: what is usual in the run counts as so many more pairs of them.
USUAL_WEIGHT = 4.0
QUARTILES = 1.349  # interquartile ranges per standard deviation of a normal distribution
CLOSE = 0.05  # visits so near each other show a steady state, whatever the warm-up windows did …
# … and so far from each other show none. Below it their distance is spread, not unrest: on a shared two-core machine
# with nothing else running, one bench in five lay more than 0.3 apart and one in fifteen more than 0.5.
APART = 0.5


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of a bench: seconds of one execution by window, and whether the warm-up before them settled."""

    windows: tuple[float, ...]
    settled: bool
    peak_memory_bytes: int | None = None
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The median of the windows."""
        return statistics.median(self.windows)


def merged(bench: Bench, flops: float, num_bytes: float, visits: Sequence[Visit], usual: float = 0.0) -> Sample:
    """The sample of a bench's visits so far.

    `seconds` is the median of the visits' medians. `spread` is an interquartile range ÷ the median: that of all
    windows, or that of visits where it is larger, from their own distance and the `usual` deviation of a visit.
    Details are the mean over the visits, with how many there were and how far apart they lie.
    """
    medians = [visit.seconds for visit in visits]
    seconds = statistics.median(medians)
    windows = [window for visit in visits for window in visit.windows]
    apart = max(medians) / min(medians) - 1
    between = QUARTILES * _deviation(medians, usual)
    peaks = [visit.peak_memory_bytes for visit in visits if visit.peak_memory_bytes is not None]
    return Sample(
        bench=bench,
        seconds=seconds,
        spread=max(interquartile_range(windows) / seconds, between),
        repeats=len(windows),
        flops=flops,
        num_bytes=num_bytes,
        steady=_is_steady(visits, apart),
        peak_memory_bytes=max(peaks, default=None),
        details={**_mean_details(visits), "visits": float(len(visits)), "visits_apart": apart},
    )


def settled(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of a whole run, each with what visits of the run usually differ by in its spread.

    The distance of a single pair of visits is too little to go by: two that agree by chance would promise too much.
    A bench that was visited once (the long ones are) says nothing of it by itself: it is taken to differ as the others.
    """
    usual = usual_deviation(samples)
    if usual is None:
        return list(samples)
    return [replace(sample, spread=max(sample.spread, QUARTILES * _of_a_visit(sample, usual))) for sample in samples]


def usual_deviation(samples: Sequence[Sample]) -> float | None:
    """The standard deviation of one visit (of ln seconds) over the benches that were visited twice; None without."""
    distances = [
        math.log1p(sample.details["visits_apart"]) for sample in samples if sample.details.get("visits", 0.0) >= 2
    ]
    return None if not distances else math.sqrt(statistics.fmean(distance**2 for distance in distances) / 2)


def interquartile_range(values: Sequence[float]) -> float:
    """The distance from the first to the third quartile, 0 for a single value."""
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return third - first


def _deviation(medians: Sequence[float], usual: float) -> float:
    return 0.0 if len(medians) < 2 else _shrunk(max(medians) / min(medians) - 1, usual)


def _of_a_visit(sample: Sample, usual: float) -> float:
    if sample.details.get("visits", 0.0) < 2:
        return usual
    return _shrunk(sample.details["visits_apart"], usual)


def _shrunk(apart: float, usual: float) -> float:
    """The deviation of one visit: from its own pair, drawn towards what is usual where that is known."""
    own = math.log1p(apart) ** 2 / 2
    return math.sqrt(own if not usual else (USUAL_WEIGHT * usual**2 + own) / (USUAL_WEIGHT + 1))


def _is_steady(visits: Sequence[Visit], apart: float) -> bool:
    if len(visits) < 2:
        return visits[0].settled
    return apart <= CLOSE or (apart <= APART and all(visit.settled for visit in visits))


def _mean_details(visits: Sequence[Visit]) -> dict[str, float]:
    shared = set.intersection(*(set(visit.details) for visit in visits))
    return {name: statistics.fmean(visit.details[name] for visit in visits) for name in sorted(shared)}
