"""Do what a schedule would do, at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from planner.errors import Conflict, InvalidInput
from planner.inventory.device import DeviceState
from planner.services.calibrations import request_run
from planner.services.runs import RunView
from planner.services.schedules import get_schedule, targets
from planner.store.engine import Session


@dataclass(frozen=True, slots=True)
class RunNow:
    """The runs that were queued, and why the other devices got none."""

    queued: tuple[RunView, ...]
    refused: tuple[str, ...]


def run_schedule_now(session: Session, schedule_id: str, now: datetime, code_version: str) -> RunNow:
    """Queue a run of the schedule's suite on its device or on all that work and pass its filters. Raises Conflict if
    none can be."""
    queued: list[RunView] = []
    refused: list[str] = []
    schedule = get_schedule(session, schedule_id, now)
    for device in targets(session, schedule_id):
        if schedule.device_id is None and device.state != DeviceState.OK:
            continue
        try:
            queued.append(request_run(session, device.id, schedule.suite, now, code_version=code_version))
        except (Conflict, InvalidInput) as error:
            refused.append(str(error))
    if not queued:
        raise Conflict("; ".join(refused) or "no device is ready to be calibrated")
    return RunNow(tuple(queued), tuple(refused))
