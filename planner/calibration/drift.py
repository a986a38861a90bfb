"""Drift: whether a device got slower, within one run and against its own history.

Two gates, both needed: the change must be larger than what the device's runs differ by anyway (statistics), and large
enough to matter (practice). With too little history nothing is said.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from planner.calibration.conditions import what_differs
from planner.calibration.sample import Operation, Sample

MIN_RUNS = 4  # earlier runs under equal conditions; fewer say nothing about how runs differ
MATTERS = 0.03  # a smaller change is none in practice
NUM_SPREADS = 4.0  # robust standard deviations; with a dozen benches in a row three would cry wolf too often
LEAST_SPREAD = 0.005  # timing itself is no better than this, however well a few runs agree
MAD_TO_DEVIATION = 1.4826  # of a normal distribution


@dataclass(frozen=True, slots=True)
class History:
    """One run of a device: when, under which conditions, and seconds by bench key with its version."""

    at: datetime
    conditions: Mapping[str, Any]
    seconds: Mapping[tuple[str, int], float]

    @classmethod
    def of(cls, at: datetime, conditions: Mapping[str, Any], samples: Sequence[Sample]) -> History:
        """From what a run stored; unsteady samples are left out."""
        steady = [sample for sample in samples if sample.steady]
        return cls(at, conditions, {(sample.bench.key, sample.bench.version): sample.seconds for sample in steady})


@dataclass(frozen=True, slots=True)
class BenchDrift:
    """One bench against the same bench earlier: `change` 0.05 is five per cent slower; `spread` what is usual."""

    key: str
    change: float
    spread: float
    num_runs: int

    @property
    def is_real(self) -> bool:
        return abs(self.change) >= MATTERS and abs(self.change) > NUM_SPREADS * self.spread


@dataclass(frozen=True, slots=True)
class Drift:
    """The newest run against the device's own earlier ones under equal conditions.

    `change` is the median over the benches, None without enough history; `changed` what the conditions differ in from
    the run before (field → before, after): a device that got slower with a new driver did not wear out.
    """

    change: float | None
    is_real: bool
    benches: tuple[BenchDrift, ...]
    changed: Mapping[str, tuple[Any, Any]]
    num_runs: int

    @property
    def sentence(self) -> str:
        """What to tell a reader."""
        marks = "; ".join(f"{name} went from {old} to {new}" for name, (old, new) in self.changed.items())
        since = f" Since the run before, {marks}." if marks else ""
        if self.change is None:
            return (
                f"No judgement yet: {self.num_runs} earlier runs under these conditions, {MIN_RUNS} are needed.{since}"
            )
        if not self.is_real:
            return f"As before: {self.change:+.1%} over {len(self.benches)} benches and {self.num_runs} runs.{since}"
        word = "slower" if self.change > 0 else "faster"
        worst = max(self.benches, key=lambda bench: abs(bench.change))
        return (
            f"{abs(self.change):.1%} {word} than the {self.num_runs} runs before, most in {worst.key} "
            f"({worst.change:+.1%}, usual ±{worst.spread:.1%}).{since}"
        )


def drift(newest: History, earlier: Sequence[History]) -> Drift:
    """The newest run against those before it. Only runs under equal conditions are compared with."""
    ordered = sorted(earlier, key=lambda run: run.at)
    changed = what_differs(ordered[-1].conditions, newest.conditions) if ordered else {}
    alike = [run for run in ordered if not what_differs(run.conditions, newest.conditions)]
    if len(alike) < MIN_RUNS:
        return Drift(None, False, (), changed, len(alike))
    benches = tuple(found for key in sorted(newest.seconds) if (found := _bench_drift(key, newest, alike)) is not None)
    if not benches:
        return Drift(None, False, (), changed, len(alike))
    change = statistics.median(bench.change for bench in benches)
    is_real = abs(change) >= MATTERS and 2 * sum(bench.is_real for bench in benches) > len(benches)
    return Drift(change, is_real, benches, changed, len(alike))


@dataclass(frozen=True, slots=True)
class Level:
    """A run against the device's usual.

    `change` 0.05 is five per cent slower than the median of the runs that share its benches and conditions, None where
    there is no other such run. `changed` are the conditions that differ from those of the run before.
    """

    at: datetime
    change: float | None
    num_benches: int
    changed: Mapping[str, tuple[Any, Any]]


def levels(runs: Sequence[History]) -> tuple[Level, ...]:
    """Each run of a device against its usual, oldest first: what a chart over time shows."""
    ordered = sorted(runs, key=lambda run: run.at)
    return tuple(_level(run, ordered, before) for run, before in zip(ordered, [None, *ordered], strict=False))


def _level(run: History, all_runs: Sequence[History], before: History | None) -> Level:
    alike = [other for other in all_runs if not what_differs(other.conditions, run.conditions)]
    changes = []
    for key, seconds in run.seconds.items():
        same = [other.seconds[key] for other in alike if key in other.seconds]
        if len(same) > 1:
            changes.append(math.log(seconds / statistics.median(same)))
    change = math.expm1(statistics.median(changes)) if changes else None
    changed = {} if before is None else what_differs(before.conditions, run.conditions)
    return Level(run.at, change, len(changes), changed)


def _bench_drift(key: tuple[str, int], newest: History, alike: Sequence[History]) -> BenchDrift | None:
    """ln(seconds ÷ usual seconds) as a share, and the robust standard deviation of the earlier runs."""
    before = [math.log(run.seconds[key]) for run in alike if key in run.seconds]
    if len(before) < MIN_RUNS:
        return None
    middle = statistics.median(before)
    spread = MAD_TO_DEVIATION * statistics.median(abs(value - middle) for value in before)
    # The median of n runs is itself uncertain; a new run differs from it by both.
    spread = max(LEAST_SPREAD, spread) * math.sqrt(1 + math.pi / (2 * len(before)))
    change = math.expm1(math.log(newest.seconds[key]) - middle)
    return BenchDrift(key[0], change, spread, len(before))


def drift_within(samples: Sequence[Sample]) -> float | None:
    """Slowest ÷ fastest − 1 of the sentinels of one run; None with fewer than two."""
    seconds = [sample.seconds for sample in samples if sample.bench.operation is Operation.SENTINEL]
    return None if len(seconds) < 2 else max(seconds) / min(seconds) - 1
