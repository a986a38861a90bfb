"""Layouts over several nodes: what is asked for is kept, what cannot be is refused by name, and parts behave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.errors import InvalidInput
from planner.estimates.answer import answer, work_out
from planner.estimates.communication import Links, all_reduce_seconds, all_to_all_seconds, send_seconds
from planner.estimates.outcome import Outcome
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.jobs.document import job_from_document, job_to_document
from planner.jobs.job import Sharding, TrainingJob, TrainingMethod
from planner.jobs.presets import ARCHITECTURES
from planner.jobs.vision import vision_network
from planner.services.requests import EstimateRequest, parse
from tests.builders import training_job
from tests.estimates.makers import gpu, rented

LLAMA_70B = ARCHITECTURES["llama-3-70b"].architecture
MIXTRAL = ARCHITECTURES["mixtral-8x7b"].architecture


def _job(**changes: object) -> TrainingJob:
    base = training_job(architecture=LLAMA_70B, sequence_length=4096, global_batch=256, micro_batch=1, num_tokens=1e9)
    return replace(base, **changes)


def _outcome(job: TrainingJob, num_gpus: int, num_nodes: int, network: float | None = None) -> Outcome:
    placement = rented(gpu(), str(num_gpus), num_nodes=num_nodes, network_bytes_per_s=network)
    found = work_out(job, placement, None, usable=1e15)
    assert isinstance(found, Outcome), found
    return found


def test_a_given_layout_is_kept_in_every_part() -> None:
    asked = _job(tensor_parallel=4, pipeline_parallel=2, context_parallel=2, virtual_stages=4, sharding=Sharding.ZERO1)
    layout = _outcome(asked, 64, 8).layout
    assert (layout.tensor_parallel, layout.pipeline_parallel, layout.context_parallel) == (4, 2, 2)
    assert (layout.data_parallel, layout.virtual_stages, layout.sharding) == (4, 4, "zero1")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tensor_parallel": 3}, "tensor_parallel"),
        ({"context_parallel": 3}, "context_parallel"),
        ({"pipeline_parallel": 128}, "pipeline_parallel"),
        ({"virtual_stages": 2}, "virtual_stages"),
        ({"expert_parallel": 2}, "expert_parallel"),
        ({"data_parallel": 512}, "data_parallel"),
        ({"architecture": vision_network("resnet50", 224), "tensor_parallel": 2}, "tensor_parallel"),
        ({"architecture": vision_network("resnet50", 224), "method": TrainingMethod.LORA}, "method"),
    ],
)
def test_a_layout_that_cannot_be_is_refused_by_its_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        answer(_job(**changes), [rented(num_gpus="64")], {})
    assert field in {problem.field for problem in refused.value.problems}


def test_more_micro_batches_or_interleaving_shrink_the_idle_share_of_a_pipeline() -> None:
    plain = _outcome(_job(pipeline_parallel=8, tensor_parallel=8, global_batch=16), 64, 8)
    longer = _outcome(_job(pipeline_parallel=8, tensor_parallel=8, global_batch=64), 64, 8)
    woven = _outcome(_job(pipeline_parallel=8, tensor_parallel=8, global_batch=16, virtual_stages=5), 64, 8)

    def idle(outcome: Outcome) -> float:
        return outcome.extras["bubble_seconds"].mid / outcome.step_seconds.mid

    assert idle(plain) > 1.5 * idle(longer)
    assert idle(plain) > 2.0 * idle(woven)


def test_a_slower_network_never_makes_a_step_faster_and_matters_across_nodes_only() -> None:
    asked = _job(tensor_parallel=8, sharding=Sharding.NONE)
    fast, slow = (_outcome(asked, 64, 8, network).step_seconds.mid for network in (50e9, 5e9))
    assert slow > fast
    inside = [_outcome(asked, 8, 1, network).step_seconds.mid for network in (50e9, 5e9)]
    assert inside[0] == inside[1]


def test_sharding_more_never_needs_more_memory() -> None:
    needed = [
        _outcome(_job(tensor_parallel=8, sharding=sharding), 64, 8).memory_bytes.mid
        for sharding in (Sharding.NONE, Sharding.ZERO1, Sharding.ZERO2, Sharding.ZERO3)
    ]
    assert needed == sorted(needed, reverse=True)
    assert needed[0] > 3 * needed[3]


def test_experts_divided_among_gpus_need_less_memory_and_some_exchange() -> None:
    base = _job(architecture=MIXTRAL, tensor_parallel=1, sharding=Sharding.ZERO1)
    whole, split = (_outcome(replace(base, expert_parallel=number), 8, 1) for number in (1, 8))
    assert split.memory_bytes.mid < 0.5 * whole.memory_bytes.mid
    assert split.extras["communication_seconds"].mid > 0


def test_the_search_is_never_slower_than_a_layout_it_may_choose() -> None:
    free = _outcome(_job(), 64, 8).step_seconds.mid
    given = _outcome(_job(tensor_parallel=8, pipeline_parallel=4), 64, 8).step_seconds.mid
    assert free <= given * 1.011  # of layouts within 1 % the simplest is taken


def test_the_answer_says_what_the_next_layouts_lost_on() -> None:
    (note,) = [note for note in _outcome(_job(), 64, 8).notes if note.startswith("Next: ")]
    assert "parallel +" in note
    assert ", by " in note


def test_the_price_counts_every_node() -> None:
    one, four = (
        answer(_job(architecture=ARCHITECTURES["tinyllama-1.1b"].architecture, sequence_length=2048), [placement], {})
        for placement in (rented(num_gpus="8"), rented(num_gpus="32", num_nodes=4))
    )
    assert four.options[0].cost_per_hour.mid == pytest.approx(4 * one.options[0].cost_per_hour.mid)
    assert "32 × TEST-80GB in 4 nodes" in four.options[0].placement.title


def test_collectives_by_hand() -> None:
    links = Links(np.array([0.0, 0.0, 100e9, 100e9, 100e9]), 0.0, network=10e9)
    four, eight = np.array([4.0]), np.array([8.0])
    assert all_reduce_seconds(1e9, four, links)[0] == pytest.approx(2 * 3 / 4 * 1e9 / 100e9)
    # two nodes of four: inside as above, then a quarter of the bytes across
    assert all_reduce_seconds(1e9, eight, links)[0] == pytest.approx(0.015 + 2 * 1 / 2 * 0.25e9 / 10e9)
    # eight GPUs send 3/8 of their bytes inside, 4/8 across
    assert all_to_all_seconds(1e9, eight, links)[0] == pytest.approx(0.375e9 / 100e9 + 0.5e9 / 10e9)
    assert send_seconds(1e9, links, np.array([4.0]))[0] == pytest.approx(0.1)
    assert send_seconds(1e9, links, np.array([1.0]))[0] == pytest.approx(0.01)


def test_a_request_carries_its_layout_and_refuses_what_does_not_divide() -> None:
    asked = {"preset": "finetune-llama-3-8b", "tensor_parallel": "2", "sharding": "zero3", "stack": "fused"}
    job = parse(EstimateRequest, asked).job()
    assert isinstance(job, TrainingJob)
    assert (job.tensor_parallel, job.sharding, job.stack.value) == (2, Sharding.ZERO3, "fused")
    with pytest.raises(InvalidInput, match="tensor_parallel: 5 does not divide the heads"):
        parse(EstimateRequest, {**asked, "tensor_parallel": "5"}).job()
    served = parse(EstimateRequest, {"preset": "serve-llama-3-8b", "tensor_parallel": "2"}).job()
    assert served.tensor_parallel == 2
    with pytest.raises(InvalidInput, match="data_parallel: does not belong to inference"):
        parse(EstimateRequest, {"preset": "serve-llama-3-8b", "data_parallel": "2"}).job()


def test_a_convolutional_network_trains_faster_on_a_faster_card() -> None:
    network = vision_network("resnet50", 224)
    assert network is not None
    job = training_job(architecture=network, sequence_length=1, global_batch=256, num_tokens=1.28e6, dtype=Dtype.FP16)
    catalogue = load_catalogue()
    slow, fast = (
        answer(job, [rented(catalogue.get(key))], {}).options[0].step_seconds.mid
        for key in ("V100-16GB-SXM", "H100-80GB-SXM")
    )
    assert fast < slow / 2
    assert job_from_document(job_to_document(job)) == job


def test_a_job_with_a_layout_survives_its_document() -> None:
    job = _job(tensor_parallel=4, sharding=Sharding.ZERO2)
    assert job_from_document(job_to_document(job)) == job


def test_a_request_may_bring_a_configuration_instead_of_a_name() -> None:
    config = '{"model_type":"gpt2","n_embd":768,"n_head":12,"n_layer":12,"n_positions":1024,"vocab_size":50257}'
    asked = {"kind": "training", "config": config, "tokens": "1e9", "sequence_length": "1024", "global_batch": "64"}
    job = parse(EstimateRequest, asked).job()
    assert job.architecture.num_parameters == ARCHITECTURES["gpt2"].architecture.num_parameters
    with pytest.raises(InvalidInput, match="config: the configuration is not JSON"):
        parse(EstimateRequest, {**asked, "config": "{nothing"}).job()
    with pytest.raises(InvalidInput, match="not both"):
        parse(EstimateRequest, {**asked, "architecture": "gpt2"}).job()
