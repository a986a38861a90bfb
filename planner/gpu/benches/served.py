"""A small served load: requests that batch continuously, all there at the start, more of them than there are places."""

from __future__ import annotations

import statistics

from torch import Tensor

from planner.calibration.sample import Bench
from planner.calibration.served_load import request_lengths
from planner.gpu.benches.accelerator import TORCH_DTYPES, Accelerator
from planner.gpu.benches.continuous import Engine, Request
from planner.gpu.benches.prepared import Prepared
from planner.gpu.benches.serve import check, serving
from planner.gpu.benches.transformer import Shape, random_transformer

MAX_LATENCIES = 4_096  # the newest count


def prepare(bench: Bench, accelerator: Accelerator) -> Prepared:
    """One execution serves `requests` prompts of about `prompt` tokens with about `answer` tokens, `slots` at a time.

    A prompt is read by itself as soon as a place is free, before the others write on; who has no place waits, and the
    time to the first token shows that. Between the tokens everything is waited for, as a stream to a reader needs.
    Details: percentiles over requests of the time to the first token and of the mean time per token after it.
    """
    check(bench.dtype, accelerator)
    shape = Shape.of(bench.parameters)
    model = random_transformer(shape, accelerator.device, TORCH_DTYPES[bench.dtype], accelerator.generator)
    lengths = request_lengths(bench.parameters)
    requests = [Request(0.0, prompt, answer) for prompt, answer in lengths]
    capacity = max(prompt + answer for prompt, answer in lengths)
    engine = Engine(model, accelerator, bench.parameters["slots"], capacity)
    first: list[float] = []
    each: list[float] = []
    details: dict[str, float] = {}

    def load() -> Tensor:
        answered, scores = engine.serve(requests)
        for request, moments in zip(requests, answered, strict=True):
            first.append(moments.first_token - moments.arrival)
            each.append((moments.last_token - moments.first_token) / (request.answer_tokens - 1))
        _tell(details, "first_token", first)
        _tell(details, "per_token", each)
        return scores

    return Prepared([load], serving(bench.dtype), details)


def _tell(details: dict[str, float], name: str, values: list[float]) -> None:
    """Percentiles of the newest values."""
    del values[:-MAX_LATENCIES]
    if len(values) > 1:
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        details |= {f"{name}_p{part}_seconds": cuts[part - 1] for part in (50, 95, 99)}
