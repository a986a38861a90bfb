"""How wide serving ranges must be, from rows that were predicted without their source."""

from __future__ import annotations

import math
import statistics
import tomllib
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.robust_fit import covering
from benchmarks.serving_cases import Case, using
from benchmarks.serving_parameters import Parameter
from benchmarks.training_cases import weights_of
from planner.jobs.engine import Engine

# Of rows predicted without their source and rows that the fit has seen, half and half: what is asked is partly like
# what sources told about and partly new.
COVERAGE = 0.9
NEW_COVERAGE = 0.87  # of rows predicted without their source alone, which whoever asks about something new looks like
# Ranges of what the fit has seen hold no more than this, where those of rows without their source allow it: one width
# serves both, and too wide a range tells as little as too narrow a one.
MOST_SEEN = 0.945
LEAST_WIDTH = 0.06
# Published energies carry the range of their seconds too, which covers what power misses; power alone was published by
# too few to tell (assumed).
LEAST_POWER = 0.1
FEW_ROWS = 8
EXTRAS = ("engine_none", "family_none")
NINE_IN_TEN = 1.645  # standard deviations of a normal distribution
NORMAL_MAD = 1.4826  # one of them ÷ the median deviation
UNKNOWN_EXTRA = 0.3  # where no row can tell (assumed)
LEAST_EXTRA = 0.1  # what is not known of something new is never nothing (assumed)


def told_by_others(cases: Sequence[Case]) -> list[tuple[int, int]]:
    """Of each row the number of other sources that told about its engine, and about its family of GPUs."""
    engines, families = _sources(cases)
    return [(len(engines[case.engine]) - 1, len(families[case.family]) - 1) for case in cases]


def _sources(cases: Sequence[Case]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    engines: dict[str, set[str]] = {}
    families: dict[str, set[str]] = {}
    for case in cases:
        engines.setdefault(case.engine, set()).add(case.row.source)
        families.setdefault(case.family, set()).add(case.row.source)
    return engines, families


def told(text: str, cases: Sequence[Case]) -> str:
    """The facts with how many sources told about each engine and family."""
    engines, families = _sources(cases)
    document = tomllib.loads(text)
    for kind, found in (("engine", engines), ("family", families)):
        for name in document[kind]:
            text = _section(kind, name, "told").write(text, float(len(found.get(name, ()))))
    return text


def widths_of(text: str, cases: Sequence[Case], seen: np.ndarray, out: np.ndarray) -> dict[str, float]:
    """The half-width of every class and cause, so that COVERAGE of the rows lie inside, and about as many of each
    source; `seen` are residuals of the common fit, `out` those without the row's source.

    A class is told by rows whose engine and family others told about too, an extra by those where nobody did."""
    document = tomllib.loads(text)
    ranges = document["range"]
    for name in ranges:
        ranges[name]["half_width"] = 0.0 if name != "engine" else ranges[name]["half_width"]
    others = told_by_others(cases)
    known = [all(counts) and not _is_unpacked(case) for case, counts in zip(cases, others, strict=True)]
    kinds = sorted({case.trial.kind.value for case in cases}, key=lambda name: (name == "power", name))
    for kind in kinds:
        chosen = [place for place, case in enumerate(cases) if case.trial.kind.value == kind]
        if sum(known[place] for place in chosen) >= FEW_ROWS:
            chosen = [place for place in chosen if known[place]]
        rows = [cases[place] for place in chosen]
        width = _covering_both(document, rows, seen[chosen], out[chosen])
        ranges[kind]["half_width"] = max(width, LEAST_POWER if kind == "power" else LEAST_WIDTH)
    unpacked = [place for place, case in enumerate(cases) if _is_unpacked(case)]
    if unpacked:
        rows = [cases[place] for place in unpacked]
        width = _covering_both(document, rows, seen[unpacked], out[unpacked])
        ranges["unpacking"]["half_width"] = max(width, LEAST_EXTRA)
    for place, name in enumerate(EXTRAS):
        strange = [number for number, counts in enumerate(others) if not counts[place] and counts[1 - place]]
        if strange:
            rows = [cases[number] for number in strange]
            needed = _left(document, rows, out[strange])
            width = covering(needed, weights_of(rows).tolist(), COVERAGE)
            ranges[name]["half_width"] = max(width, LEAST_EXTRA)
        else:
            ranges[name]["half_width"] = UNKNOWN_EXTRA
    ranges["release"]["half_width"] = release_width(cases, out)
    for kind in kinds:
        of_kind = [place for place, case in enumerate(cases) if case.trial.kind.value == kind]
        rows = [cases[place] for place in of_kind]
        ranges[kind]["half_width"] = _trimmed(document, kind, rows, seen[of_kind], out[of_kind], cases)
    return {name: entry["half_width"] for name, entry in ranges.items() if name != "engine"}


def _covering_both(document: dict[str, object], rows: Sequence[Case], seen: np.ndarray, out: np.ndarray) -> float:
    """What holds COVERAGE of both kinds of errors, rows counting half for themselves and half for their source, and
    NEW_COVERAGE of those without the source, rows counting alike."""
    new = _left(document, rows, out)
    needed = _left(document, rows, seen) + new
    weights = (0.5 + 0.5 * weights_of(rows)).tolist()
    return max(covering(needed, weights + weights, COVERAGE), covering(new, [1.0] * len(new), NEW_COVERAGE))


def _trimmed(
    document: dict[str, Any], kind: str, rows: Sequence[Case], seen: np.ndarray, out: np.ndarray, cases: Sequence[Case]
) -> float:
    """The half-width of a class, trimmed to what its rows need, told by nobody else or not."""
    width = float(document["range"][kind]["half_width"])
    with using(document):
        whole = np.array([case.width() for case in rows])
    beside = whole**2 - width**2  # other causes, and what a row's table left open
    strange = _extra_width(document, rows, cases) ** 2
    needed = np.sqrt(np.maximum(seen**2 - beside, 0.0))
    new = np.sqrt(np.maximum(out**2 - beside - strange, 0.0))
    return trimmed(width, needed, new)


def trimmed(width: float, needed: np.ndarray, new: np.ndarray) -> float:
    """A half-width, less where MOST_SEEN of the rows that the fit has seen (`needed` of each) and NEW_COVERAGE of those
    without their source (`new` of each) need no more."""
    return min(
        width, max(float(np.quantile(needed, MOST_SEEN)), covering(new.tolist(), [1.0] * new.size, NEW_COVERAGE))
    )


def _extra_width(document: dict[str, Any], rows: Sequence[Case], cases: Sequence[Case]) -> np.ndarray:
    """What the range of each row gets because no other source told about its engine or its family."""
    extras = [document["range"][name]["half_width"] for name in EXTRAS]
    told = dict(zip(map(id, cases), told_by_others(cases), strict=True))
    return np.array(
        [
            math.hypot(0.0, *(extra for extra, count in zip(extras, told[id(case)], strict=True) if not count))
            for case in rows
        ]
    )


def _is_unpacked(case: Case) -> bool:
    """Whether weights are unpacked by a library that the engine leaves open."""
    return case.trial.kind.value == "packed" and case.engine == Engine.TRANSFORMERS.value


def _left(document: dict[str, object], cases: Sequence[Case], out: np.ndarray) -> list[float]:
    """What of each error the range that is there does not explain."""
    with using(document):
        widths = [case.width() for case in cases]
    return [math.sqrt(max(error**2 - width**2, 0.0)) for error, width in zip(out.tolist(), widths, strict=True)]


def release_width(cases: Sequence[Case], out: np.ndarray) -> float:
    """Nine in ten of how far the medians of sources lie apart that ran one engine on language models."""
    found: dict[str, dict[str, list[float]]] = {}
    for case, error in zip(cases, out.tolist(), strict=True):
        if case.trial.kind.value in ("single", "served", "saturated"):
            found.setdefault(case.engine, {}).setdefault(case.row.source, []).append(error)
    apart = []
    for sources in found.values():
        medians = [statistics.median(errors) for errors in sources.values()]
        apart += [median - statistics.median(medians) for median in medians if len(medians) > 2]
    return NINE_IN_TEN * NORMAL_MAD * statistics.median(map(abs, apart)) if apart else 0.0


def widths_left_out(text: str, cases: Sequence[Case]) -> np.ndarray:
    """The half-width that each row's range has for somebody who never saw its source."""
    document = tomllib.loads(text)
    with using(document):
        widths = np.array([case.width() for case in cases])
    found: np.ndarray = np.hypot(widths, _extra_width(document, cases, cases))
    return found


def written_widths(text: str, widths: dict[str, float]) -> str:
    """The facts with these half-widths."""
    for name, width in widths.items():
        text = _section("range", name, "half_width").write(text, width)
    return text


def _section(kind: str, owner: str, key: str) -> Parameter:
    return Parameter(kind, owner, key, 1.0, 1.0)
