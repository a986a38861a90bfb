"""The samples of a run, or of several, that a fit is drawn from; the others are counted by the reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from planner.calibration.pooled import pooled
from planner.calibration.sample import BenchFailure, Operation, Sample

# A sample whose repeats differ by more says little of its device and pulls what is drawn from it (assumed: on an idle
# machine the interquartile range is a few per cent of the median, beside other work a quarter and more).
MOST_SPREAD = 0.25


def kept_samples(
    samples: Iterable[Sample], failures: Iterable[BenchFailure] = ()
) -> tuple[list[Sample], dict[str, int]]:
    """One sample per bench, and reason → how many were left out.

    Unsteady samples, those of wide spread, failures and older bench versions are left out. Of a bench measured in
    several runs the median counts (pooled.py).
    """
    left_out: Counter[str] = Counter()
    for failure in failures:
        left_out[f"failed: {failure.error_class}"] += 1
    kept = _newest_versions([sample for sample in samples if _is_steady(sample, left_out)], left_out)
    kept = _of_one_grouping(_merged(_without_wide(kept, left_out)), left_out)
    return kept, dict(left_out)


def is_wide(sample: Sample) -> bool:
    """Whether its repeats differ too much; of visits more than two the median is known better than each of them."""
    visits = max(2.0, sample.details.get("visits", 2.0))
    return sample.spread * math.sqrt(2.0 / visits) > MOST_SPREAD


def _is_steady(sample: Sample, left_out: Counter[str]) -> bool:
    if not sample.steady:
        left_out["unsteady"] += 1
    return sample.steady


def _without_wide(samples: Sequence[Sample], left_out: Counter[str]) -> list[Sample]:
    """Those whose repeats agree; of an operation in a format that has none such, all: their spread widens its range."""
    narrow = [sample for sample in samples if not is_wide(sample)]
    known = {(sample.bench.operation, sample.bench.dtype) for sample in narrow}
    kept = [s for s in samples if not is_wide(s) or (s.bench.operation, s.bench.dtype) not in known]
    if len(kept) < len(samples):
        left_out[f"spread above {MOST_SPREAD:.0%}"] += len(samples) - len(kept)
    return kept


def _newest_versions(samples: Sequence[Sample], left_out: Counter[str]) -> list[Sample]:
    newest: dict[Operation, int] = {}
    for sample in samples:
        operation = sample.bench.operation
        newest[operation] = max(newest.get(operation, 0), sample.bench.version)
    kept = [sample for sample in samples if sample.bench.version == newest[sample.bench.operation]]
    if len(kept) < len(samples):
        left_out["older bench version"] += len(samples) - len(kept)
    return kept


def _merged(samples: Sequence[Sample]) -> list[Sample]:
    by_key: dict[str, list[Sample]] = {}
    for sample in samples:
        by_key.setdefault(sample.bench.key, []).append(sample)
    return [pooled(same) for same in by_key.values()]


def _of_one_grouping(samples: Sequence[Sample], left_out: Counter[str]) -> list[Sample]:
    """Without the decoding steps whose query heads share a key-value head by another number than most do.

    Kernels differ by multiples between groupings, and what a pass takes beyond its operations is looked up by rows,
    seconds and width: mixed in, they would spoil the figure of the usual grouping.
    """
    decodes = [sample for sample in samples if sample.bench.operation is Operation.DECODE]
    groupings = Counter(_grouping(sample) for sample in decodes)
    if len(groupings) < 2:
        return list(samples)
    usual = groupings.most_common(1)[0][0]
    kept = [s for s in samples if s.bench.operation is not Operation.DECODE or _grouping(s) == usual]
    left_out["another grouping of query heads"] += len(samples) - len(kept)
    return kept


def _grouping(sample: Sample) -> float:
    return sample.bench.parameters["heads"] / sample.bench.parameters["kv_heads"]
