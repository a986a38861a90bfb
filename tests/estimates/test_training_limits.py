"""What bounds training beside product units and memory: power, vector units, exchanges that cannot hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.calibration.efficiency import one_execution
from planner.calibration.sample import Operation
from planner.estimates.communication import all_to_all_seconds
from planner.estimates.layout import training_layouts
from planner.estimates.priors import load_priors
from planner.estimates.profile import HIGHEST_CLOCK, Profile, profile_from_priors
from planner.estimates.step import step_times
from planner.estimates.training import Nodes, training_links
from planner.hardware.gpu import Dtype, Gpu
from planner.jobs.convnet import Conv, ConvNet
from planner.jobs.convolutions import picture_work
from planner.jobs.job import Sharding, Stack, TrainingJob
from planner.jobs.presets import ARCHITECTURES
from planner.jobs.work import Pass, Work, WorkClass, total_bytes
from tests.builders import training_job
from tests.estimates.makers import figure, gpu

DEPTHWISE = ConvNet("depthwise", (Conv(56, 256, 256, kernel=3, groups=256),), 224, 0)


def profile(card: Gpu, dtype: Dtype = Dtype.BF16, stack: Stack = Stack.EAGER) -> Profile:
    found = profile_from_priors(card, dtype, stack)
    assert isinstance(found, Profile), found
    return found


def peak_reached(card: Gpu) -> float:
    return float(profile(card).rates[Operation.TRAIN_STEP].matmul[Dtype.BF16].peak)


def test_half_the_power_slows_training_by_the_clock_that_it_leaves() -> None:
    usual = gpu(power_watts=figure(708.0))  # as many watts per FLOP/s as the card that Hopper was measured on
    starved = replace(usual, power_watts=figure(354.0))
    exponent = load_priors().figures["clock_exponent"]
    assert peak_reached(starved) / peak_reached(usual) == pytest.approx(0.5**exponent)


def test_more_power_than_a_chip_can_use_raises_its_clock_only_so_far() -> None:
    usual = gpu(power_watts=figure(708.0))
    assert peak_reached(replace(usual, power_watts=figure(7080.0))) == pytest.approx(
        HIGHEST_CLOCK * peak_reached(usual)
    )


def test_a_card_whose_power_is_not_known_is_taken_as_its_family() -> None:
    usual = gpu(power_watts=figure(708.0))
    assert peak_reached(replace(usual, power_watts=None)) == pytest.approx(peak_reached(usual))


def depthwise_seconds(card: Gpu) -> float:
    work = _depthwise(Dtype.BF16)
    return float(np.asarray(one_execution(work, profile(card).rates[Operation.TRAIN_STEP])))


def _depthwise(dtype: Dtype) -> Work:
    works = picture_work(DEPTHWISE, Pass(64.0, 1.0, dtype), is_trained=True)
    return next(work for work in works if work.work_class is WorkClass.DEPTHWISE)


def test_depthwise_convolutions_are_bound_by_vector_units_more_than_by_memory() -> None:
    card = gpu()
    twice_the_units = replace(card, peak_flops={**card.peak_flops, Dtype.FP32: figure(120e12)})
    twice_the_memory = replace(card, memory_bandwidth=figure(6e12))
    assert depthwise_seconds(twice_the_units) < 0.75 * depthwise_seconds(card)
    assert depthwise_seconds(twice_the_memory) > 1.1 * depthwise_seconds(twice_the_units)


def test_where_vector_units_are_not_known_depthwise_convolutions_go_by_their_bytes() -> None:
    unknown = gpu(peak_flops={Dtype.BF16: figure(1000e12)})
    rates = profile(unknown).rates[Operation.TRAIN_STEP]
    least = total_bytes((_depthwise(Dtype.BF16),)) / rates.bandwidth
    assert depthwise_seconds(unknown) == pytest.approx(least, rel=0.2)


def test_plain_training_of_pictures_moves_twice_what_mixed_training_does() -> None:
    moved = [total_bytes((_depthwise(dtype),)) for dtype in (Dtype.FP32, Dtype.BF16)]
    assert moved[0] == pytest.approx(2.0 * moved[1])


def communication(job: TrainingJob, num_gpus: int = 8) -> float:
    card = gpu()
    layouts = training_layouts(job, num_gpus, 8)
    times = step_times(job, profile(card, stack=job.stack), layouts, training_links(card, Nodes(num_gpus)))
    return float(np.min(times.communication))


def test_tensor_parallel_exchanges_hide_only_where_sequences_are_divided_too() -> None:
    job = training_job(
        architecture=ARCHITECTURES["llama-3-8b"].architecture,
        sequence_length=4096,
        global_batch=8,
        micro_batch=1,
        tensor_parallel=8,
        stack=Stack.MEGATRON,
    )
    hidden = load_priors().stacks[Stack.MEGATRON].tensor_overlap
    divided, copied = communication(job), communication(replace(job, sequence_parallel=False))
    assert divided / copied == pytest.approx(1.0 - hidden, rel=0.05)


def test_how_much_of_the_exchange_between_experts_hides_is_a_prior_of_its_own() -> None:
    network = replace(ARCHITECTURES["llama-3-8b"].architecture, num_experts=8, experts_per_token=2)
    splits = {"data_parallel": 8, "tensor_parallel": 1, "pipeline_parallel": 1, "expert_parallel": 8}
    job = training_job(architecture=network, sequence_length=4096, micro_batch=1, sharding=Sharding.NONE, **splits)
    once, twice = (communication(replace(job, global_batch=number)) for number in (8, 16))
    links = training_links(gpu(), Nodes(8))
    assert links is not None
    routed = 2.0 * 4096 * network.hidden * 2  # two bytes, two experts to a token
    bare = 4 * network.num_layers * float(all_to_all_seconds(routed, np.array(8.0), links))
    assert twice - once == pytest.approx((1.0 - load_priors().figures["expert_overlap"]) * bare)
