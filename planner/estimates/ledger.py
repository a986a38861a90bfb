"""What finished jobs really took, held against what was predicted, and the measured error of each kind of job."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from planner.errors import FieldProblem, InvalidInput
from planner.estimates.estimate import Option
from planner.jobs.job import Job, TrainingJob
from planner.quantity import Basis, Quantity, weakest

NEWEST = 50  # as many comparable actuals as a track record looks back on
ENOUGH = 5  # so many in a narrow kind are preferred to more in a wider one


class Metric(StrEnum):
    """What of a finished job can be held against its estimate."""

    SECONDS = "seconds"
    STEP_SECONDS = "step_seconds"
    TOKENS_PER_SECOND = "tokens_per_second"
    FIRST_TOKEN_SECONDS = "first_token_seconds"  # noqa: S105
    MEMORY_BYTES = "memory_bytes"
    ENERGY_JOULES = "energy_joules"
    AVERAGE_POWER_WATTS = "average_power_watts"
    COST = "cost"
    ITEMS_PER_SECOND = "items_per_second"  # samples of training; pictures, frames, texts, drawings or requests answered
    LOST_SECONDS = "lost_seconds"  # of its time: work lost to failures, restarts and waiting for capacity


UNITS: Mapping[Metric, str] = {
    Metric.SECONDS: "s",
    Metric.STEP_SECONDS: "s",
    Metric.TOKENS_PER_SECOND: "tokens/s",
    Metric.FIRST_TOKEN_SECONDS: "s",
    Metric.MEMORY_BYTES: "B",
    Metric.ENERGY_JOULES: "J",
    Metric.AVERAGE_POWER_WATTS: "W",
    Metric.COST: "",  # the currency of the option, where it is known
    Metric.ITEMS_PER_SECOND: "items/s",
    Metric.LOST_SECONDS: "s",
}
# A ledger speaks of a job by its pace where it has it, by its whole time otherwise, and so on down this list.
HEADLINES = (
    *(Metric.STEP_SECONDS, Metric.TOKENS_PER_SECOND, Metric.ITEMS_PER_SECOND, Metric.SECONDS),
    Metric.FIRST_TOKEN_SECONDS,
)
RATES = frozenset({Metric.TOKENS_PER_SECOND, Metric.ITEMS_PER_SECOND})  # figures of which more is faster
MAY_BE_NONE = frozenset({Metric.LOST_SECONDS})  # figures of which 0 is a measurement and not a gap
LOST_PARTS = ("lost work", "restarts", "waiting for capacity")  # of TIME_PARTS, which an estimate's time is made of


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes two jobs comparable: what they do, on which GPU model, and how well the estimate knew them."""

    job_kind: str
    family: str
    gpu_key: str
    basis: Basis


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measured figure beside its prediction, in the metric's SI unit (a cost: in the offer's currency)."""

    metric: Metric
    measured: float
    low: float
    mid: float
    high: float
    basis: Basis

    @property
    def error(self) -> float:
        """ln(predicted ÷ measured): above 0, the estimate was too high."""
        return math.log(self.mid / self.measured)

    @property
    def is_inside(self) -> bool:
        """Whether the measured figure lies in the stated range."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished job in the ledger: its kind and its comparisons, the newest job first in every list."""

    kind: Kind
    comparisons: tuple[Comparison, ...]

    @property
    def headline(self) -> Comparison | None:
        """The comparison that speaks for the job; None where nothing of it was predicted."""
        by_metric = {found.metric: found for found in self.comparisons}
        return next((by_metric[metric] for metric in HEADLINES if metric in by_metric), None)


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """How estimates of a kind have come true. Fractions: 0.03 is 3 %; `within` holds nine of ten absolute errors."""

    scope: str
    count: int
    median: float
    within: float
    coverage: float

    @property
    def sentence(self) -> str:
        """ "last 14 comparable (training, interpolated): median −3 %, 90 % within ±11 %, 13 of 14 in range"."""
        noun = "the one comparable job" if self.count == 1 else f"last {self.count} comparable"
        inside = round(self.coverage * self.count)
        return (
            f"{noun} ({self.scope}): median {_percent(self.median, signed=True)}, "
            f"90 % within ±{_percent(self.within)}, {inside} of {self.count} inside the stated range"
        )


def predictions(option: Option, job: Job) -> dict[Metric, Quantity]:
    """What an option of that job says of each metric; metrics that it does not know are left out."""
    first = option.extras.get("first_token_seconds")
    known = {
        Metric.SECONDS: option.seconds,
        Metric.STEP_SECONDS: option.step_seconds,
        Metric.TOKENS_PER_SECOND: option.tokens_per_second,
        Metric.FIRST_TOKEN_SECONDS: first,
        Metric.MEMORY_BYTES: option.memory_bytes,
        Metric.ENERGY_JOULES: option.energy_joules,
        Metric.AVERAGE_POWER_WATTS: option.average_power_watts,
        Metric.COST: option.cost if option.seconds is not None else None,
        Metric.ITEMS_PER_SECOND: _items_per_second(option, job),
        Metric.LOST_SECONDS: _lost_seconds(option),
    }
    return {metric: quantity for metric, quantity in known.items() if quantity is not None and quantity.mid > 0}


def _items_per_second(option: Option, job: Job) -> Quantity | None:
    """Samples of a training job; what an inference job answers, cameras at the fullest rather than at their pace."""
    if isinstance(job, TrainingJob):
        return option.tokens_per_second.times(1.0 / job.sequence_length, "samples/s")
    fullest = option.extras.get("most_requests_per_second")
    return option.extras.get("requests_per_second") if fullest is None else fullest


def _lost_seconds(option: Option) -> Quantity | None:
    """The parts of its time that are no work; None where its time is not divided into parts.

    The ends are the sums of the ends, as if all parts erred the same way: wider than the range of the sum.
    """
    found = [part for name, part in option.time_parts if name in LOST_PARTS]
    if not found:
        return None
    low, mid, high = (sum(getattr(part, end) for part in found) for end in ("low", "mid", "high"))
    return Quantity(low, mid, high, "s", weakest(part.basis for part in found))


def compare(measured: Mapping[Metric, float], predicted: Mapping[Metric, Quantity]) -> tuple[Comparison, ...]:
    """Each measured figure beside its prediction; those without one are left out.

    Raises InvalidInput for a figure that is not above 0 or not finite: unknown is left out, never 0. Of MAY_BE_NONE
    0 is taken and held against nothing, since an error in shares would be without end.
    """
    wrong = [
        FieldProblem(metric.value, f"must be a finite number above 0, not {value!r}; leave out what is not known")
        for metric, value in measured.items()
        if not (math.isfinite(value) and (value > 0 or (value == 0 and metric in MAY_BE_NONE)))
    ]
    if wrong:
        raise InvalidInput(wrong)
    return tuple(
        Comparison(metric, value, found.low, found.mid, found.high, found.basis)
        for metric, value in measured.items()
        if value > 0 and (found := predicted.get(metric)) is not None
    )


def track_record(kind: Kind, entries: Iterable[Entry]) -> TrackRecord | None:
    """The record of the narrowest kind with ENOUGH entries, of the widest otherwise; None where there is none at all.

    `entries` come newest first. Narrow to wide: same family, GPU model and basis; same GPU model and basis; same basis;
    same sort of job. The scope says which it is.
    """
    alike = [entry for entry in entries if entry.kind.job_kind == kind.job_kind and entry.headline is not None]
    here, same_basis = f"on this GPU model, {kind.basis.value}", [e for e in alike if e.kind.basis is kind.basis]
    same_gpu = [entry for entry in same_basis if entry.kind.gpu_key == kind.gpu_key]
    scopes: Sequence[tuple[str, list[Entry]]] = (
        (f"{kind.job_kind} of {kind.family} {here}", [entry for entry in same_gpu if entry.kind == kind]),
        (f"{kind.job_kind} {here}", same_gpu),
        (f"{kind.job_kind} on any GPU, {kind.basis.value}", same_basis),
        (f"{kind.job_kind} on any GPU, on any basis", alike),
    )
    for scope, found in scopes:
        if len(found) >= ENOUGH:
            return _record(scope, found)
    scope, widest = scopes[-1]
    return _record(scope, widest) if widest else None


def _record(scope: str, entries: Sequence[Entry]) -> TrackRecord:
    newest = [entry.headline for entry in entries[:NEWEST]]
    found = [headline for headline in newest if headline is not None]
    errors = np.array([headline.error for headline in found])
    return TrackRecord(
        scope=scope,
        count=len(found),
        median=float(np.expm1(np.median(errors))),
        within=float(np.expm1(np.quantile(np.abs(errors), 0.9))),
        coverage=sum(headline.is_inside for headline in found) / len(found),
    )


def _percent(fraction: float, *, signed: bool = False) -> str:
    share = abs(fraction) * 100
    digits = f"{share:.0f}" if share >= 9.5 else f"{share:.1f}"
    sign = "" if not signed or digits == "0.0" else "+" if fraction > 0 else "−"
    return f"{sign}{digits} %"
