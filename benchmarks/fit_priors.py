"""`python -m benchmarks.fit_priors TABLE.csv [--write]`: fit the shipped training priors on published runs.

Every prior in `prior_parameters` is held to an expected value by a log standard deviation that says how far published
runs may move it. All sources are fitted together, and every one may lie off as a whole: its machine, its release and
its way of counting are its own. So the rows of one source tell mostly by what differs between them, and a source weighs
about the same whatever its number of rows. Residuals are logarithms of predicted ÷ published under a loss that grows
like their magnitude.

The figure to believe is the one of sources left out: each source is predicted with priors fitted without it, the
residuals of the others worked out anew at every step of that fit where they change. `--without` prints it for the
shipped values alone.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.prior_parameters import FACTS, LIMITS, PARAMETERS, SPREADS, Parameter, expected, stated, with_values
from benchmarks.range_widths import (
    COVERAGE,
    fitted_widths,
    median_width,
    spans,
    spans_of_strangers,
    told_by,
    with_told,
)
from benchmarks.training_cases import Case, Facts, cases_of, residuals, totals

LOSS_SCALE = 0.10
STEP = 0.04
LONGEST = 0.5  # of a parameter in one step, as a logarithm
NOISE = 0.10  # log standard deviation of a row around its source, against which the priors' own are weighed
OFFSET = 0.10  # of a source around the prediction of all its rows
ROBUST_STEPS = 30  # of weights and least squares in turn
ROWS_FITTED = 60  # of a source, at most; fewer of each are left out in turn
REFITS = 5  # steps at most of a fit without one source
NEGLIGIBLE = 0.005  # a change of a residual that is taken as linear
SETTLED = 1e-3  # share of the loss that a step must gain to go on


@dataclass(frozen=True)
class Optimum:
    """Parameters (logarithms) with the residuals of every case there and how they move with each parameter."""

    logs: np.ndarray
    residuals: np.ndarray
    jacobian: np.ndarray


def sources_of(cases: Sequence[Case]) -> np.ndarray:
    """The number of each case's source."""
    return np.unique([case.row.source for case in cases], return_inverse=True)[1]


def loss_of(found: np.ndarray, sources: np.ndarray, moved: np.ndarray) -> float:
    """What a fit makes least: residuals as their magnitude beyond LOSS_SCALE once each source lies where it suits them,
    and squares of how far sources and priors moved."""
    offsets = np.zeros(int(sources.max()) + 1)
    for _ in range(ROBUST_STEPS):
        robust = _robust(found - offsets[sources])
        offsets = np.bincount(sources, robust * found) / (np.bincount(sources, robust) + 1.0 / OFFSET**2)
    rows = LOSS_SCALE**2 * (np.sqrt(1.0 + ((found - offsets[sources]) / LOSS_SCALE) ** 2) - 1.0)
    return float(rows.sum() / NOISE**2 + 0.5 * ((offsets / OFFSET) ** 2).sum() + 0.5 * ((moved / SPREADS) ** 2).sum())


def solve(jacobian: np.ndarray, offset: np.ndarray, sources: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The parameters' moves that minimise the robust loss of offset + jacobian · move, held to `start` by the priors'
    spreads (start: how far each has moved already); sources may lie off as a whole."""
    own = -np.eye(int(sources.max()) + 1)[sources]
    terms = np.hstack([jacobian, own])
    held = 1.0 / np.concatenate([SPREADS, np.full(own.shape[1], OFFSET)]) ** 2
    begun = np.concatenate([start, np.zeros(own.shape[1])])
    move = np.zeros(terms.shape[1])
    for _ in range(ROBUST_STEPS):
        robust = _robust(offset + terms @ move)
        normal = terms.T @ (robust[:, None] * terms) + np.diag(held)
        move = np.linalg.solve(normal, -terms.T @ (robust * offset) - held * begun)
    return move[: len(PARAMETERS)]


def _robust(left: np.ndarray) -> np.ndarray:
    """Weights under which squares are the loss."""
    return 1.0 / np.sqrt(1.0 + (left / LOSS_SCALE) ** 2) / NOISE**2


def fit(text: str, cases: Sequence[Case], rounds: int) -> Optimum:
    """The best parameters after so many rounds from those of the facts file, and what holds there."""
    here = fitted_logs(text, cases, rounds)
    return Optimum(here, *jacobian_at(Facts(text), here, cases))


def fitted_logs(text: str, cases: Sequence[Case], rounds: int) -> np.ndarray:
    """Logarithms of the best parameters after so many rounds from those of the facts file."""
    facts, first, here = Facts(text), expected(text), stated(text)
    for turn in range(rounds):
        base, jacobian = jacobian_at(facts, here, cases)
        print(f"round {turn + 1}: {totals(cases, base)}", flush=True)
        here, _ = stepped(facts, cases, Optimum(here, base, jacobian), first)
    return here


def stepped(facts: Facts, cases: Sequence[Case], at: Optimum, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and residuals after a step from `at`, halved until the loss falls; those of `at` where it does not."""
    sources = sources_of(cases)
    before = loss_of(at.residuals, sources, at.logs - first)
    move = np.clip(solve(at.jacobian, at.residuals, sources, at.logs - first), -LONGEST, LONGEST)
    for share in (1.0, 0.5, 0.25):
        there = np.minimum(at.logs + share * move, LIMITS)
        found = moved_residuals(facts, cases, at, there)
        if loss_of(found, sources, there - first) < before * (1.0 - SETTLED):
            return there, found
    return at.logs, at.residuals


def moved_residuals(facts: Facts, cases: Sequence[Case], at: Optimum, there: np.ndarray) -> np.ndarray:
    """Residuals at other parameters: worked out anew where they change by more than NEGLIGIBLE, else linearly."""
    change = at.jacobian @ (there - at.logs)
    found = at.residuals + change
    anew = np.abs(change) > NEGLIGIBLE
    with facts.at(there):
        found[anew] = residuals([case for case, is_far in zip(cases, anew, strict=True) if is_far])
    return found


def jacobian_at(facts: Facts, here: np.ndarray, cases: Sequence[Case]) -> tuple[np.ndarray, np.ndarray]:
    """Residuals at the parameters' logarithms, and how they move with each."""
    with facts.at(here):
        base = residuals(cases)
        touched = [np.array([parameter.touches(case) for case in cases]) for parameter in PARAMETERS]
    jacobian = np.zeros((len(cases), len(PARAMETERS)))
    for place, touches in enumerate(touched):
        moved = here.copy()
        moved[place] += -STEP if moved[place] + STEP > LIMITS[place] else STEP
        with facts.at(moved):
            there = residuals([case for case, kept in zip(cases, touches, strict=True) if kept])
        jacobian[touches, place] = (there - base[touches]) / (moved[place] - here[place])
    return base, jacobian


def left_out_linearly(cases: Sequence[Case], at: Optimum, first: np.ndarray) -> np.ndarray:
    """Residuals of each source when the parameters are fitted without it, by one linear step from the common fit."""
    sources, moved = sources_of(cases), at.logs - first
    result = at.residuals.copy()
    everything = solve(at.jacobian, at.residuals, sources, moved)
    for source in np.unique(sources):
        out = sources == source
        move = solve(at.jacobian[~out], at.residuals[~out], sources[~out], moved) - everything
        result[out] = at.residuals[out] + at.jacobian[out] @ move
    return result


def left_out(text: str, cases: Sequence[Case], at: Optimum) -> np.ndarray:
    """Residuals of each source, predicted with the parameters that are fitted to all the others.

    Each of those fits goes on, from the common one, until its own loss falls no further: residuals that change are
    worked out anew at every step, the directions are those of the Jacobian at the common fit."""
    facts, first = Facts(text), expected(text)
    sources = np.array([case.row.source for case in cases])
    result = np.zeros(len(cases))
    for source in np.unique(sources):
        out = sources == source
        logs = refitted([case for case, left in zip(cases, out, strict=True) if not left], at, ~out, facts, first)
        with facts.at(logs):
            result[out] = residuals([case for case, left in zip(cases, out, strict=True) if left])
    return result


def refitted(others: Sequence[Case], at: Optimum, kept: np.ndarray, facts: Facts, first: np.ndarray) -> np.ndarray:
    """The parameters fitted to these cases, which are those of `at` that `kept` marks."""
    here = Optimum(at.logs, at.residuals[kept], at.jacobian[kept])
    for _ in range(REFITS):
        logs, found = stepped(facts, others, here, first)
        if logs is here.logs:
            break
        here = Optimum(logs, found, here.jacobian)
    return here.logs


def main(arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    paths = [Path(argument) for argument in arguments if not argument.startswith("--")]
    rounds = next((int(argument[9:]) for argument in arguments if argument.startswith("--rounds=")), 3)
    if len(paths) != 1:
        raise SystemExit(__doc__)
    text, cases = FACTS.read_text(encoding="utf-8"), cases_of(paths[0])
    fitted = text
    if "--without" not in arguments:
        many = cases_of(paths[0], ROWS_FITTED)
        print(f"{len(many)} rows, {len(PARAMETERS)} parameters", flush=True)
        fitted = with_told(with_values(text, fitted_logs(text, many, rounds)), told_by(many))
    found = fit(fitted, cases, 0)
    print(f"all sources:     {totals(cases, found.residuals)}")
    print(f"  by one step:   {totals(cases, left_out_linearly(cases, found, expected(text)))}")
    out = left_out(fitted, cases, found)
    print(f"each left out:   {totals(cases, out)}", flush=True)
    if "--without" in arguments:
        return
    for parameter in PARAMETERS:
        print(f"  {parameter.name:45s} {parameter.read(text):9.4g} → {parameter.read(fitted):9.4g}")
    if "--write" in arguments:
        FACTS.write_text(fitted, encoding="utf-8")  # the widths follow from what the facts say now
        FACTS.write_text(_with_widths(fitted, cases, out), encoding="utf-8")


def _with_widths(fitted: str, cases: Sequence[Case], out: np.ndarray) -> str:
    """The facts with the ranges that hold COVERAGE of the left-out rows."""
    widths = fitted_widths(cases, out)
    inside, half = spans(cases, out, widths)
    print(f"ranges: {inside.mean():.1%} inside (wanted {COVERAGE:.0%}), median ±{median_width(half):.1%};")
    print(f"        widths fitted without the source as well: {spans_of_strangers(cases, out):.1%} inside")
    for cause, width in widths.items():
        section = Parameter(f"[range.{cause.value}]", "half_width", 1.0)
        print(f"  range.{cause.value:39s} {section.read(fitted):9.4g} → {width:9.4g}")
        fitted = section.write(fitted, width)
    return fitted


if __name__ == "__main__":
    main(sys.argv[1:])
