"""A budget: money for a scope of jobs over calendar months, with the GPU-hours and prices that it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Subject:
    """What a scope chooses by: the job that was paid for and where it ran. None is unknown."""

    provider: str | None
    region: str | None
    gpu_key: str | None
    offer_kind: str | None
    job_kind: str | None
    job_name: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Which jobs a budget is for: all that have every field that is given; `job_starts` is how their name begins."""

    provider: str | None = None
    region: str | None = None
    gpu_key: str | None = None
    offer_kind: str | None = None
    job_kind: str | None = None
    job_starts: str | None = None

    def holds(self, subject: Subject) -> bool:
        """Whether the budget is for that job. What is unknown of it is not what the scope asks for."""
        named = [name for name in SCOPED if getattr(self, name) is not None]
        if any(getattr(self, name) != getattr(subject, name) for name in named):
            return False
        return self.job_starts is None or subject.job_name.startswith(self.job_starts)


SCOPED = tuple(found.name for found in fields(Scope) if found.name != "job_starts")


@dataclass(frozen=True, slots=True)
class Line:
    """So many GPU-hours of one GPU model at a price, in the budget's currency; of one kind of offer, or of any."""

    gpu_key: str
    gpu_hours: Decimal
    price_per_gpu_hour: Decimal
    offer_kind: str | None = None

    @property
    def amount(self) -> Decimal:
        return self.gpu_hours * self.price_per_gpu_hour


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount for a scope from the first of one month of UTC until the end of another ("2026-10", both included).

    With `lines` it is their exact sum; without, the hours and prices behind it are unknown. `planned_rates` say what
    one unit of another currency was taken to be worth in the budget's. Raises ValueError where these do not agree.
    """

    currency: str
    from_month: str
    until_month: str
    amount: Decimal
    scope: Scope = Scope()
    lines: tuple[Line, ...] = ()
    planned_rates: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.until_month < self.from_month:
            raise ValueError(f"a budget ends after it begins; {self.until_month} is before {self.from_month}")
        exact = sum(Fraction(line.gpu_hours) * Fraction(line.price_per_gpu_hour) for line in self.lines)
        if self.lines and exact != Fraction(self.amount):
            raise ValueError(f"the lines of a budget add up to it; {self.amount} is not their sum")
        if self.currency in self.planned_rates:
            raise ValueError(f"{self.currency} is the budget's own currency")
        kinds = [(line.gpu_key, line.offer_kind) for line in self.lines]
        if len(set(kinds)) != len(kinds):
            raise ValueError("two lines of a budget are for the same GPU and kind of offer")

    @property
    def starts_at(self) -> datetime:
        """Its first moment."""
        return month_start(self.from_month)

    @property
    def ends_at(self) -> datetime:
        """The first moment after it."""
        return month_start(next_month(self.until_month))

    @property
    def months(self) -> tuple[str, ...]:
        """Its calendar months in order."""
        found = [self.from_month]
        while found[-1] < self.until_month:
            found.append(next_month(found[-1]))
        return tuple(found)

    def line_of(self, subject: Subject) -> Line | None:
        """The line that a job was budgeted on: for its GPU and kind of offer, else for its GPU; None: on none."""
        alike = [line for line in self.lines if line.gpu_key == subject.gpu_key]
        exact = [line for line in alike if line.offer_kind == subject.offer_kind]
        return next(iter([*exact, *(line for line in alike if line.offer_kind is None)]), None)


def month_start(month: str) -> datetime:
    """The first moment of a calendar month of UTC such as "2026-10"."""
    return datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)


def next_month(month: str) -> str:
    """The month after "2026-12": "2027-01"."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"


def month_name(moment: datetime) -> str:
    """The calendar month of UTC that a moment lies in, as "2026-10"."""
    return f"{moment.astimezone(UTC):%Y-%m}"
