"""What programs that train do differently: adapters, interleaving, accumulation, host memory, timed passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.estimates.answer import work_out
from planner.estimates.communication import node_links
from planner.estimates.layout import training_layouts
from planner.estimates.outcome import Outcome
from planner.estimates.priors import load_priors
from planner.estimates.profile import Lack, profile_from_priors
from planner.estimates.ranges import TITLES, Circumstances, RangeCause, applying, unfamiliar
from planner.estimates.step import slowest_stage, step_times
from planner.estimates.training import TRAINING_SHARES
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype, LinkTopology
from planner.jobs.detection import detector
from planner.jobs.job import LoraTargets, Sharding, Stack, TrainingJob, TrainingMethod
from planner.jobs.operations import ACCUMULATION_BYTES, accumulation_work, lora_parameters, total_bytes
from planner.jobs.presets import ARCHITECTURES
from planner.jobs.vision import vision_network
from tests.builders import training_job
from tests.estimates.makers import gpu, rented

LLAMA_8B = ARCHITECTURES["llama-3-8b"].architecture
LLAMA_70B = ARCHITECTURES["llama-3-70b"].architecture


def _job(**changes: object) -> TrainingJob:
    base = training_job(architecture=LLAMA_70B, sequence_length=4096, global_batch=256, micro_batch=1, num_tokens=1e9)
    return replace(base, **changes)


def _outcome(job: TrainingJob, num_gpus: int = 8, num_nodes: int = 1) -> Outcome:
    found = work_out(job, rented(gpu(), str(num_gpus), num_nodes=num_nodes), None, usable=1e15)
    assert isinstance(found, Outcome), found
    return found


def test_adapters_on_attention_alone_are_fewer_weights_and_less_time() -> None:
    # Llama-3-8B: inputs 4,096; outputs 4,096 + 1,024 + 1,024; 32 layers.
    assert lora_parameters(LLAMA_8B, 16, LoraTargets.ATTENTION) == 32 * 16 * (3 * 4096 + 4096 + 2 * 1024)
    everywhere = _job(architecture=LLAMA_8B, method=TrainingMethod.LORA)
    attention = replace(everywhere, lora_targets=LoraTargets.ATTENTION)
    assert _outcome(attention).step_seconds.mid < 0.97 * _outcome(everywhere).step_seconds.mid


def test_megatron_interleaves_where_the_layers_divide_and_others_do_not() -> None:
    split = {"tensor_parallel": 8, "pipeline_parallel": 8, "global_batch": 16}
    woven = _outcome(_job(stack=Stack.MEGATRON, **split), 64, 8)
    plain = _outcome(_job(stack=Stack.FUSED, **split), 64, 8)
    assert woven.layout.virtual_stages > 1
    assert plain.layout.virtual_stages == 1
    assert LLAMA_70B.num_layers % (8 * woven.layout.virtual_stages) == 0


def test_micro_batches_that_do_not_fill_the_pipeline_evenly_are_not_interleaved() -> None:
    job = _job(stack=Stack.MEGATRON, tensor_parallel=8, pipeline_parallel=8, global_batch=12)
    assert set(training_layouts(job, 64, 8).virtual_stages) == {1.0}


def test_every_further_micro_batch_adds_its_gradients_to_the_earlier_ones() -> None:
    assert total_bytes((accumulation_work(1e9),)) == ACCUMULATION_BYTES * 1e9
    model = gpu()
    profile = profile_from_priors(model, Dtype.BF16)
    job = _job(architecture=LLAMA_8B, global_batch=1)
    once, twice = (
        step_times(asked, profile, training_layouts(asked, 1), None) for asked in (job, replace(job, global_batch=2))
    )
    least = ACCUMULATION_BYTES * LLAMA_8B.num_parameters / model.memory_bandwidth.value
    assert float(np.min(twice.compute.total)) > 2.0 * float(np.min(once.compute.total)) + least


def test_cards_without_peer_access_exchange_through_host_memory() -> None:
    slot = {"link_topology": LinkTopology.BUS, "link_bandwidth": None, "link_domain_gpus": None}
    peers, strangers = (
        node_links(gpu(key=key, **slot), 2, None, None, TRAINING_SHARES) for key in ("RTX6000-ADA", "RTX-4090")
    )
    assert strangers.by_size[2] < 0.6 * peers.by_size[2]


def test_less_hides_behind_a_pass_where_exchanges_cross_host_memory() -> None:
    bridged, without = (node_links(gpu(key=key), 2, shares=TRAINING_SHARES) for key in ("A5000", "RTX-3090"))
    assert bridged is not None
    assert without is not None
    job = _job(architecture=LLAMA_8B, stack=Stack.FUSED, sharding=Sharding.ZERO3, global_batch=2, tensor_parallel=1)
    profile = profile_from_priors(gpu(), job.dtype, job.stack)
    assert not isinstance(profile, Lack)
    layouts = training_layouts(job, 2)
    known = replace(without, hides=1.0)
    least, most = (step_times(job, profile, layouts, links).communication.max() for links in (known, without))
    assert bridged.hides == 1.0
    assert without.hides < 1.0
    assert most > least


def test_a_group_of_experts_that_takes_a_whole_stage_takes_its_tensor_parallel_gpus_too() -> None:
    experts = replace(LLAMA_8B, num_experts=8, experts_per_token=2)
    job = _job(architecture=experts, tensor_parallel=2, pipeline_parallel=1, expert_parallel=8, global_batch=64)
    links = node_links(gpu(), 8, 8, shares=TRAINING_SHARES)
    assert links is not None
    profile = profile_from_priors(gpu(), job.dtype, job.stack)
    assert not isinstance(profile, Lack)
    times = step_times(job, profile, training_layouts(job, 8, links.domain), replace(links, network=0.0))
    assert np.isfinite(times.communication).all()


def test_choosing_regions_takes_the_host_s_time_picture_by_picture() -> None:
    network = detector("Mask R-CNN ResNet-50 FPN")
    assert network is not None
    job = _job(architecture=network, sequence_length=1, global_batch=12, micro_batch=12, dtype=Dtype.FP16)
    plain = replace(job, architecture=replace(network, host_steps=0))
    per_step = {}
    for key in ("A100-80GB-SXM", "H100-80GB-SXM"):
        card = load_catalogue().get(key)
        profile = profile_from_priors(card, job.dtype, job.stack)
        assert not isinstance(profile, Lack)
        both = [step_times(each, profile, training_layouts(each, 1), None).total[0] for each in (job, plain)]
        per_step[key] = both[0] - both[1]
    # However fast the card: 12 pictures × steps × what one kernel takes to launch and to run.
    assert per_step["A100-80GB-SXM"] > 12 * network.host_steps * 10e-6
    assert per_step["H100-80GB-SXM"] == pytest.approx(per_step["A100-80GB-SXM"], rel=0.25)


def test_tensor_parallel_groups_over_nodes_lie_bare() -> None:
    job = _job(tensor_parallel=16, stack=Stack.MEGATRON)
    inside = _outcome(replace(job, tensor_parallel=8), 16, 2).extras["communication_seconds"].mid
    assert _outcome(job, 16, 2).extras["communication_seconds"].mid > 3.0 * inside


def test_forward_and_backward_alone_leave_the_update_out() -> None:
    whole, passes = (_outcome(_job(architecture=LLAMA_8B, updates_weights=known), 1) for known in (True, False))
    # 26 bytes of a weight at least, gradients read in 16 bits.
    update = 26.0 * LLAMA_8B.num_parameters / gpu().memory_bandwidth.value
    assert whole.step_seconds.mid - passes.step_seconds.mid > update


def test_squeeze_and_excitation_costs_passes_over_the_pictures() -> None:
    plain, excited = (
        _outcome(
            TrainingJob("pictures", vision_network(name, 224), 256.0, 1, 256, dtype=Dtype.FP16), 1
        ).step_seconds.mid
        for name in ("resnet50", "seresnet50")
    )
    assert 1.05 < excited / plain < 1.5


def test_embedding_and_head_may_take_a_stage_each() -> None:
    llama = ARCHITECTURES["llama-3.1-405b"].architecture
    job = _job(architecture=llama, tensor_parallel=4, pipeline_parallel=16, virtual_stages=8, sharding=Sharding.ZERO1)
    assert _outcome(job, 64, 8).layout.virtual_stages == 8  # 128 stages of 126 layers and the two ends


def test_training_in_4_bits_is_for_gpus_that_multiply_in_them() -> None:
    catalogue = load_catalogue()
    fp8, fp4 = (
        work_out(_job(architecture=LLAMA_8B, dtype=dtype), rented(catalogue.get("B200"), "8"), None)
        for dtype in (Dtype.FP8, Dtype.FP4)
    )
    assert isinstance(fp8, Outcome)
    assert isinstance(fp4, Outcome)
    assert fp4.step_seconds.mid < fp8.step_seconds.mid
    refused = work_out(_job(architecture=LLAMA_8B, dtype=Dtype.FP4), rented(catalogue.get("H100-80GB-SXM"), "8"), None)
    assert "fp4" in refused.reason


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"method": TrainingMethod.QLORA}, RangeCause.ADAPTERS),
        ({"architecture": ARCHITECTURES["mixtral-8x7b"].architecture}, RangeCause.EXPERTS),
        ({"architecture": vision_network("resnet50", 224)}, RangeCause.CONVOLUTIONAL),
    ],
)
def test_what_is_asked_decides_which_causes_widen_the_range(changes: dict[str, object], cause: RangeCause) -> None:
    profile = profile_from_priors(load_catalogue().get("A100-80GB-SXM"), Dtype.BF16)
    how = Circumstances(1, 0.1)
    plain = replace(_job(architecture=LLAMA_8B), stack=Stack.FUSED)
    assert cause not in applying(plain, profile, how)
    assert applying(replace(plain, **changes), profile, how)[cause] == 1.0
    assert applying(plain, profile, how)[RangeCause.HOST] == 0.1


def test_a_family_that_fewer_sources_told_about_has_a_wider_range() -> None:
    catalogue = load_catalogue()
    widths = {}
    for key in ("A100-80GB-SXM", "L40S", "MI300X"):
        found = work_out(_job(architecture=LLAMA_8B, micro_batch=1), rented(catalogue.get(key), "8"), None, usable=1e15)
        assert isinstance(found, Outcome), found
        causes = {cause.name: cause.spread for cause in found.step_seconds.causes}
        widths[load_priors().of(catalogue.get(key)).name] = causes[TITLES[RangeCause.FAMILY]]
    told = load_priors().told
    assert sorted(widths, key=lambda name: widths[name]) == sorted(widths, key=lambda name: -told[name])


def test_what_is_left_to_learn_shrinks_with_every_source() -> None:
    assert unfamiliar(0) == 1.0
    assert unfamiliar(3) == 0.5
    assert unfamiliar(8) == pytest.approx(1 / 3)


def test_several_nodes_are_a_cause_of_their_own() -> None:
    profile = profile_from_priors(load_catalogue().get("A100-80GB-SXM"), Dtype.BF16)
    one, four = (applying(_job(), profile, Circumstances(nodes, 0.0)) for nodes in (1, 4))
    assert set(four) - set(one) == {RangeCause.SEVERAL_NODES}


def test_layouts_that_a_pass_cannot_tell_apart_are_timed_alike_and_in_bulk() -> None:
    job = _job(global_batch=1024, micro_batch=None)
    layouts = training_layouts(job, 256, 8)
    together = step_times(job, profile_from_priors(gpu(), Dtype.BF16), layouts, node_links(gpu(), 256, 8))
    assert layouts.size > 200
    for place in range(0, layouts.size, 37):
        alone = layouts.only(np.arange(layouts.size) == place)
        found = step_times(job, profile_from_priors(gpu(), Dtype.BF16), alone, node_links(gpu(), 256, 8))
        assert float(found.total[0]) == pytest.approx(float(together.total[place]))


def test_layers_that_do_not_divide_leave_the_head_to_a_stage_with_fewer() -> None:
    """126 layers on 16 stages: eight on most, and fewer beside embedding and head; 80 on 16 are five on each."""
    llama = ARCHITECTURES["llama-3.1-405b"].architecture
    stages, head = slowest_stage(_job(architecture=llama), np.array([1.0, 16.0, 18.0]))
    assert (llama.num_layers / stages).tolist() == [126, 8, 7]
    assert np.asarray(head).tolist() == [1, 0, 1]
    assert slowest_stage(_job(), np.array([1.0, 16.0])) == (pytest.approx([1.0, 16.0]), None)


def test_passes_take_longer_beside_the_exchange_of_gradients_once_a_step() -> None:
    """However fast the links are, the last micro-batch of a step shares its GPU with the exchange behind it."""
    job = _job(architecture=LLAMA_8B, sharding=Sharding.NONE, tensor_parallel=1, pipeline_parallel=1)
    profile = profile_from_priors(gpu(), job.dtype, job.stack)
    assert not isinstance(profile, Lack)
    assert profile.training is not None
    links = node_links(gpu(), 8)
    assert links is not None
    instant = replace(links, by_size=np.full(9, 1e30), latency=0.0)
    layouts = training_layouts(replace(job, data_parallel=8, global_batch=8), 8)
    times = step_times(replace(job, global_batch=8), profile, layouts, instant)
    assert times.communication == pytest.approx(profile.training.contention * times.micro_seconds)
    longer = step_times(replace(job, global_batch=64), profile, layouts, instant)
    assert longer.communication == pytest.approx(times.communication)


def test_megatron_shards_no_weights_beside_a_pipeline() -> None:
    split = {"tensor_parallel": 8, "pipeline_parallel": 4}
    found = {
        stack: set(training_layouts(_job(stack=stack, **split), 64).sharding.tolist())
        for stack in (Stack.MEGATRON, Stack.FUSED)
    }
    assert found == {Stack.MEGATRON: {0, 1}, Stack.FUSED: {0, 1, 2, 3}}
