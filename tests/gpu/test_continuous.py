"""The engine that batches continuously: the same answers as one by one, in the order that a simulation assumes."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from planner.calibration.bench_time import bench_of
from planner.calibration.sample import Operation
from planner.gpu.benches import served
from planner.gpu.benches.accelerator import Accelerator
from planner.gpu.benches.continuous import Engine, Request
from planner.gpu.benches.transformer import KvCache, Shape, Transformer, random_transformer
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

SHAPE = Shape(layers=2, hidden=32, heads=4, kv_heads=2, ffn=64, vocab=50, gated=True, tied=False)
REQUESTS = [Request(0.0, prompt, answer) for prompt, answer in ((5, 4), (9, 2), (3, 6), (7, 3), (4, 5))]


@pytest.fixture(scope="module")
def model() -> Transformer:
    return random_transformer(SHAPE, torch.device("cpu"), torch.float64, torch.Generator().manual_seed(1))


def test_tokens_at_unlike_positions_score_as_each_does_alone(model: Transformer) -> None:
    lengths = (3, 7, 5)
    tokens = torch.randint(0, SHAPE.vocab, (3, 8), generator=torch.Generator().manual_seed(2))
    together = KvCache.empty(SHAPE, 3, 8, model.head.weight)
    alone = []
    with torch.no_grad():
        for row, length in enumerate(lengths):
            own = KvCache(together.keys[:, row : row + 1], together.values[:, row : row + 1])
            model(tokens[row : row + 1, :length], own)
            alone.append(model(tokens[row : row + 1, : length + 1])[:, -1:])
        following = torch.stack([tokens[row, length] for row, length in enumerate(lengths)])[:, None]
        found = model(following, together, lengths)
    assert torch.allclose(found, torch.cat(alone), atol=1e-10)


def test_every_request_gets_its_tokens_and_places_are_used_again(model: Transformer) -> None:
    engine = Engine(model, Accelerator(Backend.CPU, seed=1), slots=2, capacity=16)
    with torch.no_grad():
        answered, _ = engine.serve(REQUESTS)
    assert [moments.first_token for moments in answered] == sorted(moments.first_token for moments in answered)
    for request, moments in zip(REQUESTS, answered, strict=True):
        assert 0.0 < moments.first_token < moments.last_token
        assert moments.arrival == request.arrival_seconds
    third = answered[2]
    assert third.first_token > min(answered[0].last_token, answered[1].last_token), "it waited for a place"


def test_a_request_of_one_token_ends_with_its_prompt(model: Transformer) -> None:
    engine = Engine(model, Accelerator(Backend.CPU, seed=1), slots=1, capacity=8)
    with torch.no_grad():
        answered, _ = engine.serve([Request(0.0, 4, 1), Request(0.0, 3, 2)])
    assert answered[0].first_token == pytest.approx(answered[0].last_token, rel=0.2)
    assert answered[1].first_token > answered[0].last_token


def test_requests_are_not_taken_in_before_they_come(model: Transformer) -> None:
    engine, looks = Engine(model, Accelerator(Backend.CPU, seed=1), slots=2, capacity=8), count()
    with torch.no_grad():
        answered, _ = engine.serve([Request(0.0, 2, 2), Request(0.5, 2, 2)], lambda: 0.05 * next(looks))
    assert answered[0].last_token < 0.5 < answered[1].first_token


def test_the_served_bench_tells_percentiles_of_its_requests() -> None:
    inside = {"layers": 1, "hidden": 32, "heads": 4, "kv_heads": 2, "ffn": 64, "gated": 1, "vocab": 50}
    load = {"requests": 6, "slots": 2, "prompt": 6, "answer": 3}
    bench = bench_of(Backend.CPU, Operation.SERVE, Dtype.FP32, inside | load)
    prepared = served.prepare(bench, Accelerator(Backend.CPU, seed=1))
    with prepared.around:
        prepared.calls[0]()
    for name in ("first_token", "per_token"):
        half, most, nearly_all = (prepared.details[f"{name}_p{part}_seconds"] for part in (50, 95, 99))
        assert 0.0 < half <= most <= nearly_all
