"""Faults that must stay where they are: a poisoned schedule, a catalogue that forgot a board, a start that was late."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from planner.calibration.run_states import RunState
from planner.gpu.events import ChildJob, ChildResult
from planner.services.calibrations import plan_calibration
from planner.services.devices import DeviceView, list_devices, record_discovery
from planner.services.requests import ScheduleRequest
from planner.services.runs import get_run, list_runs
from planner.services.schedules import create_schedule
from planner.settings import Settings
from planner.store import leases
from planner.store.engine import Engine, Sessions, session_factory
from planner.store.tables import DeviceRow
from planner.worker import entries
from planner.worker.calibrate import carry_through
from planner.worker.entries import Clockwork, new_scheduler
from planner.worker.identity import Identity
from planner.worker.leader import Leadership
from planner.worker.main import run_worker
from tests.builders import NOW, discovery, seen_cpu
from tests.runs import claimed, finished, known_devices, queued, running
from tests.worker.conftest import due_an_hour_ago, wait_for

TERM = timedelta(minutes=10)


def no_measuring(_job: ChildJob, _on_event: object, _should_stop: object) -> ChildResult:
    raise AssertionError("nothing starts without a confirmed lease")


@pytest.mark.fault(13)
def test_a_claim_whose_lease_ran_out_before_the_start_measures_nothing(sessions: Sessions) -> None:
    """The start waited for the database longer than the lease holds: another worker may have the device already."""
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        queued(session, gpu)
        claim = claimed(session, gpu, term=timedelta(seconds=-1))
    assert carry_through(sessions, claim, measure=no_measuring) is None
    with sessions() as session:
        assert get_run(session, claim.run_id).samples == ()


def test_the_start_renews_the_lease_for_a_whole_term(sessions: Sessions) -> None:
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        queued(session, gpu)
        claim = claimed(session, gpu, term=timedelta(seconds=60))
    ends: list[datetime | None] = []

    def measure(_job: ChildJob, _on_event: object, _should_stop: object) -> ChildResult:
        with sessions.begin() as session:
            ends.append(leases.end_of(session, claim.lease.name))
        return ChildResult("cancelled", "enough", None, None, "", 0.1)

    assert carry_through(sessions, claim, measure=measure, term=TERM) is RunState.CANCELLED
    assert ends[0] is not None
    assert ends[0] > claim.lease.expires_at + timedelta(seconds=30)


def test_a_board_that_the_catalogue_does_not_list_any_more_is_measured_as_an_unlisted_one(sessions: Sessions) -> None:
    """A newer catalogue may name it otherwise; until the next discovery the old key stands in the database."""
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        session.get_one(DeviceRow, gpu.id).gpu_key = "H100-FORMER-NAME"
    with sessions.begin() as session:
        assert plan_calibration(session, gpu.id, "smoke").num_benches > 0
        assert finished(session, running(session, gpu))


def clockwork(sessions: Sessions) -> Clockwork:
    return Clockwork(new_scheduler(), sessions, Leadership(Identity("machine-1", "boot-1", "leader"), TERM))


def test_a_schedule_that_raises_is_told_and_holds_up_no_other(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with sessions.begin() as session:
        record_discovery(session, discovery(seen_cpu()), NOW)
        ids = {
            name: create_schedule(
                session,
                ScheduleRequest(name=name, cron=due_an_hour_ago(), timezone="UTC", suite="smoke"),
                datetime.now(UTC) - timedelta(days=2),
            ).id
            for name in ("a poisoned", "b sound")
        }

    def fall_due(session: object, schedule_id: str, *rest: object) -> object:
        if schedule_id == ids["a poisoned"]:
            raise LookupError("a fault of ours")
        return real(session, schedule_id, *rest)  # type: ignore[arg-type]

    real = entries.fall_due
    monkeypatch.setattr(entries, "fall_due", fall_due)
    leader = clockwork(sessions)
    leader.start()
    try:
        wait_for(lambda: runs_of(sessions), "the sound schedule's run")
        leader.check()
    finally:
        leader.stop()
    assert runs_of(sessions) == [ids["b sound"]]
    output = capsys.readouterr()
    assert "LookupError: a fault of ours" in output.out + output.err
    assert ids["a poisoned"] in output.out + output.err


def runs_of(sessions: Sessions) -> list[str | None]:
    with sessions() as session:
        return [run.schedule_id for run in list_runs(session)]


def test_a_fault_in_one_run_is_stored_and_told_and_the_worker_takes_the_next_one(
    settings: Settings, sqlite_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    sessions = session_factory(sqlite_engine)
    stop = threading.Event()
    seen: list[str] = []

    def measure(job: ChildJob, _on_event: object, _should_stop: object) -> ChildResult:
        seen.append(job.device)
        if len(seen) == 1:
            raise LookupError("a fault of ours")
        return ChildResult("cancelled", "enough", None, None, "", 0.1)

    worker = threading.Thread(target=run_worker, args=(settings, stop), kwargs={"measure": measure})
    worker.start()
    try:
        device = wait_for(lambda: devices_of(sessions), "the worker to discover this machine")[-1]
        for expected in (RunState.FAILED, RunState.CANCELLED):
            with sessions.begin() as session:
                run_id = queued(session, device)
            wait_for(lambda: state_of(sessions, run_id) is expected, f"the run to be {expected}")  # noqa: B023
    finally:
        stop.set()
        worker.join()
    output = capsys.readouterr()
    assert "LookupError: a fault of ours" in output.out + output.err
    assert len(seen) == 2


def devices_of(sessions: Sessions) -> list[DeviceView]:
    with sessions() as session:
        return list_devices(session)


def state_of(sessions: Sessions, run_id: str) -> RunState:
    with sessions() as session:
        return get_run(session, run_id).state
