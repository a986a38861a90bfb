"""Days of 23 and 25 hours, a leap day and the ends of months: what is counted by the day adds up to the calendar."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from planner.calibration.run_states import RunState
from planner.calibration.window import day_start
from planner.services.claims import begin_run, claim_run, finish_run
from planner.services.devices import node_id_of
from planner.services.requests import ScheduleRequest
from planner.services.schedules import create_schedule, fall_due, get_schedule
from planner.store.engine import Session
from tests.builders import discovery, seen_cpu
from tests.runs import CODE, TERM, known_devices, outcomes_of

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.fault(84)
@pytest.mark.parametrize(
    ("timezone", "odd"),
    [
        ("UTC", {24: 366}),
        ("Europe/Berlin", {23: 1, 24: 364, 25: 1}),
        ("America/New_York", {23: 1, 24: 364, 25: 1}),
        ("Africa/Cairo", {23: 1, 24: 364, 25: 1}),  # its spring gap begins at midnight
        ("Australia/Lord_Howe", {23.5: 1, 24: 364, 24.5: 1}),
    ],
)
def test_the_days_of_a_leap_year_add_up_to_its_hours(timezone: str, odd: dict[float, int]) -> None:
    zone = ZoneInfo(timezone)
    days = [date(2028, 1, 1) + timedelta(days=number) for number in range(367)]
    noons = [datetime.combine(day, time(12), zone) for day in days]
    starts = [day_start(noon, timezone) for noon in noons]
    lengths = [(later - start) / HOUR for start, later in pairwise(starts)]
    assert Counter(lengths) == odd
    assert sum(lengths) == 8784
    february = [length for day, length in zip(days, lengths, strict=False) if day.month == 2]
    assert (len(february), sum(february)) == (29, 696)
    for noon, start in zip(noons, starts, strict=True):
        assert day_start(start, timezone) == start, "its own first instant belongs to the day"
        assert day_start(start - timedelta(microseconds=1), timezone) < start
        assert start <= noon.astimezone(UTC)


@pytest.mark.fault(84)
@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2026, 10, 25), 25), (date(2027, 3, 28), 23)],
)
def test_a_budget_of_a_day_counts_every_hour_of_it_once_and_none_of_the_next(
    session: Session, day: date, hours: int
) -> None:
    timezone = "Europe/Berlin"
    begins = datetime.combine(day, time(), ZoneInfo(timezone)).astimezone(UTC)
    known_devices(session, discovery(seen_cpu()), begins)
    request = ScheduleRequest(name="hourly", cron="0 * * * *", timezone=timezone, suite="smoke", daily_minutes=600.0)
    schedule = create_schedule(session, request, begins - MINUTE)
    node_id = node_id_of(session, "machine-1")
    num_runs = 0
    for number in range(hours + 1):
        due = begins + number * HOUR
        spent = get_schedule(session, schedule.id, due - timedelta(seconds=1)).spent_today.minutes
        assert spent == pytest.approx(float(num_runs)), "of this day so far"
        (run,) = fall_due(session, schedule.id, due, CODE, "worker")
        assert run.state is RunState.QUEUED, run.error
        claim = claim_run(session, node_id, "worker-1", "boot-1", TERM, due)
        assert claim is not None
        assert begin_run(session, claim, due)
        ended = due + MINUTE
        assert finish_run(session, claim, RunState.SUCCEEDED, outcomes_of(claim), [], {}, {}, "", ended, CODE)
        num_runs += 1
    assert num_runs == hours + 1
    next_day = begins + hours * HOUR + 2 * MINUTE
    assert get_schedule(session, schedule.id, next_day).spent_today.minutes == pytest.approx(1.0)
