"""What can be asked of calibration: a run now, or a schedule of runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from planner.services.requests.base import Key, Name, Request


class CalibrationRequest(Request):
    """Measure one device with a suite as soon as a worker is free."""

    device_id: Key
    suite: Key = "quick"


class ScheduleRequest(Request):
    """Measure one device, or all (`device_id` left out), by a cron rule in an IANA time zone."""

    name: Name
    cron: Annotated[str, Field(min_length=1, max_length=200)]
    timezone: Annotated[str, Field(min_length=1, max_length=100)] = "UTC"
    suite: Key = "quick"
    device_id: Key | None = None
    enabled: bool = True
