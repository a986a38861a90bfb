"""Pictures, frames, texts and drawings as jobs: the batch, the time of one alone, limits with their floors, cameras."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.estimates.answer import answer
from planner.estimates.document import answer_from_document, answer_to_document
from planner.estimates.estimate import Bottleneck, Option, Placement, Rejection
from planner.estimates.single_passes import SATURATED
from planner.hardware.catalogue import load_catalogue
from planner.jobs.job import InferenceJob, Item
from planner.jobs.known.pictures import PICTURES
from planner.jobs.presets import ARCHITECTURES, JOBS
from tests.estimates.makers import attached, cpu_fit, rented


def job(key: str = "resnet-50", **changes: Any) -> InferenceJob:
    found = JOBS["classify-resnet-50"].job
    assert isinstance(found, InferenceJob)
    picture = PICTURES[key].at()
    base = replace(found, architecture=picture.architecture, prompt_tokens=picture.positions, num_requests=None)
    return replace(base, **changes)


def texts(**changes: Any) -> InferenceJob:
    found = JOBS["embed-bert-base"].job
    assert isinstance(found, InferenceJob)
    return replace(found, **changes)


def on(key: str = "A100-80GB-SXM", number: str = "1", amount: str | None = "2.00") -> Placement:
    return rented(load_catalogue().get(key), number, amount)


def option(asked: InferenceJob, place: Placement | None = None) -> Option:
    found = answer(asked, [place or on()], {})
    assert not found.rejections, found.rejections[0].reason
    return found.options[0]


def rejection(asked: InferenceJob, place: Placement | None = None) -> Rejection:
    return answer(asked, [place or on()], {}).rejections[0]


def per_second(found: Option) -> float:
    return found.extras["requests_per_second"].mid


@pytest.mark.parametrize("asked", [job(), job("vit-b-16"), job("mask-rcnn-r50"), texts(num_requests=None)])
def test_the_smallest_batch_that_answers_about_as_much_as_any_is_taken(asked: InferenceJob) -> None:
    chosen = option(asked)
    batch = int(chosen.extras["concurrency"].mid)
    rates = {}
    for size in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        found = answer(replace(asked, concurrency=size), [on()], {})
        if found.options:
            rates[size] = per_second(found.options[0])
    assert rates[batch] == pytest.approx(per_second(chosen))
    least = max(rates.values()) * (1 - SATURATED)
    assert batch == min(size for size, rate in rates.items() if rate >= least)


def test_one_alone_takes_what_a_batch_of_one_takes() -> None:
    single = option(job(concurrency=1))
    assert option(job()).extras["alone_seconds"].mid == pytest.approx(single.extras["request_seconds"].mid)
    assert per_second(single) == pytest.approx(1 / single.extras["request_seconds"].mid)


def test_a_thousand_cost_the_price_of_their_time() -> None:
    found = option(job())
    assert found.cost_per_thousand_requests is not None
    assert found.cost_per_thousand_requests.mid == pytest.approx(2.0 / 3600 * 1000 / per_second(found))
    low, high = found.cost_per_thousand_requests.low, found.cost_per_thousand_requests.high
    assert low < found.cost_per_thousand_requests.mid < high
    unpriced = option(job(), on(amount=None))
    assert unpriced.cost_per_thousand_requests is None
    assert unpriced.unknown["cost_per_thousand_requests"]


def test_so_many_pictures_take_their_number_over_the_rate() -> None:
    found = option(job(num_requests=1e6))
    assert found.seconds is not None
    assert found.cost is not None
    assert found.seconds.mid == pytest.approx(1e6 / per_second(found))
    assert found.cost.mid == pytest.approx(2.0 * found.seconds.mid / 3600)
    assert found.energy_joules is not None
    assert found.energy_joules.mid == pytest.approx(1e6 * found.extras["joules_per_request"].mid)


def test_eight_gpus_answer_eight_times_as_much_in_the_same_time() -> None:
    one, eight = option(job()), option(job(), on(number="8"))
    assert per_second(eight) == pytest.approx(8 * per_second(one))
    assert eight.extras["request_seconds"].mid == pytest.approx(one.extras["request_seconds"].mid)


def test_a_limit_below_one_alone_is_rejected_with_that_floor() -> None:
    found = rejection(job(answer_seconds=2e-4))
    assert found.bottleneck is Bottleneck.DEADLINE
    assert found.reason.startswith("a limit of 200 µs is below the floor: one picture by itself takes ")


def test_a_limit_makes_batches_smaller_and_is_kept() -> None:
    free = option(job())
    limit = free.extras["request_seconds"].mid / 3
    bound = option(job(answer_seconds=limit))
    assert bound.extras["request_seconds"].mid <= limit
    assert bound.extras["concurrency"].mid < free.extras["concurrency"].mid
    assert per_second(bound) <= per_second(free)


def test_more_at_a_time_than_a_limit_leaves_time_for_is_rejected_with_both_times() -> None:
    alone = option(job()).extras["alone_seconds"].mid
    reason = rejection(job(concurrency=256, answer_seconds=alone * 1.05)).reason
    assert reason.startswith("256 pictures at a time take ")
    assert "one alone takes " in reason


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-4, 1.0), st.floats(1.0, 4.0))
def test_a_tighter_limit_never_answers_more(limit: float, times: float) -> None:
    tight, wide = (answer(job(answer_seconds=value), [on()], {}).options for value in (limit, limit * times))
    if tight:
        assert per_second(tight[0]) <= per_second(wide[0]) * (1 + SATURATED)


def cameras(**changes: Any) -> InferenceJob:
    return job("yolov5m", item=Item.FRAME, **{"frame_rate": 30.0, **changes})


def test_as_many_cameras_as_a_gpu_keeps_up_with_and_not_one_more() -> None:
    found = option(cameras())
    number = int(found.extras["concurrency"].mid)
    assert number > 1
    assert found.extras["request_seconds"].mid <= 1 / 30
    assert per_second(found) == pytest.approx(30 * number)
    assert per_second(found) <= found.extras["most_requests_per_second"].mid
    assert option(cameras(concurrency=number)).extras["concurrency"].mid == number
    more = rejection(cameras(concurrency=number + 1))
    assert f"{number + 1} frames at a time take " in more.reason
    assert "a frame every 33.3 ms" in more.reason


def test_the_number_of_cameras_is_a_range() -> None:
    found = option(cameras()).extras["concurrency"]
    assert found.low < found.mid < found.high
    assert found.unit == "cameras"


def test_cameras_pay_for_the_time_between_frames() -> None:
    """One camera costs what the GPU costs, however fast it is; the more it serves, the cheaper each frame."""
    alone, full = option(cameras(concurrency=1)), option(cameras())
    assert alone.cost_per_thousand_requests is not None
    assert full.cost_per_thousand_requests is not None
    assert alone.cost_per_thousand_requests.mid == pytest.approx(2.0 / 3600 * 1000 / 30)
    ratio = alone.cost_per_thousand_requests.mid / full.cost_per_thousand_requests.mid
    assert ratio == pytest.approx(full.extras["concurrency"].mid)


def test_a_camera_faster_than_the_gpu_is_rejected_by_name() -> None:
    reason = rejection(job("mask-rcnn-r50", item=Item.FRAME, frame_rate=5000.0)).reason
    assert reason.startswith("a frame every 200 µs is below the floor: one frame by itself takes ")


def test_a_drawing_takes_its_steps_one_after_the_other() -> None:
    one = job("sdxl", item=Item.DRAWING, rows=2, passes=1, concurrency=4)
    thirty = replace(one, passes=30)
    assert per_second(option(thirty)) == pytest.approx(per_second(option(one)) / 30)
    alone = {rows: option(replace(one, rows=rows, concurrency=1)).extras["alone_seconds"].mid for rows in (1, 2)}
    assert alone[1] < alone[2] < 2.01 * alone[1]


def test_longer_texts_are_fewer_a_second() -> None:
    rates = [per_second(option(texts(prompt_tokens=length, num_requests=None))) for length in (64, 256, 512)]
    assert rates == sorted(rates, reverse=True)


def test_a_decoder_may_embed_texts_too() -> None:
    found = option(texts(architecture=ARCHITECTURES["llama-3-8b"].architecture, num_requests=None))
    assert per_second(found) > 0
    assert not any("first_token" in name for name in found.extras)


def test_a_network_that_no_gpu_holds_is_rejected_with_its_memory() -> None:
    found = rejection(texts(architecture=ARCHITECTURES["llama-3-70b"].architecture), on("L4"))
    assert found.bottleneck is Bottleneck.MEMORY


def test_a_measured_cpu_answers_pictures_from_its_own_fit() -> None:
    found = answer(job(), [attached()], {"device-1": ("01FIT", cpu_fit())}).options[0]
    assert found.fit_id == "01FIT"
    assert found.extras["alone_seconds"].mid <= found.extras["request_seconds"].mid


def test_the_answer_goes_through_its_document() -> None:
    found = answer(cameras(answer_seconds=0.02), [on(), on("L4", "2"), on("T4", amount=None)], {})
    assert answer_from_document(answer_to_document(found)) == found


def test_reading_and_resizing_are_said_to_be_left_out() -> None:
    assert any("Reading, decoding and resizing" in note for note in option(job()).notes)
    assert any("text encoder" in note for note in option(job("sdxl", item=Item.DRAWING, passes=20, rows=2)).notes)
