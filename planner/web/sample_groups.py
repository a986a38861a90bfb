"""A run's samples by what was measured, so that a page of ninety says in ten lines what the device reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from planner.calibration.sample import WORDS, Sample


@dataclass(frozen=True, slots=True)
class SampleGroup:
    """Samples of one kind of work in one number format; the highest rates in FLOP/s and bytes/s, None where none is.

    `spread` is the widest of them, and `num_unsteady` counts those whose warm-up never settled.
    """

    title: str
    dtype: str
    samples: tuple[Sample, ...]
    flops_per_second: float | None
    bytes_per_second: float | None
    spread: float
    num_unsteady: int


def sample_groups(samples: Sequence[Sample]) -> tuple[SampleGroup, ...]:
    """The groups in the order in which each was measured first."""
    found: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        title = WORDS.get(sample.bench.operation, sample.bench.operation.value.replace("_", " "))
        found.setdefault((title, sample.bench.dtype.value), []).append(sample)
    return tuple(_group(title, dtype, tuple(members)) for (title, dtype), members in found.items())


def _group(title: str, dtype: str, members: tuple[Sample, ...]) -> SampleGroup:
    return SampleGroup(
        title=title,
        dtype=dtype,
        samples=members,
        flops_per_second=_highest(members, lambda sample: sample.flops),
        bytes_per_second=_highest(members, lambda sample: sample.num_bytes),
        spread=max(sample.spread for sample in members),
        num_unsteady=sum(not sample.steady for sample in members),
    )


def _highest(members: Sequence[Sample], amount: Callable[[Sample], float]) -> float | None:
    """The highest amount a second; None where the work has none of it, as a kernel's start has no FLOPs."""
    rates = [amount(sample) / sample.seconds for sample in members if amount(sample)]
    return max(rates, default=None)
