"""The runner against processes that hang, crash, lie and flood; the real measuring child is in test_child.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from planner.calibration.sample import Bench, Operation
from planner.gpu import runner
from planner.gpu.events import BenchStarted, ChildJob, ChildResult, Event, Failed, Measured, Reading, Started, Visited
from planner.gpu.process import helper_environment
from planner.gpu.runner import child_environment, measure
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from tests.gpu.conftest import CARDS, HERE, is_alive, open_descriptors, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process groups and the leash are Linux's")


def job(num_benches: int = 1, **changes: object) -> ChildJob:
    benches = tuple(
        Bench(Operation.MATMUL, 1, Dtype.FP32, {"m": position + 1, "n": 2, "k": 3}, 0.1)
        for position in range(num_benches)
    )
    fields: dict[str, object] = {"time_limit_seconds": 120.0, "telemetry_seconds": None} | changes
    return ChildJob("CPU-test", Backend.CPU, benches, **fields)  # type: ignore[arg-type]


def rogue(mode: str, *arguments: object) -> Sequence[str]:
    return [sys.executable, str(HERE / "rogue.py"), mode, *map(str, arguments)]


def run(child_job: ChildJob, command: Sequence[str], **rest: Callable[[], bool]) -> tuple[ChildResult, list[Event]]:
    events: list[Event] = []
    return measure(child_job, events.append, command=command, **rest), events


class Late:
    """A clock that is an hour later as soon as a file is there: the time limit passes once the process is at work."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def monotonic(self) -> float:
        return time.monotonic() + (3_600.0 if self._path.exists() else 0.0)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def numbers_in(path: Path) -> list[int]:
    assert wait_until(path.exists, 120)
    return [int(text) for text in path.read_text().split()]


@pytest.mark.fault(30)
def test_a_child_over_its_time_limit_is_stopped_and_the_running_bench_fails_as_timed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "time", Late(tmp_path / "pids"))
    result, events = run(job(2), rogue("sleep", tmp_path / "pids"))
    assert (result.outcome, result.signal) == ("timed_out", signal.SIGTERM)
    assert result.reason == "stopped at its time limit of 120 s"
    assert [(event.position, event.failure.error_class) for event in events if isinstance(event, Failed)] == [
        (0, "timed-out")
    ]
    assert not is_alive(*numbers_in(tmp_path / "pids"))


@pytest.mark.fault(31)
def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "time", Late(tmp_path / "pids"))
    began = time.monotonic()
    result, _ = run(job(grace_seconds=0.5), rogue("ignore-sigterm", tmp_path / "pids"))
    assert (result.outcome, result.signal, result.exit_code) == ("timed_out", signal.SIGKILL, None)
    assert time.monotonic() - began >= 0.5
    assert not is_alive(*numbers_in(tmp_path / "pids"))


@pytest.mark.fault(40)
def test_a_cancelled_run_is_over_within_two_seconds_even_when_sigterm_is_ignored(tmp_path: Path) -> None:
    asked = job()
    result, events = run(asked, rogue("ignore-sigterm", tmp_path / "pids"), should_stop=(tmp_path / "pids").exists)
    assert runner.POLL_SECONDS + asked.grace_seconds < 2, "looks whether it is to stop, and waits for the process"
    assert (result.outcome, result.reason) == ("cancelled", "stopped on request")
    assert not [event for event in events if isinstance(event, Failed)]


@pytest.mark.fault(33)
def test_grandchildren_left_behind_are_killed_with_the_group(tmp_path: Path) -> None:
    result, events = run(job(), rogue("grandchildren", tmp_path / "pids"))
    assert result.outcome == "finished"
    assert [event.position for event in events if isinstance(event, Measured)] == [0]
    child, *others = numbers_in(tmp_path / "pids")
    assert len(others) == 2
    assert wait_until(lambda: not any(is_alive(pid) for pid in (child, *others)), 120)


@pytest.mark.fault(34)
def test_gigabytes_on_standard_output_are_dropped_and_the_run_goes_on(tmp_path: Path) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result, events = run(job(), rogue("flood", tmp_path / "pids", 2048))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert result.outcome == "finished"
    assert [type(event) for event in events] == [Started, BenchStarted, Measured]
    assert result.conditions["noise_bytes"] > 2048 * (1 << 20)
    assert after - before < 64 * 1024  # kibibytes


@pytest.mark.fault(27)
def test_a_crash_keeps_the_signal_and_the_last_words() -> None:
    result, events = run(job(2), rogue("segfault"))
    assert (result.outcome, result.signal, result.exit_code) == ("crashed", signal.SIGSEGV, None)
    assert result.reason == "the measuring process was ended by SIGSEGV"
    assert "about to fall" in result.stderr_tail
    failures = [event for event in events if isinstance(event, Failed)]
    assert [(event.position, event.failure.error_class) for event in failures] == [(0, "crashed")]


def test_only_the_end_of_a_long_standard_error_is_kept() -> None:
    result, _ = run(job(), rogue("long-stderr"))
    assert (result.outcome, result.exit_code) == ("crashed", 7)
    assert result.stderr_tail.endswith("the last words\n")
    assert len(result.stderr_tail) <= 8192
    assert "early" not in result.stderr_tail


@pytest.mark.fault(35)
def test_results_that_no_honest_measurement_can_give_are_refused_with_the_reason() -> None:
    result, events = run(job(6), rogue("bad-samples"))
    assert result.outcome == "finished"
    assert not [event for event in events if isinstance(event, Measured)]
    failures = {event.position: event.failure for event in events if isinstance(event, Failed)}
    assert {failure.error_class for failure in failures.values()} == {"invalid-result"}
    assert [failures[position].message for position in (1, 2, 3, 4)] == [
        "seconds must be above 0, not -1.0",
        "seconds must be above 0, not 0",
        "seconds must be a finite number, not inf",
        "repeats must be a whole number from 1 up, not None",
    ]
    assert "NaN is no number" in failures[0].message
    assert "cannot be read" in failures[5].message


@pytest.mark.fault(36)
def test_a_result_cut_in_mid_line_is_a_crash_and_never_partly_stored() -> None:
    result, events = run(job(), rogue("cut-in-mid-line"))
    assert (result.outcome, result.exit_code) == ("crashed", 0)
    assert result.reason == "the measuring process ended before it had finished"
    assert not [event for event in events if isinstance(event, Measured)]
    assert [event.position for event in events if isinstance(event, Failed)] == [0]


def test_each_bench_is_told_once_and_strange_positions_not_at_all() -> None:
    result, events = run(job(), rogue("tells-twice"))
    assert result.outcome == "finished"
    told = [event for event in events if isinstance(event, Measured | Failed)]
    assert [(event.position, event.sample.seconds) for event in told if isinstance(event, Measured)] == [(0, 0.5)]
    assert len(told) == 1


def test_a_run_cut_between_two_visits_keeps_what_the_first_ones_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "time", Late(tmp_path / "pids"))
    result, events = run(job(3), rogue("visits-and-hangs", tmp_path / "pids"))
    assert result.outcome == "timed_out"
    visits = [(event.position, event.number) for event in events if isinstance(event, Visited)]
    assert visits == [(0, 1), (1, 1), (0, 2)], "impossible visits are not told"
    assert [event.position for event in events if isinstance(event, Measured)] == [0]
    assert [(e.position, e.failure.error_class) for e in events if isinstance(e, Failed)] == [(1, "timed-out")]


def test_a_process_that_begins_for_ever_is_not_listened_to() -> None:
    _, events = run(job(), rogue("begins-for-ever"))
    assert sum(isinstance(event, BenchStarted) for event in events) == 16
    assert sum(isinstance(event, Measured) for event in events) == 1


def test_a_bench_that_was_never_reported_fails_and_an_unknown_class_becomes_error() -> None:
    _, events = run(job(2), rogue("forgets"))
    failures = [event.failure for event in events if isinstance(event, Failed)]
    assert [failure.error_class for failure in failures] == ["error", "error"]
    assert failures[0].message == "made up"
    assert "without reporting" in failures[1].message


def test_a_command_that_does_not_exist_is_a_crash_with_its_reason() -> None:
    result, events = run(job(), ["/nonexistent/measuring-process"])
    assert result.outcome == "crashed"
    assert "FileNotFoundError" in result.stderr_tail
    assert events == []


def test_an_error_in_the_callback_kills_the_child_and_passes_on(tmp_path: Path) -> None:
    def refuse(event: Event) -> None:
        if isinstance(event, BenchStarted):
            numbers_in(tmp_path / "pids")
            raise RuntimeError("the database is away")

    with pytest.raises(RuntimeError, match="the database is away"):
        measure(job(), refuse, command=rogue("sleep", tmp_path / "pids"))
    assert not is_alive(*numbers_in(tmp_path / "pids"))


@pytest.mark.fault(24)
def test_the_child_dies_with_its_parent_killed_by_sigkill(tmp_path: Path) -> None:
    code = f"""
from planner.gpu.events import ChildJob
from planner.gpu.runner import measure
from planner.inventory.device import Backend
measure(ChildJob("CPU-test", Backend.CPU, (), 600.0), print, command={list(rogue("sleep", tmp_path / "pids"))!r})
"""
    parent = subprocess.Popen([sys.executable, "-c", code], env=helper_environment(), stdout=subprocess.DEVNULL)
    try:
        (child,) = numbers_in(tmp_path / "pids")
        helpers = [pid for pid in children_of(parent.pid) if pid != child]
        assert helpers, "the telemetry helper runs beside the child"
        assert is_alive(child)
    finally:
        parent.kill()
        parent.wait()
    assert wait_until(lambda: not any(is_alive(pid) for pid in (child, *helpers)), 120)


def children_of(pid: int) -> list[int]:
    return [
        int(text) for task in Path(f"/proc/{pid}/task").iterdir() for text in (task / "children").read_text().split()
    ]


def test_runs_leave_no_descriptor_no_thread_and_no_zombie() -> None:
    run(job(), rogue("tells-twice"))
    before = (open_descriptors(), threading.active_count(), children_of(os.getpid()))
    for _ in range(5):
        run(job(telemetry_seconds=0.05), rogue("tells-twice"))
    assert (open_descriptors(), threading.active_count(), children_of(os.getpid())) == before


def test_readings_come_beside_the_run_counted_from_its_start(tmp_path: Path) -> None:
    readings: list[Reading] = []

    def enter(event: Event) -> None:
        if isinstance(event, Reading):
            readings.append(event)

    command = rogue("sleep", tmp_path / "pids")
    result = measure(job(telemetry_seconds=0.1), enter, lambda: len(readings) >= 5, command)
    times = [reading.seconds_in for reading in readings]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] < result.seconds
    assert readings[0].utilization is None, "nothing to count from yet"
    assert all(reading.utilization is not None and 0 <= reading.utilization <= 1 for reading in readings[2:])
    assert all(reading.memory_used_bytes for reading in readings)
    assert result.conditions["telemetry_absent"]["throttle_reasons"] == "not told by the system"


def test_the_child_sees_one_device_by_uuid_and_none_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANNER_DATABASE_URL", "postgresql://secret")
    cuda = child_environment(ChildJob(CARDS[1], Backend.CUDA, (), 1.0))
    assert (cuda["CUDA_VISIBLE_DEVICES"], cuda["CUDA_DEVICE_ORDER"]) == (CARDS[1], "PCI_BUS_ID")
    assert child_environment(job())["CUDA_VISIBLE_DEVICES"] == ""
    assert not [name for name in cuda if name.startswith("PLANNER_")]
