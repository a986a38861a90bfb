"""What can be entered into the ledger: what a finished job took."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from planner.estimates.ledger import Metric
from planner.services.requests.base import (
    Key,
    Moment,
    Money,
    Request,
    bytes_,
    count,
    duration,
    field_problem,
    whole,
)

Reference = Annotated[str, Field(min_length=1, max_length=200)]
Note = Annotated[str, Field(max_length=2000)]
Position = Annotated[int, *whole(0, 100_000)]


class Subject(Request):
    """Which option of which estimate ran: 0 is the best one, as in the estimate's list of options."""

    estimate_id: Key
    option: Position = 0
    measured_at: Moment | None = None
    reference: Reference | None = None
    note: Note = ""
    replaces: Key | None = None


class ActualRequest(Subject):
    """What a finished job took; leave out what was not measured. Text such as "1.5 h" or "61 GB" is read."""

    seconds: Annotated[float, *duration(1e-6, 1e10)] | None = None
    step_seconds: Annotated[float, *duration(1e-9, 1e7)] | None = None
    tokens_per_second: Annotated[float, *count(1e-9, 1e15)] | None = None
    first_token_seconds: Annotated[float, *duration(1e-9, 1e7)] | None = None
    memory_bytes: Annotated[float, *bytes_(1, 1e15)] | None = None
    energy_joules: Annotated[float, *count(1e-6, 1e18)] | None = None
    average_power_watts: Annotated[float, *count(1e-6, 1e9)] | None = None
    cost: Money | None = None
    items_per_second: Annotated[float, *count(1e-9, 1e15)] | None = None
    lost_seconds: Annotated[float, *duration(0, 1e10)] | None = None  # of its time; 0: nothing was lost

    def measured(self) -> dict[Metric, float]:
        """What is given, by metric; a cost as a float for comparing only."""
        values = {metric: getattr(self, metric.value) for metric in Metric}
        return {metric: float(value) for metric, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _lost_within(self) -> Self:
        if self.lost_seconds is not None and self.seconds is not None and self.lost_seconds > self.seconds:
            raise field_problem("lost_seconds", "must be at most the whole time, of which it is a part")
        return self

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.measured():
            names = ", ".join(metric.value for metric in Metric)
            raise field_problem("request", f"needs at least one measured figure of {names}")
        return self


class StepLogRequest(Subject):
    """A log of step times, as text: CSV, JSON lines or what a training program prints."""

    log: Annotated[str, Field(min_length=1, max_length=50_000_000)]
