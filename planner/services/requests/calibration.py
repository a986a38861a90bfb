"""What can be asked of calibration: a run now, or a schedule of runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from planner.services.requests.base import Key, Name, Request, duration


class CalibrationRequest(Request):
    """Measure one device with a suite as soon as a worker is free."""

    device_id: Key
    suite: Key = "quick"


class SuiteRequest(Request):
    """A suite of one's own: benches by their keys, such as matmul/bf16/k=1024,m=1024,n=1024. Kept as a new version."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,49}$")]
    benches: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=300)], ...], Field(max_length=200)]
    title: Annotated[str, Field(max_length=200)] = ""
    time_limit_seconds: Annotated[float, *duration(10, 3600)] = 600.0


class ScheduleRequest(Request):
    """Measure one device, or all (`device_id` left out), by a cron rule in an IANA time zone."""

    name: Name
    cron: Annotated[str, Field(min_length=1, max_length=200)]
    timezone: Annotated[str, Field(min_length=1, max_length=100)] = "UTC"
    suite: Key = "quick"
    device_id: Key | None = None
    enabled: bool = True
