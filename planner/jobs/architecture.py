"""The shape of a transformer: enough to count its parameters, FLOPs and bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transformer:
    """A decoder (causal) or encoder transformer.

    `gated` counts two up-projections (SwiGLU). With `num_experts` each layer holds that many FFNs of width
    `ffn` of which `experts_per_token` run. `head_width` is hidden ÷ heads unless the architecture says otherwise.
    With `latent_kv` each layer caches that many elements per token, from which keys and values of all heads are made
    (multi-head latent attention, DeepSeek-V2 2024); `latent_rope` of them carry the position, and queries pass through
    `latent_query`.

    With `encoder_layers` it is an encoder–decoder (Vaswani et al. 2017): so many layers read one text both ways, and
    `num_layers` others write, each looking up what was read by attention of its own. With `segment_memory` each layer
    also sees that many hidden states of the segment before, and positions are relative, with weights of their own
    (Transformer-XL, Dai et al. 2019). `cutoffs` are the ranks at which a vocabulary is cut into rarer and rarer parts,
    each narrower by `cutoff_divisor` (adaptive softmax, Grave et al. 2017; Baevski and Auli 2019).

    With `layer_groups` the layers of a group share their weights, and with `embedding_width` words have vectors of that
    width, which one product brings to the hidden width (ALBERT, Lan et al. 2020). `pooler` is a dense layer over the
    first position of a text, whose work is nothing beside its weights.
    """

    name: str
    num_layers: int
    hidden: int
    num_heads: int
    num_kv_heads: int
    ffn: int
    vocab: int
    gated: bool = True
    tied_embeddings: bool = False
    max_positions: int | None = None  # None: the architecture sets no limit
    causal: bool = True
    num_experts: int = 1
    experts_per_token: int = 1
    head_width: int = 0  # 0: hidden ÷ num_heads
    shared_experts: int = 0  # experts that every token passes through beside those it picks
    latent_kv: int = 0  # 0: keys and values are cached per head
    latent_rope: int = 0
    latent_query: int = 0  # 0: queries are not compressed
    dense_layers: int = 0  # leading layers with one network of width `dense_ffn` in place of experts
    dense_ffn: int = 0
    window: int = 0  # tokens that the windowed layers look back; 0: all layers see everything
    windowed_layers: int = 0
    encoder_layers: int = 0  # 0: no encoder beside it
    segment_memory: int = 0
    cutoffs: tuple[int, ...] = ()
    cutoff_divisor: int = 1
    layer_groups: int = 0  # 0: every layer has weights of its own
    embedding_width: int = 0  # 0: as hidden
    pooler: bool = False

    def __post_init__(self) -> None:
        for name in ("num_layers", "hidden", "num_heads", "num_kv_heads", "ffn", "vocab", "num_experts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 1 <= self.experts_per_token <= self.num_experts:
            raise ValueError(f"experts_per_token must lie between 1 and num_experts ({self.num_experts})")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_kv_heads ({self.num_kv_heads}) must divide num_heads ({self.num_heads})")
        if not self.head_width and self.hidden % self.num_heads:
            raise ValueError(f"num_heads ({self.num_heads}) must divide hidden ({self.hidden})")
        if not 0 <= self.layer_groups <= self.num_layers:
            raise ValueError(f"layer_groups must lie between 0 and num_layers ({self.num_layers})")
        if self.embedding_width and self.cutoffs:
            raise ValueError("embedding_width does not go with cutoffs, which have widths of their own")

    @property
    def head_dim(self) -> int:
        return self.head_width or self.hidden // self.num_heads

    @property
    def attention_parameters(self) -> int:
        """Weights of one layer's Q, K, V and output projections (and of its relative positions), biases left out."""
        if self.segment_memory:
            return self.hidden * self.head_dim * (3 * self.num_heads + 2 * self.num_kv_heads)
        if self.latent_kv:
            query = self.num_heads * (self.head_dim + self.latent_rope)
            queries = self.latent_query * (self.hidden + query) if self.latent_query else self.hidden * query
            made = (self.latent_kv - self.latent_rope) * 2 * self.num_heads * self.head_dim
            return queries + self.hidden * self.latent_kv + made + self.num_heads * self.head_dim * self.hidden
        return self.hidden * self.head_dim * (2 * self.num_heads + 2 * self.num_kv_heads)

    @property
    def ffn_parameters(self) -> int:
        """Weights of one feed-forward network (one expert)."""
        return (3 if self.gated else 2) * self.hidden * self.ffn

    @property
    def embedding_parameters(self) -> int:
        """Token embedding and output head, once where tied."""
        return (1 if self.tied_embeddings else 2) * sum(size * width for size, width in self._parts) + self._widening

    @property
    def _parts(self) -> tuple[tuple[int, int], ...]:
        """(words, width of their vectors) of each part of the vocabulary."""
        if self.embedding_width:
            return ((self.vocab, self.embedding_width),)
        ends = (*self.cutoffs, self.vocab)
        starts = (0, *self.cutoffs)
        return tuple(
            (end - start, self.hidden // self.cutoff_divisor**place)
            for place, (start, end) in enumerate(zip(starts, ends, strict=True))
        )

    @property
    def _widening(self) -> int:
        """Weights that bring narrower vectors to the hidden width, shared by both ends."""
        is_narrow = self.cutoff_divisor > 1 or self.embedding_width
        return sum(self.hidden * width for _, width in self._parts) if is_narrow else 0

    @property
    def head_columns(self) -> float:
        """Columns of the output head at full width: the vocabulary, or of an adaptive softmax the frequent part and of
        each rarer one what its words need, as often as they come up if the word of rank r comes up 1/r as often as the
        first (Zipf's law). Narrower vectors count by their share of the width, and the product that makes them."""
        if self.embedding_width:
            return self.vocab * self.embedding_width / self.hidden + self.embedding_width
        if not self.cutoffs:
            return float(self.vocab)
        columns = float(self.cutoffs[0] + len(self.cutoffs))
        whole = math.log(self.vocab)
        for start, (size, width) in zip(self.cutoffs, self._parts[1:], strict=True):
            share = math.log((start + size) / start) / whole
            columns += share * (size * width / self.hidden + width)
        return columns

    @property
    def score_columns(self) -> float:
        """Scores of words that are written per position."""
        return float(self.vocab) if self.embedding_width else self.head_columns

    @property
    def num_parameters(self) -> int:
        """All weights, norms and biases left out (under 0.1 % of any published count above 1 B)."""
        pooler = self.hidden * self.hidden if self.pooler else 0
        return self._decoder_parameters + self._encoder_parameters + pooler

    @property
    def _encoder_parameters(self) -> int:
        """Of the layers that read, and of what those that write look up with."""
        reading = self.encoder_layers * (self.attention_parameters + self.ffn_parameters)
        return reading + (self.num_layers * self.attention_parameters if self.encoder_layers else 0)

    @property
    def _decoder_parameters(self) -> int:
        router = self.hidden * self.num_experts if self.num_experts > 1 else 0
        experts = (self.num_experts + self.shared_experts) * self.ffn_parameters + router
        dense = self.dense_layers * (self.dense_parameters - experts)
        layers = self.layer_groups or self.num_layers
        return layers * (self.attention_parameters + experts) + dense + self.embedding_parameters

    @property
    def dense_parameters(self) -> int:
        """Weights of the feed-forward network of one leading dense layer."""
        return (3 if self.gated else 2) * self.hidden * self.dense_ffn

    @property
    def expert_layers(self) -> int:
        """Layers with experts (all, where there are no leading dense ones)."""
        return self.num_layers - self.dense_layers

    @property
    def num_active_parameters(self) -> int:
        """The weights that one token passes through."""
        idle = (self.num_experts - self.experts_per_token) * self.ffn_parameters
        return self.num_parameters - self.expert_layers * idle
