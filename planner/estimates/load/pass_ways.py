"""GPUs that could answer items of a single pass: how long a batch takes on each, what it draws and what it costs."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from planner.estimates.estimate import Placement
from planner.estimates.load.batching import BatchTimes
from planner.estimates.load.pass_networks import PassNetwork
from planner.estimates.load.pass_sizing import PassWay
from planner.estimates.memory import usable_bytes
from planner.estimates.outcome import Outcome
from planner.estimates.profile import Lack, Profile, whole_gpus
from planner.estimates.serving import serve
from planner.hardware.gpu import GpuKind
from planner.jobs.job import InferenceJob
from planner.quantity import Basis, Cause, Quantity

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # items; in between seconds are on straight lines


@dataclass(frozen=True, slots=True)
class PassGpu:
    """One GPU of a kind with the network: seconds by batch, watts while it works, and how both are known."""

    times: BatchTimes
    watts: Mapping[int, Quantity | None]  # by batch
    basis: Basis
    fit_id: str | None
    causes: tuple[Cause, ...]

    def watts_at(self, batch: float) -> Quantity | None:
        """While it works on batches of about this size: those of the nearest that was worked out."""
        return self.watts[min(self.watts, key=lambda one: abs(math.log(one / batch)))]


@dataclass(frozen=True, slots=True)
class PassRefused:
    """Why no GPU of a placement answers the items."""

    placement: Placement
    reason: str


@dataclass
class PassWays:
    """What can be simulated, where each comes from, and what cannot."""

    ways: list[PassWay] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)  # of each way
    gpus: list[PassGpu] = field(default_factory=list)  # of each way
    refused: list[PassRefused] = field(default_factory=list)

    def at(self, way: PassWay) -> int:
        """The place of one of these ways."""
        return next(place for place, one in enumerate(self.ways) if one is way)


def find_pass_ways(
    job: InferenceJob,
    network: PassNetwork,
    passes_per_item: int,
    placements: Sequence[Placement],
    profiles: Sequence[tuple[Hashable, Profile | Lack]],
    currency: str,
) -> PassWays:
    """Every placement whose single GPU holds the network. `passes_per_item`: networks of this size that run on each
    item one after the other. Prices in another currency are left out of the comparison."""
    found = PassWays()
    known: dict[Hashable, PassGpu | str] = {}
    for placement, (key, profile) in zip(placements, profiles, strict=True):
        if key not in known:
            known[key] = _gpu(job, network, passes_per_item, placement, profile)
        gpu, num_gpus = known[key], whole_gpus(placement.num_gpus)
        if num_gpus is None:
            gpu = f"the offer is {placement.num_gpus} of one GPU; what a part of a GPU reaches is not known"
        elif placement.gpu.kind is GpuKind.CPU and num_gpus > 1:
            gpu = f"{num_gpus} CPUs working on one network are not estimated"
        if isinstance(gpu, str):
            found.refused.append(PassRefused(placement, gpu))
            continue
        found.ways.append(_way(placement, gpu, num_gpus or 1, currency))
        found.placements.append(placement)
        found.gpus.append(gpu)
    return found


def _gpu(
    job: InferenceJob, network: PassNetwork, passes_per_item: int, placement: Placement, profile: Profile | Lack
) -> PassGpu | str:
    if isinstance(profile, Lack):
        return profile.reason
    usable = usable_bytes(placement.gpu, placement.device_memory_bytes)
    if usable is None:
        return f"the memory size of {placement.gpu.key} is not known"
    in_turn = network.in_turn * passes_per_item
    outcomes: dict[int, Outcome] = {}
    for batch in BATCHES:
        found = serve(replace(job, concurrency=batch * network.together), profile, 1, usable)
        if isinstance(found, Lack):
            if not outcomes:
                return found.reason
            break
        outcomes[batch] = found
    seconds = [outcome.extras["request_seconds"].mid * in_turn for outcome in outcomes.values()]
    alone = outcomes[1]
    return PassGpu(
        times=BatchTimes.between(np.array(list(outcomes), dtype=float), np.array(seconds), max(outcomes)),
        watts={batch: outcome.average_power_watts for batch, outcome in outcomes.items()},
        basis=alone.basis,
        fit_id=alone.fit_id,
        causes=alone.extras["request_seconds"].causes,
    )


def _way(placement: Placement, gpu: PassGpu, num_gpus: int, currency: str) -> PassWay:
    price = None if placement.price is None else placement.price.amount
    is_comparable = price is not None and placement.currency == currency
    return PassWay(
        title=placement.title,
        times=gpu.times,
        unit_gpus=num_gpus,
        cost_per_unit_hour=float(price) if price is not None and is_comparable else None,
        currency=placement.currency,
        max_units=1 if placement.device_id is not None else None,
    )
