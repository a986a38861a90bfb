"""Schedules: kept, checked by field, previewed, and turned into runs when they fall due, once for all."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from planner.calibration.run_states import RunState
from planner.calibration.suites import get_suite
from planner.errors import InvalidInput, NotFound
from planner.gpu.process import helper_environment
from planner.inventory.device import DeviceState
from planner.services.calibrations import new_run_row
from planner.services.devices import DeviceView, record_discovery
from planner.services.requests import ScheduleRequest
from planner.services.runs import RunView, get_run, list_runs
from planner.services.schedules import (
    archive_schedule,
    create_schedule,
    due_times,
    fall_due,
    get_schedule,
    list_schedules,
    next_due,
    preview,
    set_enabled,
    update_schedule,
)
from planner.store.engine import Engine, Session, session_factory
from planner.store.runs import add_run
from planner.store.tables import DeviceRow, ScheduleRow
from tests.builders import NOW, discovery, seen_cpu
from tests.runs import CODE, finished, known_devices, queued, running

THREE = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)  # the first due time of the nightly rule after NOW
DAY = timedelta(days=1)


def request(**changes: object) -> ScheduleRequest:
    fields: dict[str, object] = {"name": "nightly", "cron": "0 3 * * *", "timezone": "UTC", "suite": "smoke"}
    return ScheduleRequest(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def devices(session: Session) -> list[DeviceView]:
    """The GPU and the CPU of one node."""
    return known_devices(session)


def nightly(session: Session, device: DeviceView | None = None, **changes: object) -> str:
    """The id of a schedule for that device, or for all, made at NOW."""
    device_id = None if device is None else device.id
    return create_schedule(session, request(device_id=device_id, **changes), NOW).id


def fall(session: Session, schedule_id: str, now: datetime) -> list[RunView]:
    return fall_due(session, schedule_id, now, CODE, "worker-1")


def problems(caught: pytest.ExceptionInfo[InvalidInput]) -> dict[str, str]:
    return {problem.field: problem.message for problem in caught.value.problems}


# Keeping


def test_a_schedule_is_kept_with_its_rule_in_words_and_its_next_due_times(
    session: Session, devices: list[DeviceView]
) -> None:
    made = create_schedule(session, request(timezone="Europe/Berlin", device_id=devices[0].id), NOW)
    assert (made.name, made.suite, made.cron, made.timezone, made.enabled) == (
        "nightly",
        "smoke",
        "0 3 * * *",
        "Europe/Berlin",
        True,
    )
    assert made.in_words == "At 03:00 every day, Europe/Berlin"
    assert (made.device_id, made.device_name) == (devices[0].id, devices[0].name)
    assert made.next_due == tuple(THREE - timedelta(hours=1) + number * DAY for number in range(5))
    assert (made.last_run_id, made.last_run_state, made.problem) == (None, None, "")
    assert get_schedule(session, made.id, NOW) == made
    assert list_schedules(session, NOW) == [made]


def test_schedules_are_listed_by_name(session: Session, devices: list[DeviceView]) -> None:
    for name in ("weekly", "hourly", "nightly"):
        nightly(session, name=name)
    assert [view.name for view in list_schedules(session, NOW)] == ["hourly", "nightly", "weekly"]


def test_every_bad_field_is_named_at_once(session: Session, devices: list[DeviceView]) -> None:
    nightly(session)
    bad = request(cron="61 3 * * *", timezone="Mars/Olympus", suite="slow", device_id="nothing")
    with pytest.raises(InvalidInput) as caught:
        create_schedule(session, bad, NOW)
    found = problems(caught)
    assert set(found) == {"cron", "timezone", "suite", "device_id", "name"}
    assert "0 3 * * *" in found["cron"]
    assert "'Mars/Olympus' is no time zone; give one such as" in found["timezone"]
    assert "smoke" in found["suite"]
    assert found["device_id"] == "there is no device 'nothing'"
    assert found["name"] == "'nightly' is the name of another schedule"
    assert len(list_schedules(session, NOW)) == 1


@pytest.mark.fault(9)
def test_a_rule_that_never_falls_due_is_refused_by_its_field(session: Session, devices: list[DeviceView]) -> None:
    with pytest.raises(InvalidInput) as caught:
        create_schedule(session, request(cron="0 3 31 2 *"), NOW)
    assert problems(caught) == {"cron": "'0 3 31 2 *' never falls due"}


def test_a_schedule_may_keep_its_own_name_when_it_is_changed_but_not_take_anothers(
    session: Session, devices: list[DeviceView]
) -> None:
    first, second = nightly(session), nightly(session, name="weekly")
    assert update_schedule(session, first, request(cron="30 4 * * *"), NOW).next_due[0] == THREE + timedelta(minutes=90)
    with pytest.raises(InvalidInput) as caught:
        update_schedule(session, second, request(), NOW)
    assert set(problems(caught)) == {"name"}


def test_a_refused_change_leaves_the_schedule_as_it_was(session: Session, devices: list[DeviceView]) -> None:
    schedule_id = nightly(session)
    before = get_schedule(session, schedule_id, NOW)
    with pytest.raises(InvalidInput):
        update_schedule(session, schedule_id, request(name="renamed", cron="never"), NOW + DAY)
    session.flush()
    session.expire_all()
    assert get_schedule(session, schedule_id, NOW) == before


def test_a_paused_schedule_has_no_next_due_time(session: Session, devices: list[DeviceView]) -> None:
    schedule_id = nightly(session)
    paused = set_enabled(session, schedule_id, False, NOW)
    assert (paused.enabled, paused.next_due) == (False, ())
    assert due_times(session, NOW) == {}
    assert set_enabled(session, schedule_id, True, NOW).next_due[0] == THREE
    assert due_times(session, NOW) == {schedule_id: THREE}


def test_an_archived_schedule_is_gone_and_its_runs_still_name_it(session: Session, devices: list[DeviceView]) -> None:
    schedule_id = nightly(session, devices[0])
    (run,) = fall(session, schedule_id, THREE)
    archive_schedule(session, schedule_id, THREE)
    assert list_schedules(session, THREE) == []
    assert due_times(session, THREE) == {}
    assert fall(session, schedule_id, THREE + DAY) == []
    assert get_run(session, run.id).schedule_id == schedule_id
    for ask in (
        lambda: get_schedule(session, schedule_id, THREE),
        lambda: update_schedule(session, schedule_id, request(), THREE),
        lambda: set_enabled(session, schedule_id, True, THREE),
        lambda: archive_schedule(session, schedule_id, THREE),
    ):
        with pytest.raises(NotFound, match=schedule_id):
            ask()


def test_the_name_of_an_archived_schedule_is_free_again(session: Session, devices: list[DeviceView]) -> None:
    archive_schedule(session, nightly(session), NOW)
    assert nightly(session)


@pytest.mark.fault(8)
def test_a_schedule_whose_zone_or_suite_went_away_says_so_and_stops(
    session: Session, devices: list[DeviceView]
) -> None:
    """A newer tzdata or a newer planner may not know what was right when the schedule was made."""
    zoneless, suiteless, sound = (nightly(session, name=name) for name in ("zoneless", "suiteless", "sound"))
    session.get_one(ScheduleRow, zoneless).timezone = "Europe/Atlantis"
    session.get_one(ScheduleRow, suiteless).suite = "retired"
    session.flush()
    views = {view.id: view for view in list_schedules(session, NOW)}
    assert "Europe/Atlantis" in views[zoneless].problem
    assert views[suiteless].problem == "there is no suite 'retired' any more"
    assert views[zoneless].next_due == views[suiteless].next_due == ()
    assert due_times(session, NOW) == {zoneless: None, suiteless: None, sound: THREE}
    assert fall(session, zoneless, THREE) == fall(session, suiteless, THREE) == []
    assert len(fall(session, sound, THREE)) == 2


# Previewing


def test_a_preview_says_the_rule_in_words_and_its_next_due_times() -> None:
    found = preview("30 2 * * 0", "Europe/Berlin", datetime(2026, 3, 23, tzinfo=UTC), 2)
    assert found.in_words == "At 02:30 on Sunday, Europe/Berlin"
    assert found.next_due == (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), datetime(2026, 4, 5, 0, 30, tzinfo=UTC))
    assert next_due("30 2 * * 0", "Europe/Berlin", found.next_due[0], 1) == [found.next_due[1]]


def test_a_preview_names_both_bad_fields() -> None:
    with pytest.raises(InvalidInput) as caught:
        preview("often", "here", NOW)
    assert set(problems(caught)) == {"cron", "timezone"}


# Falling due


def test_a_due_time_becomes_one_queued_run_per_device(session: Session, devices: list[DeviceView]) -> None:
    schedule_id = nightly(session)
    runs = fall(session, schedule_id, THREE + timedelta(seconds=2))
    assert {run.device_id for run in runs} == {device.id for device in devices}
    for run in runs:
        found = get_run(session, run.id)
        assert (found.state, found.schedule_id, found.due_at, found.num_missed) == (
            RunState.QUEUED,
            schedule_id,
            THREE,
            0,
        )
        assert (found.suite, found.code_version) == ("smoke", CODE)
        assert [(step.actor, step.reason) for step in found.transitions] == [("worker-1", "due by schedule 'nightly'")]
    view = get_schedule(session, schedule_id, THREE)
    assert view.last_run_id in {run.id for run in runs}
    assert view.last_run_state is RunState.QUEUED


def test_before_its_time_and_a_second_time_nothing_falls_due(session: Session, devices: list[DeviceView]) -> None:
    schedule_id = nightly(session)
    assert fall(session, schedule_id, THREE - timedelta(seconds=1)) == []
    assert len(fall(session, schedule_id, THREE)) == 2
    assert fall(session, schedule_id, THREE) == []
    assert fall(session, schedule_id, THREE + DAY - timedelta(seconds=1)) == []


@pytest.mark.fault(2)
def test_five_missed_due_times_become_one_run_that_says_four_were_missed(
    session: Session, devices: list[DeviceView]
) -> None:
    schedule_id = nightly(session, devices[0])
    (run,) = fall(session, schedule_id, THREE + 4 * DAY + timedelta(hours=2))
    assert (run.due_at, run.num_missed) == (THREE + 4 * DAY, 4)
    assert get_run(session, run.id).transitions[0].reason == "due by schedule 'nightly'; 4 due before it were missed"
    assert len(list_runs(session)) == 1


def test_due_times_during_a_pause_do_not_count(session: Session, devices: list[DeviceView]) -> None:
    schedule_id = nightly(session, devices[0])
    set_enabled(session, schedule_id, False, NOW)
    assert fall(session, schedule_id, THREE + DAY) == []
    set_enabled(session, schedule_id, True, THREE + 2 * DAY + timedelta(hours=1))
    assert fall(session, schedule_id, THREE + 2 * DAY + timedelta(hours=2)) == []
    (run,) = fall(session, schedule_id, THREE + 3 * DAY)
    assert (run.due_at, run.num_missed) == (THREE + 3 * DAY, 0)


def test_to_resume_what_is_not_paused_forgets_no_due_time(session: Session, devices: list[DeviceView]) -> None:
    schedule_id = nightly(session, devices[0])
    set_enabled(session, schedule_id, True, THREE + timedelta(minutes=1))
    assert [run.due_at for run in fall(session, schedule_id, THREE + timedelta(minutes=2))] == [THREE]


def test_a_changed_rule_does_not_reach_back_before_the_change(session: Session, devices: list[DeviceView]) -> None:
    schedule_id = nightly(session, devices[0])
    update_schedule(
        session, schedule_id, request(cron="0 * * * *", device_id=devices[0].id), THREE + timedelta(hours=9, minutes=30)
    )
    assert fall(session, schedule_id, THREE + timedelta(hours=9, minutes=59)) == []
    (run,) = fall(session, schedule_id, THREE + timedelta(hours=10))
    assert (run.due_at, run.num_missed) == (THREE + timedelta(hours=10), 0)


def test_to_rename_a_schedule_forgets_no_due_time(session: Session, devices: list[DeviceView]) -> None:
    """The leader looks every few seconds; a name changed in between is no reason to leave a night out."""
    schedule_id = nightly(session, devices[0])
    update_schedule(
        session, schedule_id, request(name="every night", device_id=devices[0].id), THREE + timedelta(seconds=2)
    )
    (run,) = fall(session, schedule_id, THREE + timedelta(seconds=4))
    assert run.due_at == THREE


@pytest.mark.fault(11)
def test_a_queued_run_keeps_what_it_was_asked_for_when_the_schedule_changes(
    session: Session, devices: list[DeviceView]
) -> None:
    schedule_id = nightly(session, devices[0])
    (run,) = fall(session, schedule_id, THREE)
    update_schedule(session, schedule_id, request(suite="quick", device_id=devices[1].id), THREE)
    found = get_run(session, run.id)
    assert (found.suite, found.device_id, found.state) == ("smoke", devices[0].id, RunState.QUEUED)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.fault(10)
def test_due_again_while_a_run_is_under_way_is_a_run_that_ended_busy_and_says_why(
    session: Session, devices: list[DeviceView], begun: bool
) -> None:
    schedule_id = nightly(session, devices[0])
    earlier = running(session, devices[0]).run_id if begun else queued(session, devices[0])
    (run,) = fall(session, schedule_id, THREE)
    found = get_run(session, run.id)
    assert (found.state, found.due_at, found.finished_at) == (RunState.BUSY, THREE, THREE)
    state = "running" if begun else "queued"
    assert found.error == f"skipped: run {earlier} of this device is still {state}"
    assert found.transitions[-1].reason == found.error
    assert get_run(session, earlier).state == state
    assert fall(session, schedule_id, THREE) == []


def test_the_device_is_measured_again_at_the_next_due_time_after_it_was_busy(
    session: Session, devices: list[DeviceView]
) -> None:
    schedule_id = nightly(session, devices[0])
    claim = running(session, devices[0])
    fall(session, schedule_id, THREE)
    finished(session, claim)
    (run,) = fall(session, schedule_id, THREE + DAY)
    assert (run.state, run.num_missed) == (RunState.QUEUED, 0)


def test_a_missing_device_that_a_schedule_names_gets_a_run_that_ended_and_says_why(
    session: Session, devices: list[DeviceView]
) -> None:
    schedule_id = nightly(session, devices[0])
    record_discovery(session, discovery(seen_cpu()), NOW)
    (run,) = fall(session, schedule_id, THREE)
    assert (run.state, run.error) == (RunState.CANCELLED, "skipped: the device is missing")


def test_a_schedule_for_all_devices_passes_over_those_that_are_gone_and_names_those_kept_from_work(
    session: Session, devices: list[DeviceView]
) -> None:
    schedule_id = nightly(session)
    record_discovery(session, discovery(seen_cpu()), NOW)
    (run,) = fall(session, schedule_id, THREE)
    assert (run.device_id, run.state) == (devices[1].id, RunState.QUEUED)
    row = session.get_one(DeviceRow, devices[1].id)
    row.state, row.state_reason = DeviceState.QUARANTINED.value, "a person must look"
    session.flush()
    (second,) = fall(session, schedule_id, THREE + DAY)
    assert second.state.is_final
    assert second.error is not None


def test_the_database_itself_refuses_a_second_run_for_one_due_time_and_device(engine: Engine) -> None:
    sessions = session_factory(engine)
    with sessions.begin() as session:
        device = known_devices(session)[0]
        schedule_id = nightly(session, device)
        fall(session, schedule_id, THREE)
    with sessions() as session:
        run = new_run_row(session.get_one(DeviceRow, device.id), get_suite("smoke"), THREE, CODE)
        run.schedule_id, run.due_at = schedule_id, THREE
        with pytest.raises(IntegrityError):
            add_run(session, run, THREE, "worker-2", "")


def test_many_threads_at_one_due_time_queue_one_run_per_device(engine: Engine) -> None:
    sessions, together = session_factory(engine), threading.Barrier(6)
    with sessions.begin() as session:
        known_devices(session)
        schedule_id = nightly(session)

    def act(_number: int) -> int:
        together.wait(120)
        with sessions.begin() as session:
            return len(fall(session, schedule_id, THREE))

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(act, range(6))) == [0, 0, 0, 0, 0, 2]
    with sessions() as session:
        assert len(list_runs(session)) == 2


DUE_PROCESS = """
import sys
from datetime import datetime
from planner.services.schedules import fall_due
from planner.store.engine import make_engine, session_factory
engine = make_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with session_factory(engine).begin() as session:
    print(len(fall_due(session, sys.argv[2], datetime.fromisoformat(sys.argv[3]), "1.2.3", "worker")))
engine.dispose()
"""


@pytest.mark.fault(1)
def test_two_processes_at_one_due_time_queue_one_run_per_device(engine: Engine, any_url: str) -> None:
    with session_factory(engine).begin() as session:
        known_devices(session)
        schedule_id = nightly(session)
    command = [sys.executable, "-W", "error", "-c", DUE_PROCESS, any_url, schedule_id, THREE.isoformat()]
    processes = [
        subprocess.Popen(command, env=helper_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = sorted(process.communicate(timeout=150)[0].strip() for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert outputs == ["0", "2"]


@pytest.mark.fault(3, 4)
def test_due_times_follow_the_zone_over_a_clock_change(session: Session, devices: list[DeviceView]) -> None:
    """Berlin skips 02:30 on 2026-03-29 and has it twice on 2026-10-25: one run each."""
    for first, days in ((datetime(2026, 3, 27, 12, tzinfo=UTC), 4), (datetime(2026, 10, 23, 12, tzinfo=UTC), 4)):
        schedule_id = create_schedule(
            session,
            request(name=str(first), cron="30 2 * * *", timezone="Europe/Berlin", device_id=devices[0].id),
            first,
        ).id
        runs = []
        moment = first
        while moment < first + days * DAY:
            moment += timedelta(minutes=15)
            runs.extend(fall(session, schedule_id, moment))
        assert len(runs) == days
        assert [run.num_missed for run in runs] == [0] * days
