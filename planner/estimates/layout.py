"""Candidate layouts of a job over GPUs, as arrays with one entry per candidate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from planner.estimates.estimate import Layout
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.job import InferenceJob, Sharding, Stack, TrainingJob, TrainingMethod

Array = NDArray[np.float64]
SHARDINGS = tuple(sharding.value for sharding in Sharding)
MAX_MICRO_BATCH = 256
MAX_SEARCHED_PIPELINE = 64
MAX_SEARCHED_VIRTUAL = 8  # interleaved stages per GPU
ARRAYS = (
    *("data_parallel", "tensor_parallel", "micro_batch", "sharding"),
    *("pipeline_parallel", "context_parallel", "expert_parallel", "virtual_stages"),
)
LONG_SEQUENCE = 32_768  # from here on the search also splits the sequence itself


@dataclass(frozen=True, slots=True)
class Layouts:
    """Candidates: the product of all kinds of parallelism but the experts' is the number of GPUs; sequences per pass,
    and the index into SHARDINGS."""

    data_parallel: Array
    tensor_parallel: Array
    micro_batch: Array
    sharding: Array
    pipeline_parallel: Array
    context_parallel: Array
    expert_parallel: Array
    virtual_stages: Array
    recompute: str

    @property
    def size(self) -> int:
        return int(self.data_parallel.size)

    def only(self, kept: NDArray[np.bool_]) -> Layouts:
        """The candidates that `kept` marks."""
        arrays = {name: getattr(self, name)[kept] for name in ARRAYS}
        return Layouts(**arrays, recompute=self.recompute)

    @property
    def shard_optimizer(self) -> Array:
        return (self.sharding >= 1).astype(float)

    @property
    def shard_gradients(self) -> Array:
        return (self.sharding >= 2).astype(float)

    @property
    def shard_weights(self) -> Array:
        return (self.sharding >= 3).astype(float)

    @property
    def replicas(self) -> Array:
        """GPUs that hold the same weights: data × context parallel."""
        found: Array = self.data_parallel * self.context_parallel
        return found

    @property
    def num_groups(self) -> Array:
        """Kinds of parallelism that need a communicator."""
        groups: Array = sum(
            (kind > 1).astype(float)
            for kind in (
                self.data_parallel,
                self.tensor_parallel,
                self.pipeline_parallel,
                self.context_parallel,
                self.expert_parallel,
            )
        ) + np.zeros(self.size)
        return groups

    @property
    def simplicity(self) -> Array:
        """Smaller is simpler: fewer kinds of parallelism, then less sharding, then smaller micro-batches."""
        model: Array = self.pipeline_parallel * self.context_parallel * self.tensor_parallel * 1e6
        order: Array = model + self.expert_parallel * 1e4 + self.sharding * 1e3 + self.micro_batch
        return order

    def at(self, place: int) -> Layout:
        return Layout(
            data_parallel=int(self.data_parallel[place]),
            tensor_parallel=int(self.tensor_parallel[place]),
            pipeline_parallel=int(self.pipeline_parallel[place]),
            micro_batch=int(self.micro_batch[place]),
            sharding=SHARDINGS[int(self.sharding[place])],
            recompute=self.recompute,
            context_parallel=int(self.context_parallel[place]),
            expert_parallel=int(self.expert_parallel[place]),
            virtual_stages=int(self.virtual_stages[place]),
        )


def training_layouts(job: TrainingJob, num_gpus: int, domain: int | None = None) -> Layouts:
    """Every split that the job leaves open, with every sharding and power-of-two micro-batch that the batch allows.

    `domain` is how many GPUs the fast links join: tensor parallelism that is not asked for stays inside. Empty where
    the global batch has fewer sequences than there are data-parallel GPUs, or what is asked for does not divide.
    """
    rows = []
    for tensor, pipeline, context in _model_splits(job, num_gpus, domain or num_gpus):
        ranks = num_gpus // (tensor * pipeline * context)
        if job.global_batch < ranks or job.data_parallel not in (None, ranks):
            continue
        per_rank = -(-job.global_batch // ranks)
        for expert in _expert_splits(job, ranks * context * tensor):
            for micro in _micro_batches(job, per_rank):
                rows += [
                    (ranks, tensor, micro, sharding, pipeline, context, expert, virtual)
                    for sharding in _shardings(job, ranks * context, pipeline)
                    for virtual in _virtual_stages(job, pipeline, -(-per_rank // micro))
                ]
    return _layouts(rows, job.recompute.value)


def inference_layouts(job: InferenceJob, num_gpus: int) -> Layouts:
    """Every split into replicas × tensor parallel × the stages that are asked for, and of replicas into groups that
    divide the experts; empty where they do not divide."""
    stages = job.pipeline_parallel or 1
    if num_gpus % stages:
        return _layouts([], "none")
    network, group = job.architecture, num_gpus // stages
    splits = (1,) if isinstance(network, ConvNet) else tensor_splits(network, group)
    if job.tensor_parallel is not None:
        splits = (job.tensor_parallel,) if group % job.tensor_parallel == 0 else ()
    rows = [
        (group // tensor, tensor, 1, 0, stages, 1, expert, 1)
        for tensor in splits
        for expert in served_experts(job, group // tensor)
    ]
    return _layouts(rows, "none")


def served_layout_faults(job: InferenceJob) -> list[tuple[str, str]]:
    """What is asked of an inference job's layout that no number of GPUs could do, as (field, message)."""
    network = job.architecture
    asked = {name: getattr(job, name) for name in ("tensor_parallel", "pipeline_parallel", "expert_parallel")}
    if isinstance(network, ConvNet):
        whole = "a convolutional network is not split over GPUs; leave it out or give 1"
        return [(name, whole) for name, value in asked.items() if value not in (None, 1)]
    found = []
    for name, number, what in (
        ("tensor_parallel", network.num_heads, "heads"),
        ("tensor_parallel", network.ffn, "feed-forward width"),
        ("expert_parallel", network.num_experts, "experts"),
    ):
        value = asked[name]
        if value is not None and value > 0 and number % value:
            found.append((name, f"{value} does not divide the {what} of {network.name}, {number:,}"))
    stages = asked["pipeline_parallel"] or 1
    if stages > network.num_layers:
        found.append(("pipeline_parallel", f"{stages} stages are more than the {network.num_layers} layers"))
    return found


def served_experts(job: InferenceJob, ranks: int) -> tuple[int, ...]:
    """How many of `ranks` tensor-parallel groups may divide the experts among them: as asked, else every divisor of
    both; none where what is asked for does not divide."""
    experts = job.architecture.num_experts if isinstance(job.architecture, Transformer) else 1
    wanted = range(1, ranks + 1) if job.expert_parallel is None else (job.expert_parallel,)
    return tuple(split for split in wanted if ranks % split == 0 and experts % split == 0)


def alone(layout: Layout) -> Layouts:
    """The layout as the only candidate."""
    first = layout.data_parallel, layout.tensor_parallel, layout.micro_batch, SHARDINGS.index(layout.sharding)
    second = layout.pipeline_parallel, layout.context_parallel, layout.expert_parallel, layout.virtual_stages
    return _layouts([(*first, *second)], layout.recompute)


def tensor_splits(architecture: Transformer, num_gpus: int) -> tuple[int, ...]:
    """Divisors of the number of GPUs that divide heads and feed-forward width, smallest first."""
    return tuple(
        split for split in _divisors(num_gpus) if architecture.num_heads % split == 0 and architecture.ffn % split == 0
    )


def _model_splits(job: TrainingJob, num_gpus: int, domain: int) -> Iterator[tuple[int, int, int]]:
    architecture = job.architecture
    if isinstance(architecture, ConvNet):
        yield 1, 1, 1
        return
    tensors = [split for split in tensor_splits(architecture, num_gpus) if split <= domain]
    if job.tensor_parallel is not None:
        tensors = [job.tensor_parallel]
    pipelines = [1]
    if job.pipeline_parallel is not None:
        pipelines = [job.pipeline_parallel]
    elif num_gpus > 1:
        most = min(architecture.num_layers, MAX_SEARCHED_PIPELINE)
        pipelines = [split for split in _divisors(num_gpus) if split <= most and architecture.num_layers % split == 0]
    contexts = [1]
    if job.context_parallel is not None:
        contexts = [job.context_parallel]
    elif job.sequence_length >= LONG_SEQUENCE:
        contexts = [split for split in _divisors(num_gpus) if job.sequence_length // split >= LONG_SEQUENCE // 8]
    for tensor, pipeline, context in product(tensors, pipelines, contexts):
        if num_gpus % (tensor * pipeline * context) == 0:
            yield tensor, pipeline, context


def _expert_splits(job: TrainingJob, ranks: int) -> list[int]:
    """Expert-parallel groups are drawn from the GPUs of one pipeline stage."""
    experts = job.architecture.num_experts if isinstance(job.architecture, Transformer) else 1
    if job.expert_parallel is not None:
        return [job.expert_parallel] if ranks % job.expert_parallel == 0 else []
    return [split for split in _divisors(ranks) if experts % split == 0]


def _shardings(job: TrainingJob, replicas: int, pipeline: int) -> tuple[int, ...]:
    """As asked; else all that the program has: Megatron shards optimizer states alone beside a pipeline."""
    if job.sharding is not None:
        return (SHARDINGS.index(job.sharding.value),)
    if replicas == 1 or isinstance(job.architecture, ConvNet):
        return (0,)
    if pipeline > 1 and job.stack is Stack.MEGATRON:
        return (0, 1) if job.method is TrainingMethod.FULL else (0,)
    return (0, 1, 2, 3) if job.method is TrainingMethod.FULL else (0, 3)


def _virtual_stages(job: TrainingJob, pipeline: int, num_micro: int) -> tuple[int, ...]:
    """As asked; Megatron interleaves where the stage's layers divide and the micro-batches fill the pipeline evenly."""
    if pipeline == 1:
        return (1,)
    if job.virtual_stages is not None:
        return (job.virtual_stages,)
    layers = 0 if isinstance(job.architecture, ConvNet) else job.architecture.num_layers
    if job.stack is not Stack.MEGATRON or num_micro % pipeline or layers % pipeline:
        return (1,)
    return tuple(split for split in _divisors(layers // pipeline) if split <= MAX_SEARCHED_VIRTUAL)


def _divisors(number: int) -> list[int]:
    return [split for split in range(1, number + 1) if number % split == 0]


def _micro_batches(job: TrainingJob, per_rank: int) -> tuple[int, ...]:
    if job.micro_batch is not None:
        return (min(job.micro_batch, per_rank),)
    doublings = (1, 2, 4, 8, 16, 32, 64, 128, MAX_MICRO_BATCH)
    return tuple(size for size in doublings if size <= per_rank)


def _layouts(rows: list[tuple[int, int, int, int, int, int, int, int]], recompute: str) -> Layouts:
    table = np.array(rows, dtype=float).reshape(len(rows), len(ARRAYS))
    return Layouts(**{name: table[:, place] for place, name in enumerate(ARRAYS)}, recompute=recompute)
