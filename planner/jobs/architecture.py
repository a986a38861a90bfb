"""The shape of a transformer: enough to count its parameters, FLOPs and bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transformer:
    """A decoder (causal) or encoder transformer.

    `gated` counts two up-projections (SwiGLU). With `num_experts` each layer holds that many FFNs of width
    `ffn` of which `experts_per_token` run. `head_width` is hidden ÷ heads unless the architecture says otherwise.
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
        layer = self.attention_parameters + (self.num_experts + self.shared_experts) * self.ffn_parameters + router
        return self.num_layers * layer + self.embedding_parameters

    @property
    def num_active_parameters(self) -> int:
        """The weights that one token passes through."""
        idle = (self.num_experts - self.experts_per_token) * self.ffn_parameters
        return self.num_parameters - self.num_layers * idle
