"""What holds for every estimate, tried on jobs and hardware drawn at random (seeded, so each run draws the same)."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.estimates.answer import answer
from planner.estimates.communication import node_links
from planner.estimates.document import answer_from_document, answer_to_document
from planner.estimates.estimate import Answer, Option
from planner.estimates.layout import Layouts
from planner.estimates.profile import Profile, profile_from_fit, profile_from_priors
from planner.estimates.serving_steps import Deployment
from planner.estimates.serving_times import serving_times
from planner.estimates.step import step_times
from planner.hardware.gpu import Dtype, Gpu
from planner.jobs.architecture import Transformer
from planner.jobs.job import InferenceJob, Job, Recompute, TrainingJob, TrainingMethod
from tests.builders import price
from tests.estimates.makers import attached, cpu_fit, figure, gpu, rented

CPU_FIT = cpu_fit()
examples = settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def architectures(draw: st.DrawFn) -> Transformer:
    width, kv_heads = draw(st.sampled_from([32, 64, 128])), draw(st.sampled_from([1, 2, 4, 8]))
    heads = kv_heads * draw(st.sampled_from([1, 2, 4]))
    experts = draw(st.sampled_from([1, 1, 1, 8]))
    return Transformer(
        name="Drawn",
        num_layers=draw(st.integers(1, 48)),
        hidden=width * heads,
        num_heads=heads,
        num_kv_heads=kv_heads,
        ffn=draw(st.sampled_from([256, 1024, 4096, 14336])),
        vocab=draw(st.sampled_from([1000, 32000, 128256])),
        gated=draw(st.booleans()),
        tied_embeddings=draw(st.booleans()),
        num_experts=experts,
        experts_per_token=min(2, experts),
    )


@st.composite
def training_jobs(draw: st.DrawFn) -> TrainingJob:
    return TrainingJob(
        name="Drawn",
        architecture=draw(architectures()),
        num_tokens=draw(st.sampled_from([1e6, 1e9, 1e12])),
        sequence_length=draw(st.sampled_from([1, 128, 2048, 8192])),
        global_batch=draw(st.sampled_from([1, 7, 32, 512])),
        recompute=draw(st.sampled_from(list(Recompute))),
        method=draw(st.sampled_from(list(TrainingMethod))),
    )


@st.composite
def inference_jobs(draw: st.DrawFn) -> InferenceJob:
    return InferenceJob(
        name="Drawn",
        architecture=draw(architectures()),
        prompt_tokens=draw(st.sampled_from([1, 100, 4000])),
        output_tokens=draw(st.sampled_from([1, 50, 1000])),
        num_requests=draw(st.sampled_from([None, 1.0, 1e5])),
        concurrency=draw(st.sampled_from([None, 1, 3, 200])),
    )


jobs = st.one_of(training_jobs(), inference_jobs())
numbers = st.sampled_from(["1", "2", "4", "8"])


@st.composite
def cards(draw: st.DrawFn) -> Gpu:
    return gpu(
        generation=draw(st.sampled_from(["Hopper", "Ampere", "Ada", "Blackwell", "Kepler"])),
        memory_bytes=figure(draw(st.sampled_from([16e9, 80e9, 288e9]))),
        memory_bandwidth=figure(draw(st.floats(1e11, 1e13))),
        peak_flops={Dtype.BF16: figure(draw(st.floats(1e13, 5e15)))},
    )


def _quantities(option: Option):
    named = {name: getattr(option, name) for name in ("seconds", "step_seconds", "tokens_per_second", "memory_bytes")}
    named |= {name: getattr(option, name) for name in ("energy_joules", "average_power_watts")}
    named |= {name: getattr(option, name) for name in ("cost", "cost_per_hour", "cost_per_million_tokens")}
    return {name: quantity for name, quantity in (named | dict(option.extras)).items() if quantity is not None}


@examples
@given(jobs, cards(), numbers)
def test_same_input_same_output_and_the_document_keeps_it(job: Job, card: Gpu, number: str) -> None:
    placements = [rented(card, number), attached(), rented(card, number, amount=None)]
    fits = {"device-1": ("fit-1", CPU_FIT)}
    first, second = answer(job, placements, fits), answer(job, placements, fits)
    assert first == second
    document = json.loads(json.dumps(answer_to_document(first), allow_nan=False))
    assert answer_from_document(document) == first


@examples
@given(jobs, cards(), numbers)
def test_low_mid_high_and_parts_add_up(job: Job, card: Gpu, number: str) -> None:
    found = answer(job, [rented(card, number), attached()], {"device-1": ("fit-1", CPU_FIT)})
    assert len(found.options) + len(found.rejections) == 2
    assert all(rejection.reason for rejection in found.rejections)
    for option in found.options:
        for name, quantity in _quantities(option).items():
            assert 0 <= quantity.low <= quantity.mid <= quantity.high, name
        assert sum(item.num_bytes for item in option.memory_items) == pytest.approx(option.memory_bytes.mid)
        assert option.memory_bytes.mid <= option.usable_memory_bytes
        layout = option.layout
        split = layout.data_parallel * layout.tensor_parallel * layout.pipeline_parallel * layout.context_parallel
        assert split == int(option.placement.num_gpus)
        for name in ("cost", "energy_joules", "seconds"):
            assert (getattr(option, name) is None) == (name in option.unknown)


@examples
@given(jobs, cards(), st.integers(1, 10**6), st.integers(2, 1000))
def test_cost_is_linear_in_price(job: Job, card: Gpu, micros: int, factor: int) -> None:
    once, often = (
        answer(job, [rented(card, price=price(str(amount)))], {})
        for amount in (Decimal(micros) / 10**6, Decimal(micros) / 10**6 * factor)
    )
    for one, other in zip(once.options, often.options, strict=True):
        assert one.cost is not None
        assert other.cost is not None
        for name in ("low", "mid", "high"):
            assert getattr(other.cost, name) == pytest.approx(factor * getattr(one.cost, name), rel=1e-9)


@examples
@given(jobs, cards(), numbers, st.floats(1.0, 10.0))
def test_more_memory_never_turns_a_fit_into_no_fit(job: Job, card: Gpu, number: str, factor: float) -> None:
    assert card.memory_bytes is not None
    larger = replace(card, memory_bytes=figure(factor * card.memory_bytes.value))
    small, large = (answer(job, [rented(model, number)], {}) for model in (card, larger))
    assert len(large.options) >= len(small.options)


@examples
@given(jobs, cards(), numbers, st.sampled_from(["peak", "bandwidth"]), st.floats(1.0, 10.0))
def test_more_flops_or_bandwidth_is_never_slower(job: Job, card: Gpu, number: str, what: str, factor: float) -> None:
    assert card.memory_bandwidth is not None
    faster = (
        replace(card, memory_bandwidth=figure(factor * card.memory_bandwidth.value))
        if what == "bandwidth"
        else replace(card, peak_flops={Dtype.BF16: figure(factor * card.peak_flops[Dtype.BF16].value)})
    )
    slow, fast = (answer(job, [rented(model, number)], {}, goal="time") for model in (card, faster))
    for one, other in zip(slow.options, fast.options, strict=True):
        assert _rate(other) >= _rate(one) * (1 - 0.011)  # layouts within 1 % of each other count as equal


def _rate(option: Option) -> float:
    return option.tokens_per_second.mid


def _profiles() -> list[Profile]:
    model = gpu()
    found = [
        profile_from_priors(model, Dtype.BF16),
        profile_from_fit(model, Dtype.BF16, replace(CPU_FIT, is_cpu=False), "fit-1", is_own_device=True),
    ]
    return [profile for profile in found if isinstance(profile, Profile)]


def _layout(data: int, tensor: int, micro: int, sharding: int) -> Layouts:
    one = np.ones(1)
    return Layouts(
        *(np.array([float(value)]) for value in (data, tensor, micro, sharding)),
        pipeline_parallel=one,
        context_parallel=one,
        expert_parallel=one,
        virtual_stages=one,
        recompute="none",
    )


@examples
@given(architectures(), st.integers(1, 8192), st.integers(1, 8), st.sampled_from([(1, 1, 0), (4, 1, 2), (1, 2, 0)]))
def test_at_a_fixed_layout_a_longer_sequence_is_never_faster(
    architecture: Transformer, length: int, micro: int, split: tuple[int, int, int]
) -> None:
    data, tensor, sharding = split
    links = node_links(gpu(), 8)
    layout = _layout(data, tensor, micro, sharding)
    priors = _profiles()[0]
    seconds = [
        float(step_times(TrainingJob("x", architecture, 1e9, tokens, 8), priors, layout, links).total[0])
        for tokens in (length, 2 * length)
    ]
    assert seconds[1] >= seconds[0]


@examples
@given(architectures(), st.integers(1, 4000), st.integers(1, 64))
def test_a_longer_prompt_never_comes_sooner_and_more_requests_never_lower_the_step(
    architecture: Transformer, prompt: int, sequences: int
) -> None:
    priors = _profiles()[0]
    layout = _layout(1, 1, 1, 0)

    def times(tokens: int, together: int):
        job = InferenceJob("x", architecture, tokens, 32, concurrency=together)
        at_once = np.array([float(together)])
        return serving_times(Deployment(job, priors, layout, None), at_once, at_once)

    short, long = times(prompt, sequences), times(2 * prompt, sequences)
    assert long.first_token[0] >= short.first_token[0]
    if architecture.num_experts == 1:
        assert times(prompt, 2 * sequences).decode_step[0] >= short.decode_step[0] * 0.999


PARTS = tuple(
    f"{name}_seconds" for name in ("steady_steps", "checkpoints", "lost_work", "restarts", "waiting_for_capacity")
)


@examples
@given(training_jobs(), cards(), numbers)
def test_the_seconds_of_a_job_are_its_steps_and_what_interrupts_them(job: TrainingJob, card: Gpu, number: str) -> None:
    for option in answer(job, [rented(card, number)], {}).options:
        assert option.seconds is not None
        num_steps = option.extras["num_steps"].mid
        assert num_steps == -(-job.num_tokens // (job.global_batch * job.sequence_length))
        steady = num_steps * option.step_seconds.mid
        parts = [option.extras[name].mid for name in PARTS if name in option.extras]
        assert option.seconds.mid >= steady
        if parts:
            assert parts[0] == pytest.approx(steady)
        assert option.seconds.mid == pytest.approx(sum(parts) if parts else steady, rel=4e-3)
        rate = job.global_batch * job.sequence_length / option.step_seconds.mid
        assert option.tokens_per_second.mid == pytest.approx(rate)


def test_an_empty_answer_goes_through_its_document() -> None:
    empty = Answer((), ())
    assert answer_from_document(json.loads(json.dumps(answer_to_document(empty)))) == empty


def test_another_form_of_document_is_refused() -> None:
    with pytest.raises(ValueError, match="has form"):
        answer_from_document(answer_to_document(Answer((), ())) | {"form": 99})
