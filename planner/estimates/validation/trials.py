"""A row of a training table as a job on a placement, and its metric as arithmetic on the seconds of a step."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from planner import units
from planner.estimates.estimate import Placement
from planner.estimates.validation.gpus import published_gpu, sockets_together
from planner.estimates.validation.precisions import plain_format
from planner.estimates.validation.subjects import Declined, Subject, subject_of
from planner.estimates.validation.table import Row
from planner.estimates.validation.training_metrics import plain_training_metric
from planner.hardware.catalogue import Catalogue
from planner.hardware.gpu import Dtype, Gpu, GpuKind
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.job import LoraTargets, Recompute, Sharding, Stack, TrainingJob, TrainingMethod

CAMPAIGN = ("gpu_hours", "wall_days", "wall_hours")
FLOPS = ("model_tflops_per_gpu", "hw_tflops_per_gpu", "mfu", "hfu")
HARDWARE_FLOPS = ("hw_tflops_per_gpu", "hfu")  # with what is computed again
DOUBTFUL = re.compile(r"\b(LOW TRUST|ANOMALY|AMBIGUOUS|SUSPECT)\b")
# Sequences sorted into bins by length: what is counted as 512 positions is fewer. Said of one length of several.
BINNED = re.compile(r"(?:\(seq (\d+)\) uses )?\bBINNED\b")
# What hardly changes the work of a large network: the width of its last product, how the same width is cut into heads.
MINOR = re.compile(r"^a vocabulary of|heads$")
NO_UPDATE = re.compile(r"\bno optimizer step\b", re.IGNORECASE)
VIRTUAL_STAGES = re.compile(r"\bVPP?(?:=| ?(?=\d))(\d*)")
# Rounds through a data set of pictures, which have to be read and decoded: how fast that went is not told.
EPOCHS = re.compile(r"\d+ epochs of (?:ImageNet|COCO)\b")
# What is not a step of the whole network, forward and backward.
MASKED_PICTURES = re.compile(r"\bMAE\b.*pretraining")
LOADER = re.compile(r"data ?loader (?:limited|bound)", re.IGNORECASE)
FROZEN = re.compile(r"frozen backbone")
TOKENS_PER_GPU = re.compile(r"batch (\d+)(?:/(\d+))? tokens per GPU")
# The batch that a program starts with, where a table says no other: "default recipe 2048, mbs 4".
RECIPE = re.compile(r"default(?: recipe)? (\d+), mbs (\d+)")
OFFLOAD = re.compile(r"offload(?!=False)", re.IGNORECASE)
# What a published format means here. The 8-bit recipes differ in how they scale, not in their products' rate.
DTYPES = {
    "bf16": Dtype.BF16,
    "fp16": Dtype.FP16,
    "fp16 (amp)": Dtype.FP16,
    "amp": Dtype.FP16,
    "mixed": Dtype.FP16,
    "fp32": Dtype.FP32,
    "tf32": Dtype.TF32,
    "fp8": Dtype.FP8,
    "mxfp8": Dtype.FP8,
    "nvfp4": Dtype.FP4,
    "bf16 (nf4 base)": Dtype.BF16,
}
# Programs whose kernels are hand-fused, or fused by a compiler; all others issue one kernel per operation.
COMPILED = ("compile", "jax", "xla", "maxtext", "llm.c", "neuron", "tensorflow", "torchtitan", "modded")
MEGATRON = ("megatron", "nemo", "primus", "neox")
FUSED = ("deepspeed", "ngc", "mxnet", "habana", "colossal", "flash", "composer", "llm-foundry")
# Fused attention and sequence parallelism spread in 2022; earlier tables wrote the scores to memory.
FUSED_ATTENTION_SINCE = 2023
USUAL_STEP_TOKENS = 4_194_304
USUAL_PICTURES_PER_GPU = 256


@dataclass(frozen=True, slots=True)
class Trial:
    """What a row ran, ready to be estimated; `metric_of` turns seconds per step into the row's metric."""

    job: TrainingJob
    placement: Placement
    metric_of: Callable[[float], float]
    rises_with_seconds: bool  # whether a slower step means a larger value
    assumptions: tuple[str, ...] = ()
    recomputes: tuple[Recompute, ...] = ()  # where the table is silent: the first of these that fits
    is_open: bool = False  # what was assumed changes the work: a shape, a batch, a layout


def training_trial(row: Row, catalogue: Catalogue) -> Trial | Declined:
    """The trial of a row, or why it is declined."""
    declined = _declined(row)
    if declined is not None:
        return declined
    named = published_gpu(catalogue, row.text("gpu_model"), row.number("gpu_memory_gb"))
    if named is None:
        return Declined(f"the catalogue has no GPU {row.text('gpu_model')!r}")
    num_gpus = row.whole("num_gpus")
    if num_gpus is None or num_gpus < 1:
        return Declined("the number of GPUs is not stated")
    subject = subject_of(row)
    if isinstance(subject, Declined):
        return subject
    dtype = _dtype(row, named.gpu)
    if isinstance(dtype, Declined):
        return dtype
    assumptions = list(subject.assumptions)
    if _offloads(row):  # a frozen base is only read: from the host's memory over the same slot
        assumptions.append("weights in host memory cross the slot as those of another card would")
    usual = [named.assumption] if named.assumption else []
    gpu, num_placed = named.gpu, num_gpus
    if gpu.kind is GpuKind.CPU and num_gpus > 1:  # tables count sockets
        gpu, num_placed = sockets_together(gpu, num_gpus), 1
        assumptions.append(f"{num_gpus} sockets compute as one processor")
    if not row.text("precision"):
        usual.append(f"{dtype.value} products")
    job = _job(row, subject, dtype, num_placed, assumptions)
    if isinstance(job, Declined):
        return job
    placement = Placement(gpu, Decimal(num_placed), num_nodes=_nodes(row, num_placed))
    metric_of = _metric(row, job, gpu, num_gpus)
    if isinstance(metric_of, Declined):
        return metric_of
    rises = plain_training_metric(row.metric)[0] in ("step_time_s", "wall_s")
    notes = tuple(assumptions + usual)
    is_open = not all(MINOR.search(assumption) for assumption in assumptions)
    return Trial(job, placement, metric_of, rises, notes, _recomputes(row), is_open)


def _declined(row: Row) -> Declined | None:
    doubt = DOUBTFUL.search(row.text("notes"))
    if doubt:
        return Declined(f"the table marks the row {doubt[1]}")
    binned = BINNED.search(row.text("notes"))
    if binned and (binned[1] is None or int(binned[1]) == row.whole("seq_len")):
        return Declined("its sequences are sorted into bins by length: what it counts is shorter than stated")
    if MASKED_PICTURES.search(row.text("model_name")):
        return Declined("an encoder that sees a quarter of the patches beside a small decoder is not estimated yet")
    if LOADER.search(row.text("notes")):
        return Declined("its loading of data is what limits it, and how fast that was is not told")
    if FROZEN.search(row.text("notes")):
        return Declined("a network of which the last layer alone is trained is not estimated yet")
    if plain_training_metric(row.metric)[0] in CAMPAIGN:
        return Declined(f"{row.metric} of a whole campaign, with restarts and evaluation: not a steady step")
    if _offloads(row) and _method(row) is TrainingMethod.FULL:
        return Declined("optimizer states and gradients that live in host memory are not estimated yet")
    return None


def _offloads(row: Row) -> bool:
    return any(OFFLOAD.search(row.text(column)) for column in ("notes", "framework"))


def _nodes(row: Row, num_gpus: int) -> int:
    """Nodes that hold so many GPUs; one where the table does not say how many a node has."""
    return -(-num_gpus // max(row.whole("gpus_per_node") or num_gpus, 1))


def _dtype(row: Row, gpu: Gpu) -> Dtype | Declined:
    stated = row.text("precision")
    if stated:
        found = DTYPES.get(stated.casefold()) or plain_format(stated)  # "fp8 (rowwise)", "BF16-mixed"
        return found if found is not None else Declined(f"the precision {stated!r} is not estimated yet")
    for usual in (Dtype.BF16, Dtype.FP16, Dtype.FP32):
        if gpu.peak(usual) is not None:
            return usual
    return Declined(f"no number format of {gpu.key} is known")


def _job(row: Row, subject: Subject, dtype: Dtype, num_gpus: int, assumptions: list[str]) -> TrainingJob | Declined:
    splits = {name: row.whole(column) for name, column in SPLITS.items()}
    network = subject.architecture
    is_picture = isinstance(network, ConvNet)
    model_parallel = 1
    for name in ("tensor_parallel", "pipeline_parallel", "context_parallel"):
        model_parallel *= splits[name] or 1
    if num_gpus % model_parallel:
        return Declined(f"{model_parallel} GPUs of model parallelism do not divide {num_gpus}")
    is_open = not is_picture and num_gpus > 1 and not any(splits.values())
    unstated = None if is_open else 1
    if is_open:
        assumptions.append("the fastest layout that fits")
    ranks = num_gpus // model_parallel
    micro, batch = row.whole("micro_batch"), row.whole("global_batch")
    recipe = RECIPE.search(row.text("notes"))
    if micro is None and batch is None and recipe:
        batch, micro = int(recipe[1]), int(recipe[2])
        assumptions.append("the batch of the default recipe")
    if micro is None and batch is None:
        micro = _sequences_per_gpu(row, subject.sequence_length, dtype)
    if micro is None and batch is None and is_picture:
        micro = USUAL_PICTURES_PER_GPU if num_gpus else None
        assumptions.append(f"{micro} pictures per GPU")
    if batch is None and micro is not None and (splits["pipeline_parallel"] or 1) > 1:
        # Nobody leaves a pipeline empty.
        passes = max(1, round(USUAL_STEP_TOKENS / (subject.sequence_length * micro * ranks)))
        batch = micro * ranks * passes
        assumptions.append(f"a global batch of {batch}")
    if batch is None and micro is not None:
        batch = micro * ranks
        assumptions.append(f"no accumulation: a global batch of {batch}")
    if batch is None:
        batch = max(ranks, USUAL_STEP_TOKENS // subject.sequence_length)
        assumptions.append(f"a global batch of {batch}")
    method = _method(row)
    return TrainingJob(
        name=row.id,
        architecture=network,
        num_tokens=float(batch * subject.sequence_length),
        sequence_length=subject.sequence_length,
        global_batch=batch if is_open else max(batch, ranks),
        dtype=dtype,
        method=method,
        lora_targets=_lora_targets(row),
        micro_batch=micro,
        recompute=_recompute(row),
        tensor_parallel=splits["tensor_parallel"] or unstated,
        pipeline_parallel=splits["pipeline_parallel"] or unstated,
        context_parallel=splits["context_parallel"] or unstated,
        expert_parallel=_experts(network, splits["expert_parallel"]),
        virtual_stages=_virtual_stages(row, splits["pipeline_parallel"]),
        sharding=_sharding(row),
        stack=_stack(row),
        sequence_parallel=_is_recent(row) and "deepspeed" not in row.text("framework").casefold(),
        fused_attention=_fuses_attention(row),
        channels_last=_channels_last(row, dtype),
        head_share=subject.head_share,
        target_length=subject.target_length,
        updates_weights=not NO_UPDATE.search(row.text("notes")),
    )


def _sequences_per_gpu(row: Row, length: int, dtype: Dtype) -> int | None:
    """Translators fill a batch with so many tokens: "batch 10240/5120 tokens per GPU", the second in 32 bits."""
    found = TOKENS_PER_GPU.search(row.text("notes"))
    if not found:
        return None
    tokens = found[2] if found[2] and dtype.num_bytes == 4 else found[1]
    return max(1, int(tokens) // length)


SPLITS = {"tensor_parallel": "tp", "pipeline_parallel": "pp", "context_parallel": "cp", "expert_parallel": "ep"}


def _virtual_stages(row: Row, pipeline: int | None) -> int | None:
    """Interleaved stages per pipeline GPU, which published notes state as "VP=4", an empty one as 1; DeepSpeed's
    pipelines have none."""
    found = VIRTUAL_STAGES.search(row.text("notes"))
    if (pipeline or 1) == 1:
        return None
    if found:
        return max(int(found[1] or 1), 1)
    return 1 if "deepspeed" in row.text("framework").casefold() else None


def _experts(network: Transformer | ConvNet, stated: int | None) -> int | None:
    """Without experts there is nothing to split; with them what is stated, else what the search finds."""
    if isinstance(network, ConvNet) or network.num_experts == 1:
        return 1
    return stated


def _method(row: Row) -> TrainingMethod:
    told = f"{row.text('model_name')} {row.text('framework')}".casefold()
    if re.search(r"q-?lora", told):
        return TrainingMethod.QLORA
    return TrainingMethod.LORA if re.search(r"\b(?:q?do|lo)ra\b|_lora|\bpeft\b", told) else TrainingMethod.FULL


def _recompute(row: Row) -> Recompute:
    stated = row.text("activation_checkpointing")
    return Recompute(stated) if stated in ("none", "selective", "full") else Recompute.NONE


def _recomputes(row: Row) -> tuple[Recompute, ...]:
    """What may have been computed again where nothing is stated, the least first: nothing or all, but for what
    Megatron runs since 2023, when it came to choose among the parts of a block: nothing that takes time."""
    is_chosen = _is_recent(row) and _stack(row) in (Stack.MEGATRON, Stack.COMPILED)
    if row.text("activation_checkpointing") in ("none", "selective", "full") or is_chosen:
        return ()
    return (Recompute.NONE, Recompute.FULL)


def _lora_targets(row: Row) -> LoraTargets:
    """As named; NeMo and Megatron put adapters on queries, keys and values unless told otherwise."""
    attention = "(q,v)" in row.text("model_name") or _stack(row) is Stack.MEGATRON
    return LoraTargets.ATTENTION if attention else LoraTargets.ALL


def _sharding(row: Row) -> Sharding | None:
    stated = row.text("sharding")
    if stated == "zero3/fsdp":
        return Sharding.ZERO3
    return Sharding(stated) if stated in ("none", "zero1", "zero2") else None


def _stack(row: Row) -> Stack:
    framework = row.text("framework").casefold()
    if any(word in framework for word in COMPILED):
        return Stack.COMPILED
    if any(word in framework for word in MEGATRON):
        return Stack.MEGATRON
    return Stack.FUSED if any(word in framework for word in FUSED) else Stack.EAGER


def _fuses_attention(row: Row) -> bool:
    if "eager attention" in row.text("notes"):
        return False
    return _is_recent(row)


def _channels_last(row: Row, dtype: Dtype) -> bool:
    """As stated; vendors' tuned examples keep channels last in mixed precision, other programs rarely do."""
    framework = row.text("framework").casefold()
    if "nhwc" in framework or "nchw" in framework:
        return "nhwc" in framework
    return _stack(row) is not Stack.EAGER and dtype not in (Dtype.FP32, Dtype.TF32)


def _is_recent(row: Row) -> bool:
    return (row.whole("year") or FUSED_ATTENTION_SINCE) >= FUSED_ATTENTION_SINCE


def _metric(row: Row, job: TrainingJob, gpu: Gpu, num_gpus: int) -> Callable[[float], float] | Declined:
    """Seconds of a step → the row's metric."""
    metric, unit = plain_training_metric(row.metric)
    samples = float(job.global_batch)
    tokens = samples * job.sequence_length
    amounts = {
        "tokens_per_s_per_gpu": tokens / num_gpus,
        "tokens_per_s_total": tokens,
        "samples_per_s_total": samples,
        "samples_per_s_per_gpu": samples / num_gpus,
        "steps_per_s": 1.0,
    }
    if metric in amounts:
        amount = amounts[metric]
        return lambda seconds: amount / seconds
    if metric == "step_time_s":
        return lambda seconds: unit * seconds
    if metric == "wall_s":
        total = row.number("tokens_total")
        if total is None and EPOCHS.search(row.text("notes")):
            return Declined("the time of a whole job that reads pictures and evaluates: not a steady step")
        if total is None:
            return Declined("how much was trained in that time is not stated")
        return lambda seconds: seconds * total / tokens
    if metric in FLOPS:
        return _flops_metric(metric, job, gpu, num_gpus)
    return Declined(f"the metric {row.metric!r} is not supported")


def _flops_metric(metric: str, job: TrainingJob, gpu: Gpu, num_gpus: int) -> Callable[[float], float] | Declined:
    """FLOP/s as Megatron counts them: attention without the causal half, hardware FLOPs with what is computed again."""
    network = job.architecture
    if isinstance(network, ConvNet):
        return Declined(f"{metric} of a convolutional network is not supported")
    rows = float(job.global_batch * job.sequence_length)
    active = network.experts_per_token + network.shared_experts
    layer = network.attention_parameters + active * network.ffn_parameters
    attention = 2.0 * job.sequence_length * network.num_heads * network.head_dim
    blocks = 6.0 * rows * network.num_layers * (layer + attention)
    head = 6.0 * rows * network.vocab * network.hidden
    again = blocks / 3.0 if metric in HARDWARE_FLOPS and job.recompute is Recompute.FULL else 0.0
    flops = (blocks + head + again) / num_gpus
    if metric not in ("mfu", "hfu"):
        return lambda seconds: flops / seconds / units.TERA
    peak = gpu.peak(job.dtype)
    if peak is None:
        return Declined(f"the {job.dtype.value} peak of {gpu.key} is not known")
    return lambda seconds: 100.0 * flops / seconds / peak
