"""The leader and the clock: one worker acts on the schedules, others stand by; no schedule holds up another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from planner.services.devices import record_discovery
from planner.services.requests import ScheduleRequest
from planner.services.runs import RunView, list_runs
from planner.services.schedules import archive_schedule, create_schedule, list_schedules, set_enabled
from planner.store import leases
from planner.store.engine import Sessions
from planner.store.tables import ScheduleRow
from planner.worker.entries import Clockwork, new_scheduler
from planner.worker.identity import Identity
from planner.worker.leader import LEASE, Leadership
from tests.builders import discovery, seen_cpu
from tests.worker.conftest import due_an_hour_ago, wait_for

EXPIRED = timedelta(seconds=-1)
TERM = timedelta(minutes=10)


@pytest.fixture(autouse=True)
def cpu(sessions: Sessions) -> str:
    with sessions.begin() as session:
        (device,) = record_discovery(session, discovery(seen_cpu()), datetime.now(UTC))
    return device.id


def clockwork(sessions: Sessions, name: str, term: timedelta = TERM) -> Clockwork:
    return Clockwork(new_scheduler(), sessions, Leadership(Identity("machine-1", "boot-1", name), term))


@contextmanager
def started(found: Clockwork) -> Iterator[Clockwork]:
    """Its clock runs, its leading loop does not: the test leads by hand."""
    found.scheduler.start()
    try:
        yield found
    finally:
        found.scheduler.shutdown(wait=True)


def keep(
    sessions: Sessions,
    name: str = "nightly",
    cron: str = "",
    age: timedelta = timedelta(days=6),
) -> str:
    """A schedule that was made `age` ago; its id."""
    request = ScheduleRequest(name=name, cron=cron or due_an_hour_ago(), timezone="UTC", suite="smoke")
    with sessions.begin() as session:
        return create_schedule(session, request, datetime.now(UTC) - age).id


def runs(sessions: Sessions) -> list[RunView]:
    with sessions() as session:
        return list_runs(session)


def entries(found: Clockwork) -> dict[str, datetime]:
    return {job.id: job.trigger.run_date for job in found.scheduler.get_jobs()}


@pytest.mark.fault(2)
def test_five_missed_due_times_become_one_run_that_says_so(sessions: Sessions) -> None:
    due = datetime.now(UTC) - timedelta(hours=1)
    rule = f"{due.minute} {due.hour % 4}-23/4 * * *"
    schedule_id = keep(sessions, cron=rule, age=timedelta(hours=20))
    with started(clockwork(sessions, "leader")) as leader:
        leader.lead()
        leader.lead()
    (run,) = runs(sessions)
    assert run.schedule_id == schedule_id
    assert run.num_missed == 4
    assert run.due_at is not None
    assert run.due_at <= datetime.now(UTC)


@pytest.mark.fault(1)
def test_the_second_worker_stands_by_while_the_first_one_leads(sessions: Sessions) -> None:
    with started(clockwork(sessions, "first")) as first, started(clockwork(sessions, "second")) as second:
        first.lead()
        keep(sessions)
        second.lead()
        assert runs(sessions) == []
        assert entries(second) == {}
        first.lead()
        assert len(runs(sessions)) == 1
        assert len(entries(first)) == 1


def test_the_second_worker_takes_over_when_the_first_one_falls_silent(sessions: Sessions) -> None:
    with started(clockwork(sessions, "first", EXPIRED)) as first, started(clockwork(sessions, "second")) as second:
        first.lead()
        keep(sessions)
        second.lead()
        assert len(runs(sessions)) == 1
        first.lead()
        assert entries(first) == {}


@pytest.mark.fault(1)
def test_a_zombie_leader_queues_nothing(sessions: Sessions) -> None:
    with started(clockwork(sessions, "zombie", EXPIRED)) as zombie, started(clockwork(sessions, "leader")) as leader:
        zombie.lead()
        leader.lead()
        schedule_id = keep(sessions)
        zombie.due(schedule_id)
        assert runs(sessions) == []


def test_a_leader_that_stops_gives_the_lease_back(sessions: Sessions) -> None:
    leader = clockwork(sessions, "leader")
    leader.start()
    wait_for(lambda: leader.leadership.lease, "the first worker to lead")
    leader.check()
    leader.stop()
    with sessions.begin() as session:
        assert leases.end_of(session, LEASE) is None


def test_entries_follow_the_schedules(sessions: Sessions) -> None:
    with started(clockwork(sessions, "leader")) as leader:
        leader.lead()
        assert entries(leader) == {}
        night, noon = keep(sessions), keep(sessions, "noon")
        leader.lead()
        with sessions() as session:
            expected = {found.id: found.next_due[0] for found in list_schedules(session, datetime.now(UTC))}
        assert entries(leader) == expected
        with sessions.begin() as session:
            archive_schedule(session, night, datetime.now(UTC))
            set_enabled(session, noon, False, datetime.now(UTC))
        leader.lead()
        assert entries(leader) == {}


def test_an_entry_acts_at_its_moment_without_the_leading_loop(sessions: Sessions) -> None:
    with started(clockwork(sessions, "leader")) as leader:
        leader.lead()
        schedule_id = keep(sessions)
        leader._set_entries({schedule_id: datetime.now(UTC) + timedelta(milliseconds=300)})
        wait_for(lambda: runs(sessions), "the entry to fire")
        assert [run.schedule_id for run in runs(sessions)] == [schedule_id]


@pytest.mark.fault(8)
def test_a_schedule_whose_zone_went_away_is_told_and_does_not_hold_up_the_others(
    sessions: Sessions, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, sound = keep(sessions, "broken"), keep(sessions, "sound")
    with sessions.begin() as session:
        row = session.get(ScheduleRow, broken)
        assert row is not None
        row.timezone = "Europe/Atlantis"
    with started(clockwork(sessions, "leader")) as leader:
        leader.lead()
        leader.lead()
        assert set(entries(leader)) == {sound}
    assert [run.schedule_id for run in runs(sessions)] == [sound]
    assert capsys.readouterr().out.count("schedule.cannot_be_followed") == 1
    with sessions() as session:
        problems = {view.name: view.problem for view in list_schedules(session, datetime.now(UTC))}
    assert "Europe/Atlantis" in problems["broken"]
    assert problems["sound"] == ""


@pytest.mark.fault(5)
def test_a_wall_clock_an_hour_ahead_makes_nothing_due_early(sessions: Sessions) -> None:
    """Due times are judged on the database's clock: an entry that fires too early by ours finds nothing to do."""
    half_past = datetime.now(UTC) + timedelta(minutes=30)
    schedule_id = keep(sessions, cron=f"{half_past.minute} * * * *", age=timedelta(0))
    with started(clockwork(sessions, "leader")) as leader:
        leader.lead()
        with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
            leader.lead()
            leader.due(schedule_id)
        assert runs(sessions) == []
        leader.lead()
        assert set(entries(leader)) == {schedule_id}
        assert runs(sessions) == []


@pytest.mark.fault(6)
def test_a_wall_clock_set_back_an_hour_does_not_stop_the_leading(sessions: Sessions) -> None:
    leader = clockwork(sessions, "leader", timedelta(seconds=3))

    def end() -> datetime | None:
        with sessions() as session:
            return leases.end_of(session, LEASE)

    leader.start()
    try:
        first = wait_for(end, "the worker to lead")
        with time_machine.travel(datetime.now(UTC) - timedelta(hours=1)):
            wait_for(lambda: (end() or first) > first, "the lease to be renewed")
    finally:
        leader.stop()
