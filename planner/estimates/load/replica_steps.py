"""Seconds of the steps of one tensor-parallel replica, and how many tokens its cache holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.calibration.sample import Operation
from planner.estimates import memory
from planner.estimates.communication import Links, all_reduce_seconds, node_links
from planner.estimates.priors import load_priors
from planner.estimates.profile import Profile
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.footprint import inference_bytes
from planner.jobs.job import InferenceJob
from planner.jobs.operations import Pass, forward_work, kv_bytes_per_token, side_dtype
from planner.quantity import Cause

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReplicaSteps:
    """A replica of `tensor_parallel` GPUs of one kind; its cache holds `kv_capacity_tokens` (0 or less: none fits)."""

    job: InferenceJob
    architecture: Transformer
    profile: Profile
    tensor_parallel: int
    links: Links | None
    kv_bytes_per_token: float  # of all GPUs of the replica
    kv_capacity_tokens: float
    weight_bytes: float  # on one GPU

    def prefill_seconds(self, num_tokens: Array, context: Array) -> Array:
        """A pass over new tokens of one prompt that follow earlier ones; only the last one reaches the output head."""
        return _flat(self._prefill, num_tokens, context)

    def decode_seconds(self, batch: Array, kv_tokens: Array) -> Array:
        """A token for each of `batch` sequences with `kv_tokens` tokens of cache in all."""
        return _flat(self._decode, batch, kv_tokens)

    def phase_causes(self, operation: Operation, rows: float, seconds: float) -> tuple[Cause, ...]:
        """Why such a pass may take longer or shorter: half-widths in log space."""
        found = self.profile.phase_causes(operation, self.architecture, rows, seconds)
        figures = load_priors().figures
        if self.links is not None:
            found += (Cause("communication", figures["communication_spread"] * self._exchanged(rows, seconds)),)
        if self.architecture.num_experts > 1:
            found += (Cause("uneven experts", figures["expert_imbalance_spread"]),)
        return found

    def _exchanged(self, rows: float, seconds: float) -> float:
        """The share of a pass that GPUs spend exchanging."""
        return min(1.0, float(self._exchange(np.array([rows]))[0]) / seconds)

    def _prefill(self, num_tokens: Array, context: Array) -> Array:
        through = Pass(
            1.0, num_tokens, self.job.dtype, context, self.tensor_parallel, _cached(self.job), head_tokens=1.0
        )
        parts = self.profile.seconds(Operation.PREFILL, forward_work(self.architecture, through), num_tokens)
        found: Array = np.asarray(parts.total) + self._exchange(num_tokens)
        return found

    def _decode(self, batch: Array, kv_tokens: Array) -> Array:
        figures = load_priors().figures
        step = Pass(batch, 1.0, self.job.dtype, kv_tokens / batch, self.tensor_parallel, _cached(self.job))
        parts = self.profile.seconds(Operation.DECODE, forward_work(self.architecture, step), batch)
        found: Array = np.asarray(parts.total) + self._exchange(batch)
        if self.profile.fit is None:
            found = found + figures["decode_step_ms"] * 1e-3 + figures["decode_request_us"] * 1e-6 * batch
        return found

    def _exchange(self, rows: Array) -> Array:
        """Two all-reduces of the hidden state per block."""
        if self.links is None:
            return np.zeros_like(rows)
        num_bytes = rows * self.architecture.hidden * side_dtype(self.job.dtype).num_bytes
        ranks = np.full_like(rows, float(self.tensor_parallel))
        found: Array = 2.0 * self.architecture.num_layers * all_reduce_seconds(num_bytes, ranks, self.links)
        return found


def replica_steps(
    job: InferenceJob, profile: Profile, tensor_parallel: int, usable: float, batch_tokens: int
) -> ReplicaSteps | str:
    """The replica, or why there is none: links that are not known, or weights that do not fit.

    `usable` is memory of one GPU, `batch_tokens` the most tokens of a pass, whose activations stay free.
    """
    links = node_links(profile.gpu, tensor_parallel) if tensor_parallel > 1 else None
    if tensor_parallel > 1 and (links is None or links.bandwidth(np.array([float(tensor_parallel)]))[0] <= 0):
        return f"what joins {tensor_parallel} {profile.gpu.key} is not known"
    architecture, cached = job.architecture, _cached(job)
    if not isinstance(architecture, Transformer):
        return f"{architecture.name} answers in no tokens"
    items = inference_bytes(architecture, job.dtype, cached, 1.0, 0.0, float(batch_tokens), float(tensor_parallel))
    kept = memory.with_runtime(items, profile.gpu, float(tensor_parallel > 1))
    free = usable - float(np.sum(memory.total(kept)))
    if free <= 0:
        bill = memory.bill(kept, 0)
        return f"{memory.shortfall(bill, usable)}, before any request"
    per_gpu = float(np.sum(kv_bytes_per_token(architecture, cached, float(tensor_parallel))))
    return ReplicaSteps(
        job=job,
        architecture=architecture,
        profile=profile,
        tensor_parallel=tensor_parallel,
        links=links,
        kv_bytes_per_token=per_gpu * tensor_parallel,
        kv_capacity_tokens=float(np.floor(free / per_gpu)),
        weight_bytes=float(np.sum(items["weights"])),
    )


def _cached(job: InferenceJob) -> Dtype:
    """The format of the cache: as asked, else 16 bits beside 8- and 4-bit weights."""
    return job.kv_dtype or side_dtype(job.dtype)


def _flat(seconds: Callable[[Array, Array], Array], first: Array, second: Array) -> Array:
    """Over broadcast arrays of any shape, by way of arrays of one dimension."""
    left, right = np.broadcast_arrays(np.asarray(first, dtype=float), np.asarray(second, dtype=float))
    found = np.broadcast_to(np.asarray(seconds(left.ravel(), right.ravel())), left.size)
    return found.reshape(left.shape)
