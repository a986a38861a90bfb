"""A real NVIDIA GPU, where there is one that this torch reaches: skipped elsewhere, with the reason."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from planner.calibration.links import fit_links
from planner.calibration.sample import Bench, Operation
from planner.calibration.suites import get_suite
from planner.calibration.verdict import Trust
from planner.gpu import nvidia
from planner.gpu.events import ChildJob, Event, Failed, Measured, Reading
from planner.gpu.inspection import inspect
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


def long_job(card: SeenDevice, seconds: float) -> ChildJob:
    """Large products again and again, until the time limit cuts them."""
    inside = {"m": 16384, "n": 16384, "k": 16384}
    benches = tuple(Bench(Operation.MATMUL, 1, Dtype.BF16, inside | {"n": 16384 + 16 * n}, 1.0) for n in range(200))
    return ChildJob(card.uuid, Backend.CUDA, benches, seconds, telemetry_seconds=0.25)


@pytest.mark.fault(60)
@pytest.mark.timeout(120)
def test_what_slows_the_card_is_read_beside_long_products_and_the_verdict_says_the_same(card: SeenDevice) -> None:
    events = list[Event]()
    result = measure(long_job(card, 40.0), events.append)
    reasons = [event.throttle_reasons for event in events if isinstance(event, Reading) and event.throttle_reasons]
    temperatures = [e.temperature_celsius for e in events if isinstance(e, Reading) and e.temperature_celsius]
    assert temperatures, "the card tells how warm it is"
    assert max(temperatures) > temperatures[0], "and it got warmer"
    slowed = any(reason & (0x8 | 0x20 | 0x40 | 0x80) for reason in reasons)
    assert slowed is (result.verdict.trust is Trust.SUSPECT), "slowed by heat or a brake, and by nothing else"
    capped = any(reason & 0x4 for reason in reasons)
    assert capped is any("at its power limit" in flag for flag in result.verdict.flags)


@pytest.mark.fault(30)
@pytest.mark.fault(32)
@pytest.mark.fault(33)
def test_a_child_killed_among_kernels_leaves_no_process_and_no_memory_on_the_card(card: SeenDevice) -> None:
    before = used_bytes(card)
    began = time.monotonic()
    result = measure(replace(long_job(card, 12.0), grace_seconds=0.0), list[Event]().append)
    assert result.outcome == "timed_out"
    assert time.monotonic() - began < 30
    assert not result.verdict.quarantine, "a child that can be killed quarantines nothing"
    assert wait_until(lambda: used_bytes(card) < before + 100_000_000, 10)
    assert inspect(Backend.CUDA, card.uuid).processes in (None, ())


@pytest.mark.fault(50)
def test_a_card_that_is_there_is_not_lost_and_its_health_is_told(card: SeenDevice) -> None:
    """The loss itself is injected by the fake driver: here, what the checks rest on must be told by the real one."""
    now = inspect(Backend.CUDA, card.uuid)
    assert not now.is_lost
    assert now.problem == ""
    assert now.recovery_action in (None, "none"), "the driver asks for nothing"
    assert now.recovery_action is not None or "recovery_action" in now.absent


@pytest.mark.fault(66)
def test_the_compute_mode_is_told_and_a_card_that_allows_it_is_measured(card: SeenDevice) -> None:
    """The mode is left as it is: it belongs to whoever set it."""
    mode = inspect(Backend.CUDA, card.uuid).compute_mode
    if mode != "default":
        pytest.skip(f"the compute mode of this card is {mode}")
    assert measure(job(card, "smoke"), list[Event]().append).outcome == "finished"


@pytest.mark.fault(67)
def test_a_card_says_whether_it_is_cut_into_slices(card: SeenDevice) -> None:
    now = inspect(Backend.CUDA, card.uuid)
    if now.has_mig is None:
        assert "has_mig" in now.absent, "a card without slices says so"
        return
    slices = [device for device in nvidia.ask().devices if device.uuid.startswith("MIG-")]
    assert bool(slices) is now.has_mig or card.uuid.startswith("MIG-")


@pytest.mark.fault(37)
@pytest.mark.fault(75)
def test_each_run_opens_the_driver_anew_and_leaves_no_handle_in_this_process(card: SeenDevice) -> None:
    for _ in range(2):
        assert measure(job(card, "smoke"), list[Event]().append).outcome == "finished"
    maps = Path("/proc/self/maps").read_text()
    assert "libcuda.so" not in maps, "the worker never opens CUDA"


def test_the_energy_counter_agrees_with_the_power_that_was_read(card: SeenDevice) -> None:
    events = list[Event]()
    measure(long_job(card, 20.0), events.append)
    read = [e for e in events if isinstance(e, Reading) and e.power_watts is not None and e.energy_joules is not None]
    if len(read) < 20:
        pytest.skip("this card tells no energy or no power")
    counted = (read[-1].energy_joules or 0.0) - (read[0].energy_joules or 0.0)
    pairs = itertools.pairwise(read)
    integrated = sum(
        (b.seconds_in - a.seconds_in) * ((a.power_watts or 0.0) + (b.power_watts or 0.0)) / 2 for a, b in pairs
    )
    assert counted == pytest.approx(integrated, rel=0.15)


def test_links_between_the_cards_of_this_node_are_measured_where_there_are_several(card: SeenDevice) -> None:
    cards = [one for one in nvidia.ask().devices if one.name == card.name and not one.uuid.startswith("MIG-")]
    if len(cards) < 2:
        pytest.skip("one card has nobody to exchange with")
    benches = get_suite("custom:all_reduce").benches_for(Backend.CUDA, card.memory_bytes, num_devices=len(cards))
    peers = tuple(one.uuid for one in cards if one.uuid != card.uuid)
    events = list[Event]()
    result = measure(ChildJob(card.uuid, Backend.CUDA, benches, 600.0, peers=peers), events.append)
    assert result.outcome == "finished", result.stderr_tail
    samples = [event.sample for event in events if isinstance(event, Measured)]
    links = fit_links(samples)
    assert links is not None
    assert links.largest == len(cards)
    assert result.conditions["num_devices"] == len(cards)
    assert all(1e8 < group.bandwidth < 1e13 for group in links.groups)
