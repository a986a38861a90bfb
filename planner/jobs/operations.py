"""What a network does as a whole: FLOPs and bytes of each phase of training and inference.

An operation is described on one GPU (`work.py`); those of blocks stand in `blocks.py`, of pictures in
`convolutions.py`, of adapters in `adapters.py`. Letters: B sequences, T new tokens per sequence, M = B·T rows,
h hidden, V vocabulary, t tensor-parallel GPUs, e bytes per element. With a pipeline the works are those of one stage.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.hardware.gpu import Dtype
from planner.jobs.adapters import adapter_work, lora_parameters, unpack_work
from planner.jobs.architecture import Transformer
from planner.jobs.blocks import (
    attended_pairs,
    block_work,
    blocks_per_stage,
    cached_elements,
    cross_work,
    decoder_of,
    encoder_of,
    score_work,
    written,
)
from planner.jobs.convnet import ConvNet
from planner.jobs.convolutions import picture_work
from planner.jobs.job import LoraTargets, Recompute, TrainingMethod
from planner.jobs.work import (
    Amount,
    Pass,
    TrainingWork,
    Work,
    WorkClass,
    WorkKind,
    plain_width,
    product,
    side_dtype,
    total_bytes,
    total_flops,
)

__all__ = [
    "Amount",
    "Pass",
    "TrainingWork",
    "Work",
    "WorkClass",
    "WorkKind",
    "accumulation_work",
    "forward_work",
    "kv_bytes_per_token",
    "lora_parameters",
    "model_forward_flops",
    "model_training_flops",
    "optimizer_work",
    "side_dtype",
    "total_bytes",
    "total_flops",
    "training_work",
]

# Kernels of a backward pass: 45 where the forward has 22 (our design notes, measured).
BACKWARD_LAUNCHES = 2.05
# A fused attention backward computes the scores again: five products where the forward has two.
ATTENTION_BACKWARD = 2.5
# AdamW per weight: read gradient (4 at most), read and write master weight and both moments (24), write the weight.
OPTIMIZER_BYTES = 28.0
OPTIMIZER_FLOPS = 12.0
# Dropout behind attention and feed-forward, as programs before 2023 trained: read, write and a mask of one byte.
DROPOUT_PASSES = 5.0
AGAIN = "again"  # ends the name of what is computed a second time in the backward pass
# Another micro-batch's gradients added to those before: 4 bytes read and 4 written per weight (Megatron's fused form).
ACCUMULATION_BYTES = 8.0


def forward_work(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    """One forward pass of inference: embedding, blocks, output head."""
    ends = embedding_work(architecture, through), head_work(architecture, through)
    blocks = (
        _answering_work(architecture, through) if architecture.encoder_layers else block_work(architecture, through)
    )
    return (ends[0], *blocks, ends[1])


def _answering_work(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    """An encoder–decoder that answers: a pass over several tokens reads them (and writes the first of the answer), a
    pass over one token writes it. Its cache holds keys and values of all tokens read and written."""
    is_reading = np.asarray(through.tokens) > 1.0
    step = replace(through, tokens=1.0, context=np.where(is_reading, through.tokens, through.context))
    reading = block_work(encoder_of(architecture), replace(through, context=0.0 * np.asarray(through.context)))
    keys = cross_work(architecture, step, through.tokens)[1]
    only_reading = (*reading, keys)
    writing = block_work(decoder_of(architecture), step)  # its own tokens and those read are one cache
    looking_up = tuple(
        work for work in cross_work(architecture, step, 0.0, has_cache=True) if work.kind is not WorkKind.ATTENTION
    )
    return (
        *(replace(work, count=work.count * np.where(is_reading, 1.0, 0.0)) for work in only_reading),
        *writing,
        *looking_up,
    )


def embedding_work(architecture: Transformer, through: Pass) -> Work:
    """Looking up the rows: one read and one write of M·h elements."""
    num_bytes = 2.0 * side_dtype(through.dtype).num_bytes * through.rows * architecture.hidden
    return Work("embedding", WorkKind.MEMORY, side_dtype(through.dtype), flops=0.0, num_bytes=num_bytes)


def head_work(architecture: Transformer, through: Pass) -> Work:
    """The output projection onto the vocabulary, kept in 16 bits beside 8- and 4-bit layers."""
    side = side_dtype(through.dtype)
    columns = architecture.head_columns / through.tensor_parallel
    return product("output head", side, through.head_rows, columns, float(architecture.hidden), 1.0)


def loss_work(architecture: Transformer, through: Pass) -> Work:
    """Cross-entropy on M·V logits: read, widened to fp32, read again for the sum."""
    elements = through.head_rows * architecture.score_columns / through.tensor_parallel
    per_element = side_dtype(through.dtype).num_bytes + 8.0
    return Work("loss", WorkKind.MEMORY, Dtype.FP32, 5.0 * elements, per_element * elements, launches=4.0)


def training_work(
    architecture: Transformer | ConvNet,
    through: Pass,
    local_parameters: Amount,
    recompute: Recompute = Recompute.NONE,
    method: TrainingMethod = TrainingMethod.FULL,
    lora_rank: int = 16,
    fused_attention: bool = True,
    channels_last: bool = True,
    lora_targets: LoraTargets = LoraTargets.ALL,
) -> TrainingWork:
    """One micro-batch forward and backward, what is computed again, and the optimizer over `local_parameters`."""
    if isinstance(architecture, ConvNet):
        return _picture_training(architecture, through, local_parameters, recompute, channels_last, fused_attention)
    blocks = block_work(architecture, through)
    scores: tuple[Work, ...] = ()
    if not fused_attention:
        scores = (*score_work(architecture, through), *_dropout_work(architecture, through))
    if through.dtype in (Dtype.FP32, Dtype.TF32):
        blocks, scores = plain_width(blocks), plain_width(scores)
    blocks = (*blocks, *scores)
    adapters = () if method is TrainingMethod.FULL else adapter_work(architecture, through, lora_rank, lora_targets)
    if method is TrainingMethod.QLORA:
        adapters = (*adapters, unpack_work(architecture, through))
    told = written(through) if architecture.encoder_layers else through
    ends = (head_work(architecture, told), loss_work(architecture, told))
    forward = (*_embeddings(architecture, through), *blocks, *adapters, *ends)
    again: tuple[Work, ...] = ()
    if recompute is Recompute.FULL:
        again = (*blocks, *adapters)
    elif recompute is Recompute.SELECTIVE:
        again = tuple(work for work in blocks if work.kind is WorkKind.ATTENTION) + scores
    return TrainingWork(
        forward=forward,
        backward=tuple(part for work in forward for part in _backward(work, method)),
        recompute=computed_again(again),
        optimizer=(optimizer_work(local_parameters),),
    )


def computed_again(works: tuple[Work, ...]) -> tuple[Work, ...]:
    """The same operations in the backward pass, told apart from their first execution by their names."""
    return tuple(replace(work, name=f"{work.name} {AGAIN}") for work in works)


def _embeddings(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    """Of what is read, and of what is written where that is something else."""
    read = embedding_work(architecture, through)
    return (read, embedding_work(architecture, written(through))) if architecture.encoder_layers else (read,)


def _picture_training(
    network: ConvNet,
    through: Pass,
    local_parameters: Amount,
    recompute: Recompute,
    channels_last: bool,
    fused_attention: bool,
) -> TrainingWork:
    forward = picture_work(
        network, through, channels_last=channels_last, fused_attention=fused_attention, is_trained=True
    )
    waited = (_waited_work(network, through),) if network.host_steps else ()
    return TrainingWork(
        forward=(*forward, *waited),
        backward=tuple(part for work in forward for part in _backward(work, TrainingMethod.FULL)),
        recompute=computed_again(forward) if recompute is Recompute.FULL else (),
        optimizer=(optimizer_work(local_parameters),),
    )


def _waited_work(network: ConvNet, through: Pass) -> Work:
    """What the training of a network that chooses regions does picture by picture: hardly any bytes, many steps."""
    return Work(
        "choosing of regions",
        WorkKind.MEMORY,
        Dtype.FP32,
        flops=0.0,
        num_bytes=0.0,
        launches=network.host_steps * through.batch,
        is_waited=True,
        work_class=WorkClass.ELEMENTWISE,
    )


def accumulation_work(num_gradients: Amount) -> Work:
    """Gradients of a micro-batch added to those of the earlier ones."""
    return Work(
        "gradient accumulation",
        WorkKind.MEMORY,
        Dtype.FP32,
        flops=num_gradients,
        num_bytes=ACCUMULATION_BYTES * num_gradients,
        work_class=WorkClass.UPDATE,
    )


def _dropout_work(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    """Dropout on what attention and feed-forward network add to the residual, once more where what was read is looked
    up."""
    if architecture.encoder_layers:
        writes = _dropout_work(decoder_of(architecture), written(through))
        looked_up = (
            replace(work, num_bytes=work.num_bytes / 2.0, flops=work.flops / 2.0, launches=1.0) for work in writes
        )
        return *_dropout_work(encoder_of(architecture), through), *writes, *looked_up
    side = side_dtype(through.dtype)
    values = through.rows * architecture.hidden / through.norm_parallel
    one = Work(
        "dropout",
        WorkKind.MEMORY,
        side,
        flops=2.0 * values,
        num_bytes=DROPOUT_PASSES * side.num_bytes * values,
        count=blocks_per_stage(architecture, through),
        launches=2.0,
        is_fusable=True,
        work_class=WorkClass.ELEMENTWISE,
    )
    return (one,)


def optimizer_work(num_parameters: Amount) -> Work:
    """A fused AdamW update of so many weights."""
    return Work(
        "optimizer",
        WorkKind.MEMORY,
        Dtype.FP32,
        flops=OPTIMIZER_FLOPS * num_parameters,
        num_bytes=OPTIMIZER_BYTES * num_parameters,
        work_class=WorkClass.UPDATE,
    )


def model_forward_flops(
    architecture: Transformer, batch: Amount, tokens: Amount, context: Amount = 0.0, head_tokens: Amount | None = None
) -> Amount:
    """Useful FLOPs of a forward pass: 2 per active weight and row, 4·d per attended pair and head. Of an
    encoder–decoder those of `tokens` read and as many written."""
    if architecture.encoder_layers:
        reading, writing = encoder_of(architecture), decoder_of(architecture)
        every = 2.0 * batch * tokens * architecture.attention_parameters
        every += 4.0 * batch * architecture.num_heads * architecture.head_dim * tokens * tokens
        read = model_forward_flops(reading, batch, tokens, 0.0, 0.0)
        return read + model_forward_flops(writing, batch, tokens, context, head_tokens) + writing.num_layers * every
    rows = batch * tokens
    head_rows = rows if head_tokens is None else batch * head_tokens
    router = architecture.hidden * architecture.num_experts if architecture.num_experts > 1 else 0
    active = architecture.experts_per_token + architecture.shared_experts
    layer = architecture.attention_parameters + router + active * architecture.ffn_parameters
    pairs = attended_pairs(architecture, tokens, context)
    attention = 4.0 * batch * architecture.num_heads * architecture.head_dim * pairs
    head = 2.0 * head_rows * architecture.hidden * architecture.head_columns
    return architecture.num_layers * (2.0 * rows * layer + attention) + head


def model_training_flops(architecture: Transformer, batch: Amount, sequence: Amount) -> Amount:
    """Useful FLOPs of a training step: the backward pass counts twice the forward, recomputation not at all."""
    return 3.0 * model_forward_flops(architecture, batch, sequence)


def kv_bytes_per_token(architecture: Transformer, dtype: Dtype, tensor_parallel: Amount = 1.0) -> Amount:
    """Cache bytes per token on one GPU: keys and values of all layers; heads are copied once t exceeds k."""
    return architecture.num_layers * cached_elements(architecture, tensor_parallel) * dtype.num_bytes


def _backward(work: Work, method: TrainingMethod) -> tuple[Work, ...]:
    """The gradient of an operation: for a GEMM that of its input and (where its weights are trained) of its weights."""
    name = f"{work.name} backward"
    if work.kind is WorkKind.ATTENTION:
        flops, num_bytes = ATTENTION_BACKWARD * work.flops, 2.0 * work.num_bytes
        return (replace(work, name=name, flops=flops, num_bytes=num_bytes, launches=2.0 * work.launches),)
    if work.name == "unpacking of the base":
        return (replace(work, name=name),)
    if work.kind is WorkKind.MEMORY:
        factor = 2.0 * work.num_bytes
        launches = BACKWARD_LAUNCHES * work.launches
        return (replace(work, name=name, flops=2.0 * work.flops, num_bytes=factor, launches=launches),)
    inputs = replace(work, name=f"{work.name} input gradient", columns=work.inner, inner=work.columns)
    if method is not TrainingMethod.FULL:
        return (inputs,)
    weights = replace(work, name=f"{work.name} weight gradient", rows=work.columns, columns=work.inner, inner=work.rows)
    return (inputs, weights)
