"""The ways in which a model's replicas can be had: groups of each placement's GPUs that hold it, with its price."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from planner.estimates.estimate import Placement
from planner.estimates.layout import served_experts, tensor_splits
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.front import Front
from planner.estimates.load.replica import Replica, Shape, replica
from planner.estimates.load.sizing import Way
from planner.estimates.load.step_table import StepTable, tabulate
from planner.estimates.memory import usable_bytes
from planner.estimates.profile import Lack, Profile, whole_gpus
from planner.estimates.serving_experts import attention_bytes
from planner.estimates.serving_steps import stored_bytes
from planner.hardware.gpu import GpuKind
from planner.jobs.architecture import Transformer
from planner.jobs.footprint import weight_bytes
from planner.jobs.job import InferenceJob
from planner.offers.offer import OfferKind

PIPELINES = (1, 2, 4)
NODES = (2, 3, 4, 6, 8, 12, 16)  # of a replica that one node does not hold, the fewest that hold it
MAX_GROUPS = 32  # that share experts
MANY_LAYERS = 8  # to a stage: then one layer more on some of them makes little of a difference
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

    def add(self, way: Way, placement: Placement, made: Replica) -> None:
        """One more way, where it comes from and what its replicas are."""
        self.ways.append(way)
        self.placements.append(placement)
        self.replicas.append(made)

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
    usual_prompt: float | None = None,
) -> Ways:
    """Every placement × number of GPUs to a replica that divides it (or the one that is asked for), with the experts
    of a model spread over several groups too, and over several nodes where one does not hold it.

    Equal GPUs share one table. Prices in another currency are left out of the comparison: such a way has no price.
    `usual_prompt` is the mean length of a prompt (None: the job's).
    """
    network = job.architecture
    if not isinstance(network, Transformer):
        raise ValueError("only a transformer answers in tokens")
    found = Ways()
    prompt = float(job.prompt_tokens) if usual_prompt is None else usual_prompt
    tables: Tables = {}
    for placement, (key, profile) in zip(placements, profiles, strict=True):
        refusal = _refusal(placement, profile)
        if refusal is not None or isinstance(profile, Lack):
            found.refused.append(Refused(placement, None, refusal or ""))
            continue
        num_gpus = whole_gpus(placement.num_gpus) or 1
        search = _Search(tables, key, job, placement, profile, policy, prompt)
        splits = tensor_splits(network, num_gpus)
        standing = False
        refused: list[Refused] = []
        for split in splits if tensor_parallel is None else [tensor_parallel]:
            if split not in splits:
                reason = f"{num_gpus} GPUs and the model's heads do not divide into replicas of {split}"
                found.refused.append(Refused(placement, split, reason))
                continue
            for experts in served_experts(job, num_gpus // split):
                made = search.first(split, experts, num_gpus)
                if isinstance(made, str):
                    refused.append(Refused(placement, split * experts, made))
                    continue
                standing = True
                found.add(_way(placement, made[0], num_gpus, made[1], currency), placement, made[0])
        if not standing and num_gpus > 1 and placement.device_id is None:
            for made in search.over_nodes(tensor_parallel, num_gpus):
                found.add(_way(placement, made[0], num_gpus, made[1], currency), placement, made[0])
        found.refused += refused
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
        return "give one node of it: how many replicas need is what is sized"
    if usable_bytes(placement.gpu, placement.device_memory_bytes) is None:
        return f"the memory size of {placement.gpu.key} is not known"
    return None


@dataclass(frozen=True, slots=True)
class _Search:
    """The replicas that GPUs of one kind may make; equal kinds share `tables` by their `key`."""

    tables: Tables
    key: Hashable
    job: InferenceJob
    placement: Placement
    profile: Profile
    policy: EnginePolicy
    usual_prompt: float

    def first(self, split: int, experts: int, num_gpus: int) -> tuple[Replica, StepTable] | str:
        """The replica of the fewest stages on one node that holds weights and the longest request, or why the first
        one does not."""
        reasons = []
        for stages in _stages(self.job, num_gpus // (split * experts)):
            found = self._held(Shape(split, stages, experts))
            if not isinstance(found, str):
                return found
            reasons.append(found)
        return reasons[0] if reasons else f"{num_gpus} GPUs hold no {self.job.pipeline_parallel} stages of {split}"

    def over_nodes(self, split: int | None, num_gpus: int) -> list[tuple[Replica, StepTable]]:
        """Replicas over the fewest nodes that hold one: stages over nodes, and groups of experts over nodes."""
        network = self.job.architecture
        if not isinstance(network, Transformer):
            return []
        splits = tensor_splits(network, num_gpus)
        if split is not None:
            splits = tuple(one for one in splits if one == split)
        usable = usable_bytes(self.placement.gpu, self.placement.device_memory_bytes) or 0.0
        stored, projected = stored_bytes(self.job), attention_bytes(self.job)
        weights = float(np.sum(weight_bytes(network, self.job.dtype, stored=stored, attention=projected)))
        for nodes in NODES:
            total = nodes * num_gpus
            if total * usable <= weights:
                continue
            shapes = [
                Shape(one, total // (one * experts), experts, nodes, num_gpus)
                for one in splits
                for experts in served_experts(self.job, total // one)
                if experts <= MAX_GROUPS and (experts > 1 or one == max(splits))
            ]
            wanted = [one for one in shapes if one.pipeline <= nodes and _may_be_stages(self.job, one.pipeline)]
            held = [each for each in map(self._held, wanted) if not isinstance(each, str)]
            if held:
                return held
        return []

    def _held(self, shape: Shape) -> tuple[Replica, StepTable] | str:
        """The replica of that shape with its table, where its cache holds the longest request."""
        place = self.key, shape
        if place not in self.tables:
            self.tables[place] = self._tabulated(shape)
        found = self.tables[place]
        if isinstance(found, str):
            return found
        longest, held = self.job.prompt_tokens + self.job.output_tokens, found[1].capacity / shape.experts
        if held > longest + self.policy.tokens_per_step:
            return found
        return f"the longest request has {longest:,} tokens and the cache of a replica holds {held:,.0f}"

    def _tabulated(self, shape: Shape) -> tuple[Replica, StepTable] | str:
        usable = usable_bytes(self.placement.gpu, self.placement.device_memory_bytes)
        if usable is None:
            return f"the memory size of {self.placement.gpu.key} is not known"
        found = replica(self.job, self.profile, shape, usable, self.policy.batch_tokens, self.usual_prompt)
        if isinstance(found, str):
            return found
        policy = self.policy.for_groups(shape.experts)
        front = found.front if policy.front_seconds is None else Front(policy.front_seconds)
        return found, tabulate(found.steps, policy.max_sequences, policy.batch_tokens, front, found.reserve)


def _stages(job: InferenceJob, most: int) -> list[int]:
    """Pipeline stages to try, fewest first: more only where fewer do not hold the weights."""
    if job.pipeline_parallel is not None:
        return [job.pipeline_parallel] if job.pipeline_parallel <= most else []
    return [stages for stages in PIPELINES if stages <= most and _may_be_stages(job, stages)]


def _may_be_stages(job: InferenceJob, stages: int) -> bool:
    """Whether so many stages are asked for; where none are, whether they divide the layers or have many each."""
    if job.pipeline_parallel is not None:
        return stages == job.pipeline_parallel
    layers = job.architecture.num_layers if isinstance(job.architecture, Transformer) else 1
    return stages <= layers and (layers % stages == 0 or layers >= MANY_LAYERS * stages)


def _way(placement: Placement, found: Replica, num_gpus: int, table: StepTable, currency: str) -> Way:
    price = None if placement.price is None else placement.price.amount
    is_attached = placement.device_id is not None
    is_comparable = price is not None and placement.currency == currency
    return Way(
        title=placement.title,
        layout=found.layout,
        gpus_per_replica=found.num_gpus,
        table=table,
        groups=found.shape.experts,
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
