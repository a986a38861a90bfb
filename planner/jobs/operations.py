"""What a transformer does, operation by operation: FLOPs and bytes of each phase of training and inference.

An operation is described on one GPU; amounts may be numbers or arrays over candidate layouts, which broadcast.
Letters: B sequences, T new tokens per sequence, C tokens seen before, M = B·T rows, h hidden, a heads, k key-value
heads, d head width, f feed-forward width, V vocabulary, t tensor-parallel, p pipeline, c context-parallel GPUs, e bytes
per element. With a pipeline the works are those of one of its stages: L/p blocks, and the ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.job import LoraTargets, Recompute, TrainingMethod

Amount = float | NDArray[np.float64]

# Kernels per block and pass of an eager framework: 22 forward and 45 backward in all (our design notes, measured).
ELEMENTWISE_LAUNCHES = 14
BACKWARD_LAUNCHES = 2.05
# A fused attention backward computes the scores again: five products where the forward has two.
ATTENTION_BACKWARD = 2.5
# AdamW per weight: read gradient (4 at most), read and write master weight and both moments (24), write the weight.
OPTIMIZER_BYTES = 28.0
OPTIMIZER_FLOPS = 12.0
# Mixed precision keeps about half of the elementwise work in fp32, so plain fp32 moves 4 bytes where it moves 3, not 2.
PLAIN_WIDTH = 2.0 / 3.0
# Scores that are not fused into one kernel: written, masked, normalised, dropped out and read again, per score (our
# design notes); the backward pass twice that.
SCORE_BYTES = 13.0
SCORE_LAUNCHES = 5.0
# Unpacking a base of 4 bits to 16 before each product: half a byte and its scale read, two written and read again.
UNPACK_BYTES = 4.6
# Dropout behind attention and feed-forward, as programs before 2023 trained: read, write and a mask of one byte.
DROPOUT_PASSES = 5.0
# Another micro-batch's gradients added to those before: 4 bytes read and 4 written per weight (Megatron's fused form).
ACCUMULATION_BYTES = 8.0
# Squeeze and excitation: channels averaged (one read), then scaled (read, written).
EXCITATION_PASSES = 3.0
# Rows that go to experts are sorted, sent, brought back and summed: passes over M·k·h beside the exchange itself.
DISPATCH_PASSES = 6.0
DISPATCH_LAUNCHES = 36.0
# Plain fp32 convolutions of 3 × 3 use Winograd's form, with 2.25 times fewer products (Lavin and Gray 2016).
WINOGRAD = 2.25
# Batch normalisation and activation per output pixel: read twice, written, read and written.
NORM_PASSES = 5.0
NORM_LAUNCHES = 2.0
# A depthwise convolution reads neighbours again: times its input and output (assumed).
DEPTHWISE_PASSES = 1.5


class WorkClass(StrEnum):
    """Kinds of operations that reach different shares of what bounds them."""

    PRODUCT = "product"
    EXPERT = "expert"
    DISPATCH = "dispatch"
    CONVOLUTION = "convolution"
    DEPTHWISE = "depthwise"
    LAYOUT = "layout"
    ATTENTION = "attention"
    SCORES = "scores"
    ELEMENTWISE = "elementwise"
    NORMALISATION = "normalisation"
    UNPACKING = "unpacking"
    UPDATE = "update"


class WorkKind(StrEnum):
    """What bounds an operation at best."""

    GEMM = "gemm"
    ATTENTION = "attention"
    MEMORY = "memory"  # elementwise, normalisation, softmax, embedding, optimizer: bytes decide


@dataclass(frozen=True, slots=True)
class Work:
    """One operation, executed `count` times; `flops`, `num_bytes` and `launches` are those of one execution.

    A GEMM multiplies rows × inner by inner × columns.
    """

    name: str
    kind: WorkKind
    dtype: Dtype
    flops: Amount
    num_bytes: Amount
    count: Amount = 1.0
    launches: Amount = 1.0
    rows: Amount = 0.0
    columns: Amount = 0.0
    inner: Amount = 0.0
    is_fusable: bool = False  # elementwise work that software may fold into its neighbours
    work_class: WorkClass = WorkClass.PRODUCT


@dataclass(frozen=True, slots=True)
class Pass:
    """What goes through the model at once: `batch` sequences of `tokens` new tokens after `context` earlier ones."""

    batch: Amount
    tokens: Amount
    dtype: Dtype
    context: Amount = 0.0
    tensor_parallel: Amount = 1.0
    kv_dtype: Dtype | None = None
    head_tokens: Amount | None = None  # rows per sequence that reach the output head; None: all
    pipeline_parallel: Amount = 1.0
    context_parallel: Amount = 1.0
    expert_parallel: Amount = 1.0
    norm_parallel: Amount = 1.0  # GPUs that divide norms and residuals: as tensor_parallel, or 1
    weight_bytes: float | None = None  # stored bytes of a block's weight where fewer than those of `dtype`

    @property
    def rows(self) -> Amount:
        """Rows on one GPU of a context-parallel group."""
        return self.batch * self.tokens / self.context_parallel

    @property
    def head_rows(self) -> Amount:
        return self.rows if self.head_tokens is None else self.batch * self.head_tokens / self.context_parallel


@dataclass(frozen=True, slots=True)
class TrainingWork:
    """The phases of one micro-batch on one GPU, and the optimizer of one step."""

    forward: tuple[Work, ...]
    backward: tuple[Work, ...]
    recompute: tuple[Work, ...]
    optimizer: tuple[Work, ...]


def side_dtype(dtype: Dtype) -> Dtype:
    """The format of what is not multiplied in `dtype`: bf16 beside the 8- and 4-bit formats, else the same."""
    return Dtype.BF16 if dtype in (Dtype.FP8, Dtype.INT8, Dtype.FP4) else dtype


def total_flops(works: Iterable[Work]) -> Amount:
    """FLOPs of all executions."""
    return sum((work.flops * work.count for work in works), start=0.0)


def total_bytes(works: Iterable[Work]) -> Amount:
    """Bytes moved to and from memory by all executions."""
    return sum((work.num_bytes * work.count for work in works), start=0.0)


def forward_work(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    """One forward pass: embedding, blocks, output head."""
    return (embedding_work(architecture, through), *block_work(architecture, through), head_work(architecture, through))


def block_work(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    """All blocks of one forward pass; `count` holds the number of layers."""
    return (
        *_projection_work(architecture, through),
        attention_work(architecture, through),
        *_ffn_work(architecture, through),
        _elementwise_work(architecture, through),
    )


def attended_pairs(architecture: Transformer, tokens: Amount, context: Amount = 0.0) -> Amount:
    """Query-key pairs per sequence and head: T·C + T(T+1)/2 when causal, T·(C+T) otherwise."""
    within = tokens * (tokens + 1) / 2 if architecture.causal else tokens * tokens
    return tokens * context + within


def attention_work(architecture: Transformer, through: Pass) -> Work:
    """Scores and weighted values, fused: 4·d FLOPs per pair and head; reads q, k, v and cache, writes the result."""
    heads, _ = _heads(architecture, through.tensor_parallel)
    width = architecture.head_dim
    side = side_dtype(through.dtype)
    seen = _seen(architecture, through.context)
    pairs = attended_pairs(architecture, through.tokens, seen)
    shared = pairs / through.context_parallel
    query_bytes = side.num_bytes * through.rows * 2 * heads * width
    elements = _cached_elements(architecture, through.tensor_parallel)
    cache_bytes = (through.kv_dtype or side).num_bytes * through.batch * (seen + through.tokens) * elements
    return Work(
        "attention",
        WorkKind.ATTENTION,
        side,
        flops=_pair_flops(architecture, through.tokens) * through.batch * heads * shared,
        num_bytes=query_bytes + cache_bytes,
        count=_blocks(architecture, through),
        rows=through.tokens,
        columns=through.context + through.tokens,
        inner=float(width),
        work_class=WorkClass.ATTENTION,
    )


def _seen(architecture: Transformer, context: Amount) -> Amount:
    """Earlier tokens that a layer looks at, on average over windowed and other layers."""
    if not architecture.windowed_layers:
        return context
    share = architecture.windowed_layers / architecture.num_layers
    return (1.0 - share) * context + share * np.minimum(context, float(architecture.window))


def _cached_elements(architecture: Transformer, tensor_parallel: Amount) -> Amount:
    """Elements of the cache per token and layer on one GPU; a latent is not divided."""
    if architecture.latent_kv:
        return float(architecture.latent_kv)
    return 2.0 * _heads(architecture, tensor_parallel)[1] * architecture.head_dim


def _pair_flops(architecture: Transformer, tokens: Amount) -> Amount:
    """FLOPs per query, key and head: 4·d. A latent cache is attended as it lies when single tokens are decoded, and is
    widened into keys and values for prompts."""
    width = architecture.head_dim
    if not architecture.latent_kv:
        return 4.0 * width
    widened = 2.0 * (2.0 * width + architecture.latent_rope)
    as_it_lies = 2.0 * (2.0 * architecture.latent_kv - architecture.latent_rope)
    return np.where(np.asarray(tokens) <= 1.0, as_it_lies, widened)


def score_work(architecture: Transformer, through: Pass) -> Work:
    """The scores of attention that is not fused, in memory: 13 bytes per query, key and head, masked ones too."""
    heads, _ = _heads(architecture, through.tensor_parallel)
    scores = through.batch * heads * through.tokens * (through.context + through.tokens) / through.context_parallel
    return Work(
        "scores in memory",
        WorkKind.MEMORY,
        side_dtype(through.dtype),
        flops=8.0 * scores,
        num_bytes=SCORE_BYTES / 2.0 * side_dtype(through.dtype).num_bytes * scores,
        count=_blocks(architecture, through),
        launches=SCORE_LAUNCHES,
        work_class=WorkClass.SCORES,
    )


def _blocks(architecture: Transformer, through: Pass) -> Amount:
    return architecture.num_layers / through.pipeline_parallel


def embedding_work(architecture: Transformer, through: Pass) -> Work:
    """Looking up the rows: one read and one write of M·h elements."""
    num_bytes = 2.0 * side_dtype(through.dtype).num_bytes * through.rows * architecture.hidden
    return Work("embedding", WorkKind.MEMORY, side_dtype(through.dtype), flops=0.0, num_bytes=num_bytes)


def head_work(architecture: Transformer, through: Pass) -> Work:
    """The output projection onto the vocabulary, kept in 16 bits beside 8- and 4-bit layers."""
    side = side_dtype(through.dtype)
    columns = architecture.vocab / through.tensor_parallel
    return _gemm("output head", side, through.head_rows, columns, float(architecture.hidden), 1.0)


def loss_work(architecture: Transformer, through: Pass) -> Work:
    """Cross-entropy on M·V logits: read, widened to fp32, read again for the sum."""
    elements = through.head_rows * architecture.vocab / through.tensor_parallel
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
        return _convnet_work(architecture, through, local_parameters, recompute, channels_last)
    blocks = block_work(architecture, through)
    scores: tuple[Work, ...] = ()
    if not fused_attention:
        scores = (score_work(architecture, through), _dropout_work(architecture, through))
    if through.dtype in (Dtype.FP32, Dtype.TF32):
        blocks, scores = _plain_width(blocks), _plain_width(scores)
    blocks = (*blocks, *scores)
    adapters = () if method is TrainingMethod.FULL else _adapter_work(architecture, through, lora_rank, lora_targets)
    if method is TrainingMethod.QLORA:
        adapters = (*adapters, _unpack_work(architecture, through))
    ends = (head_work(architecture, through), loss_work(architecture, through))
    forward = (embedding_work(architecture, through), *blocks, *adapters, *ends)
    again: tuple[Work, ...] = ()
    if recompute is Recompute.FULL:
        again = (*blocks, *adapters)
    elif recompute is Recompute.SELECTIVE:
        again = (attention_work(architecture, through), *scores)
    return TrainingWork(
        forward=forward,
        backward=tuple(part for work in forward for part in _backward(work, method)),
        recompute=again,
        optimizer=(optimizer_work(local_parameters),),
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


def _dropout_work(architecture: Transformer, through: Pass) -> Work:
    """Dropout on what attention and feed-forward network add to the residual."""
    side = side_dtype(through.dtype)
    values = through.rows * architecture.hidden / through.norm_parallel
    return Work(
        "dropout",
        WorkKind.MEMORY,
        side,
        flops=2.0 * values,
        num_bytes=DROPOUT_PASSES * side.num_bytes * values,
        count=_blocks(architecture, through),
        launches=2.0,
        is_fusable=True,
        work_class=WorkClass.ELEMENTWISE,
    )


def _plain_width(works: tuple[Work, ...]) -> tuple[Work, ...]:
    return tuple(
        replace(work, num_bytes=PLAIN_WIDTH * work.num_bytes) if work.kind is WorkKind.MEMORY else work
        for work in works
    )


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


def lora_parameters(architecture: Transformer, rank: int, targets: LoraTargets = LoraTargets.ALL) -> int:
    """Adapter weights of that rank on the chosen linear layers of every block: rank · (inputs + outputs)."""
    linears = _linears(architecture)
    chosen = linears if targets is LoraTargets.ALL else linears[:3]
    return architecture.num_layers * rank * sum(inputs + outputs for inputs, outputs in chosen)


def model_forward_flops(
    architecture: Transformer, batch: Amount, tokens: Amount, context: Amount = 0.0, head_tokens: Amount | None = None
) -> Amount:
    """Useful FLOPs of a forward pass: 2 per active weight and row, 4·d per attended pair and head."""
    rows = batch * tokens
    head_rows = rows if head_tokens is None else batch * head_tokens
    router = architecture.hidden * architecture.num_experts if architecture.num_experts > 1 else 0
    active = architecture.experts_per_token + architecture.shared_experts
    layer = architecture.attention_parameters + router + active * architecture.ffn_parameters
    pairs = attended_pairs(architecture, tokens, context)
    attention = 4.0 * batch * architecture.num_heads * architecture.head_dim * pairs
    head = 2.0 * head_rows * architecture.hidden * architecture.vocab
    return architecture.num_layers * (2.0 * rows * layer + attention) + head


def model_training_flops(architecture: Transformer, batch: Amount, sequence: Amount) -> Amount:
    """Useful FLOPs of a training step: the backward pass counts twice the forward, recomputation not at all."""
    return 3.0 * model_forward_flops(architecture, batch, sequence)


def kv_bytes_per_token(architecture: Transformer, dtype: Dtype, tensor_parallel: Amount = 1.0) -> Amount:
    """Cache bytes per token on one GPU: keys and values of all layers; heads are copied once t exceeds k."""
    return architecture.num_layers * _cached_elements(architecture, tensor_parallel) * dtype.num_bytes


def _heads(architecture: Transformer, tensor_parallel: Amount) -> tuple[Amount, Amount]:
    heads = architecture.num_heads / tensor_parallel
    return heads, np.maximum(architecture.num_kv_heads / tensor_parallel, 1.0)


def _gemm(
    name: str,
    dtype: Dtype,
    rows: Amount,
    columns: Amount,
    inner: Amount,
    count: Amount,
    launches: Amount = 1.0,
    weight_bytes: float | None = None,
) -> Work:
    side = side_dtype(dtype).num_bytes
    stored = dtype.num_bytes if weight_bytes is None else weight_bytes
    return Work(
        name,
        WorkKind.GEMM,
        dtype,
        flops=2.0 * rows * columns * inner,
        num_bytes=stored * columns * inner + side * rows * (inner + columns),
        count=count,
        launches=launches,
        rows=rows,
        columns=columns,
        inner=inner,
    )


def _projection_work(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    heads, kv_heads = _heads(architecture, through.tensor_parallel)
    width, hidden = architecture.head_dim, float(architecture.hidden)
    layers, stored = _blocks(architecture, through), through.weight_bytes
    output = _gemm("attention output", through.dtype, through.rows, hidden, heads * width, layers, 1.0, stored)
    if architecture.latent_kv:
        return (*_latent_work(architecture, through, heads), output)
    columns = (heads + 2.0 * kv_heads) * width
    return (
        _gemm("query, key, value", through.dtype, through.rows, columns, hidden, layers, 3.0, stored),
        output,
    )


def _latent_work(architecture: Transformer, through: Pass, heads: Amount) -> tuple[Work, ...]:
    """Down to the latents, which every tensor-parallel GPU does for itself, and up to its own heads."""
    hidden, rope = float(architecture.hidden), architecture.latent_rope
    layers, stored, dtype, rows = _blocks(architecture, through), through.weight_bytes, through.dtype, through.rows
    queries = heads * (architecture.head_dim + rope)
    made, latent = heads * 2.0 * architecture.head_dim, float(architecture.latent_kv - rope)
    down, inner = float(architecture.latent_kv + architecture.latent_query), float(architecture.latent_query) or hidden
    return (
        _gemm("latents", dtype, rows, down, hidden, layers, 2.0, stored),
        _gemm("queries", dtype, rows, queries, inner, layers, 1.0, stored),
        _gemm("keys, values", dtype, rows, made, latent, layers, 2.0, stored),
    )


def _ffn_work(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    """Up (and gate) and down; with experts the router and one pair of products per expert that gets rows, the experts
    of a layer in one launch."""
    stored, hidden = through.weight_bytes, float(architecture.hidden)
    layers = architecture.expert_layers / through.pipeline_parallel
    gates = 2.0 if architecture.gated else 1.0
    width = architecture.ffn / through.tensor_parallel
    rows: Amount = through.rows
    experts: Amount = 1.0
    router: tuple[Work, ...] = ()
    if architecture.num_experts > 1:
        together = through.rows * through.expert_parallel  # rows that the experts of this GPU are drawn for
        experts = touched_experts(architecture, together) / through.expert_parallel
        rows = through.rows * architecture.experts_per_token / experts
        columns = float(architecture.num_experts)
        router = (_gemm("router", side_dtype(through.dtype), through.rows, columns, hidden, layers),)
        router += (_dispatch_work(architecture, through),)
    if architecture.shared_experts:
        wide = architecture.shared_experts * width
        router += (
            _gemm("shared experts up", through.dtype, through.rows, gates * wide, hidden, layers, gates, stored),
            _gemm("shared experts down", through.dtype, through.rows, hidden, wide, layers, 1.0, stored),
        )
    if architecture.dense_layers:
        count = architecture.dense_layers / through.pipeline_parallel
        wide = architecture.dense_ffn / through.tensor_parallel
        router += (
            _gemm("dense layers up", through.dtype, through.rows, gates * wide, hidden, count, gates, stored),
            _gemm("dense layers down", through.dtype, through.rows, hidden, wide, count, 1.0, stored),
        )
    each = layers * experts
    pair = (
        _gemm("feed-forward up", through.dtype, rows, gates * width, hidden, each, gates / experts, stored),
        _gemm("feed-forward down", through.dtype, rows, hidden, width, each, 1.0 / experts, stored),
    )
    if architecture.num_experts > 1:
        pair = (replace(pair[0], work_class=WorkClass.EXPERT), replace(pair[1], work_class=WorkClass.EXPERT))
    return (*router, *pair)


def _dispatch_work(architecture: Transformer, through: Pass) -> Work:
    """Sorting rows by expert and back."""
    side = side_dtype(through.dtype)
    moved = through.rows * architecture.experts_per_token * architecture.hidden
    return Work(
        "dispatch to experts",
        WorkKind.MEMORY,
        side,
        flops=moved,
        num_bytes=DISPATCH_PASSES * side.num_bytes * moved,
        count=_blocks(architecture, through),
        launches=DISPATCH_LAUNCHES,
        work_class=WorkClass.DISPATCH,
    )


def touched_experts(architecture: Transformer, rows: Amount) -> Amount:
    """Experts of a layer that get at least one of so many rows when each row picks at random: E·(1 − (1 − k/E)^M)."""
    share = architecture.experts_per_token / architecture.num_experts
    return architecture.num_experts * (1.0 - (1.0 - share) ** np.minimum(rows, 1e6))


def _elementwise_work(architecture: Transformer, through: Pass) -> Work:
    """Norms (4 passes over M·h), residual additions (6), rotation of q and k (2), activation (3 if gated, else 2)."""
    heads, kv_heads = _heads(architecture, through.tensor_parallel)
    active = (architecture.experts_per_token + architecture.shared_experts) * architecture.ffn / through.tensor_parallel
    passes = (
        10.0 * architecture.hidden / through.norm_parallel
        + 2.0 * (heads + kv_heads) * architecture.head_dim
        + (3.0 if architecture.gated else 2.0) * active
    )
    side = side_dtype(through.dtype)
    return Work(
        "norms, residuals, activation",
        WorkKind.MEMORY,
        side,
        flops=2.0 * through.rows * passes,
        num_bytes=side.num_bytes * through.rows * passes,
        count=_blocks(architecture, through),
        launches=float(ELEMENTWISE_LAUNCHES),
        is_fusable=True,
        work_class=WorkClass.ELEMENTWISE,
    )


def _convnet_work(
    network: ConvNet, through: Pass, local_parameters: Amount, recompute: Recompute, channels_last: bool
) -> TrainingWork:
    """A picture network: convolutions as products, depthwise ones and normalisation by their bytes, the classifier."""
    alike: dict[Conv, int] = {}
    for conv in network.convs:
        alike[replace(conv, count=1)] = alike.get(replace(conv, count=1), 0) + conv.count
    merged = [replace(conv, count=count) for conv, count in alike.items()]
    forward = tuple(work for conv in merged for work in _conv_work(conv, through, channels_last))
    classes = _gemm(
        "classifier", side_dtype(through.dtype), through.batch, network.classes, float(network.features), 1.0
    )
    if through.dtype in (Dtype.FP32, Dtype.TF32):
        forward = _plain_width(forward)
    forward = (*forward, classes)
    return TrainingWork(
        forward=forward,
        backward=tuple(part for work in forward for part in _backward(work, TrainingMethod.FULL)),
        recompute=forward if recompute is Recompute.FULL else (),
        optimizer=(optimizer_work(local_parameters),),
    )


def _conv_work(conv: Conv, through: Pass, channels_last: bool) -> tuple[Work, ...]:
    """A convolution as a product of pixels × (channels · kernel²), and the normalisation behind it."""
    side = side_dtype(through.dtype)
    pixels = through.batch * float(conv.size**2)
    count = float(conv.count)
    written = side.num_bytes * pixels * conv.outputs
    read = side.num_bytes * pixels * conv.inputs
    if conv.groups == conv.inputs and conv.groups > 1:
        product = Work(
            "depthwise convolution",
            WorkKind.MEMORY,
            side,
            flops=conv.flops * through.batch,
            num_bytes=DEPTHWISE_PASSES * (read + written),
            count=count,
            work_class=WorkClass.DEPTHWISE,
        )
    else:
        inner = conv.kernel**2 * conv.inputs / conv.groups
        saved = WINOGRAD if conv.kernel == 3 and conv.groups == 1 and through.dtype is Dtype.FP32 else 1.0
        product = Work(
            "convolution",
            WorkKind.GEMM,
            through.dtype,
            flops=conv.flops * through.batch / saved,
            num_bytes=read + written + through.dtype.num_bytes * inner * conv.outputs,
            count=count,
            rows=pixels,
            columns=conv.outputs / conv.groups,
            inner=inner,
            work_class=WorkClass.CONVOLUTION,
        )
    if conv.is_linear and conv.size == 1:
        return (product,)
    turned: tuple[Work, ...] = ()
    if not channels_last and through.dtype is not Dtype.FP32 and product.kind is WorkKind.GEMM:
        turned = (
            Work(
                "turning of channels",
                WorkKind.MEMORY,
                side,
                flops=0.0 * pixels,
                num_bytes=2.0 * (read + written),
                count=count,
                launches=2.0,
                work_class=WorkClass.LAYOUT,
            ),
        )
    passes = NORM_PASSES - 2.0 if conv.is_linear else NORM_PASSES
    passes += EXCITATION_PASSES if conv.is_excited else 0.0
    norm = Work(
        "normalisation, activation",
        WorkKind.MEMORY,
        side,
        flops=passes * pixels * conv.outputs,
        num_bytes=passes * written,
        count=count,
        launches=NORM_LAUNCHES,
        work_class=WorkClass.NORMALISATION,
    )
    return (product, *turned, norm)


def _unpack_work(architecture: Transformer, through: Pass) -> Work:
    """Unpacking the frozen base for every pass."""
    weights = (architecture.num_parameters - architecture.embedding_parameters) / architecture.num_layers
    return Work(
        "unpacking of the base",
        WorkKind.MEMORY,
        side_dtype(through.dtype),
        flops=2.0 * weights,
        num_bytes=UNPACK_BYTES * weights / through.tensor_parallel,
        count=_blocks(architecture, through),
        launches=7.0,
        work_class=WorkClass.UNPACKING,
    )


def _linears(architecture: Transformer) -> tuple[tuple[int, int], ...]:
    """(inputs, outputs) of the linear layers of one block, all experts counted."""
    hidden, width = architecture.hidden, architecture.head_dim
    inner, kv = architecture.num_heads * width, architecture.num_kv_heads * width
    ups = 2 if architecture.gated else 1
    ffn = ((hidden, architecture.ffn),) * ups + ((architecture.ffn, hidden),)
    return ((hidden, inner), (hidden, kv), (hidden, kv), (inner, hidden)) + ffn * architecture.num_experts


def _adapter_work(architecture: Transformer, through: Pass, rank: int, targets: LoraTargets) -> tuple[Work, ...]:
    """Two thin products beside every linear layer: reading its input and adding to its output is what takes time."""
    side = side_dtype(through.dtype)
    per_token = _linears(architecture)[:4] + _linears(architecture)[4 : 4 + (3 if architecture.gated else 2)] * (
        architecture.experts_per_token
    )
    if targets is LoraTargets.ATTENTION:
        per_token = per_token[:3]
    widths = sum(inputs + outputs for inputs, outputs in per_token) / through.tensor_parallel
    return (
        Work(
            "adapters",
            WorkKind.MEMORY,
            side,
            flops=2.0 * through.rows * rank * widths,
            num_bytes=2.0 * side.num_bytes * through.rows * widths,
            count=_blocks(architecture, through),
            launches=3.0 * len(per_token),
        ),
    )


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
