"""Candidate layouts of a job over the GPUs of one node, as arrays with one entry per candidate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.estimates.estimate import Layout
from planner.jobs.architecture import Transformer
from planner.jobs.job import InferenceJob, TrainingJob, TrainingMethod

Array = NDArray[np.float64]
SHARDINGS = ("none", "zero1", "zero3")
MAX_MICRO_BATCH = 64


@dataclass(frozen=True, slots=True)
class Layouts:
    """Candidates: GPUs in data parallel × tensor parallel, sequences per pass, and the index into SHARDINGS."""

    data_parallel: Array
    tensor_parallel: Array
    micro_batch: Array
    sharding: Array
    recompute: str

    @property
    def size(self) -> int:
        return int(self.data_parallel.size)

    @property
    def shard_optimizer(self) -> Array:
        return (self.sharding >= 1).astype(float)

    @property
    def shard_weights(self) -> Array:
        return (self.sharding >= 2).astype(float)

    @property
    def num_groups(self) -> Array:
        """Kinds of parallelism that need a communicator."""
        groups: Array = (self.data_parallel > 1).astype(float) + (self.tensor_parallel > 1)
        return groups

    @property
    def simplicity(self) -> Array:
        """Smaller is simpler: less tensor parallelism, then less sharding, then smaller micro-batches."""
        order: Array = self.tensor_parallel * 1e6 + self.sharding * 1e3 + self.micro_batch
        return order

    def at(self, place: int) -> Layout:
        return Layout(
            data_parallel=int(self.data_parallel[place]),
            tensor_parallel=int(self.tensor_parallel[place]),
            pipeline_parallel=1,
            micro_batch=int(self.micro_batch[place]),
            sharding=SHARDINGS[int(self.sharding[place])],
            recompute=self.recompute,
        )


def training_layouts(job: TrainingJob, num_gpus: int) -> Layouts:
    """Every split in data × tensor parallel with every sharding and power-of-two micro-batch that the batch allows.

    Empty where the global batch has fewer sequences than there are data-parallel GPUs.
    """
    rows = []
    for tensor in tensor_splits(job.architecture, num_gpus):
        ranks = num_gpus // tensor
        if job.global_batch < ranks:
            continue
        per_rank = -(-job.global_batch // ranks)
        shardings: tuple[int, ...] = (0, 1, 2) if ranks > 1 and job.method is TrainingMethod.FULL else (0,)
        if ranks > 1 and job.method is TrainingMethod.LORA:
            shardings = (0, 2)
        for micro in _micro_batches(job, per_rank):
            rows += [(ranks, tensor, micro, sharding) for sharding in shardings]
    return _layouts(rows, job.recompute.value)


def inference_layouts(job: InferenceJob, num_gpus: int) -> Layouts:
    """Every split into replicas × tensor parallel."""
    splits = tensor_splits(job.architecture, num_gpus)
    return _layouts([(num_gpus // tensor, tensor, 1, 0) for tensor in splits], "none")


def tensor_splits(architecture: Transformer, num_gpus: int) -> tuple[int, ...]:
    """Divisors of the number of GPUs that divide heads and feed-forward width, smallest first."""
    return tuple(
        split
        for split in range(1, num_gpus + 1)
        if num_gpus % split == 0 and architecture.num_heads % split == 0 and architecture.ffn % split == 0
    )


def _micro_batches(job: TrainingJob, per_rank: int) -> tuple[int, ...]:
    if job.micro_batch is not None:
        return (min(job.micro_batch, per_rank),)
    doublings = (1, 2, 4, 8, 16, 32, MAX_MICRO_BATCH)
    return tuple(size for size in doublings if size <= per_rank)


def _layouts(rows: list[tuple[int, int, int, int]], recompute: str) -> Layouts:
    table = np.array(rows, dtype=float).reshape(len(rows), 4)
    return Layouts(table[:, 0], table[:, 1], table[:, 2], table[:, 3], recompute)
