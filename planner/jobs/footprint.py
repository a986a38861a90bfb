"""What a job keeps in the memory of one GPU, item by item, in bytes; amounts may be arrays over candidate layouts.

Letters as in operations.py; D data-parallel and t tensor-parallel GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.job import Recompute, TrainingMethod
from planner.jobs.operations import Amount, kv_bytes_per_token, lora_parameters, side_dtype

# AdamW in mixed precision keeps a master weight and two moments in fp32; in fp32 the weight is its own master.
MIXED_OPTIMIZER_BYTES = 12.0
PLAIN_OPTIMIZER_BYTES = 8.0
# A block whose weights are gathered and the next one under way (fully sharded training with prefetch of one).
LIVE_BLOCKS = 2.0


@dataclass(frozen=True, slots=True)
class Split:
    """How a job is split, as far as memory goes. `shard_optimizer` and `shard_weights` are 0 or 1 (or arrays of it)."""

    micro_batch: Amount
    data_parallel: Amount = 1.0
    tensor_parallel: Amount = 1.0
    shard_optimizer: Amount = 0.0
    shard_weights: Amount = 0.0  # gradients with them


def local_parameters(architecture: Transformer, tensor_parallel: Amount = 1.0) -> Amount:
    """Weights on one GPU of a tensor-parallel group: all large matrices are divided, key-value heads at least whole."""
    width = architecture.head_dim
    kept = np.maximum(architecture.num_kv_heads / tensor_parallel, 1.0) - architecture.num_kv_heads / tensor_parallel
    copied = 2.0 * architecture.num_layers * architecture.hidden * width * kept
    return architecture.num_parameters / tensor_parallel + copied


def weight_bytes(architecture: Transformer, dtype: Dtype, tensor_parallel: Amount = 1.0) -> Amount:
    """Weights as served: blocks in `dtype`, embedding and head in 16 bits beside 8- and 4-bit blocks."""
    ends = architecture.embedding_parameters / tensor_parallel
    blocks = local_parameters(architecture, tensor_parallel) - ends
    return blocks * dtype.num_bytes + ends * side_dtype(dtype).num_bytes


def activation_bytes(
    architecture: Transformer,
    batch: Amount,
    sequence: Amount,
    dtype: Dtype,
    recompute: Recompute,
    tensor_parallel: Amount = 1.0,
) -> Amount:
    """Kept for the backward pass: per token and block e·(4h + (2ad + 2kd + (g+1)f)/t) + 4a/t with fused attention.

    Full recomputation keeps each block's input and one whole block. Selective recomputation saves nothing beside fused
    attention, which never stores the scores.
    """
    e = side_dtype(dtype).num_bytes
    width, gates = architecture.head_dim, 2 if architecture.gated else 1
    inside = 2 * (architecture.num_heads + architecture.num_kv_heads) * width
    inside += (gates + 1) * architecture.ffn * architecture.experts_per_token
    per_token = e * (4 * architecture.hidden + inside / tensor_parallel) + 4 * architecture.num_heads / tensor_parallel
    tokens = batch * sequence
    if recompute is Recompute.FULL:
        return tokens * (architecture.num_layers * e * architecture.hidden + per_token)
    return tokens * architecture.num_layers * per_token


def logits_bytes(
    architecture: Transformer, batch: Amount, sequence: Amount, dtype: Dtype, tensor_parallel: Amount = 1.0
) -> Amount:
    """Scores of all positions, their fp32 copy and its gradient: B·S·V/t·(e + 8)."""
    return batch * sequence * architecture.vocab / tensor_parallel * (side_dtype(dtype).num_bytes + 8.0)


def training_bytes(
    architecture: Transformer,
    sequence: int,
    dtype: Dtype,
    split: Split,
    recompute: Recompute = Recompute.NONE,
    method: TrainingMethod = TrainingMethod.FULL,
    lora_rank: int = 16,
) -> dict[str, Amount]:
    """Bytes per GPU by item: weights, gradients, optimizer states, gathered weights, activations, logits."""
    e = side_dtype(dtype).num_bytes
    states = MIXED_OPTIMIZER_BYTES if e < 4 else PLAIN_OPTIMIZER_BYTES
    local = local_parameters(architecture, split.tensor_parallel)
    trained = (
        local if method is TrainingMethod.FULL else lora_parameters(architecture, lora_rank) / split.tensor_parallel
    )
    frozen = 0.0 if method is TrainingMethod.FULL else local
    ranks = split.data_parallel
    weights_over = 1.0 + split.shard_weights * (ranks - 1.0)
    states_over = 1.0 + split.shard_optimizer * (ranks - 1.0)
    block = (architecture.num_parameters - architecture.embedding_parameters) / architecture.num_layers
    largest_end = architecture.vocab * architecture.hidden
    gathered = split.shard_weights * e * (LIVE_BLOCKS * block + largest_end) / split.tensor_parallel
    t = split.tensor_parallel
    return {
        "weights": e * (trained + frozen) / weights_over,
        "gradients": e * trained / weights_over,
        "optimizer states": states * trained / states_over,
        "gathered weights": gathered,
        "activations": activation_bytes(architecture, split.micro_batch, sequence, dtype, recompute, t),
        "logits": logits_bytes(architecture, split.micro_batch, sequence, dtype, t),
    }


def inference_bytes(
    architecture: Transformer,
    dtype: Dtype,
    kv_dtype: Dtype,
    sequences: Amount,
    tokens: int,
    prompt_tokens: int,
    tensor_parallel: Amount = 1.0,
) -> dict[str, Amount]:
    """Bytes per GPU by item: weights, the cache of all sequences at their full length, activations of one prompt."""
    e = side_dtype(dtype).num_bytes
    gates = 2 if architecture.gated else 1
    per_token = e * (4 * architecture.hidden + (gates + 1) * architecture.ffn / tensor_parallel)
    scores = sequences * architecture.vocab / tensor_parallel * (e + 4.0)
    return {
        "weights": weight_bytes(architecture, dtype, tensor_parallel),
        "key-value cache": sequences * tokens * kv_bytes_per_token(architecture, kv_dtype, tensor_parallel),
        "activations": prompt_tokens * per_token + scores,
    }
