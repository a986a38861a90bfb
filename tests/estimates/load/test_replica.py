"""Replicas of the serving model: without load they wait as its estimate of one request says; pipelines where needed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from planner.calibration.sample import Operation
from planner.estimates.answer import answer, profiles
from planner.estimates.estimate import Placement
from planner.estimates.load.arrivals import Sizes
from planner.estimates.load.demand import RandomDemand
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.level import ServiceLevel
from planner.estimates.load.push import push
from planner.estimates.load.sizing import Sized, Terms, size_one
from planner.estimates.load.ways import Ways, find_ways
from planner.estimates.priors.serving import load_serving_priors
from planner.hardware.catalogue import load_catalogue
from planner.jobs.architecture import Transformer
from planner.jobs.job import InferenceJob
from planner.jobs.presets import ARCHITECTURES

POLICY = EnginePolicy()


def job(name: str = "llama-3-8b", prompt: int = 1_024, output: int = 128) -> InferenceJob:
    network = ARCHITECTURES[name].architecture
    assert isinstance(network, Transformer)
    return InferenceJob("serve", network, prompt, output)


def placement(key: str = "H100-80GB-SXM", num_gpus: int = 1) -> Placement:
    return Placement(gpu=load_catalogue().gpus[key], num_gpus=Decimal(num_gpus))


def ways(asked: InferenceJob, *placements: Placement) -> Ways:
    return find_ways(asked, placements, profiles(asked, placements, {}), POLICY, "USD")


def test_service_without_load_waits_as_the_estimate_of_a_single_request_says() -> None:
    alone = replace(job(), concurrency=1)
    estimate = answer(alone, [placement()], {}).options[0]
    found = ways(job(), placement())
    sized = size_one(found.ways[0], RandomDemand(1e-4, Sizes.fixed(1_024, 128)), Terms(ServiceLevel()), POLICY)
    assert isinstance(sized, Sized)
    front = found.ways[0].table.front.seconds(1.0)
    priors = load_serving_priors()
    expected_ms = priors.engines[job().engine].front_ms + priors.figures["frontend_request_ms"]
    assert front == pytest.approx(expected_ms * 1e-3)
    assert 0.005 < front < 0.05
    engine = estimate.extras["first_token_seconds"].mid
    assert sized.found.first_token.p50 == pytest.approx(front + engine, rel=0.01)
    assert sized.found.per_token is not None
    assert sized.found.per_token.p50 == pytest.approx(estimate.step_seconds.mid, rel=0.05)


def test_every_split_of_a_node_is_a_way_and_equal_gpus_share_a_table() -> None:
    found = ways(job(), placement(num_gpus=4), placement(num_gpus=8))
    layouts = [(way.unit_gpus, way.layout) for way in found.ways]
    assert layouts == [(4, "TP 1"), (4, "TP 2"), (4, "TP 4"), (8, "TP 1"), (8, "TP 2"), (8, "TP 4"), (8, "TP 8")]
    assert found.ways[0].table is found.ways[3].table
    assert found.ways[0].table is not found.ways[1].table


def test_stages_are_added_where_a_tensor_split_does_not_hold_the_weights() -> None:
    found = ways(job("llama-3-70b"), placement(num_gpus=8))
    assert [way.layout for way in found.ways] == ["TP 1, PP 2", "TP 2", "TP 4", "TP 8"]
    assert [way.gpus_per_replica for way in found.ways] == [2, 2, 4, 8]


def test_what_does_not_fit_is_refused_with_both_figures() -> None:
    found = ways(job("llama-3-70b"), placement("L4"))
    assert found.ways == []
    assert "usable per GPU; largest item: weights" in found.refused[0].reason


def test_more_gpus_to_a_replica_hold_more_cache_and_step_faster() -> None:
    one, four = (ways(job(), placement(num_gpus=8)).replicas[place] for place in (0, 2))
    assert four.steps.kv_capacity_tokens > 4 * one.steps.kv_capacity_tokens
    tables = [way.table for way in ways(job(), placement(num_gpus=8)).ways]
    assert tables[2].decode(8, 8_000) < tables[0].decode(8, 8_000)
    assert tables[2].prefill(4_096, 0) < tables[0].prefill(4_096, 0)


def test_range_of_steps_names_its_causes() -> None:
    found = ways(job(), placement()).replicas[0]
    assert all(cause.spread > 0 for cause in found.phase_causes(Operation.DECODE, 8.0, 0.01))
    assert found.phase_causes(Operation.PREFILL, 1_024.0, 0.05)


def test_training_pushes_arithmetic_harder_than_serving_a_few_requests() -> None:
    found = ways(job(), placement())
    demand = RandomDemand(1.0, Sizes.fixed(128, 256))
    sized = size_one(found.ways[0], demand, Terms(ServiceLevel()), POLICY)
    assert isinstance(sized, Sized)
    pushed = push(sized, found.replicas[0], placement(), demand)
    assert pushed.training_compute is not None
    assert pushed.serving_compute is not None
    assert pushed.decoding_bandwidth is not None
    assert 0 < pushed.serving_compute < pushed.training_compute < 1
    assert 0 < pushed.decoding_bandwidth < 1.05
    assert "while it steps: training pushes it" in pushed.sentence
    assert "not measured" in pushed.sentence
