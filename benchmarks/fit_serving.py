"""`python -m benchmarks.fit_serving TABLE.csv [--write] [--rounds=N] [--rows=N]`: fit serving priors on published runs.

Every fit starts at the expected values of `serving_parameters`, which no published run has moved, so that a fit without
a source has never seen it: the figure to believe is that of sources left out. Residuals are worked out anew at every
step of every fit; the directions of the fits without one source are those of Jacobians that all share.
"""

from __future__ import annotations

import math
import statistics
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.robust_fit import Loss, solve
from benchmarks.serving_cases import Case, Facts, cases_of
from benchmarks.serving_parameters import FACTS, Parameter, every_parameter, latent_moves
from benchmarks.serving_widths import told, widths_left_out, widths_of, written_widths
from benchmarks.training_cases import totals, weights_of
from planner.estimates.priors import load_priors

ROWS_PER_CLASS = 16  # of each source
LOSS = Loss(scale=0.12, noise=0.15)
# Rows of one source miss alike, so that all of them tell no more than so many that do not would.
ROWS_THAT_COUNT = 8.0
STEP = 0.05
LONGEST = 0.6  # of a parameter in one step, as a logarithm
FEWEST_ROWS = 2  # that depend on a parameter before it is moved


@dataclass(frozen=True)
class Landscape:
    """Residuals at one point, and how they move with each parameter."""

    residuals: np.ndarray
    jacobian: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """Where a fit stands: the parameters, the independent moves, and the landscapes that it went through."""

    parameters: tuple[Parameter, ...]
    moves: np.ndarray
    passed: tuple[Landscape, ...]

    @property
    def residuals(self) -> np.ndarray:
        return self.passed[-1].residuals

    def logs(self, moves: np.ndarray | None = None) -> np.ndarray:
        """The parameters' logarithms after such moves (its own)."""
        spread, _ = latent_moves(self.parameters)
        expected = np.log([parameter.expected for parameter in self.parameters])
        found: np.ndarray = expected + spread @ (self.moves if moves is None else moves)
        return np.minimum(found, np.log([parameter.limit for parameter in self.parameters]))


def parameters_of(cases: Sequence[Case]) -> tuple[Parameter, ...]:
    """All of the families and engines, but numbers of no group that hardly a row depends on."""
    families = [prior.name for _, prior in load_priors().families]
    return tuple(
        parameter
        for parameter in every_parameter(families)
        if parameter.group or sum(case.depends_on(parameter) for case in cases) >= FEWEST_ROWS
    )


def fit(text: str, cases: Sequence[Case], rounds: int) -> Fitted:
    """So many steps from the expected values."""
    parameters = parameters_of(cases)
    spread, spreads = latent_moves(parameters)
    found = Fitted(parameters, np.zeros(spreads.size), ())
    facts, weights = Facts(text), _weights(cases)
    for turn in range(rounds + 1):
        here = landscape_at(facts, found.logs(), cases, parameters)
        found = Fitted(parameters, found.moves, (*found.passed, here))
        print(f"round {turn}: {totals(cases, here.residuals)}", flush=True)
        if turn < rounds:
            move = _step(here.jacobian @ spread, here.residuals, weights, found.moves, spreads)
            found = Fitted(parameters, found.moves + move, found.passed)
    return found


def _step(
    jacobian: np.ndarray, offset: np.ndarray, weights: np.ndarray, moves: np.ndarray, spreads: np.ndarray
) -> np.ndarray:
    found: np.ndarray = np.clip(solve(jacobian, offset, weights, moves, spreads, LOSS), -LONGEST, LONGEST)
    return found


def _weights(cases: Sequence[Case]) -> np.ndarray:
    """Of each row: what its source tells, shared among the source's rows."""
    num_sources = len({case.row.source for case in cases})
    return weights_of(cases) * min(1.0, ROWS_THAT_COUNT * num_sources / len(cases))


def landscape_at(facts: Facts, here: np.ndarray, cases: Sequence[Case], parameters: Sequence[Parameter]) -> Landscape:
    """Residuals at the parameters' logarithms, and how they move with each; only those that a row depends on are
    tried."""
    limits = np.log([parameter.limit for parameter in parameters])
    steps = np.where(here + STEP > limits, -STEP, STEP)
    base, found = np.zeros(len(cases)), np.zeros((len(cases), len(parameters)))
    for number, case in enumerate(cases):
        places = [place for place, parameter in enumerate(parameters) if case.depends_on(parameter)]
        logs = np.repeat(here[:, None], len(places) + 1, axis=1)
        logs[places, np.arange(1, len(places) + 1)] += steps[places]
        values = case.residuals(facts, parameters, logs)
        base[number] = values[0]
        found[number, places] = (values[1:] - values[0]) / steps[places]
    return Landscape(base, found)


def left_out(text: str, cases: Sequence[Case], fitted: Fitted) -> np.ndarray:
    """Residuals of each source, predicted with the parameters that are fitted to all the others from the start.

    All those fits go on side by side: every row is timed with the parameters of all of them at once."""
    facts, sources = Facts(text), np.array([case.row.source for case in cases])
    names = sorted(set(sources))
    spread, spreads = latent_moves(fitted.parameters)
    moves = np.zeros((spreads.size, len(names)))
    found = np.repeat(fitted.passed[0].residuals[:, None], len(names), axis=1)
    for landscape in fitted.passed[:-1]:
        jacobian = landscape.jacobian @ spread
        for place, name in enumerate(names):
            kept = sources != name
            weights = _weights([case for case, stays in zip(cases, kept, strict=True) if stays])
            moves[:, place] += _step(jacobian[kept], found[kept, place], weights, moves[:, place], spreads)
        logs = np.stack([fitted.logs(column) for column in moves.T], axis=1)
        found = np.stack([case.residuals(facts, fitted.parameters, logs) for case in cases])
    return found[np.arange(len(cases)), [names.index(source) for source in sources]]


def left_out_linearly(cases: Sequence[Case], fitted: Fitted) -> np.ndarray:
    """The same by one linear step from the fit to all sources, which is kind: that fit has seen the source."""
    spread, spreads = latent_moves(fitted.parameters)
    here, weights = fitted.passed[-1], _weights(cases)
    jacobian, sources = here.jacobian @ spread, np.array([case.row.source for case in cases])
    everything = solve(jacobian, here.residuals, weights, fitted.moves, spreads, LOSS)
    result = here.residuals.copy()
    for source in sorted(set(sources)):
        out = sources == source
        alone = solve(jacobian[~out], here.residuals[~out], weights[~out], fitted.moves, spreads, LOSS)
        result[out] += jacobian[out] @ (alone - everything)
    return result


def written(text: str, fitted: Fitted) -> str:
    """The facts with the fitted values."""
    for parameter, log in zip(fitted.parameters, fitted.logs(), strict=True):
        text = parameter.write(text, math.exp(log))
    return text


def main(arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    paths = [Path(argument) for argument in arguments if not argument.startswith("--")]
    options = dict(argument[2:].split("=") for argument in arguments if "=" in argument)
    if len(paths) != 1:
        raise SystemExit(__doc__)
    text = FACTS.read_text(encoding="utf-8")
    cases = cases_of(paths[0], int(options.get("rows", ROWS_PER_CLASS)))
    fitted = fit(text, cases, int(options.get("rounds", "3")))
    out = left_out(text, cases, fitted)
    print(f"{len(cases)} rows, {len(fitted.parameters)} parameters")
    print(f"all sources:     {totals(cases, fitted.residuals)}")
    print(f"each left out:   {totals(cases, out)}")
    for name in sorted({case.trial.kind.value for case in cases}):
        of_kind = [number for number, case in enumerate(cases) if case.trial.kind.value == name]
        middle = math.expm1(statistics.median(abs(out[of_kind])))
        print(f"  {name:20s} {len(of_kind):4d} {middle:.1%}, bias {math.expm1(statistics.median(out[of_kind])):+.1%}")
    for parameter, log in zip(fitted.parameters, fitted.logs(), strict=True):
        print(f"  {parameter.name:55s} {parameter.expected:9.4g} → {math.exp(log):9.4g}")
    text = told(written(text, fitted), cases)
    text = written_widths(text, widths_of(text, cases, fitted.residuals, out))
    inside = np.abs(out) <= widths_left_out(text, cases)
    print(f"left out and inside: {inside.mean():.1%}")
    for name in sorted({case.trial.kind.value for case in cases}):
        of_kind = [number for number, case in enumerate(cases) if case.trial.kind.value == name]
        print(f"  {name:20s} {inside[of_kind].mean():.1%}")
    if "--write" in arguments:
        FACTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
