"""A decoder transformer of the kind that is trained and served today, in plain torch.

RMSNorm before each part, rotary positions, grouped-query attention by scaled_dot_product_attention, a gated (SwiGLU)
or plain (GELU) feed-forward network, no biases, the head tied to the embedding or not.

Shape letters: B batch, S new tokens, T tokens attended to, H heads, G key-value heads, D head width, E hidden, V vocab.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from planner.gpu.benches.accelerator import fill_normal

ROTARY_BASE = 10_000.0  # RoFormer, arXiv:2104.09864, section 3.2.2
NORM_EPSILON = 1e-5
INITIAL_SCALE = 0.02  # GPT-2's: keeps activations of order one


@dataclass(frozen=True, slots=True)
class Shape:
    """The transformer that a bench's parameters describe."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    gated: bool
    tied: bool
    experts: int = 1
    experts_per_token: int = 1
    causal: bool = True

    @classmethod
    def of(cls, parameters: Mapping[str, int], *, causal: bool = True) -> Shape:
        """The shape in a bench's parameters; the head is untied unless they say `tied` = 1."""
        return cls(
            layers=parameters["layers"],
            hidden=parameters["hidden"],
            heads=parameters["heads"],
            kv_heads=parameters["kv_heads"],
            ffn=parameters["ffn"],
            vocab=parameters["vocab"],
            gated=bool(parameters["gated"]),
            tied=bool(parameters.get("tied", 0)),
            experts=parameters.get("experts", 1),
            experts_per_token=parameters.get("experts_per_token", 1),
            causal=causal,
        )

    @property
    def head_width(self) -> int:
        return self.hidden // self.heads


@dataclass(slots=True)
class KvCache:
    """Keys and values of every layer: [layers, B, G, T, D] each, room for `capacity` tokens."""

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(cls, shape: Shape, batch: int, capacity: int, like: Tensor) -> KvCache:
        size = (shape.layers, batch, shape.kv_heads, capacity, shape.head_width)
        return cls(like.new_zeros(size), like.new_zeros(size))


@dataclass(frozen=True, slots=True)
class Ragged:
    """Where the one new token of each sequence stands: its row and position [B], and what it sees [B, 1, 1, T]."""

    rows: Tensor
    positions: Tensor
    seen: Tensor
    longest: int

    @classmethod
    def of(cls, starts: Sequence[int], device: torch.device) -> Ragged:
        positions, longest = torch.tensor(starts, device=device), max(starts) + 1
        seen = torch.arange(longest, device=device) <= positions[:, None]
        return cls(torch.arange(len(starts), device=device), positions, seen[:, None, None], longest)


class RmsNorm(nn.Module):
    """x / rms(x) · weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), NORM_EPSILON)


class Attention(nn.Module):
    """Grouped-query attention, causal."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.head_width
        self.query_key_value = nn.Linear(shape.hidden, (shape.heads + 2 * shape.kv_heads) * width, bias=False)
        self.output = nn.Linear(shape.heads * width, shape.hidden, bias=False)

    def forward(
        self, x: Tensor, angles: Tensor, cache: KvCache | None, layer: int, start: int, ragged: Ragged | None = None
    ) -> Tensor:
        batch, length, _ = x.shape  # B S E
        shape = self.shape
        sizes = (shape.heads, shape.kv_heads, shape.kv_heads)
        heads = self.query_key_value(x).view(batch, length, sum(sizes), shape.head_width).transpose(1, 2)
        query, key, value = heads.split(sizes, dim=1)  # B H S D, B G S D, B G S D
        query, key = rotate(query, angles), rotate(key, angles)
        seen = None
        if cache is not None and ragged is not None:
            cache.keys[layer, ragged.rows, :, ragged.positions] = key[:, :, 0]
            cache.values[layer, ragged.rows, :, ragged.positions] = value[:, :, 0]
            key, value = cache.keys[layer, :, :, : ragged.longest], cache.values[layer, :, :, : ragged.longest]
            seen = ragged.seen
        elif cache is not None:
            end = start + length
            cache.keys[layer, :, :, start:end] = key
            cache.values[layer, :, :, start:end] = value
            key, value = cache.keys[layer, :, :, :end], cache.values[layer, :, :, :end]  # B G T D
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=seen,
            is_causal=shape.causal and length > 1,
            enable_gqa=shape.kv_heads != shape.heads,
        )
        result: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, length, -1))
        return result


class FeedForward(nn.Module):
    """down(silu(gate(x)) · up(x)), or down(gelu(up(x)))."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.is_gated = shape.gated
        self.up = nn.Linear(shape.hidden, shape.ffn * (2 if shape.gated else 1), bias=False)
        self.down = nn.Linear(shape.ffn, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.is_gated:
            gate, up = self.up(x).chunk(2, dim=-1)
            inside = functional.silu(gate) * up
        else:
            inside = functional.gelu(self.up(x))
        result: Tensor = self.down(inside)
        return result


class Mixture(nn.Module):
    """Each row passes through the experts that the router scores highest, weighted by their scores."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.per_token = shape.experts_per_token
        self.router = nn.Linear(shape.hidden, shape.experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(shape) for _ in range(shape.experts))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)  # N E
        weights, chosen = self.router(rows).softmax(dim=-1).topk(self.per_token, dim=-1)  # N K
        weights = weights / weights.sum(dim=-1, keepdim=True)
        result = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            places, ranks = (chosen == number).nonzero(as_tuple=True)
            mixed = expert(rows[places]) * weights[places, ranks].unsqueeze(-1)
            result = result.index_add(0, places, mixed.to(result.dtype))
        return result.view_as(x)


class Block(nn.Module):
    """Attention and feed-forward network, each behind a norm and added to what came in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm, self.attention = RmsNorm(shape.hidden), Attention(shape)
        feed_forward = Mixture(shape) if shape.experts > 1 else FeedForward(shape)
        self.feed_forward_norm, self.feed_forward = RmsNorm(shape.hidden), feed_forward

    def forward(
        self, x: Tensor, angles: Tensor, cache: KvCache | None, layer: int, start: int, ragged: Ragged | None = None
    ) -> Tensor:
        x = x + self.attention(self.attention_norm(x), angles, cache, layer, start, ragged)
        result: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return result


class Transformer(nn.Module):
    """Token ids in, scores over the vocabulary out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.recomputes = False  # whether training keeps only what enters each block, and computes the rest again
        self.embedding = nn.Embedding(shape.vocab, shape.hidden)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RmsNorm(shape.hidden)
        self.head = nn.Linear(shape.hidden, shape.vocab, bias=False)
        if shape.tied:
            self.head.weight = self.embedding.weight

    def forward(
        self, tokens: Tensor, cache: KvCache | None = None, start: int | Sequence[int] = 0, *, last_only: bool = False
    ) -> Tensor:
        """Scores [B, S, V] of tokens [B, S] that stand at positions `start` and on.

        With a cache its first `start` tokens are attended to, and the new ones are written behind them: all at once
        from an empty cache (prefill) or one at a time (decode; then `start` may differ from sequence to sequence).
        `last_only` gives the last position's scores alone.
        """
        length = tokens.shape[1]
        if cache is not None and start != 0 and length > 1:
            raise ValueError("several tokens at once go into an empty cache only")
        ragged, place = None, 0
        if isinstance(start, int):
            place = start
            angles = rotary_angles(place, length, self.shape.head_width, tokens.device)
        else:
            ragged = Ragged.of(start, tokens.device)
            angles = _angles_at(ragged.positions, self.shape.head_width)
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            if self.recomputes:
                x = checkpoint(block, x, angles, cache, layer, place, use_reentrant=False)
            else:
                x = block(x, angles, cache, layer, place, ragged)
        scores: Tensor = self.head(self.norm(x[:, -1:] if last_only else x))
        return scores


def random_transformer(
    shape: Shape, device: torch.device, dtype: torch.dtype, generator: torch.Generator
) -> Transformer:
    """A transformer with normal random weights, made on the device in its own number format."""
    with torch.device("meta"):
        model = Transformer(shape)
    model = model.to(dtype).to_empty(device=device)
    if shape.tied:
        model.head.weight = model.embedding.weight
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                fill_normal(parameter, INITIAL_SCALE, generator)
            else:
                parameter.fill_(1.0)
    return model


def rotary_angles(start: int, length: int, head_width: int, device: torch.device) -> Tensor:
    """Rotation angles [2, S, D/2] (cosines, sines) of the positions from `start` on."""
    positions = torch.arange(start, start + length, device=device, dtype=torch.float32)
    angles = torch.outer(positions, _turns(head_width, device))
    return torch.stack((angles.cos(), angles.sin()))


def _angles_at(positions: Tensor, head_width: int) -> Tensor:
    """Rotation angles [2, B, 1, 1, D/2] of one position per sequence [B]."""
    angles = positions[:, None, None, None].float() * _turns(head_width, positions.device)
    return torch.stack((angles.cos(), angles.sin()))


def _turns(head_width: int, device: torch.device) -> Tensor:
    """Radians per position [D/2]."""
    steps = torch.arange(0, head_width, 2, device=device, dtype=torch.float32) / head_width
    return ROTARY_BASE**-steps


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """x [B, ·, S, D] with each pair (first half, second half) turned by its position's angle."""
    cosine, sine = angles.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)
