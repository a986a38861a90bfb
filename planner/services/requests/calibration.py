"""What can be asked of calibration: a run now, or a schedule of runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from planner.services.requests.base import Key, Money, Name, Request, count, duration


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


class CheckRequest(Request):
    """Measure a device in quarantine; it is let out if the run succeeds."""

    suite: Key = "smoke"


class ReasonRequest(Request):
    """Why a person does this; it is kept with it."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


class PauseRequest(ReasonRequest):
    """Pause all schedules (`paused` true) or resume them."""

    paused: bool


class ReviewRequest(ReasonRequest):
    """Whether a suspect run counts."""

    accepted: bool


class LabelRequest(Request):
    """A word of one's own for a device, for the filters of schedules; left out, it has none."""

    label: Annotated[str, Field(min_length=1, max_length=100)] | None = None


Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class ScheduleRequest(Request):
    """Measure one device, or all (`device_id` left out) that pass the filters, by a cron rule in an IANA time zone.

    The window and the budgets hold on the clock and the day of that zone; left out, there is no such limit.
    """

    name: Name
    cron: Annotated[str, Field(min_length=1, max_length=200)]
    timezone: Annotated[str, Field(min_length=1, max_length=100)] = "UTC"
    suite: Key = "quick"
    device_id: Key | None = None
    gpu_key: Key | None = None
    vendor: Key | None = None
    node_id: Key | None = None
    label: Key | None = None
    window_start: Clock | None = None
    window_end: Clock | None = None
    daily_minutes: Annotated[float, *count(0.1, 1_000_000)] | None = None
    daily_amount: Money | None = None
    daily_currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    enabled: bool = True
