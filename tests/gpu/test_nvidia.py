"""The NVIDIA driver module against a fake driver library in C: healthy cards and every way it can refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.gpu import nvidia
from planner.gpu.nvidia import Look
from planner.inventory.device import Backend
from tests.gpu.conftest import CARDS


@pytest.fixture
def look(fake_nvml: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Look]:
    """Ask the fake driver as the service does, under these rules."""

    def ask(rules: str = "", folder: Path = fake_nvml, deadline_seconds: float = 120.0, **environment: str) -> Look:
        monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
        monkeypatch.setenv("FAKE_NVML_RULES", rules)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return nvidia.ask(deadline_seconds)

    return ask


def test_two_healthy_cards_are_known_by_uuid(look: Callable[..., Look]) -> None:
    seen = look()
    assert seen.problems == ()
    assert [(device.uuid, device.index) for device in seen.devices] == [(CARDS[0], 0), (CARDS[1], 1)]
    first = seen.devices[0]
    assert (first.backend, first.vendor, first.name) == (Backend.CUDA, "NVIDIA", "NVIDIA H100 80GB HBM3")
    assert (first.memory_bytes, first.power_limit_watts) == (85_520_809_984, 700.0)
    assert (first.compute_capability, first.driver_version) == ("9.0", "580.65.06")
    assert first.unknown == {}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, "the driver is not loaded (NVML 9); load it (modprobe nvidia) or install it for the running kernel"),
        (18, "the driver and its library are of different versions (NVML 18); reboot, or reload the driver"),
        (4, "no permission (NVML 4); give this user read and write access to /dev/nvidia*"),
        (999, "the driver reports an unknown error (NVML 999)"),
        (555, "the driver reports an error that is not known (NVML 555)"),
    ],
)
@pytest.mark.fault(43)
@pytest.mark.fault(44)
@pytest.mark.fault(45)
def test_a_driver_that_cannot_be_opened_is_a_sentence_and_no_crash(
    look: Callable[..., Look], code: int, words: str
) -> None:
    seen = look(f"nvmlInitWithFlags:{code}")
    assert seen.devices == ()
    assert len(seen.problems) == 1
    assert words in seen.problems[0]


@pytest.mark.fault(42)
def test_a_missing_library_is_said_to_be_missing(look: Callable[..., Look], tmp_path: Path) -> None:
    seen = look(folder=tmp_path)
    if seen.devices:
        pytest.skip("this machine has a real NVIDIA driver")
    assert seen.devices == ()
    assert "no driver library" in seen.problems[0]


@pytest.mark.fault(47)
def test_an_unsupported_field_is_none_with_the_reason_and_never_zero(look: Callable[..., Look]) -> None:
    seen = look("nvmlDeviceGetEnforcedPowerLimit@1:3 nvmlDeviceGetMemoryInfo@1:4")
    healthy, partial = seen.devices
    assert healthy.power_limit_watts == 700.0
    assert (partial.power_limit_watts, partial.memory_bytes) == (None, None)
    assert partial.unknown == {
        "power_limit_watts": "not supported by this device (NVML 3)",
        "memory_bytes": "no permission (NVML 4)",
    }


@pytest.mark.fault(46)
def test_an_unknown_driver_version_leaves_the_devices_usable(look: Callable[..., Look]) -> None:
    seen = look("nvmlSystemGetDriverVersion:13")
    assert [device.driver_version for device in seen.devices] == [None, None]
    assert seen.devices[0].unknown == {"driver_version": "this driver is too old to tell (NVML 13)"}


@pytest.mark.parametrize("function", ["nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID", "nvmlDeviceGetMemoryInfo"])
@pytest.mark.fault(50)
def test_a_lost_card_is_a_problem_and_its_neighbour_is_still_seen(look: Callable[..., Look], function: str) -> None:
    seen = look(f"{function}@0:15")
    assert [device.uuid for device in seen.devices] == [CARDS[1]]
    assert seen.problems == (
        "NVIDIA GPU 0: the card is lost: it fell off the bus (NVML 15); "
        "reboot the machine or have its power and seating checked",
    )


def test_an_unknown_name_is_kept_as_the_driver_tells_it(look: Callable[..., Look]) -> None:
    seen = look(FAKE_NVML_NAME="NVIDIA Prototype 9000")
    assert seen.devices[1].name == "NVIDIA Prototype 9000"


@pytest.mark.fault(67)
def test_mig_slices_are_devices_of_their_own_and_no_whole_card(look: Callable[..., Look]) -> None:
    seen = look(FAKE_NVML_SLICES="3")
    assert [device.uuid[:4] for device in seen.devices] == ["MIG-", "MIG-", "MIG-", "GPU-"]
    assert seen.devices[0].name == "NVIDIA H100 80GB HBM3 MIG slice"
    assert seen.problems == ("NVIDIA GPU 0 is cut into 3 MIG slices; each counts as a device",)


def test_an_old_driver_without_the_late_functions_is_read_all_the_same(
    look: Callable[..., Look], old_fake_nvml: Path
) -> None:
    seen = look(folder=old_fake_nvml)
    assert [device.uuid for device in seen.devices] == list(CARDS)
    assert seen.problems == ()


@pytest.mark.fault(49)
def test_a_hanging_driver_is_given_up_at_the_deadline(look: Callable[..., Look]) -> None:
    seen = look("nvmlDeviceGetCount_v2:hang", deadline_seconds=1.5)
    assert seen.problems == ("NVIDIA: the driver did not answer within 1.5 s; reboot if it stays so",)


def test_a_driver_library_that_is_no_library_is_a_sentence(look: Callable[..., Look], tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library")
    assert "no driver library" in look(folder=tmp_path).problems[0]


READ_TWICE = """
import json
from dataclasses import asdict
from planner.gpu.nvidia import NvidiaReader
reader = NvidiaReader({uuid!r})
readings = [asdict(reader.read(float(second))) for second in range(2)]
print(json.dumps([readings, reader.absent]))
reader.close()
"""


@pytest.fixture
def read_twice(run_python: Callable[..., Any], fake_nvml: Path) -> Callable[..., tuple[list[dict[str, Any]], Any]]:
    """Two readings of the first fake card and why fields are absent."""

    def read(rules: str = "", folder: Path = fake_nvml) -> tuple[list[dict[str, Any]], Any]:
        done = run_python(READ_TWICE.format(uuid=CARDS[0]), LD_LIBRARY_PATH=str(folder), FAKE_NVML_RULES=rules)
        assert done.returncode == 0, done.stderr
        readings, absent = json.loads(done.stdout)
        return readings, absent

    return read


def test_a_reading_holds_every_figure_in_si_units(read_twice: Callable[..., Any]) -> None:
    (first, second), absent = read_twice()
    assert absent == {}
    assert first == {
        "seconds_in": 0.0,
        "power_watts": 123.456,
        "energy_joules": 0.0,
        "temperature_celsius": 41.0,
        "clock_hz": 1.755e9,
        "memory_clock_hz": 2.619e9,
        "utilization": 0.87,
        "memory_used_bytes": 400_000_000,
        "throttle_reasons": 4,
    }
    assert second["energy_joules"] == pytest.approx(60.0)


def test_a_reading_leaves_out_what_the_driver_does_not_tell(read_twice: Callable[..., Any]) -> None:
    readings, absent = read_twice("nvmlDeviceGetPowerUsage:3 nvmlDeviceGetTemperature:999:1")
    assert [reading["power_watts"] for reading in readings] == [None, None]
    assert [reading["temperature_celsius"] for reading in readings] == [41.0, None]
    assert absent["power_watts"] == "not supported by this device (NVML 3)"


def test_an_old_driver_gives_throttle_reasons_under_the_old_name_and_no_energy(
    read_twice: Callable[..., Any], old_fake_nvml: Path
) -> None:
    readings, absent = read_twice(folder=old_fake_nvml)
    assert [reading["throttle_reasons"] for reading in readings] == [4, 4]
    assert [reading["energy_joules"] for reading in readings] == [None, None]
    assert absent == {"energy_joules": "this driver is too old to tell (NVML 13)"}
