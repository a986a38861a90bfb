"""Devices, runs and claims in a database, as the tests of calibration start from them."""

from __future__ import annotations

from datetime import datetime, timedelta

from planner.calibration.run_states import RunState
from planner.calibration.sample import Bench, BenchFailure, Sample
from planner.gpu.events import Reading
from planner.inventory.device import Discovery
from planner.services.calibrations import request_run
from planner.services.claims import ClaimedRun, begin_run, claim_run, finish_run
from planner.services.devices import DeviceView, record_discovery
from planner.store.engine import Session
from tests.builders import NOW, discovery, sample

TERM = timedelta(minutes=10)
CODE = "1.2.3"


def known_devices(session: Session, found: Discovery | None = None, now: datetime = NOW) -> list[DeviceView]:
    """The devices of one node, recorded: an H100 and the CPU unless told otherwise."""
    return record_discovery(session, found or discovery(), now)


def queued(session: Session, device: DeviceView, suite: str = "smoke", now: datetime = NOW) -> str:
    """The id of a run asked for."""
    return request_run(session, device.id, suite, now, code_version=CODE).id


def claimed(session: Session, device: DeviceView, worker: str = "worker-1", term: timedelta = TERM) -> ClaimedRun:
    """The node's oldest queued run, taken by that worker."""
    found = claim_run(session, device.node_id, worker, "boot-1", term, NOW)
    assert found is not None
    return found


def running(session: Session, device: DeviceView, worker: str = "worker-1", term: timedelta = TERM) -> ClaimedRun:
    """A run asked for, taken and begun."""
    queued(session, device)
    claim = claimed(session, device, worker, term)
    assert begin_run(session, claim, NOW)
    return claim


def outcome_of(bench: Bench, position: int = 0) -> Sample:
    """A plausible sample of that bench; the position makes each different."""
    return sample(bench=bench, seconds=1e-3 * (position + 1), flops=1e9, num_bytes=1e8, peak_memory_bytes=None)


def outcomes_of(claim: ClaimedRun) -> dict[int, Sample | BenchFailure]:
    """A sample for every bench of the run."""
    return {position: outcome_of(bench, position) for position, bench in enumerate(claim.benches)}


def readings(*seconds: float) -> list[Reading]:
    return [Reading(moment, power_watts=100.0 + moment, memory_used_bytes=2**33) for moment in seconds]


def finished(session: Session, claim: ClaimedRun, state: RunState = RunState.SUCCEEDED, now: datetime = NOW) -> bool:
    """The run ended in that state with a sample for every bench; False where the claim counts no more."""
    error = "" if state is RunState.SUCCEEDED else "the device fell"
    return finish_run(session, claim, state, outcomes_of(claim), [], {}, {"torch": "2.11.0"}, error, now, CODE)
