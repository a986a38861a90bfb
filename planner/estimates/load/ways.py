"""The ways in which a model's replicas can be had: groups of each placement's GPUs that hold it, with its price."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from planner.estimates.estimate import Placement
from planner.estimates.layout import tensor_splits
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.replica import Replica, replica
from planner.estimates.load.sizing import Way
from planner.estimates.load.step_table import StepTable, tabulate
from planner.estimates.memory import usable_bytes
from planner.estimates.profile import Lack, Profile, whole_gpus
from planner.hardware.gpu import GpuKind
from planner.jobs.architecture import Transformer
from planner.jobs.job import InferenceJob
from planner.offers.offer import OfferKind

PIPELINES = (1, 2, 4)
Tables = dict[Hashable, tuple[Replica, StepTable] | str]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why no replica can stand on a placement, with so many GPUs to a replica (None: whatever the number)."""

    placement: Placement
    num_gpus: int | None
    reason: str


@dataclass
class Ways:
    """What can be simulated, where each comes from, and what cannot."""

    ways: list[Way] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)  # of each way
    replicas: list[Replica] = field(default_factory=list)  # of each way
    refused: list[Refused] = field(default_factory=list)

    def at(self, way: Way) -> int:
        """The place of one of these ways."""
        return next(place for place, one in enumerate(self.ways) if one is way)


def find_ways(
    job: InferenceJob,
    placements: Sequence[Placement],
    profiles: Sequence[tuple[Hashable, Profile | Lack]],
    policy: EnginePolicy,
    currency: str,
    tensor_parallel: int | None = None,
) -> Ways:
    """Every placement × number of GPUs to a replica that divides it (or the one that is asked for).

    Equal GPUs share one table. Prices in another currency are left out of the comparison: such a way has no price.
    """
    network = job.architecture
    if not isinstance(network, Transformer):
        raise ValueError("only a transformer answers in tokens")
    found = Ways()
    tables: Tables = {}
    for placement, (key, profile) in zip(placements, profiles, strict=True):
        refusal = _refusal(placement, profile)
        if refusal is not None or isinstance(profile, Lack):
            found.refused.append(Refused(placement, None, refusal or ""))
            continue
        num_gpus = whole_gpus(placement.num_gpus) or 1
        splits = tensor_splits(network, num_gpus)
        for split in splits if tensor_parallel is None else [tensor_parallel]:
            if split not in splits:
                reason = f"{num_gpus} GPUs and the model's heads do not divide into replicas of {split}"
                found.refused.append(Refused(placement, split, reason))
                continue
            table = _first(tables, key, job, placement, profile, split, num_gpus, policy)
            if isinstance(table, str):
                found.refused.append(Refused(placement, split, table))
                continue
            found.replicas.append(table[0])
            found.placements.append(placement)
            found.ways.append(_way(placement, table[0], num_gpus, table[1], currency))
    return found


def _refusal(placement: Placement, profile: Profile | Lack) -> str | None:
    num_gpus = whole_gpus(placement.num_gpus)
    if isinstance(profile, Lack):
        return profile.reason
    if num_gpus is None:
        return f"the offer is {placement.num_gpus} of one GPU; what a part of a GPU reaches is not known"
    if placement.gpu.kind is GpuKind.CPU and num_gpus > 1:
        return f"{num_gpus} CPUs working on one replica are not estimated"
    if placement.num_nodes > 1:
        return "a replica over several nodes is not sized"
    if usable_bytes(placement.gpu, placement.device_memory_bytes) is None:
        return f"the memory size of {placement.gpu.key} is not known"
    return None


def _first(
    tables: Tables,
    key: Hashable,
    job: InferenceJob,
    placement: Placement,
    profile: Profile,
    split: int,
    num_gpus: int,
    policy: EnginePolicy,
) -> tuple[Replica, StepTable] | str:
    """The replica of the fewest stages that holds weights and the longest request, or why the first one does not."""
    reasons = []
    for stages in _stages(job, num_gpus // split):
        if (key, split, stages) not in tables:
            tables[key, split, stages] = _table(job, placement, profile, split, stages, policy)
        found = tables[key, split, stages]
        if isinstance(found, str):
            reasons.append(found)
            continue
        longest, held = job.prompt_tokens + job.output_tokens, found[1].capacity
        if held > longest + policy.tokens_per_step:
            return found
        reasons.append(f"the longest request has {longest:,} tokens and the cache of a replica holds {held:,.0f}")
    return reasons[0] if reasons else f"{num_gpus} GPUs hold no {job.pipeline_parallel} stages of {split}"


def _table(
    job: InferenceJob, placement: Placement, profile: Profile, split: int, stages: int, policy: EnginePolicy
) -> tuple[Replica, StepTable] | str:
    usable = usable_bytes(placement.gpu, placement.device_memory_bytes)
    if usable is None:
        return f"the memory size of {placement.gpu.key} is not known"
    found = replica(job, profile, split, stages, usable, policy.batch_tokens)
    if isinstance(found, str):
        return found
    return found, tabulate(found.steps, policy.max_sequences, policy.batch_tokens)


def _stages(job: InferenceJob, most: int) -> list[int]:
    """Pipeline stages to try, fewest first: more only where fewer do not hold the weights."""
    if job.pipeline_parallel is not None:
        return [job.pipeline_parallel] if job.pipeline_parallel <= most else []
    layers = job.architecture.num_layers if isinstance(job.architecture, Transformer) else 1
    return [stages for stages in PIPELINES if stages <= most and layers % stages == 0]


def _way(placement: Placement, found: Replica, num_gpus: int, table: StepTable, currency: str) -> Way:
    price = None if placement.price is None else placement.price.amount
    is_attached = placement.device_id is not None
    is_comparable = price is not None and placement.currency == currency
    return Way(
        title=placement.title,
        layout=found.layout,
        gpus_per_replica=found.num_gpus,
        table=table,
        unit_gpus=num_gpus,
        cost_per_unit_hour=float(price) if price is not None and is_comparable else None,
        currency=placement.currency,
        max_units=1 if is_attached else None,
    )


def why_unpriced(placement: Placement, currency: str) -> str:
    """Why a way has no price in the comparison."""
    if placement.price is None or placement.price.amount is None:
        if placement.device_id is not None:
            return "what an hour of this attached device costs has not been entered"
        return (placement.price.reason if placement.price else "") or "the price book has no price for that moment"
    return f"it is priced in {placement.currency}; this comparison is in {currency}"


def is_taken_away(placement: Placement) -> bool:
    """Whether the provider may take it away at any time."""
    return placement.offer is not None and placement.offer.kind is OfferKind.SPOT
