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
# A run that may take long goes on visiting benches whose visits disagree: up to so many visits of each, for so much of
# its time limit. Of three visits or more one that was disturbed no longer moves the median.
MOST_VISITS = 5
LONG_LIMIT_SECONDS = 600.0
PATIENT_SHARE = 0.47
# Two visits tell little of how far visits lie apart: what is usual in the run counts as so many more pairs of them.
USUAL_WEIGHT = 4.0
QUARTILES = 1.349  # interquartile ranges per standard deviation of a normal distribution
CLOSE = 0.05  # visits so near each other show a steady state, whatever the warm-up windows did …
# … and so far from each other show none. Below it their distance is spread, not unrest: on a shared two-core machine
# with nothing else running, one bench in five lay more than 0.3 apart and one in fifteen more than 0.5.
APART = 0.5
NEAR = 0.25  # so near most of three visits or more tell of a steady state by themselves, settled or not


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
    Details are the mean over the visits, with how many there were, how far apart they lie, and the mean of all windows.
    """
    medians = [visit.seconds for visit in visits]
    seconds = statistics.median(medians)
    windows = [window for visit in visits for window in visit.windows]
    apart = _apart(medians)
    own = _variance(medians)
    between = 0.0 if own is None else QUARTILES * _shrunk(own, len(medians), usual)
    told = {"visits": float(len(visits)), "visits_apart": apart, "mean_seconds": statistics.fmean(windows)}
    if own is not None:
        told["visits_deviation"] = math.sqrt(own)
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
        details={**_mean_details(visits), **told},
    )


def patience_seconds(time_limit_seconds: float) -> float:
    """How long a run of that limit goes on visiting benches whose visits disagree, counted from its start."""
    return PATIENT_SHARE * time_limit_seconds if time_limit_seconds >= LONG_LIMIT_SECONDS else 0.0


def wants_another(visits: Sequence[Visit]) -> bool:
    """Whether one more visit would tell more: there is one alone, or they lie apart and are not yet many."""
    medians = [visit.seconds for visit in visits]
    return len(medians) < MOST_VISITS and (len(medians) < 2 or max(medians) / min(medians) - 1 > CLOSE)


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
    """The standard deviation of one visit (of ln seconds) over the benches that were visited again; None without."""
    told = [
        (sample.details["visits"] - 1, sample.details["visits_deviation"] ** 2)
        for sample in samples
        if "visits_deviation" in sample.details
    ]
    return None if not told else math.sqrt(sum(more * own for more, own in told) / sum(more for more, _ in told))


def interquartile_range(values: Sequence[float]) -> float:
    """The distance from the first to the third quartile, 0 for a single value."""
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return third - first


def _apart(medians: Sequence[float]) -> float:
    """How far the nearest visits lie apart that are more than half of all: one disturbed visit of three counts not."""
    ordered, most = sorted(medians), len(medians) // 2 + 1
    return min(ordered[place + most - 1] / ordered[place] for place in range(len(ordered) - most + 1)) - 1


def _variance(medians: Sequence[float]) -> float | None:
    """Of ln of a visit's seconds; None for a single one."""
    return None if len(medians) < 2 else statistics.variance(math.log(seconds) for seconds in medians)


def _of_a_visit(sample: Sample, usual: float) -> float:
    own = sample.details.get("visits_deviation")
    return usual if own is None else _shrunk(own**2, sample.details["visits"], usual)


def _shrunk(own: float, num_visits: float, usual: float) -> float:
    """The deviation of one visit: from the variance of its own, drawn towards what is usual where that is known."""
    told = num_visits - 1
    return math.sqrt(own if not usual else (USUAL_WEIGHT * usual**2 + told * own) / (USUAL_WEIGHT + told))


def _is_steady(visits: Sequence[Visit], apart: float) -> bool:
    if len(visits) < 2:
        return visits[0].settled
    if apart <= CLOSE or (apart <= APART and all(visit.settled for visit in visits)):
        return True
    return len(visits) > 2 and apart <= NEAR


def _mean_details(visits: Sequence[Visit]) -> dict[str, float]:
    shared = set.intersection(*(set(visit.details) for visit in visits))
    return {name: statistics.fmean(visit.details[name] for visit in visits) for name in sorted(shared)}
