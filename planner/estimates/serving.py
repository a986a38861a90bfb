"""Answering requests on GPUs: replicas × tensor parallel × pipeline stages, a steady number of requests at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from planner.calibration.links import MeasuredLinks
from planner.estimates import memory
from planner.estimates.communication import Links, measured_note, node_links, with_measured
from planner.estimates.estimate import Bottleneck
from planner.estimates.layout import Layouts, inference_layouts
from planner.estimates.memory import pick
from planner.estimates.outcome import Outcome, fastest
from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.profile import Lack, Profile
from planner.estimates.serving_outcome import Chosen, counted, outcome_of
from planner.estimates.serving_steps import Deployment, kv_dtype, serving_items
from planner.estimates.serving_times import serving_times
from planner.hardware.gpu import Gpu, LinkTopology
from planner.hardware.link import node_link
from planner.jobs.job import InferenceJob
from planner.jobs.operations import Amount

Array = NDArray[np.float64]
__all__ = ["kv_dtype", "reachable", "serve", "serving_links"]


def serve(
    job: InferenceJob, profile: Profile, num_gpus: int, usable: float, gpus_per_node: int | None = None
) -> Outcome | Lack:
    """The layout with the most throughput of those that fit, or what keeps the job from running."""
    layouts = inference_layouts(job, num_gpus)
    if not layouts.size:
        asked = f"{job.tensor_parallel or 1} tensor × {job.pipeline_parallel or 1} pipeline parallel"
        asked += "" if job.expert_parallel is None else f" with experts over {job.expert_parallel} groups"
        return Lack(Bottleneck.FRACTION, f"{asked} cannot be had from {num_gpus} GPUs")
    links = serving_links(profile.gpu, num_gpus, gpus_per_node, profile.links) if num_gpus > 1 else None
    layouts = reachable(layouts, links)
    if not layouts.size:
        return Lack(Bottleneck.UNKNOWN_FIGURE, f"how fast {num_gpus} {profile.gpu.key}s exchange data is not known")
    deployment = Deployment(job, profile, layouts, links)
    sequences = _sequences(deployment, usable)
    items = serving_items(job, profile, layouts, sequences, _cached_tokens(deployment))
    needed = np.broadcast_to(memory.total(items), sequences.shape)
    fits = (needed <= usable) & (sequences >= 1)
    if not fits.any():
        least = serving_items(job, profile, layouts, np.maximum(_wanted(job, layouts), 1.0))
        place = int(np.argmin(np.broadcast_to(memory.total(least), sequences.shape)))
        return Lack(Bottleneck.MEMORY, _too_large(job, layouts, least, place, usable))
    in_flight = _in_flight(job, layouts, np.maximum(sequences, 1.0))
    times = serving_times(deployment, np.maximum(sequences, 1.0), in_flight)
    place = fastest(1.0 / times.requests_per_second, fits, layouts.simplicity)
    outcome = outcome_of(Chosen(deployment, items, times, sequences, in_flight, place, num_gpus, usable))
    measured = measured_note(profile.links, min(num_gpus, gpus_per_node or num_gpus), profile.basis)
    return replace(outcome, notes=(*outcome.notes, *measured))


def serving_links(
    gpu: Gpu, num_gpus: int, gpus_per_node: int | None = None, measured: MeasuredLinks | None = None
) -> Links | None:
    """The links among GPUs that serve: an engine's own all-reduce is recorded with the step and has little latency."""
    figures = load_serving_priors().figures
    share = figures["link_factor"]
    found = node_links(gpu, num_gpus, gpus_per_node)
    if found is not None:
        found = replace(found, by_size=found.by_size * share)
    found = with_measured(found, measured, share, num_gpus, gpus_per_node)
    if found is None:
        return None
    return replace(found, latency=figures["collective_us"] * 1e-6, rounds=not meets_at_once(gpu, found.domain))


def meets_at_once(gpu: Gpu, num_gpus: int) -> bool:
    """Whether each of so many GPUs of a node reaches all others over links of its own: an engine's all-reduce of few
    rows is then one round in which each reads all others', however many they are, instead of log2 n (the one-shot
    kernels of TensorRT-LLM's customAllReduceKernels.cu; that engines leave PCIe to NCCL is from memory)."""
    link = node_link(gpu)
    return gpu.link_topology in (LinkTopology.SWITCH, LinkTopology.MESH) and link is not None and link.reaches(num_gpus)


def _wanted(job: InferenceJob, layouts: Layouts) -> Array:
    """Requests per replica that are asked for, 1 where the planner may choose."""
    if job.concurrency is None:
        return np.ones(layouts.size)
    return np.ceil(job.concurrency / layouts.data_parallel)


def _in_flight(job: InferenceJob, layouts: Layouts, sequences: Array) -> Array:
    """Requests at a time on all replicas; replicas beyond the asked concurrency stand idle."""
    total = layouts.data_parallel * sequences
    return total if job.concurrency is None else np.minimum(total, float(job.concurrency))


def _sequences(deployment: Deployment, usable: float) -> Array:
    """Requests per replica: as asked, or as many as memory holds up to what the engine takes at a time."""
    job, layouts, profile = deployment.job, deployment.layouts, deployment.profile
    if job.concurrency is not None:
        return _wanted(job, layouts)
    tokens = _cached_tokens(deployment)
    none = memory.total(serving_items(job, profile, layouts, np.zeros(layouts.size), tokens))
    one = memory.total(serving_items(job, profile, layouts, np.ones(layouts.size), tokens))
    room = (usable - none) * (deployment.engine.cache_memory if job.output_tokens else 1.0)
    sequences: Array = np.floor(room / (one - none))
    if (sequences < 1).all() and usable > 0:
        sequences = np.floor((usable - none) / (one - none))
    sequences = np.minimum(sequences, deployment.engine.max_requests)
    if job.num_requests is not None:
        sequences = np.minimum(sequences, np.ceil(job.num_requests / layouts.data_parallel))
    return np.maximum(sequences, 0.0)


def _cached_tokens(deployment: Deployment) -> float | None:
    """Tokens of cache that a request takes on average: its prompt, half of its output, and what the engine reserves.
    None, its full length, where the number of requests is asked for: then all must fit at their longest."""
    job = deployment.job
    if job.concurrency is not None:
        return None
    return job.prompt_tokens + (0.5 + 0.5 * deployment.engine.reserve) * job.output_tokens


def reachable(layouts: Layouts, links: Links | None) -> Layouts:
    """Without the splits whose links are not known."""
    joined = layouts.tensor_parallel * layouts.expert_parallel
    keep = joined == 1
    if links is not None:
        crosses = (joined > links.domain) & (links.network > 0)
        keep = keep | (links.bandwidth(joined) > 0) | crosses
    return layouts.only(keep)


def _too_large(job: InferenceJob, layouts: Layouts, items: dict[str, Amount], place: int, usable: float) -> str:
    text = memory.shortfall(memory.bill(items, place), usable)
    sequences = math.ceil(pick(np.maximum(_wanted(job, layouts), 1.0), place))
    split = layouts.at(place).tensor_parallel
    return f"{text}, with {counted(sequences, 'request')} at a time on {counted(split, 'GPU')}"
