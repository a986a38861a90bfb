"""`planner devices …`: what calibrations say, in words and as JSON."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from planner.cli import main
from planner.services.estimates import make_estimate
from planner.services.requests import EstimateRequest
from planner.settings import Settings
from planner.store.engine import make_engine, session_factory
from tests.builders import NOW
from tests.runs import CODE, known_devices
from tests.services.test_outcomes import PRODUCTS, run_on


@pytest.fixture
def told(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command over an H100 measured twice: its output, and the ids to ask with."""
    monkeypatch.setenv("PLANNER_HOME", str(settings.home))
    monkeypatch.setenv("PLANNER_DATABASE_URL", settings.database_url)
    engine = make_engine(settings.database_url)
    with session_factory(engine).begin() as session:
        gpu, _ = known_devices(session)
        run_on(session, gpu, NOW, suite=PRODUCTS)
        made = make_estimate(session, EstimateRequest(preset="finetune-small"), NOW, CODE)
    with session_factory(engine).begin() as session:
        run_on(session, gpu, NOW + timedelta(hours=1), suite=PRODUCTS)
    engine.dispose()

    def call(*arguments: str) -> str:
        names = {"GPU": gpu.id, "ESTIMATE": made.id}
        with pytest.raises(SystemExit) as ended:
            main(["devices", *(names.get(one, one) for one in arguments)])
        assert not ended.value.code, capsys.readouterr().err
        return capsys.readouterr().out

    return call


def test_each_question_has_its_answer_in_words(told: Any) -> None:
    assert "No judgement yet: 1 earlier runs" in told("drift", "GPU")
    assert "matrix products in bf16" in told("fits", "GPU")
    assert "Unknown: no run that succeeded measured both" in told("compare", "GPU")
    assert "one alone" in told("siblings")
    assert "Unknown: no measured CPU" in told("cpu-gpu")
    assert "--suite custom:train_step/bf16" in told("worth", "ESTIMATE")


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("drift", "GPU"), "sentence"),
        (("fits", "GPU"), "fits"),
        (("compare", "GPU"), "reason"),
        (("siblings",), "groups"),
        (("cpu-gpu", "--preset", "serve-small"), "times_faster"),
        (("worth", "ESTIMATE"), "measurements"),
    ],
)
def test_each_answer_is_there_as_json(told: Any, arguments: tuple[str, ...], key: str) -> None:
    assert key in json.loads(told(*arguments, "--json"))


def test_without_a_question_the_devices_are_listed(told: Any) -> None:
    assert [device["name"] for device in json.loads(told("--json"))["devices"]] == ["NVIDIA H100 80GB HBM3", "A CPU"]
