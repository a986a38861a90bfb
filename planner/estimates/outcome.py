"""What a job takes on so many GPUs of a kind, before any price: shared by every offer of the same hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.calibration.efficiency import Seconds
from planner.estimates.estimate import Bottleneck, Layout, MemoryItem
from planner.estimates.memory import pick
from planner.quantity import Basis, Cause, Quantity

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
SAME = 0.01  # layouts so close in time are not told apart by any estimate


@dataclass(frozen=True, slots=True)
class Outcome:
    """An option without its placement and price."""

    layout: Layout
    seconds: Quantity | None
    step_seconds: Quantity
    tokens_per_second: Quantity
    memory_bytes: Quantity
    memory_items: tuple[MemoryItem, ...]
    usable_memory_bytes: float
    bottleneck: Bottleneck
    basis: Basis
    fit_id: str | None
    energy_joules: Quantity | None = None
    average_power_watts: Quantity | None = None
    extras: Mapping[str, Quantity] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    paid_seconds: Quantity | None = None  # where it is not all of `seconds` that is paid for


def bound_by(parts: Sequence[Seconds], communication: float, place: int) -> Bottleneck:
    """What takes the longest of the chosen layout's time."""
    shares = {
        Bottleneck.COMPUTE: sum(pick(part.compute, place) for part in parts),
        Bottleneck.BANDWIDTH: sum(pick(part.memory, place) for part in parts),
        Bottleneck.OVERHEAD: sum(pick(part.overhead, place) for part in parts),
        Bottleneck.COMMUNICATION: communication,
    }
    return max(shares, key=lambda name: shares[name])


def shared(causes: Sequence[Cause], share: float, prefix: str = "") -> tuple[Cause, ...]:
    """The causes of a part, as they widen a whole of which it is that share."""
    named = (Cause(f"{prefix}{cause.name}", cause.spread * share) for cause in causes)
    return tuple(cause for cause in named if cause.spread > 1e-6)


def inverse(seconds: Quantity, amount: float, unit: str) -> Quantity:
    """`amount` per second of a quantity of seconds: the ends change places."""
    return Quantity(
        amount / seconds.high, amount / seconds.mid, amount / seconds.low, unit, seconds.basis, seconds.causes
    )


def fastest(seconds: Array, allowed: Flags, simplicity: Array) -> int:
    """The place of the least seconds among those allowed; of those within SAME of it the simplest (the least value)."""
    within = allowed & (seconds <= np.where(allowed, seconds, np.inf).min() * (1.0 + SAME))
    return int(np.argmin(np.where(within, simplicity, np.inf)))
