"""What was asked of an estimate, as words and values: the job's own settings, limits and filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from planner import units
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob, Item, LoraTargets, TrainingJob, TrainingMethod
from planner.jobs.known.pictures import known_picture
from planner.services.estimates import EstimateView

SPLITS = (
    *("data_parallel", "tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel"),
    "virtual_stages",
)
LIMITS: Mapping[str, Callable[[Any], str]] = {
    "deadline": units.format_seconds,
    "budget": str,
    "power_limit": units.format_watts,
    "price_age_days": str,
}
FILTERS = ("gpus", "offer_kinds", "providers", "regions", "vendors")


def shape_of(view: EstimateView) -> list[tuple[str, str]]:
    """The job's own settings as words and values."""
    job = view.job
    given: list[tuple[str, Any]] = [("architecture", job.architecture.name), ("number format", job.dtype.value)]
    if isinstance(job, TrainingJob):
        given += [
            *_length_of(job),
            ("global batch", f"{job.global_batch:,}"),
            ("micro-batch", job.micro_batch or "the most that fits"),
            ("method", job.method.value),
            *(() if job.method is TrainingMethod.FULL else _adapters_of(job)),
            ("recomputation", job.recompute.value),
            ("software", job.stack.value),
            *((name.replace("_", " "), found) for name in SPLITS if (found := getattr(job, name)) is not None),
            *(() if job.sharding is None else (("sharding", job.sharding.value),)),
        ]
    elif isinstance(job, InferenceJob):
        given += [
            *(_items_of(job) if job.is_pass and job.item is not Item.REQUEST else _tokens_of(job)),
            ("engine", "not named" if job.engine is Engine.UNSTATED else job.engine.value),
            *(() if job.weight_bits is None else (("stored bits of a weight", f"{job.weight_bits:g}"),)),
        ]
    request = view.request
    if request.get("nodes"):
        given.append(("nodes", request["nodes"]))
    for name, write in LIMITS.items():
        if request.get(name) is not None:
            given.append((name.replace("_", " "), write(request[name])))
    return [(words, str(value)) for words, value in (*given, *filters_of(request))]


def filters_of(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the places were narrowed to, as words and values."""
    return [(name.replace("_", " "), ", ".join(request[name])) for name in FILTERS if request.get(name)]


def _length_of(job: TrainingJob) -> list[tuple[str, Any]]:
    """How much is trained on, in pictures or in tokens."""
    picture = known_picture(job.architecture)
    if picture is not None:
        side = f"{picture[1]:,} pixels a side" if picture[1] else "as published"
        return [("pictures", f"{job.num_tokens / job.sequence_length:,.0f}"), ("size of a picture", side)]
    written = [] if job.target_length is None else [("tokens written", f"{job.target_length:,}")]
    return [("tokens", f"{job.num_tokens:,.0f}"), ("sequence length", f"{job.sequence_length:,}"), *written]


def _adapters_of(job: TrainingJob) -> list[tuple[str, Any]]:
    where = "every linear layer" if job.lora_targets is LoraTargets.ALL else "queries, keys and values"
    return [("adapters on", where), ("rank of the adapters", job.lora_rank)]


def _tokens_of(job: InferenceJob) -> list[tuple[str, Any]]:
    return [
        ("prompt tokens", f"{job.prompt_tokens:,}"),
        ("output tokens", f"{job.output_tokens:,}"),
        ("requests", "a service" if job.num_requests is None else f"{job.num_requests:,.0f}"),
        ("concurrency", job.concurrency or "as many as fit"),
    ]


def _items_of(job: InferenceJob) -> list[tuple[str, Any]]:
    """What is answered in passes: how many, how many at a time, and in which time."""
    word = f"{job.item.value}s"
    picture = known_picture(job.architecture)
    given: list[tuple[str, Any]] = [(word, "a service" if job.num_requests is None else f"{job.num_requests:,.0f}")]
    if picture is not None:
        given.append(("size of a picture", f"{picture[1]:,} pixels a side" if picture[1] else "as published"))
    else:
        given.append(("tokens of a text", f"{job.prompt_tokens:,}"))
    if job.item is Item.DRAWING:
        given.append(("steps of a drawing", job.passes))
    if job.frame_rate is not None:
        given.append(("cameras", job.concurrency or "as many as keep up"))
        given.append(("frames per second of each", f"{job.frame_rate:g}"))
    else:
        given.append((f"{word} at a time", job.concurrency or "the batch that answers most"))
    if job.answer_seconds is not None:
        given.append((f"each {job.item.value} within", units.format_seconds(job.answer_seconds)))
    return given
