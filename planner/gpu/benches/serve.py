"""Prefill and decode of the transformer with a key-value cache, weights in the number format that is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch

from planner.calibration.sample import Bench
from planner.gpu.benches import matmul
from planner.gpu.benches.accelerator import TORCH_DTYPES, Accelerator, Unsupported, fill_normal
from planner.gpu.benches.prepared import Prepared, num_rotations, require_close
from planner.gpu.benches.transformer import KvCache, Shape, Transformer, random_transformer
from planner.hardware.gpu import Dtype

CHECKED_SHAPE = Shape(layers=2, hidden=64, heads=4, kv_heads=2, ffn=128, vocab=96, gated=True, tied=False)
CHECKED_PROMPT = 12


def prepare_prefill(bench: Bench, accelerator: Accelerator) -> Prepared:
    """Prompts of `sequence` tokens, `batch` at a time, into an empty cache; the scores of the last token come out."""
    batch, sequence = bench.parameters["batch"], bench.parameters["sequence"]
    models, details = _models(bench, accelerator)
    cache = KvCache.empty(models[0].shape, batch, sequence, models[0].head.weight)
    tokens = accelerator.tokens(batch, sequence, vocab=models[0].shape.vocab)
    calls = [partial(model, tokens, cache, last_only=True) for model in models]
    return Prepared(calls, serving(bench.dtype), details)


def prepare_decode(bench: Bench, accelerator: Accelerator) -> Prepared:
    """One new token for each of `batch` sequences, attending to `context` tokens with itself among them."""
    batch, context = bench.parameters["batch"], bench.parameters["context"]
    models, details = _models(bench, accelerator)
    cache = KvCache.empty(models[0].shape, batch, context, models[0].head.weight)
    for values in (cache.keys, cache.values):
        fill_normal(values, 1.0, accelerator.generator)
    tokens = accelerator.tokens(batch, 1, vocab=models[0].shape.vocab)
    calls = [partial(model, tokens, cache, context - 1, last_only=True) for model in models]
    return Prepared(calls, serving(bench.dtype), details)


def prepare_graph_decode(bench: Bench, accelerator: Accelerator) -> Prepared:
    """The decode step started as one captured graph, as engines do; its answer is that of the plain step."""
    plain = prepare_decode(bench, accelerator)
    with plain.around:
        reference = plain.calls[0]().double().cpu()
        calls = [accelerator.captured(call) for call in plain.calls]
        tolerance = 5 * matmul.TOLERANCES[bench.dtype]
        require_close(calls[0](), reference, tolerance, f"a captured {bench.dtype} decode step")
    return Prepared(calls, serving(bench.dtype), plain.details)


def check(dtype: Dtype, accelerator: Accelerator) -> None:
    """Compare a small prompt and the token after it, through the cache, with float64 on the host without one."""
    host = random_transformer(CHECKED_SHAPE, torch.device("cpu"), torch.float64, torch.Generator().manual_seed(1))
    kind = TORCH_DTYPES[dtype]
    model = random_transformer(CHECKED_SHAPE, accelerator.device, kind, accelerator.generator)
    model.load_state_dict({name: weight.to(kind) for name, weight in host.state_dict().items()})
    length = CHECKED_PROMPT + 1
    tokens = torch.randint(0, CHECKED_SHAPE.vocab, (2, length), generator=torch.Generator().manual_seed(2))
    here = tokens.to(accelerator.device)
    cache = KvCache.empty(CHECKED_SHAPE, 2, length, model.head.weight)
    with serving(dtype):
        prompt = model(here[:, :CHECKED_PROMPT], cache)
        after = model(here[:, CHECKED_PROMPT:], cache, CHECKED_PROMPT)
    with torch.no_grad():
        reference = host(tokens)
    result = torch.cat((prompt, after), dim=1)
    require_close(result, reference, 5 * matmul.TOLERANCES[dtype], f"{dtype} prefill and decode")


@contextmanager
def serving(dtype: Dtype) -> Iterator[None]:
    """No gradients, and fp32 that means fp32."""
    with torch.no_grad(), matmul.precision(dtype):
        yield


def _models(bench: Bench, accelerator: Accelerator) -> tuple[list[Transformer], dict[str, float]]:
    """As many copies as exceed twice the last-level cache: a real model's weights come from memory each time."""
    if bench.dtype not in (Dtype.FP32, Dtype.BF16, Dtype.FP16):
        raise Unsupported(f"serving in {bench.dtype} is not measured; fp32, fp16 and bf16 are")
    check(bench.dtype, accelerator)
    shape, kind = Shape.of(bench.parameters), TORCH_DTYPES[bench.dtype]
    first = random_transformer(shape, accelerator.device, kind, accelerator.generator)
    weight_bytes = sum(weight.numel() * weight.itemsize for weight in first.parameters())
    copies = num_rotations(weight_bytes, accelerator.llc_bytes, accelerator.free_memory_bytes())
    others = (random_transformer(shape, accelerator.device, kind, accelerator.generator) for _ in range(copies - 1))
    return [first, *others], {"rotated_bytes": float(copies * weight_bytes)}
