"""Training against inference: what is pressed harder, by what, and when it is not told apart."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from planner.errors import InvalidInput
from planner.estimates.load.pressure import Phase
from planner.services.devices import record_discovery
from planner.services.pressure import USUAL, PressureView, compare_pressure
from planner.services.requests import parse
from planner.services.requests.pressure import PressureRequest
from planner.store.engine import Session
from tests.builders import discovery


def ask(session: Session, now: datetime, **given: Any) -> PressureView:
    return compare_pressure(session, parse(PressureRequest, {"architecture": "llama-3-8b", **given}), now)


def test_training_presses_arithmetic_and_serving_memory_on_every_usual_gpu(session: Session, now: datetime) -> None:
    found = ask(session, now)
    assert [gpu.gpu_key for gpu in found.gpus] == list(USUAL)
    assert {gpu.more_arithmetic for gpu in found.gpus} == {Phase.TRAINING}
    assert {gpu.more_memory for gpu in found.gpus} == {Phase.SERVING}
    assert f"training presses the arithmetic of all {len(USUAL)} GPUs" in found.sentence
    assert f"serving presses the memory of all {len(USUAL)} GPUs" in found.sentence
    for gpu in found.gpus:
        for press in gpu.phases:
            assert press.compute_share is not None
            assert press.memory_share is not None
            assert 0 < press.compute_share < 1.05
            assert 0 < press.memory_share < 1.05


def test_more_requests_at_a_time_press_arithmetic_harder(session: Session, now: datetime) -> None:
    shares = []
    for concurrency in (1, 16, 128):
        gpu = ask(session, now, concurrency=concurrency, gpus=["H100-80GB-SXM"]).gpus[0]
        shares.append(gpu.phases[3].compute_share or 0.0)
    assert shares == sorted(shares)
    assert shares[-1] > 3 * shares[0]


def test_estimated_power_within_its_range_is_not_told_apart(session: Session, now: datetime) -> None:
    gpu = ask(session, now, gpus=["H100-80GB-SXM"]).gpus[0]
    train, serve = gpu.phases[0].watts, gpu.phases[3].watts
    assert train is not None
    assert serve is not None
    overlap = train.low <= serve.high and serve.low <= train.high
    assert (gpu.more_power is None) == overlap
    assert ("do not tell apart" in gpu.sentence) == overlap


def test_attached_devices_are_among_them(session: Session, now: datetime) -> None:
    record_discovery(session, discovery(), now)
    found = ask(session, now, gpus=["L4"])
    assert any(gpu.device_id for gpu in found.gpus) or any(each.reason for each in found.not_told)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"architecture": None}, "architecture"),
        ({"architecture": "bert-base", "prompt_tokens": 100, "output_tokens": 50}, "architecture"),
        ({"dtype": "int8"}, "dtype"),
        ({"sequence_length": 1_000_000}, "sequence_length"),
        ({"gpus": ["H1000"]}, "gpus"),
        ({"prompt_tokens": 100_000}, "prompt_tokens"),
    ],
)
def test_question_that_cannot_be_answered_is_refused_by_field(
    given: dict[str, Any], field: str, session: Session, now: datetime
) -> None:
    with pytest.raises(InvalidInput) as refused:
        ask(session, now, **given)
    assert field in {problem.field for problem in refused.value.problems}
