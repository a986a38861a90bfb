"""Attention by itself, fused as torch offers it: prompts and training (as many queries as keys) and decode (one)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from planner.calibration.sample import Bench
from planner.gpu.benches import matmul
from planner.gpu.benches.accelerator import TORCH_DTYPES, Accelerator, Unsupported
from planner.gpu.benches.prepared import Prepared, num_rotations, require_close
from planner.hardware.gpu import Dtype

CHECKED = {"batch": 2, "heads": 4, "kv_heads": 2, "head_width": 32, "queries": 24, "keys": 24}


def prepare(bench: Bench, accelerator: Accelerator) -> Prepared:
    """Attention on random queries, keys and values, forward or (backward = 1) forward and backward."""
    if bench.dtype not in (Dtype.FP32, Dtype.FP16, Dtype.BF16):
        raise Unsupported(f"attention in {bench.dtype} is not measured; fp32, fp16 and bf16 are")
    backward = bool(bench.parameters["backward"])
    check(bench.dtype, accelerator, backward=backward)
    kind = TORCH_DTYPES[bench.dtype]
    first = _inputs(bench.parameters, kind, accelerator, backward)
    bytes_of_one = sum(part.numel() * part.itemsize for part in first)
    copies = num_rotations(bytes_of_one, accelerator.llc_bytes, accelerator.free_memory_bytes())
    every = [first, *(_inputs(bench.parameters, kind, accelerator, backward) for _ in range(copies - 1))]
    causal = bool(bench.parameters["causal"])
    calls = [_Call(parts, causal and parts[0].shape[2] > 1, backward) for parts in every]
    return Prepared(calls, matmul.precision(bench.dtype), {"rotated_bytes": float(copies * bytes_of_one)})


def check(dtype: Dtype, accelerator: Accelerator, *, backward: bool) -> None:
    """Compare a small causal case (and its gradients) with float64 on the host, without fused kernels."""
    parts = _inputs(CHECKED, TORCH_DTYPES[dtype], accelerator, backward)
    with matmul.precision(dtype):
        result = _Call(parts, True, backward)()
    on_host = tuple(part.detach().double().cpu().requires_grad_(backward) for part in parts)
    reference = _plain(*on_host)
    if backward:
        torch.autograd.backward(reference.sum())
        result = torch.cat([_gradient(part).flatten().double().cpu() for part in parts])
        reference = torch.cat([_gradient(part).flatten() for part in on_host])
    require_close(result, reference.detach(), 5 * matmul.TOLERANCES[dtype], f"{dtype} attention")


class _Call:
    """One execution on its own inputs; with backward, gradients are set anew each time."""

    def __init__(self, parts: tuple[Tensor, Tensor, Tensor], causal: bool, backward: bool) -> None:
        self._parts, self._causal, self._backward = parts, causal, backward
        self._grouped = parts[0].shape[1] != parts[1].shape[1]

    def __call__(self) -> Tensor:
        result: Tensor = functional.scaled_dot_product_attention(
            *self._parts, is_causal=self._causal, enable_gqa=self._grouped
        )
        if self._backward:
            for part in self._parts:
                part.grad = None
            torch.autograd.backward(result, torch.ones_like(result))
        return result.detach()


def _inputs(
    sizes: Mapping[str, int], kind: torch.dtype, accelerator: Accelerator, backward: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries [B, H, Q, D], keys and values [B, G, K, D]."""
    batch, width = sizes["batch"], sizes["head_width"]
    query = accelerator.randn(batch, sizes["heads"], sizes["queries"], width, dtype=kind)
    key, value = (accelerator.randn(batch, sizes["kv_heads"], sizes["keys"], width, dtype=kind) for _ in range(2))
    if backward:
        query, key, value = (part.requires_grad_() for part in (query, key, value))
    return query, key, value


def _plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q·k/√D)·v, written out."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    result: Tensor = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1) @ value
    return result


def _gradient(part: Tensor) -> Tensor:
    if part.grad is None:
        raise AssertionError("every input has a gradient after backward")
    return part.grad
