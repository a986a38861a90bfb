"""What schedules may not do: outside their window, beyond their budget, on other devices, while all are paused."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from planner.calibration.run_states import RunState
from planner.errors import Conflict, InvalidInput
from planner.services.assets import create_asset
from planner.services.calibrations import plan_calibration
from planner.services.claims import begin_run, claim_run
from planner.services.devices import DeviceView, set_label
from planner.services.pauses import current_pause, set_paused
from planner.services.requests import ScheduleRequest, parse
from planner.services.requests.assets import AssetRequest
from planner.services.runs import RunView, get_run, list_runs
from planner.services.schedules import (
    ScheduleView,
    archive_schedule,
    create_schedule,
    due_times,
    fall_due,
    get_schedule,
    update_schedule,
)
from planner.store.engine import Session
from tests.builders import NOW
from tests.runs import CODE, TERM, claimed, finished, known_devices

HOUR = timedelta(hours=1)


@pytest.fixture
def devices(session: Session) -> list[DeviceView]:
    return known_devices(session)


def request(**changes: Any) -> ScheduleRequest:
    return ScheduleRequest(**{"name": "hourly", "cron": "0 * * * *", "suite": "smoke"} | changes)


def due(session: Session, schedule: ScheduleView, now: datetime) -> list[RunView]:
    return fall_due(session, schedule.id, now, CODE, "leader")


def kept(session: Session, **changes: Any) -> ScheduleView:
    return create_schedule(session, request(**changes), NOW - timedelta(minutes=30))


def test_a_queued_run_waits_for_the_window_of_its_schedule(session: Session, devices: list[DeviceView]) -> None:
    schedule = kept(session, device_id=devices[0].id, window_start="22:00", window_end="06:00")
    (run,) = due(session, schedule, NOW)
    node = devices[0].node_id
    assert claim_run(session, node, "worker-1", "boot-1", TERM, NOW) is None
    assert get_run(session, run.id).state is RunState.QUEUED
    taken = claim_run(session, node, "worker-1", "boot-1", TERM, NOW.replace(hour=22))
    assert taken is not None
    assert taken.run_id == run.id


def test_a_budget_of_minutes_counts_what_ran_today_and_what_is_under_way(
    session: Session, devices: list[DeviceView]
) -> None:
    gpu = devices[0]
    expected = plan_calibration(session, gpu.id, "smoke").expected_seconds / 60
    schedule = kept(session, device_id=gpu.id, daily_minutes=10 + 1.5 * expected)
    assert due(session, schedule, NOW)[0].state is RunState.QUEUED
    claim = claimed(session, gpu)
    assert begin_run(session, claim, NOW)
    assert finished(session, claim, now=NOW + timedelta(minutes=10))
    assert get_schedule(session, schedule.id, NOW).spent_today.minutes == pytest.approx(10)
    second = due(session, schedule, NOW + HOUR)[0]
    assert second.state is RunState.QUEUED
    assert get_schedule(session, schedule.id, NOW + HOUR).spent_today.minutes == pytest.approx(10 + expected)
    assert begin_run(session, claimed(session, gpu), NOW + HOUR)
    third = due(session, schedule, NOW + 2 * HOUR)[0]
    assert third.state is RunState.BUSY, "it is still under way"


def test_a_run_beyond_the_budget_is_skipped_and_says_by_how_much(session: Session, devices: list[DeviceView]) -> None:
    schedule = kept(session, device_id=devices[0].id, daily_minutes=0.1)
    (run,) = due(session, schedule, NOW)
    assert run.state is RunState.CANCELLED
    assert run.error is not None
    assert run.error.startswith("skipped: the budget of 0.1 minutes a day: 0.0 are used and this would take about")


def test_a_budget_of_money_needs_to_know_what_an_hour_costs(session: Session, devices: list[DeviceView]) -> None:
    schedule = kept(session, device_id=devices[0].id, daily_amount="5.00", daily_currency="USD")
    (run,) = due(session, schedule, NOW)
    assert run.state is RunState.CANCELLED
    assert run.error is not None
    assert "cannot be kept: nobody entered what an hour of NVIDIA H100" in run.error


def test_what_a_calibration_costs_is_said_before_the_start_and_held_to_the_budget(
    session: Session, devices: list[DeviceView]
) -> None:
    gpu = devices[0]
    assert plan_calibration(session, gpu.id, "smoke").expected_cost.amount is None
    asset = parse(
        AssetRequest,
        {"name": "our H100", "price": "30000", "busy_kw": "1.2", "currency": "USD", "device_ids": [gpu.id]},
    )
    create_asset(session, asset, NOW)
    plan = plan_calibration(session, gpu.id, "smoke")
    assert plan.expected_cost.currency == "USD"
    assert plan.expected_cost.amount is not None
    assert plan.most_cost.amount is not None
    assert 0 < plan.expected_cost.amount < plan.most_cost.amount
    rich = kept(session, name="rich", device_id=gpu.id, daily_amount="5.00", daily_currency="USD")
    assert due(session, rich, NOW)[0].state is RunState.QUEUED
    for run in list_runs(session, state="queued"):
        archive_schedule(session, rich.id, NOW)
        assert get_run(session, run.id).state is RunState.CANCELLED
    poor = kept(session, name="poor", device_id=gpu.id, daily_amount="0.000001", daily_currency="USD")
    (run,) = due(session, poor, NOW)
    assert run.error is not None
    assert "0.000001 USD a day: 0 are spent and this would cost about" in run.error
    assert get_schedule(session, poor.id, NOW).expected_cost.amount == plan.expected_cost.amount
    assert Decimal(0) < plan.expected_cost.amount


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ({"gpu_key": "H100-80GB-SXM"}, ["NVIDIA H100 80GB HBM3"]),
        ({"vendor": "AMD"}, ["A CPU"]),
        ({"label": "night"}, ["A CPU"]),
        ({"vendor": "NVIDIA", "label": "night"}, []),
        ({}, ["NVIDIA H100 80GB HBM3", "A CPU"]),
    ],
)
def test_filters_choose_among_the_devices(
    session: Session, devices: list[DeviceView], only: dict[str, str], names: list[str]
) -> None:
    assert set_label(session, devices[1].id, "night").label == "night"
    schedule = kept(session, **only)
    assert dict(schedule.only) == only
    assert [run.device_name for run in due(session, schedule, NOW)] == names


def test_while_all_are_paused_nothing_falls_due_and_queued_runs_wait(
    session: Session, devices: list[DeviceView]
) -> None:
    schedule = kept(session, device_id=devices[0].id)
    (run,) = due(session, schedule, NOW)
    assert current_pause(session).paused is False
    set_paused(session, True, "the power company asked", NOW, "ann")
    assert due_times(session, NOW) == {}
    assert due(session, schedule, NOW + HOUR) == []
    assert claim_run(session, devices[0].node_id, "worker-1", "boot-1", TERM, NOW) is None
    paused = get_schedule(session, schedule.id, NOW)
    assert "by ann: the power company asked" in paused.paused
    assert paused.next_due == ()
    with pytest.raises(Conflict, match="paused already"):
        set_paused(session, True, "again", NOW)
    set_paused(session, False, "they are content", NOW + 3 * HOUR, "ann")
    assert due(session, schedule, NOW + 3 * HOUR + timedelta(minutes=1)) == [], "what passed meanwhile does not count"
    assert claimed(session, devices[0]).run_id == run.id


@pytest.mark.fault(11)
def test_a_queued_run_keeps_its_suite_when_the_schedule_changes_and_is_cancelled_when_it_goes(
    session: Session, devices: list[DeviceView]
) -> None:
    gpu, cpu = devices
    schedule = kept(session, device_id=gpu.id)
    (run,) = due(session, schedule, NOW)
    changed = update_schedule(session, schedule.id, request(device_id=cpu.id, suite="quick"), NOW)
    assert changed.revision == schedule.revision + 1
    queued = get_run(session, run.id)
    assert (queued.suite, queued.device_id, queued.state) == ("smoke", gpu.id, RunState.QUEUED)
    archive_schedule(session, schedule.id, NOW)
    gone = get_run(session, run.id)
    assert (gone.state, gone.error) == (RunState.CANCELLED, "its schedule 'hourly' was taken away")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"window_start": "22:00"}, "window_end"),
        ({"window_start": "22:00", "window_end": "22:00"}, "window_end"),
        ({"window_start": "22", "window_end": "23:00"}, "window_start"),
        ({"daily_amount": "5"}, "daily_currency"),
        ({"daily_currency": "USD"}, "daily_amount"),
        ({"daily_minutes": 0}, "daily_minutes"),
        ({"device_id": "GPU", "vendor": "AMD"}, "vendor"),
    ],
)
def test_limits_that_make_no_sense_are_named(
    session: Session, devices: list[DeviceView], changes: dict[str, Any], field: str
) -> None:
    if "device_id" in changes:
        changes = changes | {"device_id": devices[0].id}
    with pytest.raises(InvalidInput) as refusal:
        create_schedule(session, parse(ScheduleRequest, request().model_dump(exclude_none=True) | changes), NOW)
    assert field in [problem.field for problem in refusal.value.problems]
