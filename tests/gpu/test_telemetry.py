"""The sampler: a helper process that may fall silent, end, or be refused, and never holds up its owner."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from planner.gpu import telemetry
from planner.gpu.events import Reading
from planner.gpu.telemetry import MAX_REPLACEMENTS, Sampler
from planner.inventory.device import Backend
from tests.gpu.conftest import CARDS, wait_until


def collect(sampler: Sampler, enough: int, seconds: float = 120.0) -> list[Reading]:
    readings: list[Reading] = []

    def has_enough() -> bool:
        readings.extend(sampler.readings())
        return len(readings) >= enough or "telemetry" in sampler.absent

    assert wait_until(has_enough, seconds)
    return readings


def test_the_cpu_is_read_again_and_again() -> None:
    with Sampler(Backend.CPU, "CPU-test", 0.05, time.monotonic(), silence_seconds=120) as sampler:
        readings = collect(sampler, 6)
    moments = [reading.seconds_in for reading in readings]
    assert moments == sorted(set(moments))


class Enough(Exception):
    """So many readings are enough."""


class SlowNowAndThen:
    """A reader that takes a fiftieth of a second, and half of one the third time; its clock goes by nothing else."""

    def __init__(self) -> None:
        self.now = 0.0
        self.absent: dict[str, str] = {}
        self.moments: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self, seconds_in: float) -> Reading:
        if len(self.moments) == 7:
            raise Enough
        self.moments.append(seconds_in)
        self.now += 0.5 if len(self.moments) == 3 else 0.02
        return Reading(seconds_in)

    def incidents(self) -> list[tuple[str, int | None, str]]:
        return []

    def close(self) -> None:
        raise AssertionError("who opened it closes it")


def test_readings_are_an_interval_apart_and_what_was_missed_is_not_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = SlowNowAndThen()
    monkeypatch.setattr(telemetry, "time", reader)
    with pytest.raises(Enough):
        telemetry.watch(reader, 0.1, lambda _: None)
    assert reader.moments == pytest.approx([0.0, 0.1, 0.2, 0.7, 0.8, 0.9, 1.0])


def test_a_fake_card_is_read_through_the_helper(fake_nvml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    with Sampler(Backend.CUDA, CARDS[1], 0.05, time.monotonic(), silence_seconds=120) as sampler:
        readings = collect(sampler, 3)
    assert {reading.power_watts for reading in readings} == {123.456}
    assert [reading.energy_joules for reading in readings[:2]] == [0.0, 60.0]


def test_a_card_lost_in_mid_run_ends_the_readings_with_the_reason(
    fake_nvml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.setenv("FAKE_NVML_RULES", "nvmlDeviceGetPowerUsage:15:2")
    with Sampler(Backend.CUDA, CARDS[0], 0.05, time.monotonic(), silence_seconds=120) as sampler:
        readings = collect(sampler, 99)
        assert len(readings) == 2
        assert "the card is lost: it fell off the bus (NVML 15)" in sampler.absent["telemetry"]
        assert list(sampler.readings()) == []


def test_a_card_that_is_not_there_gives_no_readings_and_says_so(
    fake_nvml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    with Sampler(Backend.CUDA, "GPU-of-somebody-else", 0.05, time.monotonic(), silence_seconds=120) as sampler:
        assert collect(sampler, 1) == []
        assert "not found by the driver (NVML 6)" in sampler.absent["telemetry"]


def test_a_backend_without_readings_says_so() -> None:
    with Sampler(Backend.MPS, "MPS-test", 0.05, time.monotonic(), silence_seconds=120) as sampler:
        assert collect(sampler, 1) == []
        assert sampler.absent["telemetry"] == "the reading process ended: no driver of mps tells readings"


@pytest.mark.fault(49)
def test_a_hanging_driver_is_asked_anew_a_few_times_and_then_left(
    fake_nvml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.setenv("FAKE_NVML_RULES", "nvmlDeviceGetPowerUsage:hang")
    started_at = time.monotonic()
    with Sampler(Backend.CUDA, CARDS[0], 0.05, time.monotonic(), silence_seconds=0.4) as sampler:
        assert collect(sampler, 1) == []
    assert sampler.absent["telemetry"] == "the driver did not answer within 0.4 s, several times"
    assert time.monotonic() - started_at > 0.4 * (MAX_REPLACEMENTS + 1)


def test_no_interval_means_no_helper() -> None:
    with Sampler(Backend.CPU, "CPU-test", None, time.monotonic(), silence_seconds=120) as sampler:
        assert list(sampler.readings()) == []
        assert sampler.absent == {}
