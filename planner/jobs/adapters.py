"""Adapters of low rank beside frozen layers: their weights, their work, and unpacking a base that is kept in 4 bits."""

from __future__ import annotations

from planner.jobs.architecture import Transformer
from planner.jobs.blocks import blocks_per_stage, decoder_of, encoder_of, written
from planner.jobs.job import LoraTargets
from planner.jobs.work import Pass, Work, WorkClass, WorkKind, side_dtype

# Unpacking a base of 4 bits to 16 before each product: half a byte and its scale read, two written and read again.
UNPACK_BYTES = 4.6


def lora_parameters(architecture: Transformer, rank: int, targets: LoraTargets = LoraTargets.ALL) -> int:
    """Adapter weights of that rank on the chosen linear layers of every block: rank · (inputs + outputs)."""
    per_layer = _adapted(linears(architecture), rank, targets)
    if not architecture.encoder_layers:
        return architecture.num_layers * per_layer
    looking_up = _adapted(linears(architecture)[:4], rank, targets)
    return (architecture.encoder_layers + architecture.num_layers) * per_layer + architecture.num_layers * looking_up


def _adapted(layers: tuple[tuple[int, int], ...], rank: int, targets: LoraTargets) -> int:
    chosen = layers if targets is LoraTargets.ALL else layers[:3]
    return rank * sum(inputs + outputs for inputs, outputs in chosen)


def linears(architecture: Transformer) -> tuple[tuple[int, int], ...]:
    """(inputs, outputs) of the linear layers of one block, all experts counted."""
    hidden, width = architecture.hidden, architecture.head_dim
    inner, kv = architecture.num_heads * width, architecture.num_kv_heads * width
    ups = 2 if architecture.gated else 1
    ffn = ((hidden, architecture.ffn),) * ups + ((architecture.ffn, hidden),)
    return ((hidden, inner), (hidden, kv), (hidden, kv), (inner, hidden)) + ffn * architecture.num_experts


def adapter_work(architecture: Transformer, through: Pass, rank: int, targets: LoraTargets) -> tuple[Work, ...]:
    """Two thin products beside every linear layer: reading its input and adding to its output is what takes time."""
    if architecture.encoder_layers:
        reading, writing = encoder_of(architecture), decoder_of(architecture)
        looking_up = _beside(writing, written(through), rank, linears(architecture)[:4], targets)
        halves = adapter_work(reading, through, rank, targets), adapter_work(writing, written(through), rank, targets)
        return (*halves[0], *halves[1], looking_up)
    per_token = linears(architecture)[:4] + linears(architecture)[4 : 4 + (3 if architecture.gated else 2)] * (
        architecture.experts_per_token
    )
    return (_beside(architecture, through, rank, per_token, targets),)


def _beside(
    architecture: Transformer, through: Pass, rank: int, layers: tuple[tuple[int, int], ...], targets: LoraTargets
) -> Work:
    chosen = layers if targets is LoraTargets.ALL else layers[:3]
    widths = sum(inputs + outputs for inputs, outputs in chosen) / through.tensor_parallel
    side = side_dtype(through.dtype)
    return Work(
        "adapters",
        WorkKind.MEMORY,
        side,
        flops=2.0 * through.rows * rank * widths,
        num_bytes=2.0 * side.num_bytes * through.rows * widths,
        count=blocks_per_stage(architecture, through),
        launches=3.0 * len(chosen),
    )


def unpack_work(architecture: Transformer, through: Pass) -> Work:
    """Unpacking the frozen base for every pass."""
    weights = (architecture.num_parameters - architecture.embedding_parameters) / architecture.num_layers
    return Work(
        "unpacking of the base",
        WorkKind.MEMORY,
        side_dtype(through.dtype),
        flops=2.0 * weights,
        num_bytes=UNPACK_BYTES * weights / through.tensor_parallel,
        count=blocks_per_stage(architecture, through),
        launches=7.0,
        work_class=WorkClass.UNPACKING,
    )
