"""One training step of the transformer: forward, cross-entropy, backward, AdamW.

Weights, gradients and optimizer state are fp32; in bf16 and fp16 the products run under autocast, as in common
practice, and in fp16 the loss is scaled so that small gradients are not lost.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from planner.calibration.sample import Bench
from planner.gpu.benches import matmul
from planner.gpu.benches.accelerator import TORCH_DTYPES, Accelerator, Unsupported
from planner.gpu.benches.prepared import Prepared, require_close
from planner.gpu.benches.transformer import Shape, Transformer, random_transformer
from planner.hardware.gpu import Dtype

LEARNING_RATE = 1e-4
CHECKED_SHAPE = Shape(layers=1, hidden=64, heads=4, kv_heads=2, ffn=128, vocab=96, gated=True, tied=False)
CHECKED_LOSS_SCALE = 1024.0  # of fp16, whose smallest numbers the gradients would fall below
CHECKED_TOKENS = (2, 16)  # batch, sequence


def prepare(bench: Bench, accelerator: Accelerator) -> Prepared:
    """Training steps on bench.parameters micro_batch sequences of `sequence` tokens, new random tokens in turn."""
    return _prepare(bench, accelerator, CHECKED_SHAPE)


def prepare_moe(bench: Bench, accelerator: Accelerator) -> Prepared:
    """The same with a mixture of experts in place of the feed-forward network."""
    return _prepare(bench, accelerator, replace(CHECKED_SHAPE, experts=3, experts_per_token=3))


def prepare_recompute(bench: Bench, accelerator: Accelerator) -> Prepared:
    """The same keeping only what enters each block, and computing the rest again in the backward pass."""
    return _prepare(bench, accelerator, CHECKED_SHAPE, recomputes=True)


def prepare_encoder(bench: Bench, accelerator: Accelerator) -> Prepared:
    """The same where every position sees all others and every position is scored, as in masked training."""
    return _prepare(bench, accelerator, replace(CHECKED_SHAPE, causal=False))


def _prepare(bench: Bench, accelerator: Accelerator, checked: Shape, *, recomputes: bool = False) -> Prepared:
    if bench.dtype not in (Dtype.FP32, Dtype.BF16, Dtype.FP16):
        raise Unsupported(f"a training step in {bench.dtype} is not measured; fp32, bf16 and fp16 are")
    check(bench.dtype, accelerator, checked, recomputes=recomputes)
    shape = Shape.of(bench.parameters, causal=checked.causal)
    batch, sequence = bench.parameters["micro_batch"], bench.parameters["sequence"]
    model = random_transformer(shape, accelerator.device, torch.float32, accelerator.generator)
    model.recomputes = recomputes
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    batches = [accelerator.tokens(batch, sequence + 1, vocab=shape.vocab) for _ in range(4)]
    scaler = torch.amp.GradScaler(accelerator.backend.value, enabled=bench.dtype is Dtype.FP16)

    def step(tokens: Tensor) -> Tensor:
        with autocast(bench.dtype, accelerator):
            result = loss(model, tokens)
        torch.autograd.backward(scaler.scale(result))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        return result.detach()

    return Prepared([partial(step, tokens) for tokens in batches], matmul.precision(bench.dtype))


def loss(model: Transformer, tokens: Tensor) -> Tensor:
    """Mean cross-entropy of every next token; the same for an encoder, which need not see what it is to name."""
    scores = model(tokens[:, :-1])
    return functional.cross_entropy(scores.flatten(0, 1).to(_at_least_fp32(scores)), tokens[:, 1:].flatten())


def check(dtype: Dtype, accelerator: Accelerator, shape: Shape = CHECKED_SHAPE, *, recomputes: bool = False) -> None:
    """Compare the gradients of a small transformer with float64 on the host, which keeps all and computes once.

    A mixture is compared with every expert in use: which of two nearly equal scores is higher is no error.
    """
    host = random_transformer(shape, torch.device("cpu"), torch.float64, torch.Generator().manual_seed(1))
    batch, sequence = CHECKED_TOKENS
    tokens = torch.randint(0, shape.vocab, (batch, sequence + 1), generator=torch.Generator().manual_seed(2))
    model = random_transformer(shape, accelerator.device, torch.float32, accelerator.generator)
    model.recomputes = recomputes
    model.load_state_dict({name: weight.float() for name, weight in host.state_dict().items()})
    torch.autograd.backward(loss(host, tokens))
    scale = CHECKED_LOSS_SCALE if dtype is Dtype.FP16 else 1.0
    with matmul.precision(dtype), autocast(dtype, accelerator):
        torch.autograd.backward(scale * loss(model, tokens.to(accelerator.device)))
    result = torch.cat([_gradient(parameter).flatten() for parameter in model.parameters()]) / scale
    reference = torch.cat([_gradient(parameter).flatten() for parameter in host.parameters()])
    require_close(result, reference, 5 * matmul.TOLERANCES[dtype], f"the gradient of a {dtype} training step")


def autocast(dtype: Dtype, accelerator: Accelerator) -> AbstractContextManager[object]:
    """Products in `dtype` where it is shorter than the weights'."""
    if dtype is Dtype.FP32:
        return nullcontext()
    return torch.autocast(accelerator.backend.value, dtype=TORCH_DTYPES[dtype])


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise AssertionError("every weight has a gradient after backward")
    return parameter.grad


def _at_least_fp32(scores: Tensor) -> torch.dtype:
    return torch.promote_types(scores.dtype, torch.float32)
