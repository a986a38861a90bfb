"""AMD through a stand-in for amdsmi, Intel through the kernel's files, and a recording given again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from planner.gpu import amd, inspection
from planner.gpu.events import ChildJob, Event
from planner.gpu.inspection import inspect
from planner.gpu.intel import IntelReader
from planner.gpu.replay import ReplayReader
from planner.gpu.runner import child_environment, measure
from planner.gpu.telemetry import Sampler
from planner.inventory.device import Backend
from tests.gpu.conftest import HERE
from tests.gpu.test_telemetry import collect
from tests.recordings import CPU_QUICK
from tests.recordings import HERE as RECORDINGS

FIRST = "AMD-GPU-00000000000000a0"


@pytest.fixture
def fake_amd(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """AMD's library where Python finds it, in this process and in those it starts."""
    monkeypatch.syspath_prepend(HERE / "fake_amdsmi")
    monkeypatch.setenv("PYTHONPATH", str(HERE / "fake_amdsmi"))
    monkeypatch.setattr(inspection, "DEADLINE_SECONDS", 120.0)  # a busy machine starts a process late
    return monkeypatch


def test_amd_cards_are_known_by_the_uuid_that_makes_them_visible(fake_amd: pytest.MonkeyPatch) -> None:
    look = amd.ask(120)
    assert look.problems == ()
    assert [(device.uuid, device.index) for device in look.devices] == [(FIRST, 0), ("AMD-GPU-00000000000000a1", 1)]
    first = look.devices[0]
    assert (first.name, first.vendor, first.backend) == ("AMD Instinct MI300X", "AMD", Backend.CUDA)
    assert (first.memory_bytes, first.power_limit_watts) == (196_592 << 20, 750.0)
    assert first.unknown == {"compute_capability": "an AMD device has none"}
    environment = child_environment(ChildJob(FIRST, Backend.CUDA, (), 1.0))
    assert environment["ROCR_VISIBLE_DEVICES"] == "GPU-00000000000000a0"


def test_an_amd_driver_that_is_not_loaded_is_a_sentence(fake_amd: pytest.MonkeyPatch) -> None:
    fake_amd.setenv("FAKE_AMDSMI", "init:34")
    look = amd.ask(120)
    assert look.devices == ()
    assert look.problems == (
        "AMD: the driver is not loaded (amdsmi 34); load it (modprobe amdgpu) or install it for the running kernel",
    )


def test_what_amd_does_not_tell_is_none_with_the_reason(fake_amd: pytest.MonkeyPatch) -> None:
    fake_amd.setenv("FAKE_AMDSMI", "cap:2 enumeration:2")
    device = amd.ask(120).devices[0]
    assert device.uuid == "AMD-53ff75a0-0000-1000-8000-000000000000"
    assert device.power_limit_watts is None
    assert device.unknown["power_limit_watts"] == "not supported by this device (amdsmi 2)"


def test_an_amd_card_without_its_library_is_said_to_be_there(tmp_path: Path) -> None:
    assert not amd.has_amd_card(tmp_path)
    for name, vendor, kind in (("bridge", "0x1002", "0x060400"), ("gpu", "0x1002", "0x030200")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
        assert amd.has_amd_card(tmp_path) == (name == "gpu")


def test_an_amd_card_is_read_through_the_helper_in_si_units(fake_amd: pytest.MonkeyPatch) -> None:
    with Sampler(Backend.CUDA, FIRST, 0.05, time.monotonic(), silence_seconds=120) as sampler:
        first, second, *_ = collect(sampler, 3)
    assert (first.power_watts, first.temperature_celsius, first.utilization) == (412.0, 52.0, 0.93)
    assert (first.clock_hz, first.memory_clock_hz, first.memory_used_bytes) == (2.1e9, 1.3e9, 285 << 20)
    assert (first.energy_joules, second.energy_joules) == (0.0, pytest.approx(61.2, rel=1e-6))
    assert "throttle_reasons" in sampler.absent


def test_a_number_that_amd_leaves_open_is_none(fake_amd: pytest.MonkeyPatch) -> None:
    fake_amd.setenv("FAKE_AMDSMI", "power=N/A energy:2")
    with Sampler(Backend.CUDA, FIRST, 0.05, time.monotonic(), silence_seconds=120) as sampler:
        reading = collect(sampler, 2)[0]
    assert (reading.power_watts, reading.energy_joules) == (None, None)
    assert sampler.absent["energy_joules"] == "not supported by this device (amdsmi 2)"


def test_amd_conditions_are_looked_at_and_another_program_is_busy(fake_amd: pytest.MonkeyPatch) -> None:
    quiet = inspect(Backend.CUDA, FIRST)
    assert (quiet.driver_version, quiet.power_limit_watts, quiet.has_locked_clocks) == ("6.12.12", 750.0, False)
    assert (quiet.processes, quiet.ecc_volatile, quiet.has_mig) == ((), 0, None)
    fake_amd.setenv("FAKE_AMDSMI", "process=4711")
    events: list[Event] = []
    result = measure(ChildJob(FIRST, Backend.CUDA, (), 120.0), events.append)
    assert (result.outcome, result.reason) == ("busy", "another program computes on the card (process 4711)")


def test_an_amd_card_that_is_gone_is_refused(fake_amd: pytest.MonkeyPatch) -> None:
    result = measure(ChildJob("AMD-GPU-of-nobody", Backend.CUDA, (), 120.0), lambda _: None)
    assert (result.outcome, result.reason) == ("refused", "not found by the driver")


def intel_card(root: Path, number: int = 0, **files: str) -> Path:
    card = root / f"sys/class/drm/card{number}"
    (card / "device/hwmon/hwmon3").mkdir(parents=True)
    (card / "device/tile0/gt0/freq0").mkdir(parents=True)
    (card / "device/vendor").write_text("0x8086\n")
    for name, text in files.items():
        (card / f"device/hwmon/hwmon3/{name}").write_text(text)
    return card


def test_an_intel_card_is_read_from_the_kernels_files(tmp_path: Path) -> None:
    card = intel_card(tmp_path, energy1_input="5000000\n", temp1_input="47000\n")
    (card / "device/tile0/gt0/freq0/act_freq").write_text("2350\n")
    reader = IntelReader(tmp_path)
    first = reader.read(10.0)
    assert (first.energy_joules, first.power_watts) == (0.0, None)
    assert (first.temperature_celsius, first.clock_hz) == (47.0, 2.35e9)
    (card / "device/hwmon/hwmon3/energy1_input").write_text("65000000\n")
    second = reader.read(10.5)
    assert (second.energy_joules, second.power_watts) == (pytest.approx(60.0), pytest.approx(120.0))


def test_an_intel_card_that_shows_no_files_gives_none_and_says_so(tmp_path: Path) -> None:
    intel_card(tmp_path)
    reader = IntelReader(tmp_path)
    assert reader.read(0.0).power_watts is None
    assert reader.absent["power_watts"] == "the driver shows no such file"


def test_of_two_intel_cards_nobody_can_say_which_is_meant(tmp_path: Path) -> None:
    for number in (0, 1):
        intel_card(tmp_path, number, energy1_input="5000000\n")
    reader = IntelReader(tmp_path)
    assert reader.read(0.0).energy_joules is None
    assert "which is meant cannot be told" in reader.absent["energy_joules"]


def test_a_recording_is_given_again_in_its_order(tmp_path: Path) -> None:
    path = RECORDINGS / f"{CPU_QUICK}.jsonl"
    reader = ReplayReader(path)
    used = [reader.read(float(second)).memory_used_bytes for second in range(3)]
    assert used[:2] == [540590080, 630247424]
    assert reader.absent["power_watts"] == "not in the recording"
    with Sampler(Backend.CPU, f"REPLAY-{path}", 0.05, time.monotonic(), silence_seconds=120) as sampler:
        assert [reading.memory_used_bytes for reading in collect(sampler, 2)[:2]] == used[:2]


def test_a_recording_without_readings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text('{"kind": "sample"}\n')
    with pytest.raises(ValueError, match="holds no readings"):
        ReplayReader(tmp_path / "empty.jsonl")
