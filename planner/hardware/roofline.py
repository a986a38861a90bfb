"""The roofline: how long an operation takes at best, and which of compute and memory holds it back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from planner.hardware.gpu import Dtype, Gpu


class Side(StrEnum):
    """What binds an operation at its best."""

    COMPUTE = "compute"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Ideal:
    """The least time of one operation in seconds, side by side.

    `seconds` and `side` are None where a figure that could decide them is not known; `unknown` says which. What is
    known still bounds the time from below: `at_least_seconds`.
    """

    compute_seconds: float | None
    memory_seconds: float | None
    unknown: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """The longer of the two sides, None unless both are known."""
        if self.compute_seconds is None or self.memory_seconds is None:
            return None
        return max(self.compute_seconds, self.memory_seconds)

    @property
    def at_least_seconds(self) -> float:
        """The longest side that is known, 0 where neither is."""
        return max(self.compute_seconds or 0.0, self.memory_seconds or 0.0)

    @property
    def side(self) -> Side | None:
        """The side that binds, None unless both are known; compute on the ridge itself."""
        if self.compute_seconds is None or self.memory_seconds is None:
            return None
        return Side.COMPUTE if self.compute_seconds >= self.memory_seconds else Side.MEMORY


def ideal(flops: float, num_bytes: float, gpu: Gpu, dtype: Dtype) -> Ideal:
    """Seconds of `flops` at `dtype` and `num_bytes` of memory traffic on one `gpu`, each at its published peak.

    flops / peak and bytes / bandwidth, taken to overlap fully, so the longer one counts. Work of 0 takes 0 seconds
    even where the figure for it is not known. The peak is the dense one of exactly `dtype`: a GPU without an FP8
    peak gives no answer for FP8 rather than that of a neighbouring format.
    """
    _require_work(flops=flops, num_bytes=num_bytes)
    bandwidth = None if gpu.memory_bandwidth is None else gpu.memory_bandwidth.value
    compute_seconds = _seconds(flops, gpu.peak(dtype))
    memory_seconds = _seconds(num_bytes, bandwidth)
    unknown = []
    if compute_seconds is None:
        unknown.append(f"the {dtype} peak of {gpu.key} is not supported or not known")
    if memory_seconds is None:
        unknown.append(f"the memory bandwidth of {gpu.key} is not known")
    return Ideal(compute_seconds, memory_seconds, tuple(unknown))


def intensity(flops: float, num_bytes: float) -> float:
    """FLOPs per byte of memory traffic; infinite without traffic. Raises ValueError for no work at all."""
    _require_work(flops=flops, num_bytes=num_bytes)
    if flops == 0 and num_bytes == 0:
        raise ValueError("an operation without FLOPs and bytes has no intensity")
    return math.inf if num_bytes == 0 else flops / num_bytes


def ridge_intensity(gpu: Gpu, dtype: Dtype) -> float | None:
    """FLOPs per byte from which compute binds `gpu` at `dtype`: peak / bandwidth. None where either is unknown."""
    peak = gpu.peak(dtype)
    if peak is None or gpu.memory_bandwidth is None:
        return None
    return peak / gpu.memory_bandwidth.value


def _seconds(amount: float, rate: float | None) -> float | None:
    if amount == 0:
        return 0.0
    return None if rate is None else amount / rate


def _require_work(**amounts: float) -> None:
    for name, amount in amounts.items():
        if not (math.isfinite(amount) and amount >= 0):
            raise ValueError(f"{name} must be finite and not negative, not {amount}")
