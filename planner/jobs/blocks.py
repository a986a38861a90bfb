"""The blocks of a transformer, operation by operation: projections, attention, feed-forward networks, experts.

Letters: B sequences, T new tokens per sequence, C tokens seen before, M = B·T rows, h hidden, a heads, k key-value
heads, d head width, f feed-forward width, t tensor-parallel, p pipeline, c context-parallel GPUs, e bytes per element.
With a pipeline the works are those of one of its stages: L/p blocks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.jobs.architecture import Transformer
from planner.jobs.work import Amount, Pass, Work, WorkClass, WorkKind, product, side_dtype

# Kernels per block and pass of an eager framework: 22 forward and 45 backward in all (our design notes, measured).
BOTH_WAYS = "attention both ways"  # kernels skip what a causal mask hides in large pieces, or not at all
ELEMENTWISE_LAUNCHES = 14
# Scores that are not fused into one kernel: written, masked, normalised, dropped out and read again, per score (our
# design notes); the backward pass twice that.
SCORE_BYTES = 13.0
SCORE_LAUNCHES = 5.0
# Scores of relative positions beside those of contents, in 16 bits: written, shifted (read, written), added to those of
# contents (both read, written) and scaled together (read, written) (Dai et al. 2019, appendix B and their program).
POSITION_SCORE_BYTES = 16.0
# Rows that go to experts are sorted, sent, brought back and summed: passes over M·k·h beside the exchange itself.
DISPATCH_PASSES = 6.0
DISPATCH_LAUNCHES = 36.0
# Parts of a block that add to the residual: attention and feed-forward; looking at what was read is a third.
SUBLAYERS = 2.0


def block_work(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    """All blocks of one forward pass; `count` holds the number of layers. Of an encoder–decoder those of both."""
    if architecture.encoder_layers:
        reading, writing = encoder_of(architecture), decoder_of(architecture)
        return (
            *block_work(reading, through),
            *block_work(writing, written(through)),
            *cross_work(architecture, written(through), through.tokens),
        )
    return (
        *_projection_work(architecture, through),
        attention_work(architecture, through),
        *_ffn_work(architecture, through),
        _elementwise_work(architecture, through),
    )


def encoder_of(architecture: Transformer) -> Transformer:
    """The half of an encoder–decoder that reads: every position sees every other."""
    return replace(architecture, num_layers=architecture.encoder_layers, encoder_layers=0, causal=False)


def decoder_of(architecture: Transformer) -> Transformer:
    """The half that writes, without looking at what was read."""
    return replace(architecture, encoder_layers=0)


def written(through: Pass) -> Pass:
    """What goes through the half that writes."""
    tokens = through.tokens if through.target_tokens is None else through.target_tokens
    return replace(through, tokens=tokens, target_tokens=None)


def exchanging_layers(architecture: Transformer, read: int, output: int | None = None) -> float:
    """Layers, each of which exchanges its rows twice among tensor-parallel GPUs: a layer that writes and looks up does
    so three times, with `output` rows for each `read` (None: as many)."""
    share = 1.0 if output is None else output / read
    looking = (SUBLAYERS + 1.0) / SUBLAYERS
    is_pair = architecture.encoder_layers > 0
    return architecture.encoder_layers + architecture.num_layers * (looking * share if is_pair else 1.0)


def cross_work(architecture: Transformer, through: Pass, read: Amount, *, has_cache: bool = False) -> tuple[Work, ...]:
    """What the half that writes looks up in the `read` tokens per sequence: `through` holds what is written.

    With `has_cache` keys and values of what was read are there already."""
    heads, kv_heads = local_heads(architecture, through.tensor_parallel)
    width, hidden, layers = architecture.head_dim, float(architecture.hidden), blocks_per_stage(architecture, through)
    stored, side = through.weight_bytes, side_dtype(through.dtype)
    read_rows = through.batch * read / through.context_parallel
    query_bytes = side.num_bytes * through.rows * 2 * heads * width
    key_bytes = (through.kv_dtype or side).num_bytes * read_rows * 2 * kv_heads * width
    passes = 5.0 * architecture.hidden / through.norm_parallel  # a norm and a residual addition
    keys = product("cross key, value", through.dtype, read_rows, 2.0 * kv_heads * width, hidden, layers, 2.0, stored)
    return (
        product("cross query", through.dtype, through.rows, heads * width, hidden, layers, 1.0, stored),
        *(() if has_cache else (keys,)),
        product("cross output", through.dtype, through.rows, hidden, heads * width, layers, 1.0, stored),
        Work(
            "cross attention",
            WorkKind.ATTENTION,
            side,
            flops=4.0 * width * heads * through.rows * read,
            num_bytes=query_bytes + key_bytes,
            count=layers,
            rows=through.tokens,
            columns=read,
            inner=float(width),
            work_class=WorkClass.ATTENTION,
        ),
        Work(
            "cross norm, residual",
            WorkKind.MEMORY,
            side,
            flops=2.0 * through.rows * passes,
            num_bytes=side.num_bytes * through.rows * passes,
            count=layers,
            launches=ELEMENTWISE_LAUNCHES / SUBLAYERS,
            is_fusable=True,
            work_class=WorkClass.ELEMENTWISE,
        ),
    )


def attended_pairs(architecture: Transformer, tokens: Amount, context: Amount = 0.0) -> Amount:
    """Query-key pairs per sequence and head, on average over the layers: T·C + T(T+1)/2 when causal, T·(C+T) otherwise;
    a windowed layer's queries look at no more keys than its window holds."""
    every = _pairs(tokens, context, causal=architecture.causal)
    if not architecture.windowed_layers:
        return every
    share = architecture.windowed_layers / architecture.num_layers
    window = float(architecture.window)
    if not architecture.causal:
        return (1.0 - share) * every + share * tokens * np.minimum(context + tokens, window)
    growing = np.clip(window - context, 0.0, tokens)  # queries with fewer keys before them than the window holds
    narrow = _pairs(growing, context, causal=True) + (tokens - growing) * window
    return (1.0 - share) * every + share * narrow


def _pairs(tokens: Amount, context: Amount, *, causal: bool) -> Amount:
    return tokens * context + (tokens * (tokens + 1) / 2 if causal else tokens * tokens)


def attention_work(architecture: Transformer, through: Pass) -> Work:
    """Scores and weighted values, fused: 4·d FLOPs per pair and head; reads q, k, v and cache, writes the result."""
    heads, _ = local_heads(architecture, through.tensor_parallel)
    width = architecture.head_dim
    side = side_dtype(through.dtype)
    seen = _seen(architecture, through.context)
    pairs = attended_pairs(architecture, through.tokens, through.context + architecture.segment_memory)
    shared = pairs / through.context_parallel
    query_bytes = side.num_bytes * through.rows * 2 * heads * width
    elements = cached_elements(architecture, through.tensor_parallel)
    cache_bytes = (through.kv_dtype or side).num_bytes * through.batch * (seen + through.tokens) * elements
    return Work(
        "attention" if architecture.causal else BOTH_WAYS,
        WorkKind.ATTENTION,
        side,
        flops=_pair_flops(architecture, through.tokens) * through.batch * heads * shared,
        num_bytes=query_bytes + cache_bytes,
        count=blocks_per_stage(architecture, through),
        rows=through.tokens,
        columns=through.context + through.tokens,
        inner=float(width),
        work_class=WorkClass.ATTENTION,
    )


def _seen(architecture: Transformer, context: Amount) -> Amount:
    """Earlier tokens that a layer looks at, on average over windowed and other layers, and earlier segments."""
    context = context + architecture.segment_memory
    if not architecture.windowed_layers:
        return context
    share = architecture.windowed_layers / architecture.num_layers
    return (1.0 - share) * context + share * np.minimum(context, float(architecture.window))


def cached_elements(architecture: Transformer, tensor_parallel: Amount) -> Amount:
    """Elements of the cache per token and layer on one GPU; a latent is not divided."""
    if architecture.latent_kv:
        return float(architecture.latent_kv)
    return 2.0 * local_heads(architecture, tensor_parallel)[1] * architecture.head_dim


def _pair_flops(architecture: Transformer, tokens: Amount) -> Amount:
    """FLOPs per query, key and head: 4·d, and 2·d for relative positions. A latent cache is attended as it lies when
    single tokens are decoded, and is widened into keys and values for prompts."""
    width = architecture.head_dim
    if architecture.segment_memory:
        return 6.0 * width
    if not architecture.latent_kv:
        return 4.0 * width
    widened = 2.0 * (2.0 * width + architecture.latent_rope)
    as_it_lies = 2.0 * (2.0 * architecture.latent_kv - architecture.latent_rope)
    return np.where(np.asarray(tokens) <= 1.0, as_it_lies, widened)


def score_work(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    """The scores of attention that is not fused, in memory: 13 bytes per query, key and head, masked ones too."""
    if architecture.encoder_layers:
        writes = written(through)
        looked_up = _scores_in_memory(decoder_of(architecture), writes, through.tokens)
        return *score_work(encoder_of(architecture), through), *score_work(decoder_of(architecture), writes), looked_up
    keys = through.context + through.tokens + architecture.segment_memory
    return (_scores_in_memory(architecture, through, keys),)


def _scores_in_memory(architecture: Transformer, through: Pass, keys: Amount) -> Work:
    heads, _ = local_heads(architecture, through.tensor_parallel)
    scores = through.batch * heads * through.tokens * keys / through.context_parallel
    per_score = SCORE_BYTES + (POSITION_SCORE_BYTES if architecture.segment_memory else 0.0)
    return Work(
        "scores in memory",
        WorkKind.MEMORY,
        side_dtype(through.dtype),
        flops=8.0 * scores,
        num_bytes=per_score / 2.0 * side_dtype(through.dtype).num_bytes * scores,
        count=blocks_per_stage(architecture, through),
        launches=SCORE_LAUNCHES,
        work_class=WorkClass.SCORES,
    )


def blocks_per_stage(architecture: Transformer, through: Pass) -> Amount:
    return architecture.num_layers / through.pipeline_parallel


def local_heads(architecture: Transformer, tensor_parallel: Amount) -> tuple[Amount, Amount]:
    heads = architecture.num_heads / tensor_parallel
    return heads, np.maximum(architecture.num_kv_heads / tensor_parallel, 1.0)


def _projection_work(architecture: Transformer, through: Pass) -> tuple[Work, ...]:
    heads, kv_heads = local_heads(architecture, through.tensor_parallel)
    width, hidden = architecture.head_dim, float(architecture.hidden)
    layers = blocks_per_stage(architecture, through)
    dtype, stored = through.projected
    output = product("attention output", dtype, through.rows, hidden, heads * width, layers, 1.0, stored)
    if architecture.latent_kv:
        return (*_latent_work(architecture, through, heads), output)
    columns = (heads + 2.0 * kv_heads) * width
    remembered = through.batch * float(architecture.segment_memory)
    made = product("query, key, value", dtype, through.rows + remembered, columns, hidden, layers, 3.0, stored)
    if not architecture.segment_memory:
        return made, output
    distances = through.tokens + architecture.segment_memory  # the same for every sequence
    positions = product("positions", through.dtype, distances, heads * width, hidden, layers, 1.0, stored)
    return made, positions, output


def _latent_work(architecture: Transformer, through: Pass, heads: Amount) -> tuple[Work, ...]:
    """Down to the latents, which every tensor-parallel GPU does for itself, and up to its own heads."""
    hidden, rope = float(architecture.hidden), architecture.latent_rope
    layers, rows = blocks_per_stage(architecture, through), through.rows
    dtype, stored = through.projected
    queries = heads * (architecture.head_dim + rope)
    made, latent = heads * 2.0 * architecture.head_dim, float(architecture.latent_kv - rope)
    down, inner = float(architecture.latent_kv + architecture.latent_query), float(architecture.latent_query) or hidden
    return (
        product("latents", dtype, rows, down, hidden, layers, 2.0, stored),
        product("queries", dtype, rows, queries, inner, layers, 1.0, stored),
        product("keys, values", dtype, rows, made, latent, layers, 2.0, stored),
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
        router = (product("router", side_dtype(through.dtype), through.rows, columns, hidden, layers),)
        router += (_dispatch_work(architecture, through),)
    if architecture.shared_experts:
        wide = architecture.shared_experts * width
        router += (
            product("shared experts up", through.dtype, through.rows, gates * wide, hidden, layers, gates, stored),
            product("shared experts down", through.dtype, through.rows, hidden, wide, layers, 1.0, stored),
        )
    if architecture.dense_layers:
        count = architecture.dense_layers / through.pipeline_parallel
        wide = architecture.dense_ffn / through.tensor_parallel
        router += (
            product("dense layers up", through.dtype, through.rows, gates * wide, hidden, count, gates, stored),
            product("dense layers down", through.dtype, through.rows, hidden, wide, count, 1.0, stored),
        )
    each = layers * experts
    pair = (
        product("feed-forward up", through.dtype, rows, gates * width, hidden, each, gates / experts, stored),
        product("feed-forward down", through.dtype, rows, hidden, width, each, 1.0 / experts, stored),
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
        count=blocks_per_stage(architecture, through),
        launches=DISPATCH_LAUNCHES,
        work_class=WorkClass.DISPATCH,
    )


def touched_experts(architecture: Transformer, rows: Amount) -> Amount:
    """Experts of a layer that get at least one of so many rows when each row picks at random: E·(1 − (1 − k/E)^M)."""
    share = architecture.experts_per_token / architecture.num_experts
    return architecture.num_experts * (1.0 - (1.0 - share) ** np.minimum(rows, 1e6))


def _elementwise_work(architecture: Transformer, through: Pass) -> Work:
    """Norms (4 passes over M·h), residual additions (6), rotation of q and k (2), activation (3 if gated, else 2)."""
    heads, kv_heads = local_heads(architecture, through.tensor_parallel)
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
        count=blocks_per_stage(architecture, through),
        launches=float(ELEMENTWISE_LAUNCHES),
        is_fusable=True,
        work_class=WorkClass.ELEMENTWISE,
    )
