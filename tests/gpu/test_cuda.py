"""A real NVIDIA GPU, where there is one that this torch reaches: skipped elsewhere, with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from planner.calibration.sample import Bench, Operation
from planner.calibration.suites import get_suite
from planner.gpu import nvidia
from planner.gpu.events import ChildJob, Event, Failed, Measured, Reading
from planner.gpu.process import helper_environment
from planner.gpu.runner import measure
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend, SeenDevice
from tests.gpu.conftest import wait_until

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def card() -> SeenDevice:
    look = nvidia.ask()
    if not look.devices:
        pytest.skip(f"no NVIDIA GPU here: {'; '.join(look.problems)}")
    code = "import json, torch; print(json.dumps([torch.__version__, torch.cuda.is_available()]))"
    told = subprocess.run([sys.executable, "-c", code], env=helper_environment(), capture_output=True, check=True)
    version, is_available = json.loads(told.stdout)
    if not is_available:
        pytest.skip(f"torch {version} does not reach the NVIDIA GPU of this machine")
    return look.devices[0]


def job(card: SeenDevice, name: str) -> ChildJob:
    suite = get_suite(name)
    benches = suite.benches_for(Backend.CUDA, card.memory_bytes)
    return ChildJob(card.uuid, Backend.CUDA, benches, suite.time_limit_seconds)


def used_bytes(card: SeenDevice) -> int:
    code = "import sys; from planner.gpu.nvidia import NvidiaReader\n"
    code += "print(NvidiaReader(sys.argv[1]).read(0.0).memory_used_bytes)"
    done = subprocess.run(
        [sys.executable, "-c", code, card.uuid], env=helper_environment(), capture_output=True, check=True
    )
    return int(done.stdout)


def test_the_smoke_suite_runs_on_the_card_and_gives_its_memory_back(card: SeenDevice) -> None:
    before, events = used_bytes(card), list[Event]()
    result = measure(job(card, "smoke"), events.append)
    assert result.outcome == "finished", result.stderr_tail
    assert [event for event in events if isinstance(event, Failed)] == []
    assert any(isinstance(event, Reading) and event.power_watts for event in events)
    assert wait_until(lambda: used_bytes(card) < before + 100_000_000, 10)


@pytest.mark.timeout(600)
def test_the_quick_suite_ends_within_two_minutes_and_no_bench_beats_the_card(card: SeenDevice) -> None:
    events = list[Event]()
    result = measure(job(card, "quick"), events.append)
    assert result.outcome == "finished", result.stderr_tail
    assert result.seconds < 120
    unexpected = [e.failure for e in events if isinstance(e, Failed) and e.failure.error_class != "unsupported"]
    assert unexpected == []
    samples = [event.sample for event in events if isinstance(event, Measured)]
    assert all(sample.flops / sample.seconds < 1e16 for sample in samples)
    assert sum(sample.steady for sample in samples) > 0.9 * len(samples)


def test_a_killed_run_gives_its_memory_back(card: SeenDevice) -> None:
    before = used_bytes(card)
    result = measure(replace(job(card, "quick"), time_limit_seconds=15.0), list[Event]().append)
    assert result.outcome in ("timed_out", "finished")
    assert wait_until(lambda: used_bytes(card) < before + 100_000_000, 10)


def test_another_card_than_the_one_meant_is_refused(card: SeenDevice) -> None:
    events = list[Event]()
    absent = replace(job(card, "smoke"), device="GPU-00000000-0000-0000-0000-000000000000", telemetry_seconds=None)
    result = measure(absent, events.append)
    assert (result.outcome, events) == ("refused", [])
    assert "not found by the driver" in result.reason


@pytest.mark.timeout(900)
def test_the_standard_suite_ends_within_ten_minutes_and_its_conditions_are_told(card: SeenDevice) -> None:
    events = list[Event]()
    result = measure(job(card, "standard"), events.append)
    assert result.outcome == "finished", result.stderr_tail
    assert result.seconds < 600
    unexpected = [e.failure for e in events if isinstance(e, Failed) and e.failure.error_class != "unsupported"]
    assert unexpected == []
    measured = {event.sample.bench.operation for event in events if isinstance(event, Measured)}
    assert {Operation.GRAPH_DECODE, Operation.HOST_COPY, Operation.ATTENTION, Operation.SERVE} <= measured
    assert result.conditions["device_before"]["driver_version"] == card.driver_version
    assert result.verdict.quarantine == ""


HOLD = """
import sys, time, torch
held = torch.ones(1 << 28, device="cuda")
torch.cuda.synchronize()
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.fault(63)
def test_a_card_that_another_program_computes_on_is_busy(card: SeenDevice) -> None:
    environment = helper_environment() | {"CUDA_VISIBLE_DEVICES": card.uuid}
    other = subprocess.Popen([sys.executable, "-c", HOLD], env=environment, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert measure(job(card, "smoke"), list[Event]().append).outcome == "busy"
    finally:
        other.kill()
        other.communicate()
    assert wait_until(lambda: measure(job(card, "smoke"), list[Event]().append).outcome == "finished", 30)


@pytest.mark.fault(29)
def test_a_bench_too_large_for_the_card_is_oom_and_the_next_one_goes_on(card: SeenDevice) -> None:
    sizes = (1 << 42, 1 << 20)
    benches = tuple(Bench(Operation.COPY, 1, Dtype.FP32, {"num_bytes": size}, 0.5) for size in sizes)
    events = list[Event]()
    result = measure(ChildJob(card.uuid, Backend.CUDA, benches, 60.0), events.append)
    assert [event.failure.error_class for event in events if isinstance(event, Failed)] == ["oom"]
    assert [event.position for event in events if isinstance(event, Measured)] == [1]
    assert result.verdict.quarantine == "", "the memory came back"
