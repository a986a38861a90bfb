"""A small served load: requests in waves of `slots`, each prompt read by itself, the answers written together."""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor

from planner.calibration.sample import Bench
from planner.gpu.benches.accelerator import TORCH_DTYPES, Accelerator
from planner.gpu.benches.prepared import Prepared
from planner.gpu.benches.serve import check, serving
from planner.gpu.benches.transformer import KvCache, Shape, random_transformer

MAX_LATENCIES = 4_096  # the newest count


def prepare(bench: Bench, accelerator: Accelerator) -> Prepared:
    """One execution serves `requests` prompts of `prompt` tokens with `answer` tokens each, `slots` at a time.

    A wave's requests arrive together and its prompts are read one after the other, so the last of them waits for the
    others: the time to its first token shows that. Between the tokens everything is waited for, as a stream to a
    reader needs. Details: percentiles of the time to the first token and of the time per token after it.
    """
    names = ("requests", "slots", "prompt", "answer")
    requests, slots, prompt, answer = (bench.parameters[name] for name in names)
    if requests % slots or answer < 2:
        raise ValueError("requests must fill whole waves of slots, and answers need two tokens or more")
    check(bench.dtype, accelerator)
    shape = Shape.of(bench.parameters)
    model = random_transformer(shape, accelerator.device, TORCH_DTYPES[bench.dtype], accelerator.generator)
    cache = KvCache.empty(shape, slots, prompt + answer, model.head.weight)
    alone = [KvCache(cache.keys[:, slot : slot + 1], cache.values[:, slot : slot + 1]) for slot in range(slots)]
    latencies = _Latencies()

    def wave() -> Tensor:
        prompts = accelerator.tokens(slots, prompt, vocab=shape.vocab)
        accelerator.synchronize()
        arrived_at = time.perf_counter()
        first = []
        for slot in range(slots):
            first.append(model(prompts[slot : slot + 1], alone[slot], last_only=True))
            accelerator.synchronize()
            latencies.first.append(time.perf_counter() - arrived_at)
        tokens = torch.cat(first).argmax(dim=-1)
        for step in range(answer - 1):
            before = time.perf_counter()
            scores: Tensor = model(tokens, cache, prompt + step, last_only=True)
            tokens = scores.argmax(dim=-1)
            accelerator.synchronize()
            latencies.between.append(time.perf_counter() - before)
        latencies.tell(details)
        return scores

    def load() -> Tensor:
        for _ in range(requests // slots):
            scores = wave()
        return scores

    details: dict[str, float] = {}
    return Prepared([load], serving(bench.dtype), details)


class _Latencies:
    """Seconds to the first token and between tokens, of all requests so far."""

    def __init__(self) -> None:
        self.first: list[float] = []
        self.between: list[float] = []

    def tell(self, details: dict[str, float]) -> None:
        for name, values in (("first_token", self.first), ("per_token", self.between)):
            del values[:-MAX_LATENCIES]
            if len(values) > 1:
                cuts = statistics.quantiles(values, n=100, method="inclusive")
                details |= {f"{name}_p{part}_seconds": cuts[part - 1] for part in (50, 95, 99)}
