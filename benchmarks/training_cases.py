"""Published training runs prepared for fitting: each with the layouts that can be its fastest, timed by any priors."""

from __future__ import annotations

import math
import statistics
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

import planner.estimates.priors as priors_room
import planner.estimates.step as step_room
from benchmarks.prior_parameters import PARAMETERS
from planner.estimates import memory
from planner.estimates.layout import Layouts, training_layouts
from planner.estimates.outcome import fastest
from planner.estimates.profile import Lack, Profile, profile_from_priors
from planner.estimates.step import step_times
from planner.estimates.training import Nodes, training_items, training_links
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row, read_table
from planner.estimates.validation.trials import Trial, training_trial
from planner.estimates.validation.validate import run_trial
from planner.hardware.catalogue import load_catalogue
from planner.jobs.job import TrainingJob

ROWS_PER_SOURCE = 16
SOURCE_POWER = 0.35  # the weight of a source grows with this power of its rows
NEAR = 1.5  # layouts slower than the fastest by more than this do not become it
# The operations of a case follow from its job alone; a fit times each case thousands of times.
step_room._passes = lru_cache(maxsize=None)(step_room._passes.__wrapped__)


@dataclass(frozen=True)
class Case:
    """A row with its trial, the job as it must have run, and the layouts that can be the fastest."""

    row: Row
    trial: Trial
    job: TrainingJob
    layouts: Layouts

    def seconds(self) -> float:
        """Seconds of a step with the priors of the moment."""
        times = _times(self.job, self.trial, self.layouts)
        place = fastest(times, np.isfinite(times), self.layouts.simplicity)
        return float(times[place])

    def residual(self) -> float:
        """ln(predicted ÷ published seconds) with the priors of the moment."""
        log = math.log(self.trial.metric_of(self.seconds()) / self.row.value)
        return log if self.trial.rises_with_seconds else -log


def cases_of(path: Path, most: int = ROWS_PER_SOURCE) -> list[Case]:
    """The rows of a table that are answered, at most so many of each source, evenly spaced."""
    catalogue = load_catalogue()
    found: dict[str, list[tuple[Row, Trial]]] = {}
    for row in read_table(path.read_text(encoding="utf-8")).rows:
        trial = training_trial(row, catalogue)
        if not isinstance(trial, Declined) and not isinstance(run_trial(trial), Lack):
            found.setdefault(row.source, []).append((row, trial))
    kept = []
    for pairs in found.values():
        places = np.unique(np.linspace(0, len(pairs) - 1, min(len(pairs), most)).astype(int))
        kept += [prepared(*pairs[place]) for place in places]
    return kept


def prepared(row: Row, trial: Trial) -> Case:
    """The case of a row that is answered. What was published has run, so the memory bill refuses nothing alone."""
    usable = memory.usable_bytes(trial.placement.gpu, None) or math.inf
    for recompute in trial.recomputes or (trial.job.recompute,):
        job = replace(trial.job, recompute=recompute)
        layouts = _layouts(job, trial)
        needed = np.broadcast_to(memory.total(training_items(job, _profile(job, trial), layouts)), layouts.size)
        if (needed <= usable).any():
            return _near(row, trial, job, layouts.only(needed <= usable))
    return _near(row, trial, trial.job, _layouts(trial.job, trial))


def residuals(cases: Sequence[Case]) -> np.ndarray:
    """Of every case, with the priors of the moment."""
    return np.array([case.residual() for case in cases])


@contextmanager
def with_facts(text: str) -> Iterator[None]:
    """The estimator with these facts instead of the packaged ones."""
    with _using(priors_room.read_priors(text)):
        yield


class Facts:
    """The facts file, parsed once, under values that change."""

    def __init__(self, text: str) -> None:
        self.document = tomllib.loads(text)

    @contextmanager
    def at(self, logs: np.ndarray) -> Iterator[None]:
        """The estimator with parameters of these logarithms."""
        for parameter, log in zip(PARAMETERS, logs, strict=True):
            parameter.put(self.document, math.exp(log))
        with _using(priors_room.priors_from(self.document)):
            yield


@contextmanager
def _using(priors: priors_room.Priors) -> Iterator[None]:
    original = priors_room.read_priors
    priors_room.load_priors.cache_clear()
    priors_room.read_priors = lambda _text: priors
    try:
        priors_room.load_priors()
        yield
    finally:
        priors_room.read_priors = original
        priors_room.load_priors.cache_clear()


def weights_of(cases: Sequence[Case]) -> np.ndarray:
    """Of each row, so that a source counts by a small power of its rows; 1 on average."""
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.row.source] = counts.get(case.row.source, 0) + 1
    found = np.array([counts[case.row.source] ** (SOURCE_POWER - 1.0) for case in cases])
    return found / found.mean()


@dataclass(frozen=True)
class Totals:
    """Medians over sources, as the scores report them; fractions."""

    median: float
    p90: float
    bias: float
    num_sources: int

    def __str__(self) -> str:
        return f"median {self.median:.1%}, 90th {self.p90:.1%}, bias {self.bias:+.1%} over {self.num_sources} sources"


def totals(cases: Sequence[Case], found: np.ndarray) -> Totals:
    """Of these residuals."""
    by_source: dict[str, list[float]] = {}
    for case, value in zip(cases, found, strict=True):
        by_source.setdefault(case.row.source, []).append(float(value))
    medians = [statistics.median(abs(value) for value in values) for values in by_source.values()]
    tails = [float(np.quantile(np.abs(values), 0.9)) for values in by_source.values()]
    bias = [statistics.median(values) for values in by_source.values()]
    return Totals(
        math.expm1(statistics.median(medians)),
        math.expm1(statistics.median(tails)),
        math.expm1(statistics.median(bias)),
        len(by_source),
    )


def _profile(job: TrainingJob, trial: Trial) -> Profile:
    profile = profile_from_priors(trial.placement.gpu, job.dtype, job.stack)
    if isinstance(profile, Lack):
        raise ValueError(f"{job.name} was answered before and is not now: {profile.reason}")
    return profile


def _nodes(trial: Trial) -> Nodes:
    place = trial.placement
    return Nodes(int(place.num_gpus), place.gpus_per_node, place.network_bytes_per_s)


def _layouts(job: TrainingJob, trial: Trial) -> Layouts:
    links = training_links(trial.placement.gpu, _nodes(trial))
    return training_layouts(job, int(trial.placement.num_gpus), None if links is None else links.domain)


def _times(job: TrainingJob, trial: Trial, layouts: Layouts) -> np.ndarray:
    links = training_links(trial.placement.gpu, _nodes(trial))
    return np.broadcast_to(step_times(job, _profile(job, trial), layouts, links).total, layouts.size)


def _near(row: Row, trial: Trial, job: TrainingJob, layouts: Layouts) -> Case:
    times = _times(job, trial, layouts)
    known = np.where(np.isfinite(times), times, np.inf)
    return Case(row, trial, job, layouts.only(known <= NEAR * known.min()))
