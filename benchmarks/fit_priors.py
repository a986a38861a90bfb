"""`python -m benchmarks.fit_priors TABLE.csv [--write]`: fit the shipped training priors on published runs.

Every prior in PARAMETERS is a positive number with a starting value (the file's) and a log standard deviation that says
how far published runs may move it. All sources are fitted together: each source weighs about the same whatever its
number of rows, residuals are logarithms of predicted ÷ published under a loss that grows like their magnitude, and the
parameters are held to their starting values. There is no parameter for a source, a row or a single GPU model.

The figure to believe is the one of sources left out: each source is predicted with the parameters fitted without it
(by the Jacobian at the common optimum; one robust step).
"""

from __future__ import annotations

import math
import re
import statistics
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import planner.estimates.priors as priors_room
from planner.estimates.profile import Lack
from planner.estimates.ranges import range_class
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row, read_table
from planner.estimates.validation.trials import Trial, training_trial
from planner.estimates.validation.validate import run_trial, step_range
from planner.hardware.catalogue import load_catalogue
from planner.quantity import Cause

FACTS = Path(priors_room.__file__).with_name("efficiency.toml")
ROWS_PER_SOURCE = 16
LOSS_SCALE = 0.10
SOURCE_POWER = 0.35  # the weight of a source grows with this power of its rows
STEP = 0.04
# Of left-out rows. Leaving a source out is harder than most jobs are: a user's machine and program are mostly among the
# known ones. At 85 % of left-out rows about 93 % of the rows that were seen lie inside.
COVERAGE = 0.85
LEAST_WIDTH = 0.05  # two honest measurements of one thing differ by 4 to 5 %
FEW_ROWS = 19
NOISE = 0.15  # log standard deviation of a row around its prediction, against which the priors' own are weighed


@dataclass(frozen=True)
class Parameter:
    """A number of the facts file: its section header, the key (or inline table key), and how far it may move."""

    section: str
    key: str
    spread: float
    limit: float = math.inf

    @property
    def name(self) -> str:
        return f"{self.section.split(chr(34))[-2] if chr(34) in self.section else self.section}.{self.key}"

    def pattern(self) -> re.Pattern[str]:
        return re.compile(rf"({re.escape(self.section)}(?:(?!\n\[).)*?\n{self.key} = )([0-9.e+-]+)", re.DOTALL)

    def read(self, text: str) -> float:
        found = self.pattern().search(text)
        if found is None:
            raise ValueError(f"{FACTS.name} has no {self.name}")
        return float(found[2])

    def write(self, text: str, value: float) -> str:
        return self.pattern().sub(lambda found: f"{found[1]}{value:.4g}", text, count=1)


def _family(name: str, key: str, spread: float, limit: float = math.inf) -> Parameter:
    return Parameter(f'name = "{name}"', key, spread, limit)


PARAMETERS = (
    _family("NVIDIA Volta", "training_matmul", 0.15, 0.95),
    _family("NVIDIA, other generations", "matmul_fp32", 0.3, 0.98),
    _family("NVIDIA Ampere", "training_matmul", 0.12, 0.95),
    _family("NVIDIA Ampere with GDDR memory", "training_matmul", 0.1, 0.98),
    _family("NVIDIA Ampere with GDDR memory", "training_bandwidth", 0.12, 0.95),
    _family("NVIDIA Hopper", "training_matmul", 0.12, 0.95),
    _family("NVIDIA Blackwell (data centre)", "training_matmul", 0.15, 0.95),
    _family("AMD CDNA3 and CDNA4", "training_matmul", 0.2, 0.95),
    _family("Intel Gaudi", "training_matmul", 0.2, 0.95),
    _family("NVIDIA Hopper", "training_matmul_8bit", 0.25, 0.95),
    _family("NVIDIA Blackwell (data centre)", "training_matmul_8bit", 0.25, 0.95),
    _family("NVIDIA Volta", "matmul_fp32", 0.15, 0.98),
    _family("NVIDIA Ampere", "matmul_fp32", 0.15, 0.98),
    _family("NVIDIA Ampere", "matmul_tf32", 0.2, 0.98),
    _family("AMD, other generations", "matmul_fp32", 0.2, 2.0),
    _family("NVIDIA Volta", "training_bandwidth", 0.12, 0.95),
    _family("NVIDIA Ampere", "training_bandwidth", 0.12, 0.95),
    _family("NVIDIA Hopper", "training_bandwidth", 0.1, 0.95),
    *(
        Parameter(f"[operation.{name}]", "factor", spread)
        for name, spread in (
            ("expert", 0.4),
            ("dispatch", 0.4),
            ("convolution", 0.4),
            ("depthwise", 0.6),
            ("layout", 0.4),
            ("attention", 0.3),
            ("scores", 0.4),
            ("elementwise", 0.3),
            ("normalisation", 0.4),
            ("unpacking", 0.6),
            ("update", 0.4),
        )
    ),
    *(
        _family(stack, key, spread, limit)
        for stack in ("eager", "fused", "compiled")
        for key, spread, limit in (
            ("kernels", 0.5, math.inf),
            ("factor", 0.15, math.inf),
            ("step_ms", 0.5, math.inf),
        )
    ),
    *(_family(stack, "elementwise", 0.4) for stack in ("fused", "compiled")),
    *(_family(stack, "overlap", 0.15, 0.98) for stack in ("eager", "fused")),
    _family("fused", "tensor_overlap", 0.4, 0.9),
    Parameter("[figure.network_share]", "value", 0.2, 0.98),
    Parameter("[figure.training_collective_us]", "value", 0.5),
    Parameter("[figure.training_link_share]", "value", 0.1, 0.95),
    Parameter("[figure.training_pcie_share]", "value", 0.4, 0.95),
)


@dataclass(frozen=True)
class Case:
    """A row with its trial."""

    row: Row
    trial: Trial


def cases_of(path: Path) -> list[Case]:
    """The rows of a table that are answered, at most ROWS_PER_SOURCE of each source, evenly spaced."""
    catalogue = load_catalogue()
    found: dict[str, list[Case]] = {}
    for row in read_table(path.read_text(encoding="utf-8")).rows:
        trial = training_trial(row, catalogue)
        if not isinstance(trial, Declined) and not isinstance(run_trial(trial), Lack):
            found.setdefault(row.source, []).append(Case(row, trial))
    kept = []
    for cases in found.values():
        places = np.unique(np.linspace(0, len(cases) - 1, min(len(cases), ROWS_PER_SOURCE)).astype(int))
        kept += [cases[place] for place in places]
    return kept


def residuals(text: str, cases: Sequence[Case]) -> np.ndarray:
    """ln(predicted seconds ÷ published seconds) of every case with the priors in `text`."""
    read = priors_room.read_priors(text)
    priors_room.load_priors.cache_clear()
    original = priors_room.read_priors
    priors_room.read_priors = lambda _text: read
    try:
        priors_room.load_priors()
    finally:
        priors_room.read_priors = original
    return np.array([_residual(case) for case in cases])


def _residual(case: Case) -> float:
    outcome = run_trial(case.trial)
    if isinstance(outcome, Lack):
        raise ValueError(f"{case.row.id} was answered before and is not now: {outcome.reason}")
    log = math.log(case.trial.metric_of(outcome.step_seconds.mid) / case.row.value)
    return log if case.trial.rises_with_seconds else -log


def weights_of(cases: Sequence[Case]) -> np.ndarray:
    """Of each row, so that a source counts by a small power of its rows; 1 on average."""
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.row.source] = counts.get(case.row.source, 0) + 1
    found = np.array([counts[case.row.source] ** (SOURCE_POWER - 1.0) for case in cases])
    return found / found.mean()


def solve(jacobian: np.ndarray, offset: np.ndarray, weights: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The parameters' moves that minimise the robust loss of offset + jacobian · move, held to `start` by the priors'
    spreads (start: how far each has moved already)."""
    spreads = np.array([parameter.spread for parameter in PARAMETERS])
    move = np.zeros(len(PARAMETERS))
    for _ in range(30):
        left = offset + jacobian @ move
        robust = weights / np.sqrt(1.0 + (left / LOSS_SCALE) ** 2) / NOISE**2
        normal = jacobian.T @ (robust[:, None] * jacobian) + np.diag(1.0 / spreads**2)
        right = -jacobian.T @ (robust * offset) - start / spreads**2
        move = np.linalg.solve(normal, right)
    return move


def fit(text: str, cases: Sequence[Case], rounds: int) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """The facts file with fitted values; residuals, Jacobian and moves at the last round."""
    weights = weights_of(cases)
    first = np.log([parameter.read(text) for parameter in PARAMETERS])
    limits = np.log([parameter.limit for parameter in PARAMETERS])
    here = first.copy()
    for turn in range(rounds):
        base, jacobian = jacobian_at(text, here, cases)
        move = np.clip(solve(jacobian, base, weights, here - first), -0.5, 0.5)
        print(f"round {turn + 1}: {summary(cases, base)}", flush=True)
        here = np.minimum(here + move, limits)
    base, jacobian = jacobian_at(text, here, cases)
    return _with(text, here), base, jacobian, here - first


def jacobian_at(text: str, here: np.ndarray, cases: Sequence[Case]) -> tuple[np.ndarray, np.ndarray]:
    """Residuals at the parameters' logarithms, and how they move with each."""
    limits = np.log([parameter.limit for parameter in PARAMETERS])
    base = residuals(_with(text, here), cases)
    columns = []
    for place in range(len(PARAMETERS)):
        moved = here.copy()
        moved[place] += -STEP if moved[place] + STEP > limits[place] else STEP
        columns.append((residuals(_with(text, moved), cases) - base) / (moved[place] - here[place]))
    return base, np.stack(columns, axis=1)


def _with(text: str, logs: np.ndarray) -> str:
    for parameter, log in zip(PARAMETERS, logs, strict=True):
        text = parameter.write(text, math.exp(log))
    return text


def left_out(cases: Sequence[Case], found: np.ndarray, jacobian: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Residuals of each source when the parameters are fitted without it."""
    weights = weights_of(cases)
    sources = np.array([case.row.source for case in cases])
    result = found.copy()
    everything = solve(jacobian, found, weights, moved)
    for source in np.unique(sources):
        out = sources == source
        move = solve(jacobian[~out], found[~out], weights[~out], moved) - everything
        result[out] = found[out] + jacobian[out] @ move
    return result


def class_widths(cases: Sequence[Case], out: np.ndarray) -> dict[str, float]:
    """The half-width of each range class that holds COVERAGE of its left-out rows, beside the layout's own causes."""
    found: dict[str, list[tuple[float, float]]] = {}
    for case, value in zip(cases, out, strict=True):
        name = range_class(case.trial.job).value
        found.setdefault(name, []).append((abs(float(value)), _own_causes(case)))
    every = [pair for pairs in found.values() for pair in pairs]
    # A class of few rows takes the width of all where that is larger.
    return {
        name: max(_width(pairs), _width(every)) if len(pairs) < FEW_ROWS else _width(pairs)
        for name, pairs in found.items()
    }


def spans_left_out(cases: Sequence[Case], out: np.ndarray) -> float:
    """The share of left-out rows inside the shipped ranges."""
    inside = []
    for case, value in zip(cases, out, strict=True):
        causes = _causes(case)
        inside.append(abs(float(value)) <= math.sqrt(sum(cause.spread**2 for cause in causes)))
    return sum(inside) / len(inside)


def _own_causes(case: Case) -> float:
    """The summed squares of the causes beside the class's own."""
    return sum(cause.spread**2 for cause in _causes(case) if cause.name != "published efficiency")


def _causes(case: Case) -> tuple[Cause, ...]:
    outcome = run_trial(case.trial)
    if isinstance(outcome, Lack):
        raise ValueError(f"{case.row.id} was answered before and is not now: {outcome.reason}")
    return step_range(case.trial, outcome).causes


def _width(pairs: Sequence[tuple[float, float]]) -> float:
    needed = sorted(math.sqrt(max(error**2 - own, 0.0)) for error, own in pairs)
    place = min(len(needed) - 1, math.ceil((len(needed) + 1) * COVERAGE) - 1)
    return max(needed[place], LEAST_WIDTH)


def summary(cases: Sequence[Case], found: np.ndarray) -> str:
    """Medians over sources, as the scores report them."""
    by_source: dict[str, list[float]] = {}
    for case, value in zip(cases, found, strict=True):
        by_source.setdefault(case.row.source, []).append(float(value))
    medians = [statistics.median(abs(value) for value in values) for values in by_source.values()]
    tails = [float(np.quantile(np.abs(values), 0.9)) for values in by_source.values()]
    bias = [statistics.median(values) for values in by_source.values()]
    return (
        f"median {math.expm1(statistics.median(medians)):.1%}, 90th {math.expm1(statistics.median(tails)):.1%}, "
        f"bias {math.expm1(statistics.median(bias)):+.1%} over {len(by_source)} sources"
    )


def main(arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    paths = [Path(argument) for argument in arguments if not argument.startswith("--")]
    rounds = next((int(argument[9:]) for argument in arguments if argument.startswith("--rounds=")), 3)
    if len(paths) != 1:
        raise SystemExit(__doc__)
    text = FACTS.read_text(encoding="utf-8")
    cases = cases_of(paths[0])
    print(f"{len(cases)} rows, {len(PARAMETERS)} parameters; before: {summary(cases, residuals(text, cases))}")
    fitted, found, jacobian, moved = fit(text, cases, rounds)
    print(f"all sources:     {summary(cases, found)}")
    print(f"each left out:   {summary(cases, left_out(cases, found, jacobian, moved))}")
    for parameter in PARAMETERS:
        print(f"  {parameter.name:45s} {parameter.read(text):9.4g} → {parameter.read(fitted):9.4g}")
    widths = class_widths(cases, left_out(cases, found, jacobian, moved))
    for name, width in sorted(widths.items()):
        section = Parameter(f"[range.{name}]", "half_width", 1.0)
        print(f"  range.{name:39s} {section.read(text):9.4g} → {width:9.4g}")
        fitted = section.write(fitted, width)
    if "--write" in arguments:
        FACTS.write_text(fitted, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
