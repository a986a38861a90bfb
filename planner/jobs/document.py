"""A job as a JSON document and back, and as the sentence people read."""

from __future__ import annotations

from dataclasses import asdict, fields
from enum import Enum
from typing import Any

from planner import units
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import Conv, ConvNet, Stage
from planner.jobs.engine import Batching, Engine
from planner.jobs.job import (
    InferenceJob,
    Item,
    Job,
    LoraTargets,
    Recompute,
    Sharding,
    Stack,
    TrainingJob,
    TrainingMethod,
)


def job_to_document(job: Job) -> dict[str, Any]:
    """Every field of the job, enums by value, with "kind" telling training from inference."""
    flat = {field.name: getattr(job, field.name) for field in fields(job)}
    architecture = asdict(job.architecture)
    if isinstance(job.architecture, ConvNet):
        architecture |= {name: list(architecture[name]) for name in ("convs", "stages")}
    plain = {name: value.value if isinstance(value, Enum) else value for name, value in flat.items()}
    return {"kind": job_kind(job), **plain, "architecture": architecture}


def job_from_document(document: dict[str, Any]) -> Job:
    """The job that `job_to_document` wrote."""
    values = dict(document)
    kind = values.pop("kind")
    values["architecture"] = _architecture(values["architecture"])
    values["dtype"] = Dtype(values["dtype"])
    if kind == "training":
        values["method"] = TrainingMethod(values["method"])
        values["recompute"] = Recompute(values["recompute"])
        values["lora_targets"] = LoraTargets(values.get("lora_targets", LoraTargets.ALL))
        values["stack"] = Stack(values.get("stack", Stack.EAGER))
        sharding = values.get("sharding")
        values["sharding"] = None if sharding is None else Sharding(sharding)
        return TrainingJob(**values)
    values["kv_dtype"] = None if values["kv_dtype"] is None else Dtype(values["kv_dtype"])
    values["engine"] = Engine(values.get("engine", Engine.UNSTATED))
    values["batching"] = Batching(values.get("batching", Batching.CONTINUOUS))
    values["item"] = Item(values.get("item", Item.REQUEST))
    return InferenceJob(**values)


def _architecture(values: dict[str, Any]) -> Transformer | ConvNet:
    """A convolutional network is told by its convolutions."""
    if "convs" not in values:
        return _transformer(values)
    stages = (Stage(**{**stage, "block": _transformer(stage["block"])}) for stage in values.get("stages", ()))
    convs = tuple(Conv(**conv) for conv in values["convs"])
    return ConvNet(**{**values, "convs": convs, "stages": tuple(stages)})


def _transformer(values: dict[str, Any]) -> Transformer:
    return Transformer(**{**values, "cutoffs": tuple(values.get("cutoffs", ()))})


def job_kind(job: Job) -> str:
    """ "training" or "inference"."""
    return "training" if isinstance(job, TrainingJob) else "inference"


def job_sentence(job: Job) -> str:
    """What is asked, in one line: "Llama-3-8B (8.03 B parameters), 100 M tokens in steps of 64 × 2,048, bf16"."""
    shape = f"{job.architecture.name} ({units.format_count(job.architecture.num_parameters)} parameters)"
    if isinstance(job, TrainingJob):
        how = "" if job.method is TrainingMethod.FULL else f" by {job.method.value.upper()}"
        what = "pictures" if isinstance(job.architecture, ConvNet) else "tokens"
        size = "" if isinstance(job.architecture, ConvNet) else f" × {_length(job)}"
        return (
            f"{shape}{how}, {units.format_count(job.num_tokens)} {what} in steps of "
            f"{job.global_batch:,}{size}, {job.dtype.value}"
        )
    stored = f" with weights of {job.weight_bits:g} bits" if job.weight_bits is not None else ""
    engine = f", {job.engine.value}" if job.engine is not Engine.UNSTATED else ""
    format_ = f"{job.dtype.value}{stored}{engine}"
    if job.is_pass and job.item is not Item.REQUEST:
        return f"{shape}, {items_words(job)}, {format_}"
    amount = "a service" if job.num_requests is None else f"{units.format_count(job.num_requests)} requests"
    at_once = "as many at once as fit" if job.concurrency is None else f"{job.concurrency:,} at once"
    size = f"{job.prompt_tokens:,} + {job.output_tokens:,} tokens"
    if job.is_pass:
        size = "a picture" if isinstance(job.architecture, ConvNet) else f"{job.prompt_tokens:,} tokens in one pass"
    return f"{shape}, {amount} of {size}, {at_once}, {format_}"


def items_words(job: InferenceJob) -> str:
    """What is answered in passes, and how: "1 M pictures, 32 at once, each within 50 ms", "frames at 30 a second of 16
    cameras, each within 33 ms"."""
    word = f"{job.item.value}s"
    within = "" if job.answer_seconds is None else f", each within {units.format_seconds(job.answer_seconds)}"
    if job.frame_rate is not None:
        cameras = "as many cameras as keep up" if job.concurrency is None else counted(job.concurrency, "camera")
        return f"frames at {job.frame_rate:g} a second of {cameras}{within}"
    amount = f"a service of {word}" if job.num_requests is None else f"{units.format_count(job.num_requests)} {word}"
    if job.item is Item.TEXT:
        amount += f" of {job.prompt_tokens:,} tokens"
    if job.item is Item.DRAWING:
        amount += f" in {counted(job.passes, 'step')}"
    at_once = "in the batch that answers most" if job.concurrency is None else f"{job.concurrency:,} at once"
    return f"{amount}, {at_once}{within}"


def counted(number: int, noun: str) -> str:
    """ "1 camera", "1,200 cameras"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _length(job: TrainingJob) -> str:
    """Tokens of a sequence: "2,048", of an encoder–decoder "512 read and 128 written"."""
    network = job.architecture
    if not isinstance(network, Transformer) or not network.encoder_layers:
        return f"{job.sequence_length:,}"
    return f"{job.sequence_length:,} read and {job.target_length or job.sequence_length:,} written"
