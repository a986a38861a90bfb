"""One bench measured in several runs: together they know its time better than the newest of them does alone.

On a machine with other guests a bench lies some tenths of its time from itself in the next run, on a quiet one some
hundredths; of several runs the median is nearer to what a job will meet on another day than any one run is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from planner.calibration.sample import Sample
from planner.calibration.visits import QUARTILES

MOST_RUNS = 5  # of a device go together; older ones tell more of how it was than the median gains


def pooled(same: Sequence[Sample]) -> Sample:
    """The samples of one bench, oldest first, as one: the median of the runs' seconds, the visits of all of them.

    `spread` stays that of a visit, so that spread ÷ √visits is how well the pooled time is known: what runs differ by
    beyond their visits counts once a run, not once a visit. A single sample comes back as it is.
    """
    if len(same) == 1:
        return same[0]
    visits = [sample.details.get("visits", 1.0) for sample in same]
    within = statistics.fmean((sample.spread / QUARTILES) ** 2 for sample in same)
    apart = statistics.variance(math.log(sample.seconds) for sample in same)
    between = max(0.0, apart - within / statistics.fmean(visits))
    spread = QUARTILES * math.sqrt(within + between * sum(visits) / len(same))
    means = [sample.details.get("mean_seconds", sample.seconds) for sample in same]
    details = {"visits": sum(visits), "mean_seconds": statistics.fmean(means), "runs": float(len(same))}
    return replace(
        same[-1],
        seconds=statistics.median(sample.seconds for sample in same),
        spread=spread,
        repeats=sum(sample.repeats for sample in same),
        peak_memory_bytes=max((s.peak_memory_bytes for s in same if s.peak_memory_bytes is not None), default=None),
        details={**same[-1].details, **details},
    )
