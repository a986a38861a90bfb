"""What keeps a queued run waiting, and what a schedule may spend in a day: pauses, windows, budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from planner.calibration.run_states import RunState
from planner.calibration.suites import total_expected_seconds
from planner.calibration.window import Window, day_start
from planner.services.devices import device_row
from planner.services.node_groups import devices_of, why_alone
from planner.services.owned_offers import OwnedHour, owned_hours
from planner.services.suites import benches_for, find_suite
from planner.store import runs as run_store
from planner.store import schedules as store
from planner.store.engine import Session
from planner.store.tables import DeviceRow, PauseRow, RunRow, ScheduleRow

_HOUR = Decimal(3600)
_CENT = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Cost:
    """What so much measuring costs; `amount` None is unknown, for the reason."""

    amount: Decimal | None
    currency: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a schedule's runs of one day took so far, those under way counted as expected."""

    minutes: float
    cost: Cost


def why_to_wait(session: Session, run: RunRow, now: datetime) -> str:
    """Why no worker may take this queued run yet; empty where one may."""
    if run.not_before is not None and now < run.not_before:
        return f"waits until {run.not_before:%H:%M:%S} UTC to try again"
    if run.schedule_id is None:
        return ""
    pause = store.newest_pause(session)
    if pause is not None and pause.paused:
        return why_paused(pause)
    schedule = store.get_schedule(session, run.schedule_id)
    window = None if schedule is None else window_of(schedule)
    return "" if window is None or window.is_open(now) else f"waits for its window {window.in_words()}"


def why_paused(pause: PauseRow) -> str:
    """The pause in words."""
    return f"all schedules are paused since {pause.at:%Y-%m-%d %H:%M} UTC by {pause.actor}: {pause.reason}"


def window_of(schedule: ScheduleRow) -> Window | None:
    """The schedule's window, None for the whole day."""
    if schedule.window_start is None or schedule.window_end is None:
        return None
    return Window.read(schedule.window_start, schedule.window_end, schedule.timezone)


def expected_use(
    session: Session, device: DeviceRow, suite_name: str, version: int | None = None
) -> list[tuple[DeviceRow, float]]:
    """The devices that a run of that suite holds, and for how many seconds on typical devices of the kind.

    Nothing where there is no such suite any more, or where it measures nothing from this device.
    """
    suite = find_suite(session, suite_name, version)
    if suite is None or why_alone(session, device, suite):
        return []
    devices = devices_of(session, device, suite)
    seconds = total_expected_seconds(benches_for(device, suite, len(devices)))
    return [(one, seconds) for one in devices]


def cost_of_use(use: Sequence[tuple[DeviceRow, float]], hours: Mapping[str, OwnedHour]) -> Cost:
    """What so many seconds of those devices cost by their owners' hours, together."""
    return sum_of([cost_of(device, seconds, hours.get(device.id)) for device, seconds in use])


def cost_of(device: DeviceRow, seconds: float, hour: OwnedHour | None) -> Cost:
    """What so many seconds of the device cost by its owner's hour."""
    if hour is None:
        return Cost(None, None, f"nobody entered what an hour of {device.name} costs")
    amount = hour.amount * Decimal(str(round(seconds, 3))) / _HOUR
    return Cost(amount.quantize(_CENT), hour.currency)


def spent_today(session: Session, schedule: ScheduleRow, now: datetime) -> Spent:
    """What the schedule's runs took since its day began, in its zone."""
    hours = owned_hours(session)
    costs, minutes = [], 0.0
    for run in store.runs_since(session, schedule.id, day_start(now, schedule.timezone)):
        used = [(device, seconds) for device, seconds in _use(session, run) if seconds]
        minutes += sum(seconds for _, seconds in used) / 60
        if used:
            costs.append(cost_of_use(used, hours))
    return Spent(minutes, sum_of(costs))


def why_over_budget(session: Session, schedule: ScheduleRow, device: DeviceRow, now: datetime) -> str:
    """Why another run of the schedule on this device would pass its budget of the day; empty where it would not."""
    if schedule.daily_minutes is None and schedule.daily_amount is None:
        return ""
    spent = spent_today(session, schedule, now)
    use = expected_use(session, device, schedule.suite)
    seconds = sum(each for _, each in use)
    if schedule.daily_minutes is not None and spent.minutes + seconds / 60 > schedule.daily_minutes:
        return (
            f"the budget of {schedule.daily_minutes:g} minutes a day: {spent.minutes:.1f} are used and this would take "
            f"about {seconds / 60:.1f}"
        )
    if schedule.daily_amount is None:
        return ""
    cost = cost_of_use(use, owned_hours(session))
    for one in (spent.cost, cost):
        if one.amount is None or one.currency not in (None, schedule.daily_currency):
            why = one.reason or f"its hours are in {one.currency}"
            return f"the budget of {schedule.daily_amount:f} {schedule.daily_currency} a day cannot be kept: {why}"
    if (spent.cost.amount or Decimal(0)) + (cost.amount or Decimal(0)) > schedule.daily_amount:
        return (
            f"the budget of {schedule.daily_amount:f} {schedule.daily_currency} a day: {spent.cost.amount:f} are spent "
            f"and this would cost about {cost.amount:f}"
        )
    return ""


def _use(session: Session, run: RunRow) -> list[tuple[DeviceRow, float]]:
    """The devices of a run and the seconds that it took of each, or is expected to take."""
    device = device_row(session, run.device_id)
    if run.started_at is not None and run.finished_at is not None:
        devices = [device, *run_store.peers_of(session, [run.id]).get(run.id, ())]
        return [(one, (run.finished_at - run.started_at).total_seconds()) for one in devices]
    if RunState(run.state).is_final:
        return []
    return expected_use(session, device, run.suite, run.suite_version)


def sum_of(costs: list[Cost]) -> Cost:
    """The sum; unknown with the first reason where a part is, or where the parts are in two currencies."""
    currencies = {cost.currency for cost in costs}
    unknown = next((cost for cost in costs if cost.amount is None), None)
    if unknown is not None:
        return unknown
    if len(currencies) > 1:
        return Cost(None, None, f"its devices' hours are in {' and '.join(sorted(map(str, currencies)))}")
    amounts = [cost.amount for cost in costs if cost.amount is not None]
    return Cost(sum(amounts, Decimal(0)), next(iter(currencies), None))
