"""The sampler: a helper process that may fall silent, end, or be refused, and never holds up its owner."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from planner.gpu.events import Reading
from planner.gpu.telemetry import MAX_REPLACEMENTS, Sampler
from planner.inventory.device import Backend
from tests.gpu.conftest import CARDS, wait_until


def collect(sampler: Sampler, enough: int, seconds: float = 15.0) -> list[Reading]:
    readings: list[Reading] = []

    def has_enough() -> bool:
        readings.extend(sampler.readings())
        return len(readings) >= enough or "telemetry" in sampler.absent

    assert wait_until(has_enough, seconds)
    return readings


def test_the_cpu_is_read_at_the_interval_asked_for() -> None:
    with Sampler(Backend.CPU, "CPU-test", 0.1, time.monotonic()) as sampler:
        readings = collect(sampler, 6)
    steps = [later.seconds_in - earlier.seconds_in for earlier, later in pairwise(readings)]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(0.1, abs=0.05)


def test_a_fake_card_is_read_through_the_helper(fake_nvml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    with Sampler(Backend.CUDA, CARDS[1], 0.05, time.monotonic()) as sampler:
        readings = collect(sampler, 3)
    assert {reading.power_watts for reading in readings} == {123.456}
    assert [reading.energy_joules for reading in readings[:2]] == [0.0, 60.0]


def test_a_card_lost_in_mid_run_ends_the_readings_with_the_reason(
    fake_nvml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.setenv("FAKE_NVML_RULES", "nvmlDeviceGetPowerUsage:15:2")
    with Sampler(Backend.CUDA, CARDS[0], 0.05, time.monotonic()) as sampler:
        readings = collect(sampler, 99)
        assert len(readings) == 2
        assert "the card is lost: it fell off the bus (NVML 15)" in sampler.absent["telemetry"]
        assert list(sampler.readings()) == []


def test_a_card_that_is_not_there_gives_no_readings_and_says_so(
    fake_nvml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    with Sampler(Backend.CUDA, "GPU-of-somebody-else", 0.05, time.monotonic()) as sampler:
        assert collect(sampler, 1) == []
        assert "not found by the driver (NVML 6)" in sampler.absent["telemetry"]


def test_a_backend_without_readings_says_so() -> None:
    with Sampler(Backend.MPS, "MPS-test", 0.05, time.monotonic()) as sampler:
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
        slow = 0
        while "telemetry" not in sampler.absent and time.monotonic() - started_at < 60:
            asked_at = time.monotonic()
            assert list(sampler.readings()) == []
            slow += time.monotonic() - asked_at > 0.3
            time.sleep(0.05)
    assert sampler.absent["telemetry"] == "the driver did not answer within 0.4 s, several times"
    assert time.monotonic() - started_at > 0.4 * (MAX_REPLACEMENTS + 1)
    assert slow < MAX_REPLACEMENTS, "asking for readings never waits for the driver; a busy machine may hold it up once"


def test_no_interval_means_no_helper() -> None:
    with Sampler(Backend.CPU, "CPU-test", None, time.monotonic()) as sampler:
        assert list(sampler.readings()) == []
        assert sampler.absent == {}
