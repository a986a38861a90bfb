"""How wide each cause of a training range must be, from rows that were predicted without their source."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

import planner.estimates.priors as priors_room
from benchmarks.prior_parameters import FACTS, Parameter
from benchmarks.training_cases import Case, weights_of, with_facts
from planner.estimates.profile import Lack
from planner.estimates.ranges import TITLES, RangeCause
from planner.estimates.validation.validate import run_trial, step_range

COVERAGE = 0.90  # of left-out rows
WIDTHS = np.concatenate([[0.0], np.geomspace(0.03, 0.8, 40)])
# Causes that nearly every job has are kept so narrow that an ordinary job's range stays within a quarter; what that
# costs is 1 % of the loss, and the causes that few jobs have take it over.
WIDEST = {RangeCause.PUBLISHED: 0.13, RangeCause.HOST: 0.13, RangeCause.SEVERAL_NODES: 0.09}
# What few sources tell of is kept at least so wide: that those few lie near does not say that others would.
NARROWEST = {RangeCause.ADAPTERS: 0.3, RangeCause.EXPERTS: 0.3}
WIDTH_ROUNDS = 30
WIDTH_STARTS = 4
SPARSITY = 0.0005  # loss per unit of width, so that a cause that explains nothing goes
_PARTS: dict[str, tuple[dict[RangeCause, float], float]] = {}


def fitted_widths(cases: Sequence[Case], out: np.ndarray, num_starts: int = WIDTH_STARTS) -> dict[RangeCause, float]:
    """The half-width of every cause, so that COVERAGE of the left-out rows lie within the root of their summed squares.

    The squares are found one after the other on a grid, by the loss whose least is at that quantile; a cause that does
    not lower it is nothing. Of several orders the best."""
    weights = weights_of(cases)
    parts = [_parts(case) for case in cases]
    shares = np.array([[found.get(cause, 0.0) for cause in RangeCause] for found, _ in parts]) ** 2
    own = np.array([others for _, others in parts])
    random = np.random.default_rng(7)
    tried = [_descended(shares, own, np.abs(out), weights, random) for _ in range(num_starts)]
    best = min(tried, key=lambda pair: pair[0])[1]
    return dict(zip(RangeCause, best.tolist(), strict=True))


def _descended(
    shares: np.ndarray, own: np.ndarray, errors: np.ndarray, weights: np.ndarray, random: np.random.Generator
) -> tuple[float, np.ndarray]:
    """The loss and the widths that one descent along the causes in random order ends at."""
    widths = np.zeros(shares.shape[1])
    widths[0] = random.uniform(0.1, 0.25)
    before = math.inf
    for _ in range(WIDTH_ROUNDS):
        for place in random.permutation(widths.size):
            cause = list(RangeCause)[place]
            grid = WIDTHS[(WIDEST.get(cause, math.inf) >= WIDTHS) & (NARROWEST.get(cause, 0.0) <= WIDTHS)]
            others = shares @ widths**2 - shares[:, place] * widths[place] ** 2 + own
            missed = errors - np.sqrt(others[None, :] + np.outer(grid**2, shares[:, place]))
            losses = np.where(missed > 0, COVERAGE * missed, (COVERAGE - 1.0) * missed) @ weights / errors.size
            losses += SPARSITY * (grid + widths.sum() - widths[place])
            widths[place] = grid[int(np.argmin(losses))]
        if losses.min() > before - 1e-9:
            break
        before = float(losses.min())
    return before, widths


def spans(cases: Sequence[Case], out: np.ndarray, widths: dict[RangeCause, float]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each row lies in the range of those widths, and the half-widths."""
    parts = [_parts(case) for case in cases]
    half = np.sqrt(
        [sum((share * widths[cause]) ** 2 for cause, share in found.items()) + others for found, others in parts]
    )
    return np.abs(out) <= half, half


def spans_left_out(cases: Sequence[Case], out: np.ndarray) -> float:
    """The share of left-out rows inside the shipped ranges."""
    return float(spans(cases, out, shipped_widths())[0].mean())


def spans_of_strangers(cases: Sequence[Case], out: np.ndarray) -> float:
    """The share of rows inside ranges whose widths, too, were fitted without their source."""
    sources = np.array([case.row.source for case in cases])
    inside = np.zeros(len(cases), dtype=bool)
    for source in np.unique(sources):
        is_out = sources == source
        others = [case for case, left in zip(cases, is_out, strict=True) if not left]
        widths = fitted_widths(others, out[~is_out], num_starts=1)
        left = [case for case, kept in zip(cases, is_out, strict=True) if kept]
        inside[is_out] = spans(left, out[is_out], widths)[0]
    return float(inside.mean())


def _parts(case: Case) -> tuple[dict[RangeCause, float], float]:
    """The causes of a case with their shares as if its own source had told nothing, and the summed squares of the
    layout's own causes."""
    if case.row.id not in _PARTS:
        with with_facts(_one_source_fewer(_with_unit_widths(FACTS.read_text(encoding="utf-8")))):
            outcome = run_trial(case.trial)
            if isinstance(outcome, Lack):
                raise ValueError(f"{case.row.id} was answered before and is not now: {outcome.reason}")
            causes = step_range(case.trial, outcome).causes
        titles = {title: cause for cause, title in TITLES.items()}
        found = {titles[cause.name]: cause.spread for cause in causes if cause.name in titles}
        own = sum(cause.spread**2 for cause in causes if cause.name not in titles)
        _PARTS[case.row.id] = (found, own)
    return _PARTS[case.row.id]


def _with_unit_widths(text: str) -> str:
    for cause in RangeCause:
        text = Parameter(f"[range.{cause.value}]", "half_width", 1.0).write(text, 1.0)
    return text


TOLD = re.compile(r"(?<=\nsources = )\{.*\}")


def told_by(cases: Sequence[Case]) -> dict[str, int]:
    """How many sources told about each family of GPUs."""
    found: dict[str, set[str]] = {}
    for case in cases:
        family = priors_room.load_priors().of(case.trial.placement.gpu).name
        found.setdefault(family, set()).add(case.row.source)
    return {family: len(sources) for family, sources in sorted(found.items())}


def with_told(text: str, told: Mapping[str, int]) -> str:
    """The facts file with these numbers of sources."""
    entries = ", ".join(f'"{family}" = {number}' for family, number in told.items())
    return TOLD.sub(f"{{ {entries} }}", text, count=1)


def _one_source_fewer(text: str) -> str:
    told = priors_room.read_priors(text).told
    return with_told(text, {family: max(int(number) - 1, 0) for family, number in told.items()})


def shipped_widths() -> dict[RangeCause, float]:
    """As the facts file says."""
    return {cause: priors_room.load_priors().ranges[cause.value] for cause in RangeCause}


def median_width(half: np.ndarray) -> float:
    """The median half-width as a fraction."""
    return math.expm1(float(np.median(half)))
