"""The shape of a transformer: enough to count its parameters, FLOPs and bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transformer:
    """A decoder (causal) or encoder transformer.

    `gated` counts two up-projections (SwiGLU). With `num_experts` each layer holds that many FFNs of width
    `ffn` of which `experts_per_token` run. `head_width` is hidden ÷ heads unless the architecture says otherwise.
    With `latent_kv` each layer caches that many elements per token, from which keys and values of all heads are made
    (multi-head latent attention, DeepSeek-V2 2024); `latent_rope` of them carry the position, and queries pass through
    `latent_query`.
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

    @property
    def head_dim(self) -> int:
        return self.head_width or self.hidden // self.num_heads

    @property
    def attention_parameters(self) -> int:
        """Weights of one layer's Q, K, V and output projections, biases left out."""
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
        return (1 if self.tied_embeddings else 2) * self.vocab * self.hidden

    @property
    def num_parameters(self) -> int:
        """All weights, norms and biases left out (under 0.1 % of any published count above 1 B)."""
        router = self.hidden * self.num_experts if self.num_experts > 1 else 0
        experts = (self.num_experts + self.shared_experts) * self.ffn_parameters + router
        dense = self.dense_layers * (self.dense_parameters - experts)
        return self.num_layers * (self.attention_parameters + experts) + dense + self.embedding_parameters

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
