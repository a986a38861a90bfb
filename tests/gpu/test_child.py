"""The real measuring process on this machine's CPU, through the runner."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from planner.calibration.sample import COLLECTIVES, Bench, Operation
from planner.calibration.suites import collective_benches, get_suite
from planner.calibration.theory import bench_theory
from planner.gpu.child import what_torch_lacks
from planner.gpu.events import (
    BenchStarted,
    ChildJob,
    Event,
    Failed,
    Measured,
    Started,
    Visited,
    job_from_json,
    job_to_json,
)
from planner.gpu.process import helper_environment
from planner.gpu.runner import child_environment, measure
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from tests.gpu.conftest import CARDS

BAD = (
    Bench(Operation.MATMUL, 1, Dtype.FP8, {"m": 16, "n": 16, "k": 16}, 0.1),
    Bench(Operation.COPY, 1, Dtype.FP32, {"num_bytes": 1 << 60}, 0.1),
    Bench(Operation.MATMUL, 1, Dtype.FP32, {"m": 16, "n": 16}, 0.1),
    Bench(Operation.MATMUL, 1, Dtype.FP32, {"m": 16, "n": 16, "k": 16}, 0.1),
)


def test_the_smoke_suite_measures_every_bench_on_this_cpu() -> None:
    suite = get_suite("smoke")
    benches = suite.benches_for(Backend.CPU, 4_000_000_000)
    events: list[Event] = []
    result = measure(ChildJob("CPU-test", Backend.CPU, benches, suite.time_limit_seconds), events.append)
    assert (result.outcome, result.reason, result.exit_code) == ("finished", "", 0), result.stderr_tail
    failures = [event.failure for event in events if isinstance(event, Failed)]
    assert failures == []
    begun = [event.position for event in events if isinstance(event, BenchStarted)]
    first, second = begun[: len(benches)], begun[len(benches) :]
    assert first == list(range(len(benches)))
    assert second == sorted(set(second)), "a second round once all were visited, the long ones left out"
    visited = [(event.position, event.number) for event in events if isinstance(event, Visited)]
    assert visited == [*((position, 1) for position in first), *((position, 2) for position in second)]
    samples = {event.position: event.sample for event in events if isinstance(event, Measured)}
    assert sorted(samples) == list(range(len(benches)))
    for position, sample in samples.items():
        assert sample.bench == benches[position]
        assert sample.flops == bench_theory(sample.bench).flops
        assert sample.flops / sample.seconds < 1e14, "no CPU does 100 TFLOP/s: the clock or the work is wrong"
        assert sample.details["visits"] == (2 if position in second else 1)
        assert sample.repeats >= 2 * sample.details["visits"]
    conditions = next(event.conditions for event in events if isinstance(event, Started))
    assert conditions["torch"]
    assert conditions["num_threads"] >= 1
    assert conditions["device"] == "CPU-test"
    assert result.conditions["torch"] == conditions["torch"]
    assert "noise_bytes" not in result.conditions


@pytest.mark.fault(29)
def test_a_failing_bench_is_told_with_its_class_and_the_next_one_goes_on() -> None:
    events: list[Event] = []
    result = measure(ChildJob("CPU-test", Backend.CPU, BAD, 60.0, telemetry_seconds=None), events.append)
    assert result.outcome == "finished"
    classes = [(event.position, event.failure.error_class) for event in events if isinstance(event, Failed)]
    assert classes == [(0, "unsupported"), (1, "oom"), (2, "error")]
    assert [event.position for event in events if isinstance(event, Measured)] == [3]


@pytest.mark.fault(73)
def test_a_device_that_torch_does_not_reach_fails_every_bench_naming_both_versions(
    fake_nvml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    job = ChildJob(CARDS[0], Backend.CUDA, BAD[2:], 60.0, telemetry_seconds=None)
    events: list[Event] = []
    result = measure(job, events.append)
    assert result.outcome == "finished"
    failures = [event.failure for event in events if isinstance(event, Failed)]
    assert [failure.error_class for failure in failures] == ["unsupported"] * 2
    assert "torch" in failures[0].message
    assert "cuda" in failures[0].message.lower()


def test_what_a_library_prints_does_not_mix_with_the_event_lines() -> None:
    code = "import planner.gpu.child as child, os\n"
    code += "child.conditions = lambda job, accelerator: os.write(1, b'{\"event\": noise\\n') and {}\n"
    code += "child.main()"
    job = ChildJob("CPU-test", Backend.CPU, BAD[3:], 60.0)
    done = subprocess.run(
        [sys.executable, "-c", code], input=job_to_json(job), env=child_environment(job), capture_output=True, text=True
    )
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    visits = [("bench", "visit")] * ((len(events) - 3) // 2)
    assert visits, "one, where a machine is so busy that the first one is long"
    assert events == ["started", *(event for visit in visits for event in visit), "sample", "finished"]
    assert "noise" in done.stderr


def test_a_job_survives_its_way_to_the_child() -> None:
    job = ChildJob("CPU-test", Backend.CPU, BAD, 60.0, num_threads=2)
    assert job_from_json(job_to_json(job)) == job


def test_a_job_needs_time() -> None:
    with pytest.raises(ValueError, match="time_limit_seconds"):
        ChildJob("CPU-test", Backend.CPU, BAD, 0.0)


@pytest.mark.fault(73)
@pytest.mark.parametrize(
    ("capability", "built_for", "fits"),
    [
        ((9, 0), ["sm_80", "sm_90"], True),
        ((8, 9), ["sm_80", "sm_90"], True),
        ((12, 0), ["sm_80", "sm_90"], False),
        ((12, 0), ["sm_80", "compute_90"], True),
        ((7, 0), ["sm_75", "sm_80"], False),
        ((9, 4), ["gfx942"], True),
        ((9, 0), ["sm_90a"], True),
    ],
)
def test_a_torch_for_other_architectures_is_refused_naming_both(
    capability: tuple[int, int], built_for: list[str], fits: bool
) -> None:
    reason = what_torch_lacks("2.13.0", 1, capability, built_for)
    if fits:
        assert reason == ""
    else:
        assert "torch 2.13.0 is built for sm_" in reason
        assert f"sm_{capability[0]}{capability[1]}" in reason


def test_a_run_over_several_devices_shows_them_all_and_wants_each(monkeypatch: pytest.MonkeyPatch) -> None:
    job = ChildJob("GPU-1", Backend.CUDA, BAD, 60.0, peers=("GPU-2", "GPU-3"))
    assert child_environment(job)["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2,GPU-3"
    assert job_from_json(job_to_json(job)) == job
    assert "sees 2 devices where 3 were made visible" in what_torch_lacks("2.13.0", 2, (9, 0), ["sm_90"], 3)
    assert what_torch_lacks("2.13.0", 3, (9, 0), ["sm_90"], 3) == ""


def test_processes_beside_each_other_sum_and_exchange_through_the_runner() -> None:
    smallest = [bench for bench in collective_benches(Backend.CPU, 2) if bench.parameters["num_bytes"] == 65_536]
    benches = tuple(bench for bench in smallest if bench.operation is not Operation.ALL_TO_ALL)
    events: list[Event] = []
    result = measure(ChildJob("CPU-test", Backend.CPU, benches, 170.0, telemetry_seconds=None), events.append)
    assert result.outcome == "finished", result.stderr_tail
    assert [event.failure.message for event in events if isinstance(event, Failed)] == []
    samples = [event.sample for event in events if isinstance(event, Measured)]
    assert {sample.bench.operation for sample in samples} == COLLECTIVES - {Operation.ALL_TO_ALL}
    assert all(0 < sample.num_bytes / sample.seconds < 1e12 for sample in samples)


@pytest.mark.fault(74)
def test_a_torch_that_sees_another_number_of_devices_is_refused() -> None:
    for num_seen in (0, 2):
        assert f"sees {num_seen} devices where one" in what_torch_lacks("2.13.0", num_seen, (9, 0), ["sm_90"])


WITHOUT_TORCH = """
import sys
import planner.gpu.discovery, planner.gpu.runner, planner.gpu.telemetry, planner.calibration.suites
from planner.gpu.events import ChildJob
from planner.inventory.device import Backend
planner.gpu.discovery.discover()
benches = planner.calibration.suites.get_suite("smoke").benches_for(Backend.CPU, 10**9)[:1]
job = ChildJob("CPU-test", Backend.CPU, benches, 60.0)
told = []
result = planner.gpu.runner.measure(job, told.append)
assert result.outcome == "finished", result
assert any(type(event).__name__ == "Measured" for event in told), told
sys.exit("torch" in sys.modules)
"""


@pytest.mark.fault(37)
def test_discovering_and_measuring_never_loads_torch_in_the_parent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], env=helper_environment(), capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr or "torch was imported"
