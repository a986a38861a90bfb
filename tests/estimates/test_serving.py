"""Serving: steps of a replica, engines, batching, single passes, memory, and what widens the ranges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from planner.errors import InvalidInput
from planner.estimates.answer import answer, check
from planner.estimates.estimate import Option
from planner.estimates.layout import inference_layouts
from planner.estimates.load.step_table import tabulate
from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.serving import serving_links
from planner.estimates.serving_profile import serving_profile
from planner.estimates.serving_ranges import ServingClass, token_class
from planner.estimates.serving_steps import Deployment, ReplicaSteps, replica_steps
from planner.hardware.gpu import Dtype, Gpu
from planner.jobs.engine import Batching, Engine
from planner.jobs.job import InferenceJob
from planner.jobs.presets import ARCHITECTURES
from planner.jobs.vision import vision_network
from tests.estimates.makers import figure, gpu, rented

LLAMA = ARCHITECTURES["llama-3-8b"].architecture
DEEPSEEK = ARCHITECTURES["deepseek-v3"].architecture
CARD = gpu(
    peak_flops={
        Dtype.BF16: figure(1000e12),
        Dtype.FP16: figure(1000e12),
        Dtype.FP8: figure(2000e12),
        Dtype.INT8: figure(2000e12),
    }
)


def _job(**changes: Any) -> InferenceJob:
    base = InferenceJob("x", LLAMA, 512, 128, concurrency=8, engine=Engine.VLLM)
    return replace(base, **changes)


def _option(job: InferenceJob, num_gpus: str = "1", card: Gpu = CARD) -> Option:
    found = answer(job, [rented(card, num_gpus)], {})
    assert found.options, found.rejections[0].reason
    return found.options[0]


def _replica(job: InferenceJob, num_gpus: int = 1, usable: float = 76e9) -> ReplicaSteps:
    profile = serving_profile(CARD, job)
    links = serving_links(CARD, num_gpus) if num_gpus > 1 else None
    layouts = inference_layouts(replace(job, tensor_parallel=num_gpus), num_gpus)
    return replica_steps(Deployment(job, profile, layouts, links), usable)


def test_steps_take_arrays_of_any_shape_and_agree_with_single_calls() -> None:
    steps = _replica(_job())
    tokens, context = np.array([[16.0], [512.0]]), np.array([0.0, 4096.0, 30000.0])
    table = steps.prefill_seconds(tokens, context)
    assert table.shape == (2, 3)
    assert table[1, 2] == pytest.approx(float(steps.prefill_seconds(np.array(512.0), np.array(30000.0))))
    assert (np.diff(table, axis=1) > 0).all()
    batch = steps.decode_seconds(np.array([1.0, 64.0]), np.array([1000.0, 64000.0]))
    assert batch[1] > batch[0]


def test_a_mixed_step_costs_more_than_either_and_less_than_both() -> None:
    steps = _replica(_job())
    num, cached, new = np.array(32.0), np.array(32_000.0), np.array(256.0)
    both = float(steps.step_seconds(num, cached, new, np.array(0.0)))
    decode, prompt = float(steps.decode_seconds(num, cached)), float(steps.prefill_seconds(new, np.array(0.0)))
    assert max(decode, prompt) < both < decode + prompt
    assert float(steps.step_seconds(np.array(0.0), np.array(0.0), new, np.array(0.0))) == pytest.approx(prompt)


def test_the_simulators_table_reads_what_the_replica_says() -> None:
    steps = _replica(_job())
    table = tabulate(steps, 64, 2048)
    assert table.decode(32, 32 * 512) == pytest.approx(float(steps.decode_seconds(np.array(32.0), np.array(16384.0))))
    assert table.capacity == steps.kv_capacity_tokens


def test_a_latent_cache_holds_576_elements_per_layer_and_token_on_every_gpu() -> None:
    """DeepSeek-V3's report, section 4.2: 512 compressed and 64 rotary elements."""
    steps = _replica(_job(architecture=DEEPSEEK, dtype=Dtype.FP8), 8, usable=180e9)
    assert steps.kv_bytes_per_token == 8 * 61 * 576 * 2


def test_the_cache_of_a_replica_is_divided_among_its_gpus() -> None:
    assert _replica(_job(), 4).kv_bytes_per_token == pytest.approx(_replica(_job()).kv_bytes_per_token)
    assert _replica(_job(), 4).kv_capacity_tokens > 4 * _replica(_job()).kv_capacity_tokens


def test_weights_of_four_bits_make_room_and_speed_up_single_requests_only() -> None:
    packed, plain = _job(weight_bits=4.16, concurrency=1), _job(concurrency=1)
    assert _option(packed).memory_bytes.mid < 0.5 * _option(plain).memory_bytes.mid
    assert _option(packed).extras["token_seconds"].mid < 0.8 * _option(plain).extras["token_seconds"].mid
    crowd = {"concurrency": 64, "prompt_tokens": 4096, "output_tokens": 8}
    assert _option(_job(weight_bits=4.16, **crowd)).tokens_per_second.mid < (
        _option(_job(**crowd)).tokens_per_second.mid * 1.02
    )


def test_a_static_batch_counts_the_prompts_of_all_before_the_first_token() -> None:
    static, flowing = _option(_job(batching=Batching.STATIC)), _option(_job())
    assert static.extras["first_token_seconds"].mid > 3 * flowing.extras["first_token_seconds"].mid
    assert "loaded_first_token_seconds" not in static.extras
    assert flowing.extras["loaded_first_token_seconds"].mid > flowing.extras["first_token_seconds"].mid
    whole = static.extras["first_token_seconds"].mid + 127 * static.step_seconds.mid
    assert static.extras["request_seconds"].mid == pytest.approx(whole)


def test_an_engine_that_is_not_named_has_a_wider_range_and_says_why() -> None:
    named, unnamed = _option(_job()), _option(_job(engine=Engine.UNSTATED))
    assert "serving engine not named" in {cause.name for cause in unnamed.tokens_per_second.causes}
    assert "serving engine not named" not in {cause.name for cause in named.tokens_per_second.causes}


def test_every_engine_and_every_class_has_its_figures() -> None:
    priors = load_serving_priors()
    assert set(priors.engines) == set(Engine)
    assert {kind.value for kind in ServingClass} <= set(priors.ranges)
    assert all(prior.source for prior in priors.engines.values())


def test_engines_are_not_pooled() -> None:
    rates = {engine: _option(_job(engine=engine)).tokens_per_second.mid for engine in Engine}
    assert rates[Engine.TENSORRT_LLM] > rates[Engine.VLLM] > rates[Engine.VLLM_EARLY]
    assert rates[Engine.TRANSFORMERS] < rates[Engine.LMDEPLOY]


def test_pictures_and_texts_are_single_passes_without_tokens() -> None:
    network = vision_network("resnet50", 224)
    assert network is not None
    picture = InferenceJob("x", network, 1, 0, concurrency=64, dtype=Dtype.INT8, engine=Engine.TENSORRT)
    option = _option(picture)
    assert "token_seconds" not in option.extras
    rate = option.extras["requests_per_second"].mid
    assert rate == pytest.approx(64 / option.extras["request_seconds"].mid)
    assert rate * network.forward_flops < 2000e12
    encoder = ARCHITECTURES["bert-base"].architecture
    text = InferenceJob("x", encoder, 128, 0, concurrency=8, dtype=Dtype.FP16, engine=Engine.TENSORRT)
    assert token_class(text) is ServingClass.ENCODER
    assert _option(text).tokens_per_second.mid == pytest.approx(128 * _option(text).extras["requests_per_second"].mid)


def test_an_encoder_that_is_asked_for_tokens_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="is an encoder"):
        check(_job(architecture=ARCHITECTURES["bert-base"].architecture, prompt_tokens=100))
    with pytest.raises(InvalidInput, match="weight_bits"):
        check(_job(weight_bits=20.0))


def test_stages_of_a_pipeline_hold_a_part_of_the_weights_and_do_not_hasten_one_request() -> None:
    alone = _job(concurrency=1)
    one, two = _option(alone), _option(replace(alone, pipeline_parallel=2, tensor_parallel=1), "2")
    assert two.layout.pipeline_parallel == 2
    assert two.memory_items[0].num_bytes == pytest.approx(one.memory_items[0].num_bytes / 2, rel=0.01)
    assert two.extras["token_seconds"].mid >= one.extras["token_seconds"].mid


def test_a_layout_that_the_gpus_do_not_divide_into_is_refused_in_words() -> None:
    found = answer(_job(pipeline_parallel=3), [rented(CARD, "8")], {})
    assert "3 pipeline parallel cannot be had from 8 GPUs" in found.rejections[0].reason


def test_as_many_requests_as_memory_holds_serve_more_than_fewer() -> None:
    saturated, few = _option(_job(concurrency=None)), _option(_job(concurrency=4))
    assert saturated.extras["concurrency"].mid > 100
    assert saturated.tokens_per_second.mid > 5 * few.tokens_per_second.mid
    starved = _option(_job(concurrency=None, prompt_tokens=8_000))
    assert starved.extras["concurrency"].mid < 64


def test_energy_per_request_is_power_times_time() -> None:
    option = _option(_job())
    assert option.average_power_watts is not None
    rate = option.extras["requests_per_second"].mid
    assert option.extras["joules_per_request"].mid == pytest.approx(option.average_power_watts.mid / rate)
    assert 0.2 * 700 < option.average_power_watts.mid <= 700
