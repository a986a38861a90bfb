"""What a job keeps in the memory of one GPU, item by item, in bytes; amounts may be arrays over candidate layouts.

Letters as in operations.py; D data-parallel and t tensor-parallel GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.blocks import decoder_of, encoder_of
from planner.jobs.convnet import ConvNet
from planner.jobs.job import LoraTargets, Recompute, TrainingMethod
from planner.jobs.operations import Amount, kv_bytes_per_token, lora_parameters, side_dtype

# AdamW in mixed precision keeps a master weight and two moments in fp32; in fp32 the weight is its own master.
MIXED_OPTIMIZER_BYTES = 12.0
PLAIN_OPTIMIZER_BYTES = 8.0
MOMENTUM_BYTES = 8.0  # a master weight and one moment
QUANTISED_BASE_BYTES = 0.56  # 4 bits and a scale per 64 weights, itself quantised (Dettmers et al. 2023)
# A block whose weights are gathered and the next one under way (fully sharded training with prefetch of one).
LIVE_BLOCKS = 2.0


@dataclass(frozen=True, slots=True)
class Split:
    """How a job is split, as far as memory goes. The shard_… are 0 or 1 (or arrays of it); each holds the earlier ones.

    `in_flight` is how many micro-batches the first stage of a pipeline keeps.
    """

    micro_batch: Amount
    data_parallel: Amount = 1.0
    tensor_parallel: Amount = 1.0
    shard_optimizer: Amount = 0.0
    shard_gradients: Amount = 0.0
    shard_weights: Amount = 0.0
    pipeline_parallel: Amount = 1.0
    context_parallel: Amount = 1.0
    expert_parallel: Amount = 1.0
    in_flight: Amount = 1.0


def local_parameters(
    architecture: Transformer | ConvNet,
    tensor_parallel: Amount = 1.0,
    pipeline_parallel: Amount = 1.0,
    expert_parallel: Amount = 1.0,
) -> Amount:
    """Weights on one GPU: tensor-parallel groups divide all large matrices and copy key-value heads that are fewer,
    a stage of a pipeline has its blocks and one end, a member of an expert-parallel group its experts."""
    if isinstance(architecture, ConvNet):
        return float(architecture.num_parameters)
    width = architecture.head_dim
    kept = np.maximum(architecture.num_kv_heads / tensor_parallel, 1.0) - architecture.num_kv_heads / tensor_parallel
    copied = 2.0 * architecture.num_layers * architecture.hidden * width * kept
    experts = 0.0
    if architecture.num_experts > 1:
        experts = float(architecture.expert_layers * architecture.num_experts * architecture.ffn_parameters)
    end = float(architecture.vocab * (architecture.embedding_width or architecture.hidden))  # of the heavier stage
    ends = np.where(np.asarray(pipeline_parallel) > 1, end, float(architecture.embedding_parameters))
    blocks = architecture.num_parameters - architecture.embedding_parameters - experts
    stages = np.minimum(pipeline_parallel, architecture.layer_groups or np.inf)  # shared layers lie on every stage
    found: Amount = (
        (blocks / stages + ends) / tensor_parallel
        + experts / (expert_parallel * pipeline_parallel * tensor_parallel)
        + copied / pipeline_parallel
    )
    return float(found) if np.ndim(found) == 0 else found


def weight_bytes(
    architecture: Transformer | ConvNet,
    dtype: Dtype,
    tensor_parallel: Amount = 1.0,
    pipeline_parallel: Amount = 1.0,
    stored: float | None = None,
    expert_parallel: Amount = 1.0,
    attention: float | None = None,
) -> Amount:
    """Weights as served: blocks in `dtype`, or `stored` bytes each; embedding and head in 16 bits beside 8- and 4-bit
    blocks. So many tensor-parallel groups divide the experts among them. `attention`: bytes of a weight of attention's
    projections, where they are stored otherwise."""
    each = dtype.num_bytes if stored is None else stored
    if isinstance(architecture, ConvNet):
        return architecture.num_parameters * each
    ends = architecture.embedding_parameters / (tensor_parallel * pipeline_parallel)
    blocks = local_parameters(architecture, tensor_parallel, 1.0, expert_parallel) / pipeline_parallel - ends
    more = 0.0 if attention is None else attention - each
    projections = architecture.num_layers * architecture.attention_parameters / (tensor_parallel * pipeline_parallel)
    return blocks * each + projections * more + ends * side_dtype(dtype).num_bytes


def activation_bytes(
    architecture: Transformer,
    batch: Amount,
    sequence: Amount,
    dtype: Dtype,
    recompute: Recompute,
    tensor_parallel: Amount = 1.0,
    written: Amount | None = None,
) -> Amount:
    """Kept for the backward pass: per token and block e·(4h + (2ad + 2kd + (g+1)f)/t) + 4a/t with fused attention.

    Full recomputation keeps each block's input and one whole block. Selective recomputation saves nothing beside fused
    attention, which never stores the scores. An encoder–decoder reads `sequence` tokens, writes `written` (None: as
    many) and keeps what looks up the one in the other: e·(2h + (2ad)/t) per token written, 2kd/t per token read.
    """
    if architecture.encoder_layers:
        output = sequence if written is None else written
        read = activation_bytes(encoder_of(architecture), batch, sequence, dtype, recompute, tensor_parallel)
        own = activation_bytes(decoder_of(architecture), batch, output, dtype, recompute, tensor_parallel)
        wide, narrow = architecture.num_heads, architecture.num_kv_heads
        looked_up = output * (2 * architecture.hidden + 2 * wide * architecture.head_dim / tensor_parallel)
        looked_up = looked_up + sequence * 2 * narrow * architecture.head_dim / tensor_parallel
        layers = 1 if recompute is Recompute.FULL else architecture.num_layers
        return read + own + side_dtype(dtype).num_bytes * batch * layers * looked_up
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
    return batch * sequence * architecture.score_columns / tensor_parallel * (side_dtype(dtype).num_bytes + 8.0)


def training_bytes(
    architecture: Transformer | ConvNet,
    sequence: int,
    dtype: Dtype,
    split: Split,
    recompute: Recompute = Recompute.NONE,
    method: TrainingMethod = TrainingMethod.FULL,
    lora_rank: int = 16,
    lora_targets: LoraTargets = LoraTargets.ALL,
    written: int | None = None,
) -> dict[str, Amount]:
    """Bytes per GPU by item: weights, gradients, optimizer states, gathered weights, activations, logits. Of an
    encoder–decoder `sequence` tokens are read and `written` written (None: as many)."""
    if isinstance(architecture, ConvNet):
        return _convnet_bytes(architecture, dtype, split)
    e = side_dtype(dtype).num_bytes
    states = MIXED_OPTIMIZER_BYTES if e < 4 else PLAIN_OPTIMIZER_BYTES
    local = local_parameters(architecture, split.tensor_parallel, split.pipeline_parallel, split.expert_parallel)
    is_full = method is TrainingMethod.FULL
    model_parallel = split.tensor_parallel * split.pipeline_parallel
    adapters = lora_parameters(architecture, lora_rank, lora_targets) / model_parallel
    trained = local if is_full else adapters
    frozen = 0.0 if is_full else local
    frozen_bytes = e if method is TrainingMethod.LORA else QUANTISED_BASE_BYTES
    ranks = split.data_parallel * split.context_parallel
    weights_over = 1.0 + split.shard_weights * (ranks - 1.0)
    states_over = 1.0 + split.shard_optimizer * (ranks - 1.0)
    layers = (architecture.layer_groups or architecture.num_layers) + architecture.encoder_layers
    block = (architecture.num_parameters - architecture.embedding_parameters) / layers
    largest_end = architecture.vocab * (architecture.embedding_width or architecture.hidden)
    gradients_over = 1.0 + np.maximum(split.shard_gradients, split.shard_weights) * (ranks - 1.0)
    gathered = split.shard_weights * e * (LIVE_BLOCKS * block + largest_end) / split.tensor_parallel
    t = split.tensor_parallel
    tokens = sequence / split.context_parallel
    output = (sequence if written is None else written) / split.context_parallel
    kept = activation_bytes(architecture, split.micro_batch, tokens, dtype, recompute, t, output)
    kept = kept * split.in_flight / split.pipeline_parallel
    return {
        "weights": (e * trained + frozen_bytes * frozen) / weights_over,
        "gradients": e * trained / gradients_over,
        "optimizer states": states * trained / states_over,
        "gathered weights": gathered,
        "activations": kept,
        "logits": logits_bytes(architecture, split.micro_batch, output, dtype, t),
    }


def _convnet_bytes(network: ConvNet, dtype: Dtype, split: Split) -> dict[str, Amount]:
    """Momentum keeps one state per weight beside an fp32 master; convolutions keep their input and their norm's."""
    e = side_dtype(dtype).num_bytes
    weights = float(network.num_parameters)
    values = sum(conv.count * conv.pixels * (conv.inputs + conv.outputs) for conv in network.convs)
    kept = e * split.micro_batch * values
    for stage in network.stages:
        windows = split.micro_batch * stage.sequences
        kept = kept + activation_bytes(stage.block, windows, stage.tokens, dtype, Recompute.NONE)
    states = MOMENTUM_BYTES if e < 4 else MOMENTUM_BYTES / 2.0
    return {
        "weights": e * weights,
        "gradients": e * weights,
        "optimizer states": states * weights / (1.0 + split.shard_optimizer * (split.data_parallel - 1.0)),
        "activations": kept,
    }


def inference_bytes(
    architecture: Transformer,
    dtype: Dtype,
    kv_dtype: Dtype,
    sequences: Amount,
    tokens: float,
    prompt_tokens: float,
    tensor_parallel: Amount = 1.0,
    pipeline_parallel: Amount = 1.0,
    stored: float | None = None,
    expert_parallel: Amount = 1.0,
    attention: float | None = None,
) -> dict[str, Amount]:
    """Bytes per GPU by item: weights, the cache of all sequences at `tokens` each, activations of `prompt_tokens`."""
    e = side_dtype(dtype).num_bytes
    gates = 2 if architecture.gated else 1
    per_token = e * (4 * architecture.hidden + (gates + 1) * architecture.ffn / tensor_parallel)
    scores = sequences * architecture.vocab / tensor_parallel * (e + 4.0)
    cached = kv_bytes_per_token(architecture, kv_dtype, tensor_parallel)
    return {
        "weights": weight_bytes(
            architecture, dtype, tensor_parallel, pipeline_parallel, stored, expert_parallel, attention
        ),
        "key-value cache": sequences * tokens * cached / pipeline_parallel,
        "activations": prompt_tokens * per_token + scores,
    }
