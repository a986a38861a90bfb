"""Rows of schedules: which are listed, and what their runs say of their last due time."""

from __future__ import annotations

from datetime import timedelta

from planner.services.requests import ScheduleRequest
from planner.services.schedules import archive_schedule, create_schedule, fall_due, set_enabled
from planner.store import schedules as store
from planner.store.engine import Session
from tests.builders import NOW
from tests.runs import CODE, known_devices, queued

HOUR = timedelta(hours=1)


def hourly(session: Session, name: str, device_id: str | None = None) -> str:
    request = ScheduleRequest(name=name, cron="0 * * * *", suite="smoke", device_id=device_id)
    return create_schedule(session, request, NOW).id


def test_archived_schedules_are_not_listed_and_paused_ones_only_on_request(session: Session) -> None:
    kept, paused, archived = (hourly(session, name) for name in ("b", "a", "c"))
    set_enabled(session, paused, False, NOW)
    archive_schedule(session, archived, NOW)
    assert [row.id for row in store.schedules(session)] == [paused, kept]
    assert [row.id for row in store.schedules(session, enabled_only=True)] == [kept]
    assert store.get_schedule(session, archived) is None
    assert store.get_schedule(session, paused, lock=True) is not None


def test_the_last_due_time_and_run_are_those_of_the_schedule_alone(session: Session) -> None:
    gpu, cpu = known_devices(session)
    first, second = hourly(session, "first", gpu.id), hourly(session, "second", cpu.id)
    assert store.last_due(session, first) is None
    assert store.last_runs(session) == {}
    runs = [fall_due(session, first, NOW + hours * HOUR, CODE, "worker-1")[0] for hours in (1, 2)]
    (other,) = fall_due(session, second, NOW + 3 * HOUR, CODE, "worker-1")
    archive_schedule(session, second, NOW + 3 * HOUR)
    assert store.last_due(session, first) == NOW + 2 * HOUR
    assert store.last_due(session, second) == NOW + 3 * HOUR
    assert {key: row.id for key, row in store.last_runs(session).items()} == {first: runs[1].id, second: other.id}


def test_a_run_asked_for_by_hand_belongs_to_no_schedule(session: Session) -> None:
    gpu = known_devices(session)[0]
    hourly(session, "hourly", gpu.id)
    queued(session, gpu)
    assert store.last_runs(session) == {}
