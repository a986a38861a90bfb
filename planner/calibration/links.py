"""What the links between a node's devices were measured to carry, by how many devices talk at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.calibration.sample import Operation, Sample

# What the bandwidth is drawn from: the exchanges of tensor and data parallelism. A ring gives both the same bandwidth.
RING = frozenset({Operation.ALL_REDUCE, Operation.ALL_GATHER})
NINETY = 1.645  # 90 % of a normal distribution lies within this many standard deviations


@dataclass(frozen=True, slots=True)
class GroupRate:
    """Among `num_devices`: bytes/s one way that each reaches, and seconds of a message without any content.

    `error` is how far the two figures miss the messages they were drawn from (log half-width, nine in ten); None where
    there was one message only.
    """

    num_devices: int
    bandwidth: float
    latency_seconds: float
    num_samples: int
    error: float | None


@dataclass(frozen=True, slots=True)
class MeasuredLinks:
    """The rates of the groups that were measured, smallest group first."""

    groups: tuple[GroupRate, ...]

    def bandwidth(self, num_devices: int) -> float | None:
        """Bytes/s one way among so many devices: as measured, or between two that were (in logarithms).

        None outside of what was measured: more devices may talk over other links.
        """
        sizes = [group.num_devices for group in self.groups]
        if not sizes or not sizes[0] <= num_devices <= sizes[-1]:
            return None
        rates = np.log([group.bandwidth for group in self.groups])
        return float(np.exp(np.interp(math.log(num_devices), np.log(sizes), rates)))

    @property
    def largest(self) -> int:
        """The number of devices of the largest group."""
        return self.groups[-1].num_devices

    @property
    def error(self) -> float | None:
        """The largest miss of a group; None where no group tells one."""
        return max((group.error for group in self.groups if group.error is not None), default=None)

    def to_document(self) -> list[list[float | int | None]]:
        """As JSON: a list per group."""
        return [
            [group.num_devices, group.bandwidth, group.latency_seconds, group.num_samples, group.error]
            for group in self.groups
        ]


def links_from_document(document: Sequence[Sequence[Any]] | None) -> MeasuredLinks | None:
    """The links back from JSON; None where a fit has none."""
    return None if document is None else MeasuredLinks(tuple(GroupRate(*entry) for entry in document))


def fit_links(samples: Sequence[Sample]) -> MeasuredLinks | None:
    """The links that the exchanges among these samples show; None where there are none.

    Per group of n devices: seconds = bytes over the wire ÷ bandwidth + latency · (1 + log2 n), the form in which
    estimates use them, by least squares of the relative misses.
    """
    by_size: dict[int, list[Sample]] = {}
    for sample in samples:
        if sample.bench.operation in RING:
            by_size.setdefault(sample.bench.parameters["ranks"], []).append(sample)
    if not by_size:
        return None
    return MeasuredLinks(tuple(_group(size, same) for size, same in sorted(by_size.items())))


def _group(num_devices: int, samples: Sequence[Sample]) -> GroupRate:
    hops = 1.0 + math.log2(num_devices)
    seconds = np.array([sample.seconds for sample in samples])
    wire = np.array([sample.num_bytes for sample in samples])
    inverse, latency = _two_parts(wire / seconds, hops / seconds)
    if latency < 0.0 or inverse <= 0.0:  # one part explains it all: then the other is nothing
        largest = int(np.argmax(wire))
        inverse, latency = float(seconds[largest] / wire[largest]), 0.0
    misses = np.log((wire * inverse + hops * latency) / seconds)
    error = NINETY * float(np.sqrt(np.mean(misses**2))) if len(samples) > 1 else None
    return GroupRate(num_devices, 1.0 / inverse, latency, len(samples), error)


def _two_parts(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> tuple[float, float]:
    """(a, b) with a · first + b · second as near to 1 as can be; b 0 where one value cannot tell two."""
    if len(first) < 2:
        return float(1.0 / first[0]), 0.0
    found, *_ = np.linalg.lstsq(np.stack([first, second], axis=1), np.ones(len(first)), rcond=None)
    return float(found[0]), float(found[1])
