"""Replicas whose experts are spread over groups that attend apart, and replicas over several nodes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from planner.estimates.answer import answer, profiles
from planner.estimates.estimate import Placement
from planner.estimates.load.arrivals import Sizes
from planner.estimates.load.demand import RandomDemand
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.level import ServiceLevel
from planner.estimates.load.replica import Shape, Spread
from planner.estimates.load.sizing import Sized, Terms, size_one
from planner.estimates.load.ways import Ways, find_ways
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.job import InferenceJob
from planner.jobs.presets import ARCHITECTURES

POLICY = EnginePolicy()


def job(name: str, dtype: Dtype = Dtype.BF16) -> InferenceJob:
    network = ARCHITECTURES[name].architecture
    assert isinstance(network, Transformer)
    return InferenceJob("serve", network, 1_024, 512, dtype=dtype)


def ways(asked: InferenceJob, num_gpus: int = 8, key: str = "H100-80GB-SXM") -> Ways:
    placement = Placement(gpu=load_catalogue().gpus[key], num_gpus=Decimal(num_gpus))
    return find_ways(asked, [placement], profiles(asked, [placement], {}), POLICY, "USD")


def layouts(found: Ways) -> list[str]:
    return [way.layout for way in found.ways]


def test_experts_are_spread_over_groups_that_attend_apart() -> None:
    found = ways(job("mixtral-8x7b"), 4)
    assert "TP 1, EP 4, DP 4 in attention" in layouts(found)
    assert "TP 2, EP 4, DP 2 in attention" in layouts(found)
    assert "TP 4" in layouts(found)


def test_a_dense_model_is_never_spread() -> None:
    assert all("EP" not in layout for layout in layouts(ways(job("llama-3-8b"))))


def test_a_group_reads_its_own_experts_alone_and_keeps_its_own_cache() -> None:
    found = ways(job("mixtral-8x7b"), 4)
    by_layout = dict(zip(layouts(found), zip(found.ways, found.replicas, strict=True), strict=True))
    spread, split = by_layout["TP 1, EP 4, DP 4 in attention"], by_layout["TP 4"]
    assert spread[0].gpus_per_replica == split[0].gpus_per_replica == 4
    assert spread[1].weight_bytes > split[1].weight_bytes  # attention is copied, the experts are not
    assert spread[1].weight_bytes < 2.0 * split[1].weight_bytes
    # A prompt alone lies on one group: it takes longer than where all GPUs share it.
    assert spread[0].table.prefill(1_024, 0.0) > split[0].table.prefill(1_024, 0.0)
    # Many prompts at a time need no all-reduce.
    assert spread[0].table.prefill(8_192, 0.0) < split[0].table.prefill(8_192, 0.0)


def test_groups_take_as_many_requests_each_as_an_engine_does() -> None:
    found = ways(job("mixtral-8x7b"), 4)
    way = next(way for way in found.ways if way.groups == 4)
    assert way.table.max_batch == 4 * POLICY.max_sequences
    sized = size_one(way, RandomDemand(20.0, Sizes.fixed(1_024, 512)), Terms(ServiceLevel(95, 2.0, 0.1)), POLICY)
    assert isinstance(sized, Sized)
    assert sized.sentence.endswith(f"(TP 1, EP 4, DP 4 in attention), each serves {sized.concurrent:.0f} concurrent")


def test_expert_parallel_is_as_asked() -> None:
    asked = replace(job("mixtral-8x7b"), expert_parallel=2)
    assert {way.groups for way in ways(asked, 4).ways} == {2}
    assert ways(replace(asked, expert_parallel=3), 4).ways == []


def test_steps_of_groups_grow_with_the_requests_and_the_busiest_prompt_decides() -> None:
    found = next(each for each in ways(job("mixtral-8x7b"), 4).replicas if each.shape.experts == 4)
    steps = found.steps
    assert isinstance(steps, Spread)
    batches = np.array([1.0, 4.0, 8.0, 64.0, 512.0])
    seconds = steps.decode_seconds(batches, batches * 1_024)
    assert (np.diff(seconds) >= 0).all()
    one = steps.prefill_seconds(np.array([1_024.0]), np.array([0.0]))
    four = steps.prefill_seconds(np.array([4_096.0]), np.array([0.0]))
    assert one == pytest.approx(four)


def test_a_model_that_no_node_holds_lies_over_the_fewest_nodes_that_do() -> None:
    found = ways(job("llama-3.1-405b"))
    assert layouts(found) == ["TP 8, PP 2 over 2 nodes"]
    way = found.ways[0]
    assert (way.gpus_per_replica, way.unit_gpus) == (16, 8)
    assert replace(way, cost_per_unit_hour=20.0).cost_per_hour(32) == 80.0
    assert found.refused  # one node is still told why not


def test_experts_over_nodes_pay_for_the_network_between_them() -> None:
    found = ways(job("deepseek-v3", Dtype.FP8))
    assert all("over 2 nodes" in layout for layout in layouts(found))
    assert any("EP 16" in layout for layout in layouts(found))
    one = ways(job("deepseek-v3", Dtype.FP8), key="H200-SXM")
    near = next(way for way in one.ways if way.layout == "TP 1, EP 8, DP 8 in attention")
    far = next(way for way in found.ways if way.layout == "TP 1, EP 16, DP 16 in attention over 2 nodes")
    assert far.table.prefill(8_192, 0.0) > near.table.prefill(8_192, 0.0)


def test_a_shape_says_itself() -> None:
    assert Shape(4).words == "TP 4"
    assert Shape(8, 2, 1, 2, 8).words == "TP 8, PP 2 over 2 nodes"
    assert Shape(2, 1, 8).words == "TP 2, EP 16, DP 8 in attention"


def test_estimates_search_the_spread_of_experts_and_keep_what_is_asked() -> None:
    placement = Placement(gpu=load_catalogue().gpus["H100-80GB-SXM"], num_gpus=Decimal(8))
    busy = replace(job("mixtral-8x7b"), concurrency=512)
    best = answer(busy, [placement], {}).options[0]
    plain = answer(replace(busy, expert_parallel=1), [placement], {}).options[0]
    assert plain.layout.expert_parallel == 1
    assert best.tokens_per_second.mid >= plain.tokens_per_second.mid * 0.99
    asked = answer(replace(busy, expert_parallel=8, tensor_parallel=1), [placement], {}).options[0]
    assert (asked.layout.expert_parallel, asked.layout.tensor_parallel) == (8, 1)
    assert asked.memory_bytes.mid < plain.usable_memory_bytes
