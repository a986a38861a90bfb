"""Seconds of single steps of a serving replica: a pass over prompts, a decoding step, a step that does both.

`Deployment` times arrays of passes over arrays of layouts; `ReplicaSteps` is one replica of one layout, which is all
that a simulation of requests needs to know.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.calibration.efficiency import Seconds
from planner.calibration.sample import Operation
from planner.estimates import memory
from planner.estimates.communication import Links, all_reduce_seconds, all_to_all_seconds, send_seconds
from planner.estimates.layout import Layouts
from planner.estimates.priors.serving import EnginePrior, load_serving_priors
from planner.estimates.profile import Profile
from planner.estimates.serving_experts import attention_bytes, attention_dtype, routed
from planner.estimates.serving_profile import multiplies_packed
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.convolutions import picture_work
from planner.jobs.engine import Engine
from planner.jobs.footprint import inference_bytes, weight_bytes
from planner.jobs.job import InferenceJob
from planner.jobs.operations import (
    Amount,
    Pass,
    Work,
    WorkClass,
    forward_work,
    kv_bytes_per_token,
    side_dtype,
)

Array = NDArray[np.float64]
# Normalisation is folded into the convolution before it by engines that compile; eager programs run it (by design of
# batch normalisation, Ioffe and Szegedy 2015, section 3.1).
FOLDED_NORM = 0.3
# Rows of the busiest of several groups of experts ÷ the mean: routing follows a power law (our design notes).
BUSIEST_EXPERTS = 1.2


@dataclass(frozen=True, slots=True)
class StepParts:
    """Operations of a pass, what GPUs exchange in it, and both with what the engine adds; seconds."""

    operations: Seconds
    exchange: Array
    total: Array


@dataclass(frozen=True, slots=True)
class Deployment:
    """A job on layouts of one kind of GPU: everything that a step's time follows from."""

    job: InferenceJob
    profile: Profile
    layouts: Layouts
    links: Links | None

    @property
    def engine(self) -> EnginePrior:
        return load_serving_priors().engines[self.job.engine]

    @property
    def stages(self) -> Amount:
        return self.layouts.pipeline_parallel

    def prompts(self, num: Amount, tokens: Amount, context: Amount = 0.0, *, overlapped: bool = False) -> StepParts:
        """A pass over `num` prompts of `tokens` new tokens each, after `context` earlier ones. `overlapped`: others
        follow at once, so that every stage of a pipeline is busy."""
        through = Pass(
            num,
            tokens,
            self.job.dtype,
            context,
            self.layouts.tensor_parallel,
            kv_dtype(self.job),
            head_tokens=1.0 if self.job.output_tokens else self.job.head_share * tokens,
            expert_parallel=self.layouts.expert_parallel,
            weight_bytes=self._moved_weight(),
            attention_dtype=attention_dtype(self.job),
        )
        works = self._works(through)
        parts = self.profile.seconds(Operation.PREFILL, works, through.rows, tokens + context, self.job.architecture)
        exchange = self.exchange(through.rows)
        total = self._with_engine(parts.total, exchange, Operation.PREFILL, 0.0)
        return StepParts(
            parts, exchange, total * (1.0 / self.stages if overlapped else self._filled_stages(through.rows))
        )

    def decode(self, active: Amount, context: Amount) -> StepParts:
        """A step of `active` sequences on a replica, each after `context` tokens; the stages of a pipeline work on as
        many groups of them at once."""
        group = np.maximum(active / self.stages, 1.0)
        step = Pass(
            group,
            1.0,
            self.job.dtype,
            context,
            self.layouts.tensor_parallel,
            kv_dtype(self.job),
            expert_parallel=self.layouts.expert_parallel,
            weight_bytes=self._moved_weight(),
            attention_dtype=attention_dtype(self.job),
        )
        parts = self.profile.seconds(Operation.DECODE, self._works(step), group, context + 1.0, self.job.architecture)
        exchange = self.exchange(group)
        return StepParts(parts, exchange, self._with_engine(parts.total, exchange, Operation.DECODE, active))

    def exchange(self, rows: Amount) -> Array:
        """Two all-reduces of the hidden state per block among tensor-parallel GPUs, sending rows to their experts and
        back, and handing over between stages."""
        network = self.job.architecture
        if self.links is None or isinstance(network, ConvNet):
            return np.zeros(np.shape(rows + self.layouts.tensor_parallel))
        num_bytes = rows * network.hidden * side_dtype(self.job.dtype).num_bytes
        reduced = all_reduce_seconds(num_bytes, self.layouts.tensor_parallel, self.links)
        total: Array = 2.0 * network.num_layers * reduced
        if np.any(self.layouts.expert_parallel > 1):
            total = total + self._routing(network, num_bytes, self.links)
        if np.any(np.asarray(self.stages) > 1):
            handed = send_seconds(num_bytes, self.links, self.layouts.tensor_parallel)
            total = total + (self.stages - 1.0) * handed
        return total

    def _routing(self, network: Transformer, num_bytes: Amount, links: Links) -> Array:
        """Each row goes to the groups that hold one of its k experts, E·(1 − (1 − 1/E)^k) of E groups if they are drawn
        at random, and comes back: two exchanges of all with all per block with experts."""
        groups = self.layouts.expert_parallel
        reached = groups * (1.0 - (1.0 - 1.0 / groups) ** network.experts_per_token)
        seconds = all_to_all_seconds(num_bytes * reached, groups, links, self.layouts.tensor_parallel)
        found: Array = 2.0 * network.expert_layers * seconds
        return found

    def _filled_stages(self, rows: Amount) -> Amount:
        """Parts of a prompt follow each other through the stages of a pipeline: n parts take (n + p − 1) ÷ (n · p)."""
        parts = np.maximum(np.ceil(rows / self.engine.prompt_tokens), 1.0)
        found: Amount = (parts + self.stages - 1.0) / (parts * self.stages)
        return found

    def _works(self, through: Pass) -> tuple[Work, ...]:
        network = self.job.architecture
        if not isinstance(network, ConvNet):
            works = forward_work(network, through)
            if self.profile.fit is None:
                works = tuple(routed(work, self.engine) for work in works)
            if not np.any(self.layouts.expert_parallel > 1):
                return works
            busiest = np.where(self.layouts.expert_parallel > 1, BUSIEST_EXPERTS, 1.0)
            return tuple(
                replace(work, count=work.count * busiest) if work.work_class is WorkClass.EXPERT else work
                for work in works
            )
        is_eager = self.job.engine is Engine.PYTORCH or self.profile.fit is not None  # as calibrations run it
        channels_last = self.job.channels_last or not is_eager
        works = picture_work(network, through, channels_last=channels_last, keeps_narrow=not is_eager)
        if is_eager:
            return works if self.profile.fit is not None else tuple(_called(work) for work in works)
        return tuple(_folded(work, self.engine.kernels) for work in works)

    def _moved_weight(self) -> float | None:
        stored = stored_bytes(self.job)
        if stored is None or multiplies_packed(self.profile.gpu, self.job):
            return stored
        return stored * self.engine.packed

    def _with_engine(self, operations: Amount, exchange: Array, operation: Operation, active: Amount) -> Array:
        """A measured device has its own engine in its measurements."""
        if self.profile.fit is not None:
            return np.asarray(operations + exchange)
        engine = self.engine
        if operation is Operation.PREFILL:
            return np.asarray(operations * engine.prefill + exchange + engine.prefill_ms * 1e-3)
        host = engine.step_ms * 1e-3 + engine.request_us * 1e-6 * active
        return np.asarray(operations * engine.decode + exchange + host)


def _called(work: Work) -> Work:
    """The host takes longer over a convolution than over another kernel: it looks its algorithm up."""
    if work.work_class not in (WorkClass.CONVOLUTION, WorkClass.DEPTHWISE):
        return work
    return replace(work, launches=work.launches * load_serving_priors().figures["convolution_calls"])


def _folded(work: Work, kernels: float) -> Work:
    """A convolution with what is folded into it is one kernel, whatever share is left of other kernels."""
    if work.work_class in (WorkClass.CONVOLUTION, WorkClass.DEPTHWISE):
        return replace(work, launches=work.launches / kernels)
    if work.work_class is not WorkClass.NORMALISATION:
        return work
    return replace(work, num_bytes=work.num_bytes * FOLDED_NORM, launches=0.0)


def kv_dtype(job: InferenceJob) -> Dtype:
    """The format of the cache: as asked, else 16 bits beside 8- and 4-bit weights."""
    return job.kv_dtype or side_dtype(job.dtype)


def stored_bytes(job: InferenceJob) -> float | None:
    """Bytes of a block's weight in memory where weights alone are quantised."""
    return None if job.weight_bits is None else job.weight_bits / 8.0


def serving_items(
    job: InferenceJob, profile: Profile, layouts: Layouts, sequences: Array, tokens: float | None = None
) -> dict[str, Amount]:
    """The memory bill per layout with so many sequences on each replica at `tokens` each (None: their full length)."""
    full = job.prompt_tokens + job.output_tokens
    groups = ((layouts.tensor_parallel > 1) | (layouts.pipeline_parallel > 1)).astype(float)
    groups = groups + (layouts.expert_parallel > 1)
    network = job.architecture
    if isinstance(network, ConvNet) or not job.output_tokens:
        return memory.with_runtime(_pass_items(job, sequences, layouts), profile.gpu, groups)
    items = inference_bytes(
        network,
        job.dtype,
        kv_dtype(job),
        sequences,
        full if tokens is None else tokens,
        job.prompt_tokens,
        layouts.tensor_parallel,
        layouts.pipeline_parallel,
        stored_bytes(job),
        layouts.expert_parallel,
        attention_bytes(job),
    )
    return memory.with_runtime(items, profile.gpu, groups)


def _pass_items(job: InferenceJob, sequences: Array, layouts: Layouts) -> dict[str, Amount]:
    """Weights, and two layers' activations of a batch: nothing is kept from layer to layer."""
    network, e = job.architecture, side_dtype(job.dtype).num_bytes
    split = layouts.tensor_parallel
    weights = weight_bytes(network, job.dtype, split, layouts.pipeline_parallel, stored_bytes(job))
    if isinstance(network, ConvNet):
        widest = max(conv.size**2 * (conv.inputs + conv.outputs) for conv in network.convs)
        return {"weights": weights, "activations": e * sequences * widest}
    gates = 2 if network.gated else 1
    width = 4 * network.hidden + (gates + 1) * network.ffn / split
    return {"weights": weights, "activations": e * sequences * job.prompt_tokens * width}


@dataclass(frozen=True, slots=True)
class ReplicaSteps:
    """One replica of one layout. Arrays broadcast; seconds."""

    deployment: Deployment
    kv_bytes_per_token: float  # of the whole replica
    kv_capacity_tokens: float

    def prefill_seconds(self, num_tokens: Array, context: Array) -> Array:
        """A pass over `num_tokens` new tokens of one prompt that follow `context` earlier ones."""
        return self._flat(lambda new, seen: self.deployment.prompts(1.0, new, seen).total, num_tokens, context)

    def decode_seconds(self, batch: Array, kv_tokens: Array) -> Array:
        """A step of `batch` sequences whose keys and values are `kv_tokens` tokens in all."""
        return self._flat(lambda num, cached: self.deployment.decode(num, cached / num).total, batch, kv_tokens)

    def step_seconds(self, batch: Array, kv_tokens: Array, num_tokens: Array, context: Array) -> Array:
        """A step that decodes `batch` sequences and takes in `num_tokens` of prompts: both, less what they share, which
        is one reading of the weights and one round of launches (a pass over a single token)."""
        batch, kv_tokens, num_tokens, context = np.broadcast_arrays(batch, kv_tokens, num_tokens, context)
        decode = np.where(batch > 0, self.decode_seconds(np.maximum(batch, 1.0), kv_tokens), 0.0)
        prompt = np.where(num_tokens > 0, self.prefill_seconds(np.maximum(num_tokens, 1.0), context), 0.0)
        alone = self.prefill_seconds(np.ones_like(num_tokens, dtype=float), np.zeros_like(context, dtype=float))
        both = np.maximum(prompt - alone, 0.0) + decode
        return np.where((batch > 0) & (num_tokens > 0), both, decode + prompt)

    def _flat(self, seconds, first: Array, second: Array) -> Array:  # type: ignore[no-untyped-def]
        first, second = np.broadcast_arrays(np.asarray(first, dtype=float), np.asarray(second, dtype=float))
        found = np.asarray(seconds(first.ravel(), second.ravel()), dtype=float)
        return np.broadcast_to(found, first.size).reshape(first.shape)


def replica_steps(deployment: Deployment, usable: float) -> ReplicaSteps:
    """The replica of a deployment of exactly one layout, with `usable` bytes per GPU. Raises ValueError for several."""
    layouts = deployment.layouts
    if layouts.size != 1:
        raise ValueError(f"a replica has one layout, not {layouts.size}")
    job, network = deployment.job, deployment.job.architecture
    if isinstance(network, ConvNet) or not job.output_tokens:
        raise ValueError("a job of single passes keeps no cache")
    none = memory.total(serving_items(job, deployment.profile, layouts, np.zeros(1)))
    room = max(usable - memory.pick(none, 0), 0.0)
    if deployment.profile.fit is None:
        room *= deployment.engine.cache_memory
    gpus = float(layouts.tensor_parallel[0] * layouts.pipeline_parallel[0])
    per_gpu = memory.pick(kv_bytes_per_token(network, kv_dtype(job), layouts.tensor_parallel), 0)
    per_gpu /= float(layouts.pipeline_parallel[0])
    return ReplicaSteps(deployment, per_gpu * gpus, room / per_gpu)
