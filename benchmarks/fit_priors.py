"""`python -m benchmarks.fit_priors TABLE.csv [--write]`: fit the shipped training priors on published runs.

Every prior in PARAMETERS is a positive number with an expected value and a log standard deviation that says how far
published runs may move it from there. All sources are fitted together: each source weighs about the same whatever its
number of rows, residuals are logarithms of predicted ÷ published under a loss that grows like their magnitude, and the
parameters are held to their expected values. There is no parameter for a source, a row or a single GPU model.

The figure to believe is the one of sources left out: each source is predicted with the parameters fitted without it
(by the Jacobian at the common optimum; one robust step).
"""

from __future__ import annotations

import math
import re
import statistics
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import planner.estimates.priors as priors_room
from planner.estimates.profile import Lack
from planner.estimates.ranges import TITLES, RangeCause
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row, read_table
from planner.estimates.validation.trials import Trial, training_trial
from planner.estimates.validation.validate import run_trial, step_range
from planner.hardware.catalogue import load_catalogue
from planner.jobs.convnet import ConvNet

FACTS = Path(priors_room.__file__).with_name("efficiency.toml")
ROWS_PER_SOURCE = 16
LOSS_SCALE = 0.10
SOURCE_POWER = 0.35  # the weight of a source grows with this power of its rows
STEP = 0.04
# Of left-out rows. Leaving a source out is harder than most jobs are: a user's machine and program are mostly among the
# known ones, and about nine in ten of the rows that were seen lie inside.
COVERAGE = 0.86
WIDTHS = np.concatenate([[0.0], np.geomspace(0.03, 0.8, 40)])
WIDTH_ROUNDS = 30
WIDTH_STARTS = 4
SPARSITY = 0.0005  # loss per unit of width, so that a cause that explains nothing goes
NOISE = 0.15  # log standard deviation of a row around its prediction, against which the priors' own are weighed
_PARTS: dict[str, tuple[dict[RangeCause, float], float]] = {}


@dataclass(frozen=True)
class Parameter:
    """A number of the facts file: its section header, the key (or inline table key), and how far it may move."""

    section: str
    key: str
    spread: float
    limit: float = math.inf
    prior: float | None = None  # what the fit is held to; None: the file's value

    def touches(self, case: Case) -> bool:
        """Whether a case can depend on it: by family of GPUs, kind of program, or kind of network."""
        if chr(34) in self.section:
            named = self.section.split(chr(34))[1]
            return named in (priors_room.load_priors().of(case.trial.placement.gpu).name, case.trial.job.stack.value)
        network = case.trial.job.architecture
        if self.section in PICTURES:
            return isinstance(network, ConvNet)
        if self.section in EXPERTS:
            return not isinstance(network, ConvNet) and network.num_experts > 1
        return not (self.section in SEQUENCES and isinstance(network, ConvNet))

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


def _family(name: str, key: str, spread: float, limit: float = math.inf, prior: float | None = None) -> Parameter:
    return Parameter(f'name = "{name}"', key, spread, limit, prior)


PICTURES = ("[operation.convolution]", "[operation.depthwise]", "[operation.layout]", "[operation.normalisation]")
SEQUENCES = ("[operation.attention]", "[operation.scores]", "[operation.elementwise]", "[operation.unpacking]")
EXPERTS = ("[operation.expert]", "[operation.dispatch]")
# Where the prior is None the file's value is what the source beside it says, and stays what the fit is held to.
STACKS = ("eager", "fused", "megatron", "compiled")
PARAMETERS = (
    _family("NVIDIA Volta", "training_matmul", 0.15, 0.95, 0.60),
    _family("NVIDIA Ampere", "training_matmul", 0.12, 0.95, 0.66),
    _family("NVIDIA Ampere with GDDR memory", "training_matmul", 0.12, 0.98, 0.80),
    _family("NVIDIA Hopper", "training_matmul", 0.12, 0.95, 0.60),
    _family("NVIDIA Ada", "training_matmul", 0.12, 0.95, 0.64),
    _family("NVIDIA Blackwell (data centre)", "training_matmul", 0.15, 0.95, 0.62),
    _family("AMD CDNA3 and CDNA4", "training_matmul", 0.2, 0.95, 0.50),
    _family("Intel Gaudi", "training_matmul", 0.15, 0.95, 0.70),
    _family("Intel Gaudi 3", "training_matmul", 0.15, 0.95, 0.50),
    _family("NVIDIA Hopper", "training_matmul_8bit", 0.2, 0.95, 0.60),
    _family("NVIDIA Blackwell (data centre)", "training_matmul_8bit", 0.2, 0.95, 0.60),
    _family("NVIDIA Blackwell (data centre)", "training_matmul_4bit", 0.2, 0.95, 0.40),
    _family("NVIDIA Volta", "matmul_fp32", 0.15, 0.98, 0.85),
    _family("NVIDIA Ampere", "matmul_fp32", 0.15, 0.98, 0.85),
    _family("NVIDIA Ampere", "matmul_tf32", 0.2, 0.98, 0.60),
    _family("NVIDIA, other generations", "matmul_fp32", 0.3, 0.98, 0.60),
    _family("AMD, other generations", "matmul_fp32", 0.2, 2.0, 1.4),
    *(
        _family(name, "training_bandwidth", 0.12, 0.95, 0.80)
        for name in ("NVIDIA Volta", "NVIDIA Ampere", "NVIDIA Ampere with GDDR memory", "NVIDIA Hopper")
    ),
    *(
        _family(name, "training_bandwidth", 0.15, 0.95, 0.70)
        for name in ("NVIDIA Blackwell (data centre)", "Intel Gaudi", "Intel Gaudi 3")
    ),
    *(
        Parameter(f"[operation.{name}]", "factor", spread, math.inf, prior)
        for name, spread, prior in (
            ("expert", 0.4, 1.5),
            ("dispatch", 0.4, 1.0),
            ("convolution", 0.3, 1.0),
            ("depthwise", 0.5, 3.0),
            ("layout", 0.4, 1.0),
            ("attention", 0.3, 1.0),
            ("scores", 0.4, 1.0),
            ("elementwise", 0.3, 1.0),
            ("normalisation", 0.4, 1.0),
            ("unpacking", 0.4, 2.0),
            ("update", 0.4, 1.0),
        )
    ),
    *(
        _family(stack, "kernels", 0.4, math.inf, prior)
        for stack, prior in zip(STACKS, (1.5, 1.0, 2.0, 0.6), strict=True)
    ),
    *(_family(stack, "factor", 0.12, math.inf, 1.0) for stack in STACKS),
    *(
        _family(stack, "step_ms", 0.5, math.inf, prior)
        for stack, prior in zip(STACKS, (10.0, 3.0, 12.0, 4.0), strict=True)
    ),
    *(
        _family(stack, "elementwise", 0.3, math.inf, prior)
        for stack, prior in zip(STACKS[1:], (0.8, 0.8, 0.6), strict=True)
    ),
    *(_family(stack, "overlap", 0.15, 0.98, 0.7) for stack in STACKS[:3]),
    _family("fused", "tensor_overlap", 0.4, 0.9, 0.2),
    _family("megatron", "tensor_overlap", 0.4, 0.9, 0.4),
    Parameter("[figure.network_share]", "value", 0.1, 0.98, 0.85),
    Parameter("[figure.training_collective_us]", "value", 0.5, math.inf, 30.0),
    Parameter("[figure.training_link_share]", "value", 0.1, 0.95, 0.75),
    Parameter("[figure.training_pcie_share]", "value", 0.3, 0.95, 0.45),
    Parameter("[figure.host_transfer_share]", "value", 0.5, 0.95, 0.3),
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
    """ln(predicted seconds ÷ published seconds) of every case with the facts in `text`."""
    with _priors(text):
        return np.array([_residual(case) for case in cases])


@contextmanager
def _priors(text: str) -> Iterator[None]:
    """The estimator with these facts instead of the packaged ones."""
    read = priors_room.read_priors(text)
    original = priors_room.read_priors
    priors_room.load_priors.cache_clear()
    priors_room.read_priors = lambda _text: read
    try:
        priors_room.load_priors()
        yield
    finally:
        priors_room.read_priors = original
        priors_room.load_priors.cache_clear()


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
    first = np.log([parameter.prior or parameter.read(text) for parameter in PARAMETERS])
    limits = np.log([parameter.limit for parameter in PARAMETERS])
    here = np.log([parameter.read(text) for parameter in PARAMETERS])
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
        touched = np.array([PARAMETERS[place].touches(case) for case in cases])
        column = np.zeros(len(cases))
        there = residuals(_with(text, moved), [case for case, kept in zip(cases, touched, strict=True) if kept])
        column[touched] = (there - base[touched]) / (moved[place] - here[place])
        columns.append(column)
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


def fitted_widths(cases: Sequence[Case], out: np.ndarray) -> dict[RangeCause, float]:
    """The half-width of every cause, so that COVERAGE of the left-out rows lie within the root of their summed squares.

    The squares are found one after the other on a grid, by the loss whose least is at that quantile; a cause that does
    not lower it is nothing. Of several orders the best."""
    weights = weights_of(cases)
    parts = [_parts(case) for case in cases]
    shares = np.array([[found.get(cause, 0.0) for cause in RangeCause] for found, _ in parts]) ** 2
    own = np.array([others for _, others in parts])
    random = np.random.default_rng(7)
    tried = [_descended(shares, own, np.abs(out), weights, random) for _ in range(WIDTH_STARTS)]
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
            others = shares @ widths**2 - shares[:, place] * widths[place] ** 2 + own
            missed = errors - np.sqrt(others[None, :] + np.outer(WIDTHS**2, shares[:, place]))
            losses = np.where(missed > 0, COVERAGE * missed, (COVERAGE - 1.0) * missed) @ weights / errors.size
            losses += SPARSITY * (WIDTHS + widths.sum() - widths[place])
            widths[place] = WIDTHS[int(np.argmin(losses))]
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
    widths = {cause: priors_room.load_priors().ranges[cause.value] for cause in RangeCause}
    return float(spans(cases, out, widths)[0].mean())


def spans_of_strangers(cases: Sequence[Case], out: np.ndarray) -> float:
    """The share of rows inside ranges whose widths, too, were fitted without their source."""
    sources = np.array([case.row.source for case in cases])
    inside = np.zeros(len(cases), dtype=bool)
    for source in np.unique(sources):
        is_out = sources == source
        others = [case for case, left in zip(cases, is_out, strict=True) if not left]
        widths = fitted_widths(others, out[~is_out])
        left = [case for case, kept in zip(cases, is_out, strict=True) if kept]
        inside[is_out] = spans(left, out[is_out], widths)[0]
    return float(inside.mean())


def _parts(case: Case) -> tuple[dict[RangeCause, float], float]:
    """The causes of a case with their shares, and the summed squares of the layout's own causes."""
    if case.row.id not in _PARTS:
        with _priors(_with_unit_widths(FACTS.read_text(encoding="utf-8"))):
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
    out = left_out(cases, found, jacobian, moved)
    widths = fitted_widths(cases, out)
    inside, half = spans(cases, out, widths)
    print(
        f"ranges: {inside.mean():.1%} inside, median ±{math.expm1(float(np.median(half))):.1%}; widths fitted without"
    )
    print(f"        the source as well: {spans_of_strangers(cases, out):.1%} inside")
    for cause, width in widths.items():
        section = Parameter(f"[range.{cause.value}]", "half_width", 1.0)
        print(f"  range.{cause.value:39s} {section.read(text):9.4g} → {width:9.4g}")
        fitted = section.write(fitted, width)
    if "--write" in arguments:
        FACTS.write_text(fitted, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
