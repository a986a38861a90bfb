"""Schedules of recurring calibration: keep them, say when they are due, and turn a due time into runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ulid import ULID

from planner.calibration.due import MOST_MISSED, Rule
from planner.calibration.run_states import RunState
from planner.errors import FieldProblem, InvalidInput, NotFound
from planner.inventory.device import DeviceState
from planner.services.aftermath import make_way
from planner.services.calibrations import new_run_row
from planner.services.limits import (
    Cost,
    Spent,
    cost_of_use,
    expected_use,
    spent_today,
    why_over_budget,
    why_paused,
)
from planner.services.node_groups import devices_of, leads, why_alone
from planner.services.owned_offers import owned_hours
from planner.services.pauses import current_pause
from planner.services.requests import ScheduleRequest
from planner.services.runs import RunView, run_view
from planner.services.suites import chosen_suite, find_suite
from planner.store import devices as device_store
from planner.store import runs as run_store
from planner.store import schedules as store
from planner.store.engine import Session
from planner.store.tables import DeviceRow, RunRow, ScheduleRow

NUM_PREVIEWED = 5
FILTERS = ("gpu_key", "vendor", "node_id", "label")


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule with its rule in words and, while it is enabled, its next due times (UTC)."""

    id: str
    name: str
    suite: str
    cron: str
    timezone: str
    in_words: str
    device_id: str | None
    device_name: str | None  # None: every device of every node that passes the filters
    only: Mapping[str, str]  # the filters: gpu_key, vendor, node_id, label
    window_start: str | None
    window_end: str | None
    daily_minutes: float | None
    daily_amount: Decimal | None
    daily_currency: str | None
    revision: int  # rises with every change
    expected_seconds: float  # of one due time, all its devices together
    expected_cost: Cost
    spent_today: Spent
    enabled: bool
    created_at: datetime
    updated_at: datetime
    next_due: tuple[datetime, ...]
    last_run_id: str | None
    last_run_state: RunState | None
    problem: str = ""  # why it does not fall due any more: its zone went away, its suite did
    paused: str = ""  # why it does not fall due for now: all schedules are paused


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rule means: in words, and its next due times (UTC)."""

    in_words: str
    next_due: tuple[datetime, ...]


def preview(cron: str, timezone: str, now: datetime, number: int = NUM_PREVIEWED) -> Preview:
    """The rule in words and its next due times. Raises InvalidInput for a rule or a zone that cannot be used."""
    rule = Rule.read(cron, timezone)
    return Preview(rule.in_words(), tuple(rule.next_due(now, number)))


def next_due(cron: str, timezone: str, after: datetime, number: int) -> list[datetime]:
    """The next due times later than `after`, in UTC."""
    return Rule.read(cron, timezone).next_due(after, number)


def create_schedule(session: Session, request: ScheduleRequest, now: datetime) -> ScheduleView:
    """Keep a new schedule. Raises InvalidInput naming every field that cannot be used."""
    rule = _checked(session, request, own_id=None)
    row = ScheduleRow(
        id=str(ULID.from_datetime(now)),
        name=request.name,
        suite=request.suite,
        cron=rule.cron,
        timezone=rule.timezone,
        device_id=request.device_id,
        enabled=request.enabled,
        created_at=now,
        updated_at=now,
        revision=1,
    )
    _take_over(row, request)
    session.add(row)
    session.flush()
    return get_schedule(session, row.id, now)


def update_schedule(session: Session, schedule_id: str, request: ScheduleRequest, now: datetime) -> ScheduleView:
    """Change a schedule. Runs that are queued already keep what they were asked for.

    With a new rule, or after a pause, due times before this moment do not count; a new name loses none of them.
    """
    row = _row(session, schedule_id, lock=True)
    rule = _checked(session, request, own_id=schedule_id)
    if (row.cron, row.timezone, row.enabled) != (rule.cron, rule.timezone, request.enabled):
        row.updated_at = now
    row.name = request.name
    row.suite = request.suite
    row.cron = rule.cron
    row.timezone = rule.timezone
    row.device_id = request.device_id
    row.enabled = request.enabled
    row.revision += 1
    _take_over(row, request)
    session.flush()
    return get_schedule(session, schedule_id, now)


def _take_over(row: ScheduleRow, request: ScheduleRequest) -> None:
    row.only = {name: value for name in FILTERS if (value := getattr(request, name)) is not None}
    row.window_start, row.window_end = request.window_start, request.window_end
    row.daily_minutes = request.daily_minutes
    row.daily_amount, row.daily_currency = request.daily_amount, request.daily_currency


def set_enabled(session: Session, schedule_id: str, enabled: bool, now: datetime) -> ScheduleView:
    """Pause or resume. Due times that pass during a pause do not count afterwards."""
    row = _row(session, schedule_id, lock=True)
    if row.enabled != enabled:
        row.enabled = enabled
        row.updated_at = now
        row.revision += 1
        session.flush()
    return get_schedule(session, schedule_id, now)


def archive_schedule(session: Session, schedule_id: str, now: datetime) -> None:
    """Take a schedule away; its past runs stay and still say which schedule asked for them.

    Runs that no worker has yet are cancelled; one under way goes on.
    """
    row = _row(session, schedule_id, lock=True)
    row.enabled = False
    row.archived_at = now
    row.updated_at = now
    row.revision += 1
    for run in store.queued_runs(session, schedule_id):
        _end(session, run, RunState.CANCELLED, f"its schedule {row.name!r} was taken away", now, "schedule")
    session.flush()


def list_schedules(session: Session, now: datetime) -> list[ScheduleView]:
    """All schedules by name."""
    names = {device.id: device.name for device, _ in device_store.all_devices(session)}
    runs = store.last_runs(session)
    return [_view(session, row, names, runs.get(row.id), now) for row in store.schedules(session)]


def get_schedule(session: Session, schedule_id: str, now: datetime) -> ScheduleView:
    """The schedule of that id; raises NotFound."""
    _row(session, schedule_id)
    return next(view for view in list_schedules(session, now) if view.id == schedule_id)


def targets(session: Session, schedule_id: str) -> list[DeviceRow]:
    """The devices that a due time of the schedule gets a run for now; raises NotFound."""
    return _targets(session, _row(session, schedule_id))


def due_times(session: Session, now: datetime) -> dict[str, datetime | None]:
    """The next due time (UTC) of every enabled schedule, by its id; None for one that cannot be followed any more."""
    if current_pause(session).paused:
        return {}
    return {
        row.id: None if _problem(session, row) else next(Rule(row.cron, row.timezone).after(now), None)
        for row in store.schedules(session, enabled_only=True)
    }


def fall_due(session: Session, schedule_id: str, now: datetime, code_version: str, actor: str) -> list[RunView]:
    """Queue what the schedule owes: one run per device for its latest due time, saying how many were missed before it.

    Safe to call at any time and from several processes: the schedule's row is locked, and a run is unique per
    schedule, due time and device. A device that has a run under way, or does not work, gets a run that ended so.
    """
    row = store.get_schedule(session, schedule_id, lock=True)
    if row is None or not row.enabled or _problem(session, row):
        return []
    pause = current_pause(session)
    if pause.paused:
        return []
    since = max(row.updated_at, store.last_due(session, schedule_id) or row.updated_at, pause.at or row.updated_at)
    latest = Rule(row.cron, row.timezone).latest_due(since, now)
    if latest is None:
        return []
    due_at, num_missed = latest
    return [
        _queue(session, row, device, due_at, num_missed, now, code_version, actor) for device in _targets(session, row)
    ]


def _queue(
    session: Session,
    schedule: ScheduleRow,
    device: DeviceRow,
    due_at: datetime,
    num_missed: int,
    now: datetime,
    code_version: str,
    actor: str,
) -> RunView:
    device_store.take_turns(session, device.id)
    under_way = make_way(session, device.id, now, actor)
    over_budget = why_over_budget(session, schedule, device, now)
    suite = chosen_suite(session, schedule.suite)
    alone = why_alone(session, device, suite)
    run = new_run_row(device, suite, now, code_version, len(devices_of(session, device, suite)))
    run.schedule_id, run.due_at, run.num_missed = schedule.id, due_at, num_missed
    missed = f"; {_count(num_missed)} due before it were missed" if num_missed else ""
    run_store.add_run(session, run, now, actor, f"due by schedule {schedule.name!r}{missed}")
    if under_way is not None:
        reason = f"skipped: run {under_way.id} of this device is still {under_way.state}"
        _end(session, run, RunState.BUSY, reason, now, actor)
    elif device.state != DeviceState.OK:
        _end(session, run, RunState.CANCELLED, f"skipped: the device is {device.state}", now, actor)
    elif alone:
        _end(session, run, RunState.CANCELLED, f"skipped: {alone}", now, actor)
    elif over_budget:
        _end(session, run, RunState.CANCELLED, f"skipped: {over_budget}", now, actor)
    return run_view(run, device)


def _count(num_missed: int) -> str:
    """ "4", or "10000 or more" where they were not counted to the end."""
    return f"{num_missed} or more" if num_missed >= MOST_MISSED else str(num_missed)


def _end(session: Session, run: RunRow, state: RunState, reason: str, now: datetime, actor: str) -> None:
    run.error = reason
    run_store.move(session, run, state, now, actor, reason)


def _targets(session: Session, schedule: ScheduleRow) -> list[DeviceRow]:
    """The devices that a due time gets a run for; of several that one run holds at once, the first."""
    devices = [device for device, _ in device_store.all_devices(session)]
    if schedule.device_id is not None:
        return [device for device in devices if device.id == schedule.device_id]
    suite = find_suite(session, schedule.suite)
    return [
        device
        for device in devices
        if device.state != DeviceState.MISSING
        and all(getattr(device, name) == value for name, value in schedule.only.items())
        and (suite is None or leads(session, device, suite))
    ]


def _checked(session: Session, request: ScheduleRequest, own_id: str | None) -> Rule:
    problems: list[FieldProblem] = []
    rule = None
    try:
        rule = Rule.read(request.cron, request.timezone)
    except InvalidInput as error:
        problems.extend(error.problems)
    try:
        chosen_suite(session, request.suite)
    except InvalidInput as error:
        problems.extend(error.problems)
    problems.extend(_limit_problems(request))
    if request.device_id is not None and device_store.get_device(session, request.device_id) is None:
        problems.append(FieldProblem("device_id", f"there is no device {request.device_id!r}"))
    if any(row.name == request.name and row.id != own_id for row in store.schedules(session)):
        problems.append(FieldProblem("name", f"{request.name!r} is the name of another schedule"))
    if problems or rule is None:
        raise InvalidInput(problems)
    return rule


def _limit_problems(request: ScheduleRequest) -> Iterator[FieldProblem]:
    given = [name for name in FILTERS if getattr(request, name) is not None]
    if request.device_id is not None and given:
        yield FieldProblem(given[0], "filters choose among all devices; leave the device out or the filter")
    if (request.window_start is None) != (request.window_end is None):
        missing = "window_end" if request.window_end is None else "window_start"
        yield FieldProblem(missing, "a window has a start and an end; give both or neither")
    elif request.window_start is not None and request.window_start == request.window_end:
        yield FieldProblem("window_end", "must not be when it starts; leave both out for the whole day")
    if (request.daily_amount is None) != (request.daily_currency is None):
        missing = "daily_currency" if request.daily_currency is None else "daily_amount"
        yield FieldProblem(missing, "a budget of money has an amount and a currency; give both or neither")


def _row(session: Session, schedule_id: str, *, lock: bool = False) -> ScheduleRow:
    row = store.get_schedule(session, schedule_id, lock=lock)
    if row is None:
        raise NotFound(f"there is no schedule {schedule_id!r}")
    return row


def _problem(session: Session, row: ScheduleRow) -> str:
    """Why a kept schedule cannot be followed any more: zones and suites come and go; empty while it can."""
    try:
        Rule.read(row.cron, row.timezone)
    except InvalidInput as error:
        return str(error)
    suite = find_suite(session, row.suite)
    if suite is None:
        return f"there is no suite {row.suite!r} any more"
    if suite.needs_several and not _targets(session, row):
        return f"the suite {row.suite!r} needs two equal devices on one node, and no node has any that work"
    return ""


def _expected(session: Session, row: ScheduleRow) -> tuple[float, Cost]:
    """What one due time takes and costs, all devices together."""
    hours = owned_hours(session)
    use = [each for device in _targets(session, row) for each in expected_use(session, device, row.suite)]
    return sum(seconds for _, seconds in use), cost_of_use(use, hours)


def _view(
    session: Session, row: ScheduleRow, device_names: dict[str, str], run: RunRow | None, now: datetime
) -> ScheduleView:
    rule, problem = Rule(row.cron, row.timezone), _problem(session, row)
    pause = store.newest_pause(session)
    paused = why_paused(pause) if pause is not None and pause.paused else ""
    seconds, cost = _expected(session, row)
    return ScheduleView(
        id=row.id,
        name=row.name,
        suite=row.suite,
        cron=row.cron,
        timezone=row.timezone,
        in_words=rule.in_words(),
        device_id=row.device_id,
        device_name=None if row.device_id is None else device_names.get(row.device_id),
        only=dict(row.only),
        window_start=row.window_start,
        window_end=row.window_end,
        daily_minutes=row.daily_minutes,
        daily_amount=row.daily_amount,
        daily_currency=row.daily_currency,
        revision=row.revision,
        expected_seconds=seconds,
        expected_cost=cost,
        spent_today=Spent(0.0, Cost(None, None, problem)) if problem else spent_today(session, row, now),
        enabled=row.enabled,
        created_at=row.created_at,
        updated_at=row.updated_at,
        next_due=tuple(rule.next_due(now, NUM_PREVIEWED)) if row.enabled and not problem and not paused else (),
        last_run_id=None if run is None else run.id,
        last_run_state=None if run is None else RunState(run.state),
        problem=problem,
        paused=paused,
    )
