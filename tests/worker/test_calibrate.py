"""Carrying a run through: the verdict, the fence, a lease that cannot be renewed, the wait for a silent worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from planner.calibration.run_states import RunState
from planner.calibration.sample import BenchFailure, Sample
from planner.gpu.events import (
    CANCELLED,
    CRASHED,
    FINISHED,
    TIMED_OUT,
    BenchStarted,
    ChildJob,
    ChildResult,
    Event,
    Failed,
    Measured,
    Reading,
)
from planner.services.calibrations import request_run
from planner.services.claims import ClaimedRun, claim_run, mark_lost
from planner.services.devices import record_discovery
from planner.services.fits import newest_fits
from planner.services.runs import RunDetail, get_run
from planner.store import leases
from planner.store.engine import Sessions, database_now
from planner.store.runs import lease_name
from planner.worker import calibrate, heartbeat
from planner.worker.calibrate import carry_through, wait_for_silent_worker
from tests.builders import discovery, sample, seen_cpu
from tests.worker.conftest import wait_for

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
OnEvent = Callable[[Event], None]
ShouldStop = Callable[[], bool]


@pytest.fixture
def device_id(sessions: Sessions) -> str:
    with sessions.begin() as session:
        (device,) = record_discovery(session, discovery(seen_cpu()), NOW)
    return device.id


def queue(sessions: Sessions, device_id: str) -> str:
    with sessions.begin() as session:
        return request_run(session, device_id, "smoke", NOW, code_version="test").id


def take(
    sessions: Sessions, device_id: str, worker: str = "worker-1", term: timedelta = timedelta(seconds=60)
) -> ClaimedRun:
    with sessions.begin() as session:
        (device,) = record_discovery(session, discovery(seen_cpu()), NOW)
        claim = claim_run(session, device.node_id, worker, "boot-1", term, NOW)
    assert claim is not None
    return claim


@pytest.fixture
def claim(sessions: Sessions, device_id: str) -> ClaimedRun:
    queue(sessions, device_id)
    return take(sessions, device_id)


def result(outcome: str, reason: str = "") -> ChildResult:
    return ChildResult(outcome, reason, None, None, "first\nlast words\n", 12.5, {"threads": 2})


def told(claim: ClaimedRun, position: int) -> Measured:
    return Measured(position, sample(bench=claim.benches[position]))


def look(sessions: Sessions, claim: ClaimedRun) -> RunDetail:
    with sessions() as session:
        return get_run(session, claim.run_id)


def until_stopped(should_stop: ShouldStop, seconds: float = 120) -> float:
    """Poll as the runner does; after how many seconds the answer was to stop."""
    began = time.monotonic()
    while not should_stop():
        assert time.monotonic() - began < seconds, "nobody said stop"
        time.sleep(0.02)
    return time.monotonic() - began


def test_every_bench_measured_succeeds_with_telemetry_power_and_a_fit(sessions: Sessions, claim: ClaimedRun) -> None:
    def measure(job: ChildJob, on_event: OnEvent, should_stop: ShouldStop) -> ChildResult:
        assert (job.device, job.benches) == (claim.device_uuid, claim.benches)
        for position in range(len(job.benches)):
            on_event(BenchStarted(position))
            on_event(Reading(seconds_in=position + 0.25, power_watts=100.0))
            on_event(Reading(seconds_in=position + 0.5, power_watts=200.0))
            on_event(told(claim, position))
        return result(FINISHED)

    assert carry_through(sessions, claim, measure=measure) is RunState.SUCCEEDED
    run = look(sessions, claim)
    assert [found.bench for found in run.samples] == list(claim.benches)
    assert {found.details["power_watts"] for found in run.samples} == {150.0}
    assert len(run.telemetry) == 2 * len(claim.benches)
    assert run.conditions == {"threads": 2, "seconds": 12.5, "written": "first\nlast words"}
    with sessions() as session:
        assert list(newest_fits(session)) == [claim.device_id]


@pytest.mark.parametrize(
    ("outcome", "reason", "state", "error", "is_fitted"),
    [
        (TIMED_OUT, "stopped at its limit", RunState.TIMED_OUT, "stopped at its limit", True),
        (CRASHED, "ended by SIGSEGV", RunState.FAILED, "ended by SIGSEGV: last words", False),
        (CANCELLED, "stopped on request", RunState.CANCELLED, "stopped on request", False),
    ],
)
def test_a_run_that_broke_off_keeps_what_was_measured_and_is_fitted_only_if_time_ran_out_without_a_fit(
    sessions: Sessions, claim: ClaimedRun, outcome: str, reason: str, state: RunState, error: str, is_fitted: bool
) -> None:
    def measure(job: ChildJob, on_event: OnEvent, should_stop: ShouldStop) -> ChildResult:
        on_event(told(claim, 0))
        return result(outcome, reason)

    assert carry_through(sessions, claim, measure=measure) is state
    run = look(sessions, claim)
    assert (run.state, run.error, len(run.samples), run.num_done) == (state, error, 1, 1)
    with sessions() as session:
        assert bool(newest_fits(session)) == is_fitted


@pytest.mark.parametrize(("error_class", "state"), [("oom", RunState.OOM), ("unsupported", RunState.FAILED)])
def test_without_any_sample_the_run_has_not_succeeded(
    sessions: Sessions, claim: ClaimedRun, error_class: str, state: RunState
) -> None:
    def measure(job: ChildJob, on_event: OnEvent, should_stop: ShouldStop) -> ChildResult:
        for position, bench in enumerate(job.benches):
            on_event(Failed(position, BenchFailure(bench, error_class, "why not")))
        return result(FINISHED)

    assert carry_through(sessions, claim, measure=measure) is state
    run = look(sessions, claim)
    assert run.error == "no bench gave a sample: why not"
    assert [failure.error_class for failure in run.failures] == [error_class] * len(claim.benches)


def test_a_fault_in_the_measuring_is_stored_and_passed_on(sessions: Sessions, claim: ClaimedRun) -> None:
    def measure(job: ChildJob, on_event: OnEvent, should_stop: ShouldStop) -> ChildResult:
        on_event(told(claim, 0))
        raise OSError("no more processes")

    with pytest.raises(OSError, match="no more processes"):
        carry_through(sessions, claim, measure=measure)
    run = look(sessions, claim)
    assert (run.state, run.error, len(run.samples)) == (RunState.FAILED, "OSError: no more processes", 1)


def test_ctrl_c_cancels_the_run_and_passes_on(sessions: Sessions, claim: ClaimedRun) -> None:
    def measure(job: ChildJob, on_event: OnEvent, should_stop: ShouldStop) -> ChildResult:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_through(sessions, claim, measure=measure)
    run = look(sessions, claim)
    assert (run.state, run.error) == (RunState.CANCELLED, "ended by Ctrl-C")


@pytest.mark.fault(16)
def test_what_a_zombie_measured_is_refused(sessions: Sessions, claim: ClaimedRun, device_id: str) -> None:
    """Its lease ran out while it slept; the run was given up and another worker has the device under a higher fence."""

    def measure(job: ChildJob, on_event: OnEvent, should_stop: ShouldStop) -> ChildResult:
        on_event(told(claim, 0))
        with sessions.begin() as session:
            leases.revoke(session, claim.lease.name, claim.lease.fence)
            assert mark_lost(session, NOW, "leader") == [claim.run_id]
        queue(sessions, device_id)
        newer = take(sessions, device_id, "worker-2")
        assert newer.lease.fence == claim.lease.fence + 1
        until_stopped(should_stop)
        return result(FINISHED)

    assert carry_through(sessions, claim, measure=measure) is None
    run = look(sessions, claim)
    assert run.state is RunState.LOST
    assert (run.samples, run.failures, run.conditions) == ((), (), {})
    with sessions() as session:
        assert newest_fits(session) == {}


def test_a_claim_that_was_given_up_before_the_start_measures_nothing(sessions: Sessions, claim: ClaimedRun) -> None:
    def measure(job: ChildJob, on_event: OnEvent, should_stop: ShouldStop) -> ChildResult:
        raise AssertionError("nothing starts without a confirmed lease")

    with sessions.begin() as session:
        leases.revoke(session, claim.lease.name, claim.lease.fence)
        mark_lost(session, NOW, "leader")
    assert carry_through(sessions, claim, measure=measure) is None


def test_a_lease_that_cannot_be_renewed_ends_the_child_before_it_runs_out(
    sessions: Sessions, device_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody blocks the database: the renewal hangs, and the child is told to stop in time all the same."""
    monkeypatch.setattr(heartbeat, "MARGIN", 0.975)  # of the term: it is ended within three seconds of its two minutes
    queue(sessions, device_id)
    term = timedelta(seconds=120)
    claim = take(sessions, device_id, term=term)
    stopped_after: list[float] = []

    def measure(job: ChildJob, on_event: OnEvent, should_stop: ShouldStop) -> ChildResult:
        on_event(told(claim, 0))
        blocker = sessions()
        try:
            blocker.execute(text("UPDATE leases SET holder = holder"))
            stopped_after.append(until_stopped(should_stop))
        finally:
            blocker.rollback()
            blocker.close()
        return result(CANCELLED, "stopped on request")

    carry_through(sessions, claim, measure=measure, term=term)
    assert stopped_after[0] < term.total_seconds()
    run = look(sessions, claim)
    assert (run.state, run.error) == (RunState.LOST, "the lease could not be renewed in time: the database was away")
    assert len(run.samples) == 1


def test_the_lease_is_renewed_while_it_measures(sessions: Sessions, device_id: str) -> None:
    queue(sessions, device_id)
    claim = take(sessions, device_id)

    def ends() -> datetime:
        with sessions() as session:
            found = leases.end_of(session, claim.lease.name)
        assert found is not None
        return found

    def measure(job: ChildJob, on_event: OnEvent, should_stop: ShouldStop) -> ChildResult:
        for _ in range(2):
            before = ends()
            wait_for(lambda: ends() > before, "the lease to be renewed")  # noqa: B023
        assert not should_stop()
        for position in range(len(job.benches)):
            on_event(told(claim, position))
        return result(FINISHED)

    assert carry_through(sessions, claim, measure=measure) is RunState.SUCCEEDED


def test_nobody_waits_for_a_device_that_is_free(
    sessions: Sessions, device_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "LOOK_AGAIN_SECONDS", 60.0)
    began = time.monotonic()
    wait_for_silent_worker(sessions, device_id)
    assert time.monotonic() - began < 30


def test_a_silent_worker_is_waited_for_until_its_lease_has_run_out(sessions: Sessions, device_id: str) -> None:
    queue(sessions, device_id)
    claim = take(sessions, device_id, term=timedelta(seconds=1.5))
    wait_for_silent_worker(sessions, device_id)
    with sessions() as session:
        assert claim.lease.expires_at <= database_now(session)
    second = queue(sessions, device_id)
    assert look(sessions, claim).state is RunState.LOST
    assert take(sessions, device_id).run_id == second


def test_a_worker_that_lives_is_not_waited_for(sessions: Sessions, device_id: str) -> None:
    queue(sessions, device_id)
    claim = take(sessions, device_id, term=timedelta(minutes=10))
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(0.2):
            with sessions.begin() as session:
                assert leases.renew(session, claim.lease, timedelta(minutes=10)) is not None

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        wait_for_silent_worker(sessions, device_id)
        with sessions() as session:
            assert database_now(session) < claim.lease.expires_at, "it went on long before the lease could have run out"
    finally:
        ended.set()
        thread.join()
    with sessions() as session:
        assert leases.end_of(session, lease_name(claim.device_uuid)) is not None


def test_a_sample_is_a_sample(sessions: Sessions, claim: ClaimedRun) -> None:
    """What comes back from the database is what was measured, to the last digit."""
    exact = sample(bench=claim.benches[0], seconds=0.1 + 0.2, flops=1e15 / 3, details={"clock_hz": 1.98e9})

    def measure(job: ChildJob, on_event: OnEvent, should_stop: ShouldStop) -> ChildResult:
        on_event(Measured(0, exact))
        return result(CANCELLED)

    carry_through(sessions, claim, measure=measure)
    (stored,) = look(sessions, claim).samples
    assert isinstance(stored, Sample)
    assert stored == exact
