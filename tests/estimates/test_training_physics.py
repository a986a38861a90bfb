"""What programs that train do differently: adapters, interleaving, accumulation, host memory, timed passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.estimates.answer import work_out
from planner.estimates.communication import node_links
from planner.estimates.layout import training_layouts
from planner.estimates.outcome import Outcome
from planner.estimates.profile import profile_from_priors
from planner.estimates.ranges import Circumstances, RangeCause, applying
from planner.estimates.step import step_times
from planner.estimates.training import TRAINING_SHARES
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype, LinkTopology
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
        ({"dtype": Dtype.FP8}, RangeCause.EIGHT_BIT),
        ({"dtype": Dtype.TF32}, RangeCause.PLAIN),
        ({"method": TrainingMethod.QLORA}, RangeCause.ADAPTERS),
        ({"architecture": ARCHITECTURES["mixtral-8x7b"].architecture}, RangeCause.EXPERTS),
        ({"architecture": ARCHITECTURES["bert-base"].architecture}, RangeCause.ENCODER),
        ({"architecture": vision_network("resnet50", 224)}, RangeCause.CONVOLUTIONAL),
        ({"fused_attention": False}, RangeCause.OLD_ATTENTION),
        ({"stack": Stack.EAGER}, RangeCause.EAGER),
        ({"stack": Stack.COMPILED}, RangeCause.COMPILED),
    ],
)
def test_what_is_asked_decides_which_causes_widen_the_range(changes: dict[str, object], cause: RangeCause) -> None:
    profile = profile_from_priors(load_catalogue().get("A100-80GB-SXM"), Dtype.BF16)
    how = Circumstances(1, 0.1, 0.2)
    plain = replace(_job(architecture=LLAMA_8B), stack=Stack.FUSED)
    assert cause not in applying(plain, profile, how)
    assert applying(replace(plain, **changes), profile, how)[cause] == 1.0
    assert applying(plain, profile, how)[RangeCause.HOST] == 0.1
    assert applying(plain, profile, how)[RangeCause.IDLE] == 0.2


def test_several_nodes_are_a_cause_of_their_own() -> None:
    profile = profile_from_priors(load_catalogue().get("A100-80GB-SXM"), Dtype.BF16)
    one, four = (applying(_job(), profile, Circumstances(nodes, 0.0, 0.0)) for nodes in (1, 4))
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
