"""What stands in the form of an estimate: a job and its places as somebody would have typed them, and its choices."""

from __future__ import annotations

from typing import Any

from planner.jobs.architecture import Transformer
from planner.jobs.engine import Engine
from planner.jobs.job import Item, Job, TrainingJob, TrainingMethod
from planner.jobs.known.pictures import PICTURES, known_picture
from planner.jobs.presets import ARCHITECTURES
from planner.services.requests.estimate import AROUND, MEASURED, SURVIVAL
from planner.services.requests.networks import SHAPE
from planner.units import typed_seconds
from planner.web.asked_words import SPLITS
from planner.web.forms import Form

DURATIONS = ("deadline", "checkpoint_stall", "restart_time", "startup_time", "queue_time", "measured_step")
LISTS = frozenset({"vendors", "gpus", "providers", "regions", "offer_kinds"})


def typed_job(job: Job) -> dict[str, Any]:
    """A job as somebody would have typed it."""
    named = next((key for key, found in ARCHITECTURES.items() if found.architecture == job.architecture), None)
    values: dict[str, Any] = {"name": job.name, "architecture": named or "custom", "dtype": job.dtype.value}
    if named is None and isinstance(job.architecture, Transformer):
        values |= _typed_shape(job.architecture)
    picture = known_picture(job.architecture)
    if picture is not None:
        values |= {"architecture": picture[0], "image_size": picture[1]}
    if isinstance(job, TrainingJob):
        return values | {
            "kind": "training",
            **(_typed_length(job) if picture is None else {"pictures": _count(job.num_tokens / job.sequence_length)}),
            "global_batch": job.global_batch,
            "micro_batch": job.micro_batch,
            "method": job.method.value,
            "lora_rank": None if job.method is TrainingMethod.FULL else job.lora_rank,
            "lora_targets": job.lora_targets.value,
            "recompute": job.recompute.value,
            "stack": job.stack.value,
            **{name: getattr(job, name) for name in SPLITS},
            "sharding": None if job.sharding is None else job.sharding.value,
        }
    return values | {
        "kind": "inference",
        "prompt_tokens": job.prompt_tokens if picture is None else None,
        "output_tokens": job.output_tokens if picture is None else None,
        "answer_within": None if job.answer_seconds is None else typed_seconds(job.answer_seconds),
        "frame_rate": None if job.frame_rate is None else f"{job.frame_rate:g}",
        "steps": job.passes if job.item is Item.DRAWING else None,
        "requests": None if job.num_requests is None else _count(job.num_requests),
        "concurrency": job.concurrency,
        "kv_dtype": None if job.kv_dtype is None else job.kv_dtype.value,
        "engine": None if job.engine is Engine.UNSTATED else job.engine.value,
        "weight_bits": job.weight_bits,
        **{name: getattr(job, name) for name in ("tensor_parallel", "pipeline_parallel", "expert_parallel")},
    }


def typed_config(request: dict[str, Any]) -> dict[str, Any]:
    """The configuration that an earlier request gave, in place of the shape that was read from it: a form has no
    fields for windows, latent attention or shared experts, and they must not get lost."""
    if "config" not in request:
        return {}
    shape = {name: request.get(name) for name in (*SHAPE, "gated", "tied_embeddings")}
    return {**shape, "architecture": None, "config": request["config"]}


def typed_places(request: dict[str, Any]) -> dict[str, Any]:
    """Goal, limits and filters of an earlier request."""
    single = ("goal", "budget", "power_limit", "price_age_days", "nodes", "carbon_intensity", "pue")
    kept = {name: request.get(name) for name in (*single, *MEASURED, *SURVIVAL, *AROUND, *LISTS)}
    times = {name: typed_seconds(value) for name in DURATIONS if (value := request.get(name)) is not None}
    return {**kept, "goal": kept["goal"] or "cost", **times}


def reads_texts(form: Form) -> bool:
    """Whether texts are embedded: the architecture is an encoder, or no token is to be written."""
    known = ARCHITECTURES.get(form.value("architecture"))
    encodes = known is not None and not known.architecture.causal and not known.architecture.encoder_layers
    return encodes or form.value("output_tokens") == "0"


def text_choices() -> list[tuple[str, str]]:
    """The networks for texts as (key, title), one of your own first."""
    named = sorted(ARCHITECTURES.items(), key=lambda item: item[1].title)
    return [("custom", "custom: give its shape below"), *((key, found.title) for key, found in named)]


def picture_choices() -> list[tuple[str, str]]:
    """The networks for pictures as (key, title)."""
    return [(key, found.title) for key, found in PICTURES.items()]


def _typed_length(job: TrainingJob) -> dict[str, Any]:
    return {
        "tokens": _count(job.num_tokens),
        "sequence_length": job.sequence_length,
        "target_length": job.target_length,
    }


def _typed_shape(architecture: Transformer) -> dict[str, Any]:
    values = {name: getattr(architecture, field) or None for name, field in SHAPE.items()}
    return {**values, "gated": architecture.gated, "tied_embeddings": architecture.tied_embeddings}


def _count(value: float) -> str:
    """The shortest exact way to type a count: "300M", "4096"."""
    for factor, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        short = value / factor
        if short >= 1 and float(f"{short:.6g}") * factor == value:
            return f"{short:.6g}{suffix}"
    return f"{value:.0f}"
