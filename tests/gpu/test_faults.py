"""Faults of the card and its driver around a run, injected by the fake driver: what the runner makes of each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from planner.calibration.sample import Bench, Operation
from planner.calibration.verdict import Incident, Trust
from planner.gpu import inspection
from planner.gpu.events import BenchStarted, ChildJob, ChildResult, Event, Failed, Measured, Reading
from planner.gpu.runner import POLL_SECONDS, measure
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from tests.gpu.conftest import CARDS, HERE, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fake driver is built for Linux")

BENCH = Bench(Operation.MATMUL, 1, Dtype.FP32, {"m": 1, "n": 2, "k": 3}, 0.1)


class Rig:
    """A fake card, and a measuring process that does what its mode says."""

    def __init__(self, folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = file
        self.file.write_text("")
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
        monkeypatch.setenv("FAKE_NVML_FILE", str(file))
        monkeypatch.setattr(inspection, "SETTLE_SECONDS", 0.3)
        monkeypatch.setattr(inspection, "DEADLINE_SECONDS", 120.0)  # a busy machine starts a process late

    def say(self, *rules: str) -> None:
        """From now on the driver follows these rules and values."""
        self.file.write_text(" ".join(rules))

    def environment(self, **names: str) -> None:
        for name, value in names.items():
            self._monkeypatch.setenv(name, value)

    def run(
        self,
        mode: str = "tells-twice",
        *arguments: object,
        uuid: str = CARDS[0],
        during: str = "",
        until: type[object] | None = None,
        limit: float = 120.0,
    ) -> tuple[ChildResult, list[Event]]:
        """Measure on a card; `during` are the rules from the first bench on. With `until` the process measures until
        such an event was told, once the rules hold."""
        events: list[Event] = []
        go = self.file.with_name("go")
        go.unlink(missing_ok=True)
        if until is not None:
            mode, arguments = "until", (go,)

        def enter(event: Event) -> None:
            events.append(event)
            if during and isinstance(event, BenchStarted):
                self.say(during)
            if until is not None and isinstance(event, until):
                go.touch()

        job = ChildJob(uuid, Backend.CUDA, (BENCH,), limit, telemetry_seconds=0.05)
        command = [sys.executable, str(HERE / "rogue.py"), mode, *map(str, arguments)]
        return measure(job, enter, command=command), events


@pytest.fixture
def rig(fake_nvml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(fake_nvml, tmp_path / "rules", monkeypatch)


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is not ours to measure with."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield process.pid
    process.kill()
    process.wait()


def test_a_quiet_card_is_measured_and_its_conditions_are_stored(rig: Rig) -> None:
    result, events = rig.run()
    assert (result.outcome, result.verdict.trust, result.verdict.reasons) == ("finished", Trust.OK, ())
    assert [type(event) for event in events if isinstance(event, Measured)] == [Measured]
    before = result.conditions["device_before"]
    assert (before["driver_version"], before["cuda_driver"], before["compute_mode"]) == ("580.65.06", "13.0", "default")
    assert (before["power_limit_watts"], before["has_ecc"], before["pcie_generation"]) == (700.0, True, 5)
    assert result.conditions["device_after"]["memory_used_bytes"] == before["memory_used_bytes"]
    assert result.conditions["trust"] == "ok"


@pytest.mark.fault(63)
def test_another_program_on_the_card_is_busy_and_nothing_is_started(rig: Rig, stranger: int) -> None:
    rig.say(f"nvmlDeviceGetComputeRunningProcesses_v3={stranger}")
    result, events = rig.run()
    assert (result.outcome, events) == ("busy", [])
    assert result.reason == f"another program computes on the card (process {stranger})"
    assert (result.verdict.retry_seconds, result.verdict.quarantine) == (60.0, "")
    assert result.conditions["device_before"]["processes"][0]["pid"] == stranger


@pytest.mark.fault(65)
def test_memory_in_use_by_nobody_that_is_shown_is_busy(rig: Rig) -> None:
    rig.say("nvmlDeviceGetMemoryInfo=30000000000")
    result, events = rig.run()
    assert (result.outcome, events) == ("busy", [])
    assert result.reason == "30.0 GB of the card's memory are in use by nobody that is shown"


@pytest.mark.fault(69)
def test_an_mps_server_is_busy(rig: Rig) -> None:
    rig.say("nvmlDeviceGetMPSComputeRunningProcesses_v3=4711")
    result, _ = rig.run()
    assert (result.outcome, result.reason) == ("busy", "an MPS server shares the card between programs")


@pytest.mark.fault(66)
def test_a_prohibited_card_is_refused_in_words_and_an_exclusive_one_in_use_is_busy(rig: Rig) -> None:
    rig.say("nvmlDeviceGetComputeMode=2")
    refused, _ = rig.run()
    assert (refused.outcome, refused.verdict.quarantine) == ("refused", "")
    assert refused.reason == "the card's compute mode is prohibited: an administrator closed it to programs"
    rig.say("nvmlDeviceGetComputeMode=3 nvmlDeviceGetComputeRunningProcesses_v3=4711")
    busy, _ = rig.run()
    assert busy.outcome == "busy"
    assert "lets in one at a time" in busy.reason


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param("nvmlDeviceGetRemappedRows=1", "waits to be remapped", marks=pytest.mark.fault(58)),
        pytest.param("nvmlDeviceGetRemappedRows=2", "could not be remapped", marks=pytest.mark.fault(58)),
        pytest.param("nvmlDeviceGetRetiredPagesPendingStatus=1", "wait to be retired", marks=pytest.mark.fault(59)),
        pytest.param("recovery_action=4", "the driver asks for: drain and reset", marks=pytest.mark.fault(54)),
    ],
)
def test_a_card_whose_memory_waits_for_a_reset_is_not_measured_and_kept_from_work(
    rig: Rig, value: str, words: str
) -> None:
    rig.say(value)
    result, events = rig.run()
    assert (result.outcome, events) == ("refused", [])
    assert words in result.reason
    assert result.verdict.quarantine == result.reason


@pytest.mark.fault(67)
def test_a_whole_card_cut_into_slices_is_refused_and_its_slice_is_measured(rig: Rig) -> None:
    rig.environment(FAKE_NVML_SLICES="2")
    whole, _ = rig.run()
    assert (whole.outcome, whole.reason) == ("refused", "the card is cut into MIG slices: calibrate the slices")
    piece, _ = rig.run(uuid="MIG-00000000-0000-0000-0000-000000000000")
    assert piece.outcome == "finished"


@pytest.mark.fault(68)
def test_a_slice_that_is_gone_and_a_mode_about_to_change_are_refused_at_the_start(rig: Rig) -> None:
    gone, _ = rig.run(uuid="MIG-00000000-0000-0000-0000-000000000000")
    assert (gone.outcome, gone.reason) == ("refused", "not found by the driver (NVML 6)")
    rig.say("mig_pending=1")
    changing, _ = rig.run()
    assert (changing.outcome, "MIG mode at the next reset" in changing.reason) == ("refused", True)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param(9, "load it (modprobe nvidia)", marks=pytest.mark.fault(43)),
        pytest.param(18, "reboot, or reload the driver", marks=pytest.mark.fault(44)),
        pytest.param(4, "read and write access to /dev/nvidia*", marks=pytest.mark.fault(45)),
    ],
)
def test_a_driver_that_cannot_be_opened_refuses_the_run_with_what_to_do(rig: Rig, code: int, words: str) -> None:
    rig.say(f"nvmlInitWithFlags:{code}")
    result, events = rig.run()
    assert (result.outcome, events, result.verdict.quarantine) == ("refused", [], "")
    assert words in result.reason


@pytest.mark.fault(46)
@pytest.mark.fault(47)
def test_what_a_driver_does_not_tell_is_null_with_the_reason_and_the_run_goes_on(rig: Rig, old_fake_nvml: Path) -> None:
    rig.environment(LD_LIBRARY_PATH=str(old_fake_nvml))
    rig.say("nvmlDeviceGetEccMode:3 nvmlDeviceGetRemappedRows:3 nvmlDeviceGetCurrPcieLinkGeneration:3")
    result, _ = rig.run()
    assert result.outcome == "finished"
    before = result.conditions["device_before"]
    assert [before[name] for name in ("has_ecc", "has_remap_pending", "pcie_generation", "has_mig")] == [None] * 4
    assert before["absent"]["has_ecc"] == "not supported by this device (NVML 3)"
    assert before["absent"]["has_mig"] == "this driver is too old to tell (NVML 13)"


@pytest.mark.fault(48)
def test_an_unknown_error_is_asked_three_times_and_then_the_field_is_left_out(rig: Rig) -> None:
    rig.say("nvmlDeviceGetEccMode:999 nvmlDeviceGetVbiosVersion:999:99")
    result, _ = rig.run()
    assert result.outcome == "finished"
    before = result.conditions["device_before"]
    assert (before["has_ecc"], before["vbios"]) == (None, "96.00.89.00.01")
    assert before["absent"]["has_ecc"] == "the driver reports an unknown error (NVML 999)"


def test_an_unknown_error_that_goes_away_is_not_seen(run_python: Callable[..., Any], fake_nvml: Path) -> None:
    code = """
import pynvml
from planner.gpu.nvidia_words import asked
tries = []
def call():
    tries.append(1)
    if len(tries) < 3:
        raise pynvml.NVMLError(999)
    return 7
print(asked(call), len(tries))
"""
    done = run_python(code, LD_LIBRARY_PATH=str(fake_nvml))
    assert done.stdout.split() == ["7", "3"], done.stderr


@pytest.mark.fault(49)
def test_a_driver_that_hangs_before_the_start_is_given_up_at_its_deadline(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "DEADLINE_SECONDS", 1.0)
    rig.say("nvmlDeviceGetComputeMode:hang")
    result, events = rig.run()
    assert (result.outcome, events) == ("refused", [])
    assert result.reason == "the driver did not answer within 1 s"


@pytest.mark.fault(50)
def test_a_card_lost_in_mid_run_ends_the_run_and_is_kept_from_work(rig: Rig, tmp_path: Path) -> None:
    result, events = rig.run("sleep", tmp_path / "pids", during="nvmlDeviceGetPowerUsage:15 nvmlDeviceGetUUID:15")
    assert (result.outcome, result.verdict.trust) == ("crashed", Trust.INVALID)
    assert "the card is lost: it fell off the bus (NVML 15)" in result.reason
    assert "the card is lost" in result.verdict.quarantine
    assert [event.failure.error_class for event in events if isinstance(event, Failed)] == ["crashed"]
    neighbour, _ = rig.run(uuid=CARDS[1], mode="tells-twice")
    assert neighbour.outcome in ("finished", "refused")


@pytest.mark.fault(50)
def test_the_neighbour_of_a_lost_card_is_measured_as_before(rig: Rig) -> None:
    rig.say("nvmlDeviceGetComputeMode@0:15")
    lost, _ = rig.run(uuid=CARDS[0])
    assert (lost.outcome, bool(lost.verdict.quarantine)) == ("refused", True)
    neighbour, _ = rig.run(uuid=CARDS[1])
    assert (neighbour.outcome, neighbour.verdict.trust) == ("finished", Trust.OK)


@pytest.mark.fault(51)
def test_xid_79_ends_the_run_within_two_seconds_of_the_event(rig: Rig, tmp_path: Path) -> None:
    events: list[Event] = []

    def enter(event: Event) -> None:
        events.append(event)
        if isinstance(event, BenchStarted):
            rig.say("nvmlEventSetWait_v2=79")

    job = ChildJob(CARDS[0], Backend.CUDA, (BENCH,), 600.0, telemetry_seconds=0.5)
    command = [sys.executable, str(HERE / "rogue.py"), "sleep", str(tmp_path / "pids")]
    result = measure(job, enter, command=command)
    assert (job.telemetry_seconds or 0.0) + POLL_SECONDS < 2, "looks for such events, and reads what the look gave"
    assert result.seconds < 600, "the time limit"
    assert (result.outcome, result.verdict.trust) == ("crashed", Trust.INVALID)
    assert result.reason == "Xid 79: the card fell off the bus; reboot, then check its power and seating"
    assert result.verdict.quarantine == result.reason


@pytest.mark.parametrize("number", [48, 64, 95])
@pytest.mark.fault(52)
def test_an_uncontained_memory_error_makes_the_run_invalid_and_asks_for_a_reset(
    rig: Rig, number: int, tmp_path: Path
) -> None:
    result, _ = rig.run("sleep", tmp_path / "pids", during=f"nvmlEventSetWait_v2={number}")
    assert (result.outcome, result.verdict.trust) == ("crashed", Trust.INVALID)
    assert "drain the card and reset it" in result.reason
    assert result.verdict.quarantine == result.reason


@pytest.mark.parametrize(
    ("number", "words"),
    [
        pytest.param(63, "remapped", marks=pytest.mark.fault(52)),
        pytest.param(94, "contained memory error", marks=pytest.mark.fault(52)),
        pytest.param(13, "usually the program's fault; the card is kept", marks=pytest.mark.fault(53)),
        pytest.param(31, "usually the program's fault; the card is kept", marks=pytest.mark.fault(53)),
        pytest.param(43, "usually the program's fault; the card is kept", marks=pytest.mark.fault(53)),
        pytest.param(74, "direct link", marks=pytest.mark.fault(54)),
        pytest.param(119, "recovery action", marks=pytest.mark.fault(54)),
        pytest.param(120, "recovery action", marks=pytest.mark.fault(54)),
        pytest.param(154, "recovery action", marks=pytest.mark.fault(54)),
    ],
)
def test_other_xids_make_the_run_invalid_and_leave_the_card_at_work(
    rig: Rig, number: int, words: str, tmp_path: Path
) -> None:
    result, _ = rig.run(until=Incident, during=f"nvmlEventSetWait_v2={number}")
    assert (result.outcome, result.verdict.trust, result.verdict.quarantine) == ("finished", Trust.INVALID, "")
    assert words in result.verdict.reasons[0]


def test_an_xid_that_is_not_listed_makes_the_run_suspect_and_is_shown_as_its_number(rig: Rig) -> None:
    result, _ = rig.run(until=Incident, during="nvmlEventSetWait_v2=321")
    assert (result.outcome, result.verdict.trust) == ("finished", Trust.SUSPECT)
    assert result.verdict.reasons[0].startswith("Xid 321: an error that is not listed here")


@pytest.mark.fault(57)
def test_uncorrected_memory_errors_that_rise_during_the_run_make_it_invalid(rig: Rig) -> None:
    rig.say("nvmlDeviceGetTotalEccErrors=5")
    old, _ = rig.run()
    assert old.verdict.trust is Trust.OK, "errors from before the run say nothing about it"
    rig.say("nvmlDeviceGetTotalEccErrors=5")
    result, _ = rig.run(until=BenchStarted, during="nvmlDeviceGetTotalEccErrors=7")
    assert (result.verdict.trust, result.verdict.reasons) == (
        Trust.INVALID,
        ("2 uncorrected memory errors during the run",),
    )
    assert result.verdict.quarantine


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        pytest.param(0x20, "slowed by the driver for heat", marks=pytest.mark.fault(60)),
        pytest.param(0x40, "slowed by the card for heat", marks=pytest.mark.fault(60)),
        pytest.param(0x8, "slowed by the card's hardware", marks=pytest.mark.fault(60)),
        pytest.param(0x80, "slowed by the power supply's brake", marks=pytest.mark.fault(61)),
    ],
)
def test_a_card_that_was_slowed_makes_the_run_suspect(rig: Rig, bits: int, words: str) -> None:
    rig.say(f"nvmlDeviceGetCurrentClocksEventReasons={bits}")
    result, _ = rig.run(until=Reading)
    assert (result.outcome, result.verdict.trust) == ("finished", Trust.SUSPECT)
    assert words in result.verdict.reasons[0]
    assert result.verdict.retry_seconds == (300.0 if bits & 0x60 else None)


@pytest.mark.fault(61)
def test_a_power_cap_is_a_remark_and_no_suspicion(rig: Rig) -> None:
    rig.say("nvmlDeviceGetCurrentClocksEventReasons=4")
    result, _ = rig.run(until=Reading)
    assert result.verdict.trust is Trust.OK
    assert any("at its power limit in" in flag for flag in result.verdict.flags)


@pytest.mark.fault(62)
def test_clocks_set_by_an_administrator_are_stored_and_said(rig: Rig) -> None:
    rig.say("nvmlDeviceGetCurrentClocksEventReasons=2")
    result, _ = rig.run()
    assert result.conditions["device_before"]["has_locked_clocks"] is True
    assert any("not mixed with runs at free clocks" in flag for flag in result.verdict.flags)


@pytest.mark.fault(64)
def test_another_program_that_comes_in_mid_run_makes_it_invalid(rig: Rig, stranger: int) -> None:
    during = f"nvmlDeviceGetComputeRunningProcesses_v3={stranger} nvmlInitWithFlags=0"
    result, events = rig.run(until=Incident, during=during)
    incidents = [event for event in events if isinstance(event, Incident)]
    assert [(incident.kind, incident.code) for incident in incidents] == [("foreign-process", stranger)]
    assert (result.outcome, result.verdict.trust, result.verdict.quarantine) == ("finished", Trust.INVALID, "")
    assert f"process {stranger}" in result.verdict.reasons[0]
    assert result.verdict.retry_seconds == 60.0


def test_our_own_process_on_the_card_is_no_stranger(rig: Rig, tmp_path: Path) -> None:
    events: list[Event] = []
    looks: list[Reading] = []  # since it is on the card

    def enter(event: Event) -> None:
        events.append(event)
        if isinstance(event, Reading) and rig.file.read_text():
            looks.append(event)
        if isinstance(event, BenchStarted):
            assert wait_until((tmp_path / "pids").exists, 120)
            rig.say(f"nvmlDeviceGetComputeRunningProcesses_v3={(tmp_path / 'pids').read_text()}")

    job = ChildJob(CARDS[0], Backend.CUDA, (BENCH,), 120.0, telemetry_seconds=0.05)
    command = [sys.executable, str(HERE / "rogue.py"), "sleep", str(tmp_path / "pids")]
    assert measure(job, enter, lambda: len(looks) > 5, command).outcome == "cancelled"
    assert [event for event in events if isinstance(event, Incident)] == []


@pytest.mark.fault(29)
@pytest.mark.fault(32)
def test_memory_that_does_not_come_back_keeps_the_card_from_work(rig: Rig) -> None:
    result, _ = rig.run(until=BenchStarted, during="nvmlDeviceGetMemoryInfo=9000000000")
    assert result.outcome == "finished"
    assert result.verdict.quarantine == "the card's memory did not come back after the run: 9.0 GB are in use"


@pytest.mark.fault(70)
def test_persistence_mode_off_is_recorded(rig: Rig) -> None:
    rig.say("nvmlDeviceGetPersistenceMode=0")
    result, _ = rig.run()
    assert result.conditions["device_before"]["has_persistence"] is False
    assert any("persistence mode is off" in flag for flag in result.verdict.flags)


@pytest.mark.fault(71)
def test_fewer_pcie_lanes_than_the_card_has_are_flagged(rig: Rig) -> None:
    rig.say("nvmlDeviceGetCurrPcieLinkWidth=8 nvmlDeviceGetCurrPcieLinkGeneration=4")
    result, _ = rig.run()
    assert result.verdict.trust is Trust.OK
    assert [flag.split(":")[0] for flag in result.verdict.flags if "PCIe" in flag] == [
        "PCIe lanes 8 of 16",
        "PCIe generation 4 of 5",
    ]


@pytest.mark.fault(75)
def test_a_driver_that_was_reloaded_between_two_runs_is_opened_anew(rig: Rig) -> None:
    rig.say("nvmlInitWithFlags:9")
    away, _ = rig.run()
    rig.say("")
    back, _ = rig.run()
    assert (away.outcome, back.outcome) == ("refused", "finished")


@pytest.mark.fault(32)
def test_a_process_that_cannot_be_killed_is_left_and_the_card_kept_from_work(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from planner.gpu import process

    held: list[process.Group] = []

    def survive(group: process.Group, _number: int) -> None:
        held.append(group)

    monkeypatch.setattr(process, "KILL_SECONDS", 0.3)
    monkeypatch.setattr(process.Group, "_signal", survive)
    result, _ = rig.run("sleep", tmp_path / "pids", limit=1.5)
    try:
        assert (result.outcome, result.verdict.trust) == ("timed_out", Trust.INVALID)
        assert "cannot be killed" in result.verdict.quarantine
    finally:
        for group in {group.pid: group for group in held}.values():
            os.killpg(group.pid, signal.SIGKILL)
            group._process.wait()


@pytest.mark.fault(28)
def test_a_process_that_the_kernel_ended_for_want_of_memory_is_told_from_a_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from planner.gpu import runner

    counts = iter([3, 4])
    monkeypatch.setattr(runner, "num_oom_kills", lambda: next(counts))
    events: list[Event] = []
    job = ChildJob("CPU-test", Backend.CPU, (BENCH,), 120.0, telemetry_seconds=None)
    result = measure(job, events.append, command=[sys.executable, str(HERE / "rogue.py"), "killed"])
    assert result.outcome == "crashed"
    assert "the host's memory limit was reached" in result.reason
    assert [event.failure.error_class for event in events if isinstance(event, Failed)] == ["oom-host"]


@pytest.mark.fault(28)
def test_a_kill_without_want_of_memory_stays_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    from planner.gpu import runner

    monkeypatch.setattr(runner, "num_oom_kills", lambda: 3)
    events: list[Event] = []
    job = ChildJob("CPU-test", Backend.CPU, (BENCH,), 120.0, telemetry_seconds=None)
    result = measure(job, events.append, command=[sys.executable, str(HERE / "rogue.py"), "killed"])
    assert result.reason == "the measuring process was ended by SIGKILL"
    assert [event.failure.error_class for event in events if isinstance(event, Failed)] == ["crashed"]


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("line", "file", "text"),
    [
        ("0::/box\n", "box/memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 5\n"),
        ("4:memory:/box\n", "memory/box/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"),
    ],
)
def test_kills_for_want_of_memory_are_counted_by_either_version_of_control_groups(
    tmp_path: Path, line: str, file: str, text: str
) -> None:
    from planner.gpu.host_memory import num_oom_kills

    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(line)
    path = tmp_path / "sys/fs/cgroup" / file
    path.parent.mkdir(parents=True)
    assert num_oom_kills(tmp_path) is None
    path.write_text(text)
    assert num_oom_kills(tmp_path) == 5
