"""`python -m benchmarks.fit_serving TABLE.csv [--write] [--rounds=N]`: fit the serving priors on published runs.

As benchmarks/fit_priors.py does for training: every prior is held to its starting value by a log standard deviation,
sources count by a small power of their rows, residuals are logarithms under a robust loss, and no parameter belongs to
a source, a row or a single GPU model. The figure to believe is the one of sources left out.
"""

from __future__ import annotations

import math
import re
import statistics
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import planner.estimates.priors as priors_room
import planner.estimates.priors.serving as serving_room
from planner.estimates.priors import load_priors
from planner.estimates.profile import Lack
from planner.estimates.validation.inference import InferenceTrial, inference_range, inference_trial
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row, read_table
from planner.estimates.validation.validate import run_inference
from planner.hardware.catalogue import load_catalogue
from planner.jobs.convnet import ConvNet

FACTS = Path(priors_room.__file__).with_name("serving.toml")
ROWS_PER_SOURCE = 32
LOSS_SCALE = 0.12
SOURCE_POWER = 0.4
STEP = 0.05
NOISE = 0.15
COVERAGE = 0.87  # of left-out rows; about 0.93 of those that were seen
LEAST_WIDTH = 0.06
# Published energies carry the range of their seconds too, which covers what power misses; power alone was published by
# too few to tell (assumed).
LEAST_POWER = 0.2
FEW_ROWS = 19
ENGINE_KEYS = {
    "launch_us": 0.5,
    "prefill": 0.25,
    "decode": 0.2,
    "cache": 0.25,
    "packed": 0.3,
    "packed_product": 0.3,
    "prefill_ms": 0.7,
    "step_ms": 0.7,
    "request_us": 0.7,
}
FAMILY_KEYS = {
    "matmul": 0.15,
    "matmul_8bit": 0.2,
    "matmul_4bit": 0.3,
    "matmul_fp32": 0.2,
    "matmul_tf32": 0.2,
    "bandwidth": 0.12,
    "attention": 0.3,
}
CLASS_KEYS = {"expert": 0.4, "dispatch": 0.6, "convolution": 0.4, "depthwise": 0.6, "layout": 0.6, "normalisation": 0.6}
FIGURE_KEYS = {
    "collective_us": 0.5,
    "link_factor": 0.2,
    "waiting": 0.7,
    "waiting_power": 0.3,
    "server_share": 0.1,
    "idle_power": 0.3,
    "memory_power": 0.4,
    "product_power": 0.4,
}
LIMITS = {"bandwidth": 0.97, "cache": 0.97, "attention": 0.95, "matmul": 0.97, "matmul_8bit": 0.97}


@dataclass(frozen=True)
class Parameter:
    """A number of the facts file and how far it may move; `owner` is (kind, name) of what it belongs to."""

    owner: tuple[str, str]
    key: str
    spread: float

    @property
    def name(self) -> str:
        return f"{self.owner[1]}.{self.key}"

    @property
    def limit(self) -> float:
        return LIMITS.get(self.key, math.inf) if self.owner[0] in ("family", "engine") else math.inf

    def pattern(self) -> re.Pattern[str]:
        kind, name = self.owner
        title = f'[{kind}."{name}"]' if kind in ("family", "engine") else f"[{kind}.{name}]"
        return re.compile(rf"({re.escape(title)}(?:(?!\n\[).)*?\n{self.key} = )([0-9.e+-]+)", re.DOTALL)

    def read(self, text: str) -> float:
        found = self.pattern().search(text)
        if found is None:
            raise ValueError(f"{FACTS.name} has no {self.name}")
        return float(found[2])

    def write(self, text: str, value: float) -> str:
        return self.pattern().sub(lambda found: f"{found[1]}{value:.4g}", text, count=1)


@dataclass(frozen=True)
class Case:
    """A row with its trial and what its time may depend on."""

    row: Row
    trial: InferenceTrial
    family: str

    def depends_on(self, parameter: Parameter) -> bool:
        kind, name = parameter.owner
        if kind == "family":
            return name == self.family
        if kind == "engine":
            return name == self.trial.job.engine.value
        network = self.trial.job.architecture
        if kind == "class":
            if isinstance(network, ConvNet):
                return name not in ("expert", "dispatch")
            return name in ("expert", "dispatch") and network.num_experts > 1
        if parameter.key == "value" and "power" in name and "waiting" not in name:
            return self.trial.kind.value == "power"
        if name.startswith("waiting"):
            return self.trial.kind.value == "first_token_loaded"
        if name == "server_share":
            return self.row.text("scenario") == "server"
        return self.trial.placement.num_gpus > 1


def cases_of(path: Path, per_source: int = ROWS_PER_SOURCE) -> list[Case]:
    """The rows that are answered, at most so many of each source, evenly spaced."""
    catalogue = load_catalogue()
    found: dict[str, list[Case]] = {}
    for row in read_table(path.read_text(encoding="utf-8")).rows:
        trial = inference_trial(row, catalogue)
        if not isinstance(trial, Declined):
            family = load_priors().of(trial.placement.gpu).name
            found.setdefault(row.source, []).append(Case(row, trial, family))
    kept = []
    for cases in found.values():
        places = np.unique(np.linspace(0, len(cases) - 1, min(len(cases), per_source)).astype(int))
        kept += [cases[place] for place in places if _residual(cases[place]) is not None]
    return kept


def parameters_of(cases: Sequence[Case]) -> list[Parameter]:
    """Those that several rows depend on."""
    text = FACTS.read_text(encoding="utf-8")
    families = sorted({case.family for case in cases})
    engines = sorted({case.trial.job.engine.value for case in cases})
    every = [Parameter(("family", name), key, spread) for name in families for key, spread in FAMILY_KEYS.items()]
    every += [Parameter(("engine", name), key, spread) for name in engines for key, spread in ENGINE_KEYS.items()]
    every += [Parameter(("class", name), "factor", spread) for name, spread in CLASS_KEYS.items()]
    every += [Parameter(("figure", name), "value", spread) for name, spread in FIGURE_KEYS.items()]
    return [
        parameter
        for parameter in every
        if parameter.read(text) > 0 and sum(case.depends_on(parameter) for case in cases) >= 4
    ]


def use(text: str) -> None:
    """Estimates from now on are with the priors in `text`."""
    read = serving_room.read_serving_priors(text)
    serving_room.load_serving_priors.cache_clear()
    original = serving_room.read_serving_priors
    setattr(serving_room, "read_serving_priors", lambda _text: read)  # noqa: B010
    try:
        serving_room.load_serving_priors()
    finally:
        serving_room.read_serving_priors = original


def _residual(case: Case) -> float | None:
    outcome = run_inference(case.trial)
    if isinstance(outcome, Lack):
        return None
    found = case.trial.quantity_of(outcome)
    return None if isinstance(found, Declined) else math.log(found.mid / case.row.value)


def residuals(text: str, cases: Sequence[Case]) -> np.ndarray:
    """ln(predicted ÷ published) of every case with the priors in `text`."""
    use(text)
    return np.array([_residual(case) for case in cases], dtype=float)


def weights_of(cases: Sequence[Case]) -> np.ndarray:
    """Of each row, so that a source counts by a small power of its rows; 1 on average."""
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.row.source] = counts.get(case.row.source, 0) + 1
    found = np.array([counts[case.row.source] ** (SOURCE_POWER - 1.0) for case in cases])
    weights: np.ndarray = found / found.mean()
    return weights


def solve(
    jacobian: np.ndarray, offset: np.ndarray, weights: np.ndarray, start: np.ndarray, spreads: np.ndarray
) -> np.ndarray:
    """The moves that minimise the robust loss, held to the starting values (start: how far each has moved)."""
    move = np.zeros(spreads.size)
    for _ in range(30):
        left = offset + jacobian @ move
        robust = weights / np.sqrt(1.0 + (left / LOSS_SCALE) ** 2) / NOISE**2
        normal = jacobian.T @ (robust[:, None] * jacobian) + np.diag(1.0 / spreads**2)
        move = np.linalg.solve(normal, -jacobian.T @ (robust * offset) - start / spreads**2)
    return move


def jacobian_at(
    text: str, here: np.ndarray, cases: Sequence[Case], parameters: Sequence[Parameter]
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals at the parameters' logarithms, and how they move with each; only rows that depend on one are tried."""
    base = residuals(_with(text, here, parameters), cases)
    found = np.zeros((len(cases), len(parameters)))
    for place, parameter in enumerate(parameters):
        moved = here.copy()
        moved[place] += -STEP if moved[place] + STEP > math.log(parameter.limit) else STEP
        touched = [number for number, case in enumerate(cases) if case.depends_on(parameter)]
        values = residuals(_with(text, moved, parameters), [cases[number] for number in touched])
        found[touched, place] = (values - base[touched]) / (moved[place] - here[place])
    return base, found


def _with(text: str, logs: np.ndarray, parameters: Sequence[Parameter]) -> str:
    for parameter, log in zip(parameters, logs, strict=True):
        text = parameter.write(text, math.exp(log))
    return text


@dataclass(frozen=True)
class Fitted:
    """The facts with fitted values, and what leaving sources out needs."""

    text: str
    residuals: np.ndarray
    jacobian: np.ndarray
    moved: np.ndarray
    parameters: tuple[Parameter, ...]


def fit(text: str, cases: Sequence[Case], rounds: int) -> Fitted:
    """So many steps from the values in `text`."""
    parameters = parameters_of(cases)
    weights, spreads = weights_of(cases), np.array([parameter.spread for parameter in parameters])
    first = np.log([parameter.read(text) for parameter in parameters])
    limits = np.log([parameter.limit for parameter in parameters])
    here = first.copy()
    for turn in range(rounds):
        base, jacobian = jacobian_at(text, here, cases, parameters)
        move = np.clip(solve(jacobian, base, weights, here - first, spreads), -0.6, 0.6)
        print(f"round {turn + 1}: {summary(cases, base)}", flush=True)
        here = np.minimum(here + move, limits)
    base, jacobian = jacobian_at(text, here, cases, parameters)
    return Fitted(_with(text, here, parameters), base, jacobian, here - first, tuple(parameters))


def left_out(cases: Sequence[Case], fitted: Fitted) -> np.ndarray:
    """Residuals of each source when the parameters are fitted without it (one robust step from the common values)."""
    weights = weights_of(cases)
    spreads = np.array([parameter.spread for parameter in fitted.parameters])
    sources = np.array([case.row.source for case in cases])
    result = fitted.residuals.copy()
    everything = solve(fitted.jacobian, fitted.residuals, weights, fitted.moved, spreads)
    for source in np.unique(sources):
        out = sources == source
        kept = fitted.jacobian[~out], fitted.residuals[~out], weights[~out]
        move = np.clip(solve(*kept, fitted.moved, spreads) - everything, -0.7, 0.7)
        result[out] = fitted.residuals[out] + fitted.jacobian[out] @ move
    return result


def class_widths(cases: Sequence[Case], out: np.ndarray) -> Mapping[str, float]:
    """The half-width of each range class that holds COVERAGE of its left-out rows, beside what was assumed."""
    found: dict[str, list[tuple[float, float]]] = {}
    for case, value in zip(cases, out, strict=True):
        found.setdefault(case.trial.kind.value, []).append((abs(float(value)), own_spread(case)))
    every = [pair for pairs in found.values() for pair in pairs]
    return {
        name: max(_width(pairs), _width(every)) if len(pairs) < FEW_ROWS else _width(pairs)
        for name, pairs in found.items()
    }


def own_spread(case: Case) -> float:
    """Summed squares of what widens the case's range beside its class: what its table left open."""
    total = spread(case) ** 2
    return max(total - serving_room.load_serving_priors().ranges[case.trial.kind.value] ** 2, 0.0)


def spread(case: Case) -> float:
    """The log half-width of the case's range."""
    outcome = run_inference(case.trial)
    if isinstance(outcome, Lack):
        raise ValueError(f"{case.row.id} was answered before and is not now: {outcome.reason}")
    found = case.trial.quantity_of(outcome)
    if isinstance(found, Declined):
        raise ValueError(f"{case.row.id} was answered before and is not now: {found.reason}")
    quantity = inference_range(case.trial, found)
    return math.log(quantity.high / quantity.mid)


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
    return (
        f"median {math.expm1(statistics.median(medians)):.1%}, 90th {math.expm1(statistics.median(tails)):.1%} "
        f"over {len(by_source)} sources"
    )


def main(arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    paths = [Path(argument) for argument in arguments if not argument.startswith("--")]
    rounds = next((int(argument[9:]) for argument in arguments if argument.startswith("--rounds=")), 3)
    if len(paths) != 1:
        raise SystemExit(__doc__)
    text = FACTS.read_text(encoding="utf-8")
    cases = cases_of(paths[0])
    fitted = fit(text, cases, rounds)
    out = left_out(cases, fitted)
    print(f"{len(cases)} rows, {len(fitted.parameters)} parameters")
    print(f"all sources:     {summary(cases, fitted.residuals)}")
    print(f"each left out:   {summary(cases, out)}")
    for name in sorted({case.trial.kind.value for case in cases}):
        of_kind = [number for number, case in enumerate(cases) if case.trial.kind.value == name]
        print(f"  {name:20s} {len(of_kind):4d} {math.expm1(statistics.median(abs(out[of_kind]))):.1%}")
    for parameter in fitted.parameters:
        before, after = parameter.read(text), parameter.read(fitted.text)
        if abs(math.log(after / before)) > STEP:
            print(f"  {parameter.name:55s} {before:9.4g} → {after:9.4g}")
    written = fitted.text
    use(fitted.text)
    for name, width in sorted(class_widths(cases, out).items()):
        section = Parameter(("range", name), "half_width", 1.0)
        width = max(width, LEAST_POWER) if name == "power" else width
        print(f"  range.{name:39s} {section.read(text):9.4g} → {width:9.4g}")
        written = section.write(written, width)
    if "--write" in arguments:
        FACTS.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
