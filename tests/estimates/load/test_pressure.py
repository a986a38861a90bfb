"""Training against inference on one GPU: shares within their ceilings, on a measured CPU too."""

from __future__ import annotations

from decimal import Decimal

import pytest

from planner.estimates.estimate import Bottleneck, Placement
from planner.estimates.load.pressure import Phase, Pressure, Question, pressure
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.presets import ARCHITECTURES
from tests.estimates.makers import attached, cpu_fit


def question(name: str, concurrency: int = 32, dtype: Dtype = Dtype.BF16) -> Question:
    network = ARCHITECTURES[name].architecture
    assert isinstance(network, Transformer)
    return Question(network, dtype, 256, 4, 256, 64, concurrency)


def pressed(asked: Question, key: str = "H100-80GB-SXM") -> Pressure:
    found = pressure(asked, Placement(load_catalogue().gpus[key], Decimal(1)), None)
    assert isinstance(found, Pressure)
    return found


@pytest.mark.parametrize("name", ["llama-3-8b", "mixtral-8x7b", "qwen3-30b-a3b", "deepseek-v3"])
@pytest.mark.parametrize("concurrency", [1, 32, 256])
def test_no_phase_uses_more_than_there_is(name: str, concurrency: int) -> None:
    for press in pressed(question(name, concurrency)).phases:
        assert press.compute_share is not None
        assert press.memory_share is not None
        assert 0 < press.compute_share < 1.0, press.phase
        assert 0 < press.memory_share < 1.05, press.phase


def test_decoding_alone_reads_but_the_experts_of_its_rows() -> None:
    one, many = (pressed(question("qwen3-30b-a3b", number)) for number in (1, 256))
    decode = {found: found.phases[2] for found in (one, many)}
    assert decode[one].seconds.mid < decode[many].seconds.mid
    assert decode[one].phase is Phase.DECODING


def test_a_measured_cpu_is_held_against_its_own_best_rate() -> None:
    found = pressure(question("smollm-135m", 4, Dtype.FP32), attached(), ("01FIT", cpu_fit(), True))
    assert isinstance(found, Pressure)
    assert found.ceilings.is_measured
    assert found.more_arithmetic is Phase.TRAINING
    assert "of the best measured rate in training" in found.sentence
    assert all(press.watts is None for press in found.phases)
    assert found.more_power is None


def test_what_the_catalogue_does_not_know_is_not_told() -> None:
    found = pressure(question("smollm-135m", 4, Dtype.FP32), attached(), None)
    assert isinstance(found, str)
    assert found


def test_a_long_prompt_is_bound_by_arithmetic_and_decoding_by_memory() -> None:
    network = ARCHITECTURES["llama-3-8b"].architecture
    assert isinstance(network, Transformer)
    phases = pressed(Question(network, Dtype.BF16, 2048, 8, 2048, 256, 32)).phases
    assert [press.bound for press in phases[1:3]] == [Bottleneck.COMPUTE, Bottleneck.BANDWIDTH]
