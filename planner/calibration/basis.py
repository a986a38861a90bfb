"""Which runs a device's fit rests on: per kind of work the fullest of its runs and those that measured the same again.

What is known of a kind (an operation in a number format) are the benches of one run, so that a short one takes nothing
away; each of them is told by up to MOST_RUNS runs together. Benches that a person chose one by one add to the run that
they came after.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planner.calibration.kept import is_wide
from planner.calibration.pooled import MOST_RUNS
from planner.calibration.sample import Operation, Sample
from planner.hardware.gpu import Dtype

Kind = tuple[Operation, Dtype]
# By so much in the middle of the benches that two runs share, and by more than their usual spread, the device is not
# what it was (assumed).
MOVED = 0.10
LEAST_SHARED = 3  # benches; fewer do not tell a device that changed from one bench that did


@dataclass(frozen=True, slots=True)
class RunSamples:
    """What a run gave; `is_whole`: of a suite of the code, not of chosen benches."""

    run_id: str
    is_whole: bool
    samples: tuple[Sample, ...]

    @property
    def usable(self) -> dict[Kind, dict[str, Sample]]:
        """The steady samples of usual spread, by kind and bench."""
        found: dict[Kind, dict[str, Sample]] = {}
        for sample in self.samples:
            if sample.steady and not is_wide(sample):
                found.setdefault(_kind(sample), {})[sample.bench.key] = sample
        return found


def has_moved(before: RunSamples, after: RunSamples) -> bool:
    """Whether the device answers otherwise than it did: then nothing of the earlier run is of use."""
    known = {key: sample for same in before.usable.values() for key, sample in same.items()}
    pairs = [
        (known[key], sample)
        for same in after.usable.values()
        for key, sample in same.items()
        if key in known and known[key].bench.version == sample.bench.version
    ]
    if len(pairs) < LEAST_SHARED:
        return False
    change = abs(statistics.median(math.log(new.seconds / old.seconds) for old, new in pairs))
    return change > max(MOVED, statistics.median(max(old.spread, new.spread) for old, new in pairs))


def best_basis(runs: Sequence[RunSamples]) -> dict[str, list[Sample]]:
    """The samples that count, by the id of the run they are from; `runs` stand oldest first.

    Of each kind the benches of the whole run with the most usable ones of its newest version, the newest of several:
    each by its samples of the newest runs that measured at least half of them. Chosen benches measured after that run
    add to it or take the place of what it says. A kind without a usable sample keeps those of the newest run that has
    any, whose spread then widens the range.
    """
    chosen: dict[str, list[Sample]] = {}
    kinds = dict.fromkeys(_kind(sample) for run in runs for sample in run.samples)
    for kind in (kind for kind in kinds if kind[0] is not Operation.SENTINEL):  # it tells of its run alone
        for run_id, sample in _of_kind(kind, runs):
            chosen.setdefault(run_id, []).append(sample)
    return chosen


def _of_kind(kind: Kind, runs: Sequence[RunSamples]) -> list[tuple[str, Sample]]:
    newest = max(sample.bench.version for run in runs for sample in run.samples if _kind(sample) == kind)
    found = [_current(run.usable.get(kind, {}), newest) for run in runs]
    if not any(found):
        last = next(run for run in reversed(runs) if any(_kind(sample) == kind for sample in run.samples))
        return [(last.run_id, sample) for sample in last.samples if _kind(sample) == kind]
    whole = [place for place, run in enumerate(runs) if run.is_whole and found[place]]
    base = max(whole, key=lambda place: (len(found[place]), place)) if whole else -1
    by_key: dict[str, list[tuple[str, Sample]]] = {}
    if whole:
        again = [place for place in whole if 2 * len(found[place].keys() & found[base].keys()) >= len(found[base])]
        for key in found[base]:
            told = [(runs[place].run_id, found[place][key]) for place in again if key in found[place]]
            by_key[key] = told[-MOST_RUNS:]
    for place in range(base + 1, len(runs)):
        if not runs[place].is_whole:
            by_key |= {key: [(runs[place].run_id, sample)] for key, sample in found[place].items()}
    return [one for told in by_key.values() for one in told]


def _current(samples: Mapping[str, Sample], version: int) -> dict[str, Sample]:
    return {key: sample for key, sample in samples.items() if sample.bench.version == version}


def _kind(sample: Sample) -> Kind:
    return sample.bench.operation, sample.bench.dtype
