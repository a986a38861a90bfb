"""Seconds of one optimizer step per layout: passes, what stages idle, the optimizer, and exchanges that lie bare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from planner.calibration.efficiency import Seconds
from planner.calibration.sample import Operation
from planner.estimates.communication import (
    Links,
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    send_seconds,
)
from planner.estimates.estimate import Layout
from planner.estimates.layout import Layouts, alone
from planner.estimates.priors import StackPrior, load_priors
from planner.estimates.profile import Profile, scaled
from planner.jobs.architecture import Transformer
from planner.jobs.blocks import exchanging_layers
from planner.jobs.convnet import ConvNet
from planner.jobs.footprint import QUANTISED_BASE_BYTES, local_parameters
from planner.jobs.job import Recompute, TrainingJob, TrainingMethod
from planner.jobs.operations import (
    Amount,
    Pass,
    TrainingWork,
    accumulation_work,
    lora_parameters,
    optimizer_work,
    side_dtype,
    training_work,
)

Array = NDArray[np.float64]
PASS_ARRAYS = ("micro_batch", "tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel")


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds of one optimizer step per layout, by part: micro-batches, what the stages of a pipeline idle, optimizer,
    exposed communication, constant."""

    compute: Seconds  # all micro-batches of the step
    bubble: Array
    optimizer: Seconds
    communication: Array
    constant: float
    composed: Array  # one micro-batch and the optimizer by their operations alone: where a correction is looked up
    micro_seconds: Array  # one micro-batch forward and backward of one stage, without communication

    @property
    def total(self) -> Array:
        total: Array = self.compute.total + self.bubble + self.optimizer.total + self.communication + self.constant
        return total


def step_times(job: TrainingJob, profile: Profile, layouts: Layouts, links: Links | None) -> StepTimes:
    """Seconds of one step per layout: (m + (p−1)/v) micro-batches of the slowest stage, and what lies bare between."""
    local = _local(job, layouts)
    updated = local / np.where(layouts.shard_optimizer > 0, layouts.replicas, 1.0)
    rows = layouts.micro_batch * job.sequence_length
    micro = _passes_seconds(job, profile, layouts)
    optimizer = profile.composed(Operation.TRAIN_STEP, (optimizer_work(updated),) if job.updates_weights else ())
    composed = np.asarray(micro.total + optimizer.total)  # a step of one micro-batch, as calibrations measure it
    factor = profile.factor(Operation.TRAIN_STEP, rows, float(job.sequence_length), composed, job.architecture)
    num_micro = micro_batches_per_step(job, layouts)
    alone_seconds = np.broadcast_to(micro.total * factor, layouts.data_parallel.shape)
    summed = profile.composed(Operation.TRAIN_STEP, (accumulation_work(local),))
    micro = scaled(_with(micro, summed, np.where(num_micro > 1, 1.0, 0.0)), factor)
    optimizer = scaled(optimizer, factor)
    stage = np.broadcast_to(micro.total, layouts.data_parallel.shape)
    inside, once, slowed = np.zeros(layouts.size), np.zeros(layouts.size), np.zeros(layouts.size)
    if links is not None:
        stack = profile.training or load_priors().stacks[job.stack]
        inside = _inside_micro_batch(job, layouts, links, stage, stack)
        once = _once_per_step(job, layouts, links, stage, stack.overlap * links.hides)
        slowed = _slowed(layouts, alone_seconds, num_micro, stack)
    idle = (layouts.pipeline_parallel - 1.0) / layouts.virtual_stages
    return StepTimes(
        compute=Seconds(
            num_micro * micro.total, num_micro * micro.compute, num_micro * micro.memory, num_micro * micro.overhead
        ),
        bubble=np.where(idle > 0, idle * (stage + np.where(np.isfinite(inside), inside, 0.0)), 0.0),
        optimizer=optimizer,
        communication=num_micro * inside + once + slowed,
        constant=profile.training.step_seconds if profile.training and job.updates_weights else 0.0,
        composed=np.broadcast_to(composed, layouts.data_parallel.shape),
        micro_seconds=stage,
    )


def forward_share(job: TrainingJob, profile: Profile, layout: Layout, links: Links | None) -> float:
    """The part of a step in which its samples go forward through the network; exchanges are divided as passes are."""
    work = _passes(job, tuple((float(getattr(layout, name)),) for name in PASS_ARRAYS))
    whole = profile.composed(Operation.TRAIN_STEP, (*work.forward, *work.recompute, *work.backward)).total
    forward = float(np.asarray(profile.composed(Operation.TRAIN_STEP, work.forward).total / whole))
    times = step_times(job, profile, alone(layout), links)
    passes = times.compute.total + times.bubble + times.communication
    return forward * float(np.asarray(passes / times.total).flat[0])


def _passes_seconds(job: TrainingJob, profile: Profile, layouts: Layouts) -> Seconds:
    """A micro-batch forward and backward per layout, by its operations alone. Layouts that differ in nothing that a
    pass sees (how many copies there are, what is sharded) are timed once."""
    columns = [getattr(layouts, name) for name in PASS_ARRAYS]
    code = np.zeros(layouts.size, dtype=np.int64)
    for column in columns:
        code = code * (int(column.max()) + 1) + column.astype(np.int64)
    _, first, places = np.unique(code, return_index=True, return_inverse=True)
    kinds = tuple(tuple(column[first].tolist()) for column in columns)
    work = _passes(job, kinds)
    works = (*work.forward, *work.recompute, *work.backward)
    found = profile.composed(Operation.TRAIN_STEP, works)

    def spread(part: Amount) -> Array:
        return np.broadcast_to(part, first.shape)[places]

    return Seconds(spread(found.total), spread(found.compute), spread(found.memory), spread(found.overhead))


@lru_cache(maxsize=128)
def _passes(job: TrainingJob, kinds: tuple[tuple[float, ...], ...]) -> TrainingWork:
    """The operations of a micro-batch for every kind of pass, the same for each GPU that is asked about."""
    tokens = float(job.sequence_length)
    micro, tensor, pipeline, context, expert = (np.array(column) if len(column) > 1 else column[0] for column in kinds)
    stages, head_share = slowest_stage(job, pipeline)
    through = Pass(
        micro,
        tokens,
        job.dtype,
        tensor_parallel=tensor,
        head_tokens=None if head_share is None else head_share * tokens,
        target_tokens=None if job.target_length is None else float(job.target_length),
        pipeline_parallel=stages,
        context_parallel=context,
        expert_parallel=expert,
        norm_parallel=tensor if job.sequence_parallel else 1.0,
    )
    return training_work(
        job.architecture,
        through,
        0.0,
        job.recompute,
        job.method,
        job.lora_rank,
        job.fused_attention,
        job.channels_last,
        job.lora_targets,
    )


def slowest_stage(job: TrainingJob, pipeline: Amount) -> tuple[Amount, Amount | None]:
    """The stages that the slowest one is a share of, and the part of the positions that reaches the output head there
    (None: all). Where layers do not divide, those who place them give the stages with more layers no head."""
    network = job.architecture
    share = None if job.head_share == 1.0 else max(job.head_share, 1.0 / job.sequence_length)
    if not isinstance(network, Transformer) or network.encoder_layers:
        return pipeline, share
    layers = float(network.num_layers)
    uneven = np.mod(layers, pipeline) > 0
    if not np.any(uneven):
        return pipeline, share
    return layers / np.ceil(layers / pipeline), np.where(uneven, 0.0, 1.0 if share is None else share)


def _with(micro: Seconds, more: Seconds, times: Array) -> Seconds:
    """A micro-batch and so many times something more."""
    return Seconds(
        micro.total + times * more.total,
        micro.compute,
        micro.memory + times * more.memory,
        micro.overhead + times * more.overhead,
    )


def trained_parameters(job: TrainingJob) -> float:
    """Weights that get gradients."""
    if job.method is not TrainingMethod.FULL and isinstance(job.architecture, Transformer):
        return float(lora_parameters(job.architecture, job.lora_rank, job.lora_targets))
    return float(job.architecture.num_parameters)


def micro_batches_per_step(job: TrainingJob, layouts: Layouts) -> Array:
    found: Array = np.ceil(np.ceil(job.global_batch / layouts.data_parallel) / layouts.micro_batch)
    return found


def _local(job: TrainingJob, layouts: Layouts) -> Amount:
    """Weights with gradients on one GPU, before any sharding."""
    if job.method is not TrainingMethod.FULL:
        return trained_parameters(job) / (layouts.tensor_parallel * layouts.pipeline_parallel)
    return _weights(job, layouts)


def _weights(job: TrainingJob, layouts: Layouts) -> Amount:
    return local_parameters(
        job.architecture, layouts.tensor_parallel, layouts.pipeline_parallel, layouts.expert_parallel
    )


def _inside_micro_batch(job: TrainingJob, layouts: Layouts, links: Links, micro: Array, stack: StackPrior) -> Array:
    """Exposed seconds of one micro-batch on one stage: activations of tensor-, context- and expert-parallel blocks,
    stages that hand over, and weights that are gathered."""
    architecture = job.architecture
    e = side_dtype(job.dtype).num_bytes
    exposed = np.zeros(layouts.size)
    overlap = stack.overlap * links.hides
    if isinstance(architecture, Transformer):
        t, c, p = layouts.tensor_parallel, layouts.context_parallel, layouts.pipeline_parallel
        layers = exchanging_layers(architecture, job.sequence_length, job.target_length) / p
        rows = layouts.micro_batch * job.sequence_length / c
        hidden = rows * architecture.hidden * e
        again = job.recompute is Recompute.FULL
        exchanges = (6.0 if again else 4.0) * layers
        # What is cut into pieces to hide behind products stays inside a node; across nodes it lies bare.
        # It takes exchanges that are halves of an all-reduce, as sequence parallelism makes them.
        cut = stack.tensor_overlap if job.sequence_parallel else 0.0
        bare = np.where(t > links.domain, 1.0, 1.0 - cut)
        exposed += exchanges * bare * all_reduce_seconds(hidden, t, links)
        if architecture.num_experts > 1:
            routed = hidden * architecture.experts_per_token
            open_share = 1.0 - load_priors().figures["expert_overlap"]
            # A group that takes all GPUs of a stage takes those of a tensor-parallel group too.
            stride = np.clip(layouts.replicas * t / layouts.expert_parallel, 1.0, t)
            exposed += exchanges * open_share * all_to_all_seconds(routed, layouts.expert_parallel, links, stride)
        kv = 2.0 * rows * architecture.num_kv_heads * architecture.head_dim * e / t * c
        ring = (4.0 if again else 3.0) * layers * all_gather_seconds(kv, c, links, t)
        exposed += np.maximum(ring - overlap * micro * _attention_share(job), 0.0)
        # What stages hand over hides behind the next micro-batch as other exchanges behind a pass.
        sent = send_seconds(hidden / t, links, layouts.replicas * t)
        handed = 2.0 * layouts.virtual_stages * (1.0 - stack.overlap) * sent
        exposed += np.where(p > 1, handed, 0.0)
    if not (layouts.shard_weights > 0).any():
        return exposed
    stride = layouts.tensor_parallel
    stored = QUANTISED_BASE_BYTES if job.method is TrainingMethod.QLORA else e
    weights, gradients = stored * _weights(job, layouts), e * _local(job, layouts)
    gathered = 2.0 * all_gather_seconds(weights, layouts.replicas, links, stride)
    scattered = all_gather_seconds(gradients, layouts.replicas, links, stride)
    sharded = np.maximum(gathered + scattered - overlap * micro, 0.0)
    return exposed + np.where(layouts.shard_weights > 0, sharded, 0.0)


def _slowed(layouts: Layouts, micro: Array, num_micro: Array, stack: StackPrior) -> Array:
    """Seconds by which passes take longer while copies exchange gradients behind them: of the last micro-batch, of all
    where weights are gathered for each."""
    passes = np.where(layouts.shard_weights > 0, num_micro, 1.0)
    found: Array = np.where(layouts.replicas > 1, stack.contention * micro * passes, 0.0)
    return found


def _attention_share(job: TrainingJob) -> float:
    """The part of a block's FLOPs that are attention's, behind which a ring of keys and values hides."""
    architecture = job.architecture
    if isinstance(architecture, ConvNet):
        return 0.0
    attention = 2.0 * job.sequence_length * architecture.num_heads * architecture.head_dim
    active = architecture.experts_per_token + architecture.shared_experts
    products = 2.0 * (architecture.attention_parameters + active * architecture.ffn_parameters)
    return attention / (attention + products)


def _once_per_step(job: TrainingJob, layouts: Layouts, links: Links, micro: Array, overlap: float) -> Array:
    """Exposed seconds of reducing gradients (and gathering updated weights) where weights are not sharded."""
    e = side_dtype(job.dtype).num_bytes
    stride = layouts.tensor_parallel
    reduced = all_reduce_seconds(e * _local(job, layouts), layouts.replicas, links, stride)
    # Sharded optimizer states gather the new weights behind the next forward pass too.
    hidden = np.where(layouts.shard_optimizer > 0, 1.0, 2.0 / 3.0) * overlap * micro
    exposed = np.maximum(reduced - hidden, 0.0)
    found: Array = np.where(layouts.shard_weights > 0, 0.0, exposed)
    return found
