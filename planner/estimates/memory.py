"""The memory bill of one GPU: items against usable, not nominal, memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from planner import units
from planner.estimates.estimate import MemoryItem
from planner.estimates.priors import load_priors
from planner.hardware.gpu import Gpu, GpuKind
from planner.jobs.operations import Amount
from planner.quantity import Basis, Cause, Quantity

# Drivers report 81,559 MiB of an H100 sold with 80 GB and 45,776 to 46,068 of an L40S with 48 (servers inspected by
# sparecores, 2026-01-31; AWS and driver listings agree).
DRIVER = 0.995
CORRECTED = 15.0 / 16.0
GDDR_UNDER_CORRECTION = frozenset({"A2", "T4", "A10", "A10G", "A16", "A40", "L4", "L40", "L40S"})


def usable_bytes(gpu: Gpu, reported_bytes: int | None) -> float | None:
    """Memory that a job may fill: what the device reports (else the catalogue's figure) less fragmentation; of a
    CPU's memory less what the host keeps. None where neither is known."""
    nominal = float(reported_bytes) if reported_bytes is not None else visible_bytes(gpu)
    if not nominal:
        return None
    figures = load_priors().figures
    kept = figures["host_reserve_share" if gpu.kind is GpuKind.CPU else "fragmentation_share"]
    return nominal * (1.0 - kept)


def visible_bytes(gpu: Gpu) -> float | None:
    """Memory that a driver reports of a GPU that nobody looked at: the gigabytes that cards are sold with have 2^30
    bytes, of which GDDR memory under error correction keeps one in sixteen and the driver a little."""
    if gpu.memory_bytes is None:
        return None
    if gpu.kind is GpuKind.CPU:
        return gpu.memory_bytes.value
    kept = CORRECTED if gpu.key in GDDR_UNDER_CORRECTION else 1.0
    return gpu.memory_bytes.value * kept * DRIVER * units.GIB / units.GB


def with_runtime(items: Mapping[str, Amount], gpu: Gpu, num_groups: Amount) -> dict[str, Amount]:
    """The items with what driver, libraries and communicators keep: one communicator per kind of parallelism."""
    figures = load_priors().figures
    reserve = 0.0 if gpu.kind is GpuKind.CPU else figures["runtime_reserve_gb"] * units.GB
    buffers = figures["communicator_gb"] * units.GB * num_groups
    return {**items, "communication buffers": buffers, "runtime reserve": reserve}


def total(items: Mapping[str, Amount]) -> Amount:
    """The sum of the items."""
    return sum(items.values(), start=0.0)


def bill(items: Mapping[str, Amount], place: int) -> tuple[MemoryItem, ...]:
    """The items of the layout at `place`, largest first, without those that are nothing."""
    picked = ((name, pick(amount, place)) for name, amount in items.items())
    found = (MemoryItem(name, num_bytes) for name, num_bytes in picked if num_bytes > 0)
    return tuple(sorted(found, key=lambda item: -item.num_bytes))


def quantity(items: tuple[MemoryItem, ...], is_measured: bool) -> Quantity:
    """The bill's sum with its range."""
    spread = load_priors().figures["memory_spread"]
    basis = Basis.INTERPOLATED if is_measured else Basis.DERIVED
    return Quantity.around(sum(item.num_bytes for item in items), "B", basis, (Cause("itemised memory", spread),))


def shortfall(items: tuple[MemoryItem, ...], usable: float) -> str:
    """ "needs 61.2 GB of 24.0 GB usable; largest item: optimizer states, 48.0 GB"."""
    needed = units.format_bytes(sum(item.num_bytes for item in items))
    largest = items[0]
    return (
        f"needs {needed} of {units.format_bytes(usable)} usable per GPU; "
        f"largest item: {largest.name}, {units.format_bytes(largest.num_bytes)}"
    )


def pick(amount: Amount, place: int) -> float:
    """The value of one layout."""
    values = np.atleast_1d(np.asarray(amount, dtype=float))
    return float(values[place] if values.size > 1 else values[0])
