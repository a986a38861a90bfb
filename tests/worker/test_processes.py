"""Workers as real processes: two at once, killed, stopped, cancelled; the measuring process is real, without torch."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest

from planner.calibration.run_states import RunState
from planner.gpu.runner import POLL_SECONDS
from planner.services.calibrations import cancel_run
from planner.services.fits import newest_fits
from planner.services.requests import ScheduleRequest
from planner.services.runs import list_runs
from planner.services.schedules import create_schedule
from planner.store import leases
from planner.worker.heartbeat import BEAT_SECONDS
from planner.worker.leader import LEASE
from tests.worker.conftest import PATIENCE_SECONDS, Here, due_an_hour_ago, is_alive, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's")


def states(here: Here, run_id: str) -> list[str]:
    return [step.state.value for step in here.look(run_id).transitions]


def test_a_queued_run_is_measured_stored_and_fitted(here: Here) -> None:
    run_id = here.queue()
    here.start()
    here.go()
    run = here.reaches(run_id, "succeeded")
    assert len(run.samples) == run.num_benches == run.num_done
    assert not run.failures
    assert run.error is None
    assert run.current_bench is None
    assert run.conditions["child"] == "slow"
    assert run.conditions["seconds"] > 0
    assert [step.state.value for step in run.transitions] == ["queued", "claimed", "running", "succeeded"]
    assert {step.fence for step in run.transitions[1:]} == {1}
    with here.sessions() as session:
        assert list(newest_fits(session)) == [here.device_id]


def test_progress_and_telemetry_are_seen_while_it_measures(here: Here) -> None:
    run_id = here.queue()
    here.start()
    here.child_pid()

    def there() -> bool:
        run = here.look(run_id)
        return run.num_done == 1 and len(run.telemetry) >= 2

    wait_for(there, "progress and readings of the running calibration")
    run = here.look(run_id)
    assert run.state is RunState.RUNNING
    assert run.current_bench is not None
    assert run.samples == ()
    here.go()
    ended = here.reaches(run_id, "succeeded")
    times = [point.seconds_in for point in ended.telemetry]
    assert times == sorted(set(times))
    assert len(times) >= len(run.telemetry)


@pytest.mark.fault(1)
def test_two_workers_share_the_runs_and_never_measure_one_twice(here: Here) -> None:
    run_id = here.queue()
    here.start(child="a")
    here.start(child="b")
    here.go("a")
    here.go("b")
    here.reaches(run_id, "succeeded")
    second = here.queue()
    here.reaches(second, "succeeded")
    for one in (run_id, second):
        assert states(here, one) == ["queued", "claimed", "running", "succeeded"]


@pytest.mark.fault(24)
def test_after_sigkill_the_child_dies_the_run_is_lost_and_the_next_worker_carries_on(here: Here) -> None:
    run_id = here.queue()
    worker = here.start()
    pid = here.child_pid()
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    wait_for(lambda: not is_alive(pid), "the measuring process to die with its worker")
    assert here.look(run_id).state is RunState.RUNNING
    here.leases_run_out()
    here.start(child="next")
    run = here.reaches(run_id, "lost")
    assert run.error == "its worker let the lease run out"
    assert run.samples == ()
    assert run.failures == ()
    again = here.retry_of(run_id)
    here.go("next")
    ended = here.reaches(again, "succeeded")
    assert ended.transitions[1].fence == 2
    assert len(ended.samples) == ended.num_benches


@pytest.mark.fault(25)
def test_sigterm_ends_the_child_stores_what_there_is_and_exits_with_0(here: Here) -> None:
    run_id = here.queue()
    worker = here.start()
    pid = here.child_pid()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE_SECONDS) == 0
    assert not is_alive(pid)
    run = here.look(run_id)
    assert (run.state, run.error) == (RunState.CANCELLED, "the worker was stopped")
    assert len(run.samples) == 1
    with here.sessions() as session:
        assert newest_fits(session) == {}


def test_an_idle_worker_exits_with_0_on_sigterm_and_lets_another_lead_at_once(here: Here) -> None:
    first = here.start()
    wait_for(lambda: "worker.ready" in here.words(), "the worker to be ready")
    with here.sessions.begin() as session:
        assert leases.end_of(session, LEASE) is not None
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_SECONDS) == 0
    with here.sessions.begin() as session:
        assert leases.end_of(session, LEASE) is None


@pytest.mark.fault(40)
def test_a_running_calibration_is_cancelled_within_two_seconds(here: Here) -> None:
    run_id = here.queue()
    here.start()
    pid = here.child_pid()
    with here.sessions.begin() as session:
        cancel_run(session, run_id, datetime.now(UTC))
    wait_for(lambda: not is_alive(pid), "the measuring process to end")
    assert BEAT_SECONDS + POLL_SECONDS < 2, "hears of it, and looks whether it did"
    run = here.reaches(run_id, "cancelled")
    assert run.error == "cancelled on request"
    assert len(run.samples) == 1


@pytest.mark.fault(31, 40)
def test_a_cancelled_child_that_ignores_sigterm_is_killed(here: Here) -> None:
    (here.folder / "child").mkdir()
    (here.folder / "child" / "ignore-sigterm").touch()
    run_id = here.queue()
    here.start()
    pid = here.child_pid()
    with here.sessions.begin() as session:
        cancel_run(session, run_id, datetime.now(UTC))
    here.reaches(run_id, "cancelled")
    assert not is_alive(pid)


@pytest.mark.fault(27)
def test_a_child_that_dies_fails_its_run_with_the_signal_and_keeps_what_was_measured(here: Here) -> None:
    run_id = here.queue()
    here.start()
    os.kill(here.child_pid(), signal.SIGSEGV)
    run = here.reaches(run_id, "failed")
    assert "SIGSEGV" in str(run.error)
    assert len(run.samples) == 1
    assert [failure.error_class for failure in run.failures] == ["crashed"]


def schedule() -> ScheduleRequest:
    return ScheduleRequest(name="daily", cron=due_an_hour_ago(), timezone="UTC", suite="smoke")


def scheduled(here: Here) -> list[str]:
    with here.sessions() as session:
        return [run.id for run in list_runs(session) if run.schedule_id is not None]


@pytest.mark.fault(1)
def test_a_schedule_that_is_due_becomes_one_run_of_two_workers_and_finishes(here: Here) -> None:
    with here.sessions.begin() as session:
        kept = create_schedule(session, schedule(), datetime.now(UTC) - timedelta(days=6))
    for child in ("a", "b"):
        here.start(child=child)
        here.go(child)
    (run_id,) = wait_for(lambda: scheduled(here), "the schedule's run")
    run = here.reaches(run_id, "succeeded")
    assert run.schedule_id == kept.id
    assert run.num_missed == 5
    assert run.due_at is not None
    assert scheduled(here) == [run_id]
    assert "5 due before it were missed" in run.transitions[0].reason
