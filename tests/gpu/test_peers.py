"""Several cards in one run, by the fake driver: each is looked at before and after, and answers for itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from planner.calibration.verdict import Trust
from planner.gpu import inspection
from planner.gpu.events import BenchStarted, ChildJob, ChildResult, Event
from planner.gpu.runner import child_environment, measure
from planner.inventory.device import Backend
from tests.gpu.conftest import CARDS, HERE
from tests.gpu.test_faults import BENCH

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fake driver is built for Linux")

JOB = ChildJob(CARDS[0], Backend.CUDA, (BENCH,), 120.0, telemetry_seconds=None, peers=(CARDS[1],))


class Pair:
    """Two fake cards that one run holds."""

    def __init__(self, rules: Path) -> None:
        self.rules = rules
        self.say("")

    def say(self, rules: str) -> None:
        self.rules.write_text(rules)

    def run(self, during: str = "") -> tuple[ChildResult, list[Event]]:
        events: list[Event] = []
        go = self.rules.with_name("go")

        def enter(event: Event) -> None:
            events.append(event)
            if during and isinstance(event, BenchStarted):
                self.say(during)
                go.touch()

        mode = ["until", str(go)] if during else ["tells-twice"]
        return measure(JOB, enter, command=[sys.executable, str(HERE / "rogue.py"), *mode]), events


@pytest.fixture
def pair(fake_nvml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.setenv("FAKE_NVML_FILE", str(tmp_path / "rules"))
    monkeypatch.setattr(inspection, "SETTLE_SECONDS", 0.3)
    monkeypatch.setattr(inspection, "DEADLINE_SECONDS", 120.0)
    return Pair(tmp_path / "rules")


def test_both_cards_are_visible_to_the_process_the_runs_own_first() -> None:
    assert child_environment(JOB)["CUDA_VISIBLE_DEVICES"] == f"{CARDS[0]},{CARDS[1]}"


def test_the_state_of_the_second_card_is_stored_beside_the_first_ones(pair: Pair) -> None:
    result, _ = pair.run()
    assert (result.outcome, result.verdict.trust) == ("finished", Trust.OK)
    looks = result.conditions["peers"][CARDS[1]]
    assert looks["device_before"]["driver_version"] == result.conditions["device_before"]["driver_version"]
    assert set(looks) == {"device_before", "device_after"}
    assert result.peer_quarantine == {}


@pytest.mark.fault(50)
def test_a_second_card_that_is_lost_stops_the_start_and_is_kept_from_work_alone(pair: Pair) -> None:
    pair.say("nvmlDeviceGetComputeMode@1:15")
    result, events = pair.run()
    assert (result.outcome, events) == ("refused", [])
    assert result.reason.startswith(f"device {CARDS[1]} beside it: ")
    assert result.verdict.quarantine == "", "the first card did nothing wrong"
    assert set(result.peer_quarantine) == {CARDS[1]}


@pytest.mark.fault(63)
def test_a_second_card_in_other_use_is_waited_for(pair: Pair) -> None:
    pair.say("nvmlDeviceGetMPSComputeRunningProcesses_v3@1=4711")
    result, events = pair.run()
    assert (result.outcome, events, result.peer_quarantine) == ("busy", [], {})
    assert result.verdict.retry_seconds is not None


@pytest.mark.fault(29)
@pytest.mark.fault(32)
def test_a_second_card_whose_memory_does_not_come_back_is_kept_from_work_alone(pair: Pair) -> None:
    result, _ = pair.run(during="nvmlDeviceGetMemoryInfo@1=9000000000")
    assert result.outcome == "finished"
    assert result.verdict.trust is Trust.OK, "what was measured before stands"
    assert set(result.peer_quarantine) == {CARDS[1]}
    assert result.verdict.quarantine == ""


@pytest.mark.fault(57)
def test_memory_errors_of_a_second_card_make_the_whole_run_invalid(pair: Pair) -> None:
    result, _ = pair.run(during="nvmlDeviceGetTotalEccErrors@1=3")
    assert result.verdict.trust is Trust.INVALID
    assert any(f"device {CARDS[1]} beside it" in reason for reason in result.verdict.reasons)
