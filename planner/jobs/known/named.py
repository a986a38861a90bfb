"""An architecture under a short key, with the public configuration that has its shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from planner.jobs.architecture import Transformer


@dataclass(frozen=True, slots=True)
class NamedArchitecture:
    """An architecture with the public configuration that has its shape.

    `was_read` is False where the shape was written down from memory of that source: it then has been held against the
    published number of parameters alone.
    """

    key: str
    title: str
    architecture: Transformer
    published_parameters: float  # as the source states them, rounded as it rounds
    source: str
    as_of: date  # when that version of the source was published
    was_read: bool = True


def decoder(
    name: str,
    shape: tuple[int, int, int, int, int, int],
    max_positions: int,
    *,
    tied: bool = False,
    gated: bool = True,
    causal: bool = True,
    experts: tuple[int, int] = (1, 1),
    head_width: int = 0,
) -> Transformer:
    """`shape` is layers, hidden, heads, kv heads, ffn, vocab."""
    layers, hidden, heads, kv_heads, ffn, vocab = shape
    return Transformer(
        name=name,
        num_layers=layers,
        hidden=hidden,
        num_heads=heads,
        num_kv_heads=kv_heads,
        ffn=ffn,
        vocab=vocab,
        gated=gated,
        tied_embeddings=tied,
        max_positions=max_positions,
        causal=causal,
        num_experts=experts[0],
        experts_per_token=experts[1],
        head_width=head_width,
    )


def sharing(shape: Transformer, embedding_width: int = 128) -> Transformer:
    """The same with one layer's weights for all layers and narrow vectors of words (ALBERT, Lan et al. 2020)."""
    return replace(shape, layer_groups=1, embedding_width=embedding_width, pooler=True)
