"""`python -m benchmarks.serving_accuracy FOLDER [OUTPUT]`: write the part of docs/accuracy.md on inference anew, from
the table inference_runs.csv in FOLDER; the rest of the page stays. `benchmarks.accuracy` writes the whole page."""

from __future__ import annotations

import math
import statistics
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.fit_serving import FACTS, Case, cases_of, fit, left_out, spread
from benchmarks.score_tables import percent, score_table
from planner.estimates.validation.score import Scored, by_source, overall
from planner.estimates.validation.table import read_table
from planner.estimates.validation.validate import validate_table
from planner.hardware.catalogue import load_catalogue

OUTPUT = Path(__file__).parent.parent / "docs" / "accuracy.md"
TITLE = "## Inference\n"
ROWS_LEFT_OUT = 12  # of each source: leaving out takes a Jacobian of some two hundred parameters
OUT_OF_SCOPE = ("a training run in an inference table", "the table marks the row")
CLASSES = {
    "single": "one request at a time, language models in 8 or 16 bits",
    "served": "several at a time, as many as stated",
    "saturated": "as many as memory holds (memory-starved cells among them)",
    "packed": "weights of 4 bits and the like",
    "experts": "mixtures of experts",
    "first_token": "time to the first token, idle engine or static batch; prompt rates",
    "first_token_loaded": "time to the first token among others' requests",
    "encoder": "encoders and vision transformers, one pass",
    "picture": "convolutional networks, detectors, steps of diffusion",
    "power": "energy and power",
}


def main(arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    if not arguments:
        raise SystemExit(__doc__)
    output = Path(arguments[1]) if len(arguments) > 1 else OUTPUT
    before = output.read_text(encoding="utf-8").partition(TITLE)[0] if output.exists() else ""
    output.write_text(before + section(Path(arguments[0]) / "inference_runs.csv"), encoding="utf-8")
    print(f"{output} written")


def section(path: Path) -> str:
    """The part of the page, from its title to its end."""
    scored = validate_table(read_table(path.read_text(encoding="utf-8")), load_catalogue())
    return TITLE + _left_out(path) + _tables(scored)


def _left_out(path: Path) -> str:
    cases = cases_of(path, ROWS_LEFT_OUT)
    fitted = fit(FACTS.read_text(encoding="utf-8"), cases, rounds=0)
    out = left_out(cases, fitted)
    inside = np.abs(out) <= np.array([spread(case) for case in cases])
    text = (
        f"\n**Each source left out of the fit of the priors in turn: median over sources "
        f"{percent(_over_sources(cases, out))}, ranges hold {percent(float(inside.mean()))} of its rows** "
        f"({len(cases)} rows of {len({case.row.source for case in cases})} sources, at most {ROWS_LEFT_OUT} of each). "
        "Several engines are told about by one source alone: left out, they are estimated by what is assumed of them. "
        "Leaving out is by one linear step from the shipped values, which is somewhat kind. The tables below are with "
        "the shipped priors, which have seen these sources.\n\n"
        "| class, each source left out | rows | median | inside |\n| --- | ---: | ---: | ---: |\n"
    )
    kinds = np.array([case.trial.kind.value for case in cases])
    for kind, title in CLASSES.items():
        chosen = kinds == kind
        if chosen.any():
            median = math.expm1(float(np.median(np.abs(out[chosen]))))
            text += f"| {title} | {chosen.sum()} | {percent(median)} | {percent(float(inside[chosen].mean()))} |\n"
    return text


def _over_sources(cases: Sequence[Case], out: np.ndarray) -> float:
    found: dict[str, list[float]] = {}
    for case, value in zip(cases, out, strict=True):
        found.setdefault(case.row.source, []).append(abs(float(value)))
    return math.expm1(statistics.median(statistics.median(values) for values in found.values()))


def _tables(scored: list[Scored]) -> str:
    sources = by_source(scored)
    total = overall(scored, sources)
    eligible = [item for item in scored if not item.reason.startswith(OUT_OF_SCOPE)]
    declined = sum(item.predicted is None for item in eligible)
    answered = [item for item in scored if item.predicted is not None]
    stated = [item for item in answered if not item.assumptions]
    dense = [item for item in answered if item.kind in ("single", "served", "saturated")]
    first = [item for item in answered if item.kind.startswith("first_token")]
    text = (
        f"\nMedian over sources {percent(total.median_of_source_medians)}, 90th percentile {percent(total.p90)}, "
        f"bias {percent(total.bias)}; ranges hold {percent(total.coverage)} of the rows at a median width of "
        f"±{percent(total.median_range_width)}; {total.rows} rows, {total.declined} declined: "
        f"{percent(declined / len(eligible))} of those that are inference and not marked as doubtful.\n\n"
        f"Time per token and throughput of dense language models: {_median(dense)}. Time to the first token: "
        f"{_median(first)}. Rows that state everything: {_median(stated)}.\n"
    )
    text += "\n### By class of range\n" + score_table("class", answered, lambda item: CLASSES[item.kind])
    text += "\n### By metric\n" + score_table("metric", scored, lambda item: item.row.metric)
    text += "\n### By source\n" + score_table("source", scored, lambda item: item.row.source)
    text += "\n### By engine as published\n" + score_table("engine", answered, lambda item: _engine(item))
    text += "\n### By GPU\n" + score_table("GPU", answered, lambda item: item.gpu_key)
    text += "\n### Declined\n\n| rows | reason |\n| ---: | --- |\n"
    reasons = Counter(item.reason for item in scored if item.predicted is None)
    for reason, count in reasons.most_common(40):
        text += f"| {count} | {reason.replace('|', '/')} |\n"
    return text


def _engine(item: Scored) -> str:
    """The framework without its release."""
    return item.row.text("framework").split(" v")[0].split(" (")[0].rstrip("0123456789. rcpost") or "not stated"


def _median(items: list[Scored]) -> str:
    total = overall(items, by_source(items))
    return f"median over sources {percent(total.median_of_source_medians)}, inside {percent(total.coverage)}"


if __name__ == "__main__":
    main(sys.argv[1:])
