"""A bench made ready: calls to time in turn, what they work on, and how their result is checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch

from planner.gpu.benches.accelerator import InvalidResult

MAX_ROTATIONS = 512


@dataclass(frozen=True, slots=True)
class Prepared:
    """`calls` do the same work on different buffers. `around` holds while they run (precision, no gradients)."""

    calls: Sequence[Callable[[], torch.Tensor]]
    around: AbstractContextManager[object] = field(default_factory=nullcontext)
    details: Mapping[str, float] = field(default_factory=dict)


def num_rotations(bytes_of_one: int, llc_bytes: int, budget_bytes: int | None) -> int:
    """How many sets of buffers to take in turn so that together they exceed twice the last-level cache.

    A set is then read from memory each time, as weights are in real work. At most a quarter of what is free.
    """
    wanted = math.ceil(2 * llc_bytes / bytes_of_one) + 1 if bytes_of_one < 2 * llc_bytes else 1
    affordable = MAX_ROTATIONS if budget_bytes is None else max(1, budget_bytes // 4 // bytes_of_one)
    return min(wanted, affordable, MAX_ROTATIONS)


def require_finite(result: torch.Tensor) -> None:
    """Raise InvalidResult where the result holds NaN or infinity."""
    if not bool(torch.isfinite(result.float()).all()):
        raise InvalidResult("the result holds NaN or infinity")


def require_close(result: torch.Tensor, reference: torch.Tensor, tolerance: float, what: str) -> None:
    """Raise InvalidResult where result and float64 reference differ by more than `tolerance`, relative."""
    require_finite(result)
    difference = (result.detach().double().cpu() - reference).norm() / reference.norm()
    if not float(difference) <= tolerance:
        raise InvalidResult(f"{what} is off a float64 reference by {float(difference):.2g} (at most {tolerance:g})")
