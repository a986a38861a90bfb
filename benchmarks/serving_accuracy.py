"""`python -m benchmarks.serving_accuracy FOLDER [OUTPUT]`: write the part of docs/accuracy.md on inference anew, from
the table inference_runs.csv in FOLDER; the rest of the page stays. `benchmarks.accuracy` writes the whole page."""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.fit_serving import fit, left_out, left_out_linearly
from benchmarks.published_error import write_facts
from benchmarks.score_tables import percent, score_table
from benchmarks.serving_cases import cases_of
from benchmarks.serving_parameters import FACTS
from benchmarks.serving_widths import widths_left_out
from benchmarks.training_cases import totals
from planner.estimates.validation.score import Scored, by_source, overall
from planner.estimates.validation.table import read_table
from planner.estimates.validation.validate import validate_table
from planner.hardware.catalogue import load_catalogue

OUTPUT = Path(__file__).parent.parent / "docs" / "accuracy.md"
TITLE = "## Inference\n"
ROWS_LEFT_OUT = 6  # of each class of a source: leaving out takes Jacobians of some two hundred parameters
ROUNDS = 3
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
    "energy": "energy of requests and tokens",
    "power": "power, energy of single passes",
}

MEANT = (0.85, 0.95)  # that ranges of nine in ten hold of every class
# Why one width does not hold as much of a class as is meant.
WHY = {
    "packed": "most rows are of one source, whose engine the fit has seen on many cards and predicts well, while the "
    "width is what libraries and formats that it has not seen need",
    "picture": "two sources (eager examples and one detector) miss by twice what the others do, and a width that held "
    "them would be too wide for all",
    "energy": "what its three sources miss without themselves is told by one network of one of them, and the width is "
    "that",
    "first_token_loaded": "how a benchmark lets requests in is not stated, and sets the time more than the GPU does",
}
USUALLY = (
    "its sources miss so unevenly that the width which holds them without their source is not that which holds them"
)


def main(arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    if not arguments:
        raise SystemExit(__doc__)
    output = Path(arguments[1]) if len(arguments) > 1 else OUTPUT
    before = output.read_text(encoding="utf-8").partition(TITLE)[0] if output.exists() else ""
    output.write_text(before + section(Path(arguments[0]) / "inference_runs.csv"), encoding="utf-8")
    if output == OUTPUT:
        write_facts(output.read_text(encoding="utf-8"))
    print(f"{output} written")


def section(path: Path) -> str:
    """The part of the page, from its title to its end."""
    scored = validate_table(read_table(path.read_text(encoding="utf-8")), load_catalogue())
    return TITLE + _left_out(path) + _tables(scored)


def _left_out(path: Path) -> str:
    cases, text = cases_of(path, ROWS_LEFT_OUT), FACTS.read_text(encoding="utf-8")
    fitted = fit(text, cases, ROUNDS)
    out, step = left_out(text, cases, fitted), left_out_linearly(cases, fitted)
    inside = np.abs(out) <= widths_left_out(text, cases)
    found = totals(cases, out)
    lines = (
        f"\n**Each source predicted with priors fitted without it: median over sources {percent(found.median)}, 90th "
        f"percentile {percent(found.p90)}, bias {percent(found.bias)}; ranges hold {percent(float(inside.mean()))} of "
        f"the rows** ({len(cases)} rows of {found.num_sources} sources, at most {ROWS_LEFT_OUT} per class). Every "
        "source has its own fit to all the others, from expected values that no published run has moved. An engine or "
        "a family of GPUs that one source alone told about is then estimated by what was learnt of its like, and its "
        f"range says that nobody told about it. By one linear step from the common fit the median is "
        f"{percent(totals(cases, step).median)}. The tables after the next two are with the shipped priors, which have "
        "seen these sources.\n"
    )
    kinds = np.array([CLASSES[case.trial.kind.value] for case in cases])
    sources = np.array([case.row.source for case in cases])
    return lines + _of_groups("class", kinds, out, inside) + _of_groups("source", sources, out, inside)


def _of_groups(title: str, names: np.ndarray, out: np.ndarray, inside: np.ndarray) -> str:
    lines = f"\n| {title}, each source left out | rows | median | bias | inside |\n"
    lines += "| --- | ---: | ---: | ---: | ---: |\n"
    for name in sorted(set(names)):
        of = names == name
        middle, bias = math.expm1(float(np.median(np.abs(out[of])))), math.expm1(float(np.median(out[of])))
        figures = f"{percent(middle)} | {percent(bias)} | {percent(float(inside[of].mean()))}"
        plain = name.replace("|", "/")
        lines += f"| {plain} | {of.sum()} | {figures} |\n"
    return lines


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
    text += _outside(answered)
    text += "\n### By metric\n" + score_table("metric", scored, lambda item: item.row.metric)
    text += "\n### By source\n" + score_table("source", scored, lambda item: item.row.source)
    text += "\n### By engine as published\n" + score_table("engine", answered, lambda item: _engine(item))
    text += "\n### By GPU\n" + score_table("GPU", answered, lambda item: item.gpu_key)
    text += "\n### Declined\n\n| rows | reason |\n| ---: | --- |\n"
    reasons = Counter(item.reason for item in scored if item.predicted is None)
    for reason, count in reasons.most_common(40):
        text += f"| {count} | {reason.replace('|', '/')} |\n"
    return text


def _outside(answered: list[Scored]) -> str:
    """The classes whose ranges hold more or less than is meant, and why; nothing where there are none."""
    lines = ""
    for kind, title in CLASSES.items():
        of_kind = [item for item in answered if item.kind == kind]
        held = overall(of_kind, by_source(of_kind)).coverage if of_kind else None
        if held is not None and not MEANT[0] <= held <= MEANT[1]:
            lines += f"- {title}: {percent(held)}, as {WHY.get(kind, USUALLY)}.\n"
    if not lines:
        return "\nRanges hold between 85% and 95% of the rows of every class.\n"
    return f"\nOne width per class serves rows like those seen and new ones. Not between 85% and 95%:\n\n{lines}"


def _engine(item: Scored) -> str:
    """The framework without its release."""
    return item.row.text("framework").split(" v")[0].split(" (")[0].rstrip("0123456789. rcpost") or "not stated"


def _median(items: list[Scored]) -> str:
    total = overall(items, by_source(items))
    return f"median over sources {percent(total.median_of_source_medians)}, inside {percent(total.coverage)}"


if __name__ == "__main__":
    main(sys.argv[1:])
