"""What can be asked of a capacity plan: demands from stored estimates or by hand, supply likewise."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from planner import units
from planner.offers.offer import OfferKind
from planner.services.requests.base import (
    DayOrMoment,
    Key,
    Keys,
    Moment,
    Money,
    Name,
    Request,
    count,
    duration,
    field_problem,
    whole,
)

MOST_SLOTS = 2000
MOST_DEMANDS = 500
LONGEST = 10 * 366 * 24 * units.HOUR
Duration = Annotated[float, *duration(0, LONGEST)]
PositiveDuration = Annotated[float, *duration(1, LONGEST)]
Share = Annotated[float, *count(0, 100)]
SupplyNames = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=500)], ...], Field(max_length=400)]


class WorkAsk(Request):
    """A job on one kind of GPU: so many together for so long (text such as "14 h", or seconds)."""

    gpu: Key
    num_gpus: Annotated[int, *whole(1, 1_000_000)]
    time: PositiveDuration


class JobAsk(Request):
    """A job that the plan must get done: from a stored estimate, or with its own options.

    `release` and `deadline` count from the plan's start; or `release_at` and `due_at` name the moments. `drop_cost` is
    what leaving it undone costs; left out, it must be done. `after` names jobs that must have ended.
    """

    name: Name | None = None
    estimate_id: Key | None = None
    options: Annotated[tuple[WorkAsk, ...], Field(max_length=100)] = ()
    release: Duration = 0.0
    deadline: PositiveDuration | None = None
    release_at: DayOrMoment | None = None
    due_at: DayOrMoment | None = None
    divisible: bool = True
    copies: Annotated[int, *whole(1, 100_000)] = 1
    priority: Annotated[int, *whole(-1000, 1000)] = 0
    after: Keys = ()
    providers: Keys = ()
    regions: Keys = ()
    may_use_spot: bool = True
    drop_cost: Money | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.options) == (self.estimate_id is not None):
            raise field_problem(
                "options", "give an estimate_id, or options with gpu, num_gpus and time: one of the two"
            )
        if self.estimate_id is None and self.name is None:
            raise field_problem("name", "is needed")
        if self.release and self.release_at is not None:
            raise field_problem("release", "give release or release_at: one of the two")
        if self.deadline is not None and self.due_at is not None:
            raise field_problem("deadline", "give deadline or due_at: one of the two")
        return self


class ReplicaAsk(Request):
    """One replica of a service on one kind of GPU, and how much of the demand it serves at its service level."""

    gpu: Key
    num_gpus: Annotated[int, *whole(1, 1_000_000)]
    rate: Annotated[float, *count(1e-9, 1e15)]


class DemandAsk(Request):
    """How much is asked for over time: one of `level` (constant), `low` and `high` (a day's wave, highest at
    `peak_hour`), `week` (168 levels by hour) or `levels` (measured every `step`); `growth` is a share per year."""

    level: Annotated[float, *count(0, 1e15)] | None = None
    low: Annotated[float, *count(0, 1e15)] | None = None
    high: Annotated[float, *count(0, 1e15)] | None = None
    peak_hour: Annotated[float, *count(0, 24)] = 15.0
    week: Annotated[tuple[float, ...], Field(min_length=168, max_length=168)] | None = None
    levels: Annotated[tuple[float, ...], Field(min_length=1, max_length=100_000)] | None = None
    step: PositiveDuration = units.HOUR
    growth: Annotated[float, Field(gt=-1, le=100)] = 0.0

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = [
            self.level is not None,
            self.low is not None or self.high is not None,
            bool(self.week),
            bool(self.levels),
        ]
        if sum(forms) != 1:
            raise field_problem("demand", "give one of level, low with high, week, or levels")
        if forms[1] and (self.low is None or self.high is None or self.low > self.high):
            raise field_problem("demand", "low and high go together, low first")
        if any(level < 0 for level in (*(self.week or ()), *(self.levels or ()))):
            raise field_problem("demand", "a level is never negative")
        return self


class ServiceAsk(Request):
    """A service whose demand the plan must meet: replicas from a stored estimate of a service (the demand is then in
    tokens per second), or replicas of its own. `headroom` is kept on top, as a share."""

    name: Name | None = None
    estimate_id: Key | None = None
    replicas: Annotated[tuple[ReplicaAsk, ...], Field(max_length=100)] = ()
    demand: DemandAsk
    headroom: Share = 0.0
    priority: Annotated[int, *whole(-1000, 1000)] = 0
    providers: Keys = ()
    regions: Keys = ()
    may_use_spot: bool = False
    drop_cost: Money | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.replicas) == (self.estimate_id is not None):
            raise field_problem(
                "replicas", "give an estimate_id, or replicas with gpu, num_gpus and rate: one of the two"
            )
        if self.estimate_id is None and self.name is None:
            raise field_problem("name", "is needed")
        return self


class SupplyAsk(Request):
    """Where GPU time may come from: attached devices, planned purchases, and offers of the price book that pass.

    `extra` are supplies in the program's own form. `quantity` is how many GPUs of each offer can be had, left out:
    unknown, and taken as unlimited. `spot_up`, `spot_down` and `spot_lost`: mean times of spot with and without
    capacity, and of work lost at each start; left out: assumed, and told. `share_instances`: small jobs and services
    may share a rented instance, which is paid whole; else each has instances of its own.
    """

    own: bool = True
    purchases: bool = True
    offers: bool = True
    gpus: Keys = ()
    providers: Keys = ()
    regions: Keys = ()
    kinds: Annotated[tuple[OfferKind, ...], Field(max_length=10)] = ()
    as_of: Moment | None = None
    quantity: Annotated[int, *whole(1, 10_000_000)] | None = None
    spot_up: PositiveDuration | None = None
    spot_down: Duration | None = None
    spot_lost: Duration | None = None
    share_instances: bool = False
    extra: Annotated[tuple[dict[str, Any], ...], Field(max_length=1000)] = ()


class PlanQuestion(Request):
    """What a plan shall answer. Times are text such as "7 days" or seconds.

    `request` is a whole question in the program's own form instead of `jobs`, `services` and `supply`. `without` names
    supplies of which none can be had (sold out). The search stops at `gap` (a share of the cost) or after `time_limit`.
    `limits` are those of the program: budgets, quotas, power_cap_kw, providers, regions. Where not all can be met the
    answer names what clashes, or, with `leave_least_urgent`, plans for as much as can be, by priority.
    """

    name: Name = "Plan"
    span: PositiveDuration = 7 * units.DAY
    slot: PositiveDuration = units.HOUR
    starts_at: DayOrMoment | None = None
    goal: Literal["cost", "time"] = "cost"
    jobs: Annotated[tuple[JobAsk, ...], Field(max_length=MOST_DEMANDS)] = ()
    services: Annotated[tuple[ServiceAsk, ...], Field(max_length=MOST_DEMANDS)] = ()
    supply: SupplyAsk = SupplyAsk()
    limits: dict[str, Any] | None = None
    without: SupplyNames = ()
    leave_least_urgent: bool = False
    request: dict[str, Any] | None = None
    gap: Annotated[float, Field(ge=0, le=1)] = 0.01
    time_limit: Annotated[float, *duration(1, 3600)] = 120.0

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.request is None and not self.jobs and not self.services:
            raise field_problem("jobs", "at least one job or service is needed")
        if self.request is not None and (self.jobs or self.services):
            raise field_problem("request", "give a whole request, or jobs and services: not both")
        slots = self.span / self.slot
        if slots > MOST_SLOTS:
            raise field_problem(
                "slot", f"{slots:,.0f} slots are more than the {MOST_SLOTS:,} of a plan; take longer ones"
            )
        if slots < 1:
            raise field_problem("slot", "must not be longer than the span")
        return self


class ScenarioRequest(Request):
    """A plan asked again with changes: the fields given replace those of the parent, whole."""

    name: Name
    span: PositiveDuration | None = None
    slot: PositiveDuration | None = None
    starts_at: DayOrMoment | None = None
    goal: Literal["cost", "time"] | None = None
    jobs: Annotated[tuple[JobAsk, ...], Field(max_length=MOST_DEMANDS)] | None = None
    services: Annotated[tuple[ServiceAsk, ...], Field(max_length=MOST_DEMANDS)] | None = None
    supply: SupplyAsk | None = None
    limits: dict[str, Any] | None = None
    without: SupplyNames | None = None
    leave_least_urgent: bool | None = None
    gap: Annotated[float, Field(ge=0, le=1)] | None = None
    time_limit: Annotated[float, *duration(1, 3600)] | None = None


class ReplanRequest(Request):
    """Plan the rest of a plan from `at` (now) on.

    What is done by then: as `done` says (job → share), else as the ledger does (a measured whole time is a job done, a
    measured pace makes the rest longer or shorter), else as the timetable had it. `from_ledger` false: not the ledger.
    `gone` names supplies that cannot be had any more: spot taken away, a reservation that ended. `lost` is the time
    since the last checkpoint: what jobs that run on what is gone (all, where nothing is) did in it must be done again.
    """

    name: Name | None = None
    at: Moment | None = None
    from_ledger: bool = True
    gone: Annotated[tuple[Name, ...], Field(max_length=MOST_DEMANDS)] = ()
    lost: Duration = 0.0
    done: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict, max_length=MOST_DEMANDS)


class StageRequest(Request):
    """A step of the decision on a plan."""

    stage: Literal["draft", "submitted", "approved", "locked", "withdrawn"]
    actor: Annotated[str, Field(max_length=200)] = ""
    note: Annotated[str, Field(max_length=2000)] = ""
