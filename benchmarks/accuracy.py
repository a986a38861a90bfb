"""`python -m benchmarks.accuracy FOLDER [OUTPUT]`: write docs/accuracy.md from the tables of published runs in FOLDER.

`make accuracy TABLES=FOLDER` runs it. The tables are training_runs.csv and, if it is there, inference_runs.csv.
"""

from __future__ import annotations

import math
import statistics
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fit_priors import FACTS, cases_of, fit, left_out, spans_left_out
from benchmarks.score_tables import percent, score_table
from benchmarks.serving_accuracy import section
from planner.estimates.priors import load_priors
from planner.estimates.validation.score import Scored, by_source, overall
from planner.estimates.validation.table import read_table
from planner.estimates.validation.validate import validate_table
from planner.hardware.catalogue import load_catalogue

OUTPUT = Path(__file__).parent.parent / "docs" / "accuracy.md"


def main(arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    if not arguments:
        raise SystemExit(__doc__)
    folder = Path(arguments[0])
    output = Path(arguments[1]) if len(arguments) > 1 else OUTPUT
    parts = [_head(), _training(folder / "training_runs.csv")]
    serving = folder / "inference_runs.csv"
    if serving.exists():
        parts.append(section(serving))
    output.write_text("\n".join(parts) + "\n", encoding="utf-8")
    print(f"{output} written")


def _head() -> str:
    return (
        "# Accuracy\n\n"
        "How far estimates without any calibration lie from published, measured runs: spec sheets and shipped priors "
        "alone. Written by `make accuracy TABLES=FOLDER`, never by hand; the folder holds tables with a row per run "
        "(`planner validate` reads the same columns: source, model_name, model_family, layers, hidden, heads, "
        "kv_heads, ffn_hidden, gated_mlp, vocab, seq_len, image_size, gpu_model, gpu_memory_gb, num_gpus, "
        "gpus_per_node, "
        "precision, framework, global_batch, micro_batch, tp, pp, cp, ep, sharding, activation_checkpointing, metric, "
        "value, notes; for inference also scenario, batch_or_concurrency, input_len, output_len).\n\n"
        "The error of a row is |ln(predicted ÷ published)|, shown as e^x − 1. Every total is the median over sources, "
        "so that a long table counts no more than a short one.\n\n"
        f"Catalogue {load_catalogue().version}, priors {load_priors().version}.\n"
    )


def _training(path: Path) -> str:
    cases = cases_of(path)
    _, found, jacobian, moved = fit(FACTS.read_text(encoding="utf-8"), cases, rounds=0)
    out = left_out(cases, found, jacobian, moved)
    by_case: dict[str, list[float]] = {}
    for case, value in zip(cases, out, strict=True):
        by_case.setdefault(case.row.source, []).append(float(value))
    medians = [statistics.median(map(abs, values)) for values in by_case.values()]
    inside = spans_left_out(cases, out)
    headline = (
        "## Training\n\n"
        "**Each source left out of the fit of the priors in turn: median error "
        f"{math.expm1(statistics.median(medians)):.1%}, ranges hold {inside:.1%} of its rows** ({len(cases)} rows of "
        f"{len(by_case)} sources, at most 16 of each). The tables below are with the shipped priors, which have seen "
        "these sources. Leaving out is by one linear step from the shipped values, which itself is somewhat kind: the "
        "values that the others are held to were found with all sources.\n"
    )
    return headline + _tables(_scored(path))


def _scored(path: Path) -> list[Scored]:
    return validate_table(read_table(path.read_text(encoding="utf-8")), load_catalogue())


def _tables(scored: list[Scored]) -> str:
    sources = by_source(scored)
    total = overall(scored, sources)
    text = (
        f"\nMedian over sources {percent(total.median_of_source_medians)}, 90th percentile {percent(total.p90)}, "
        f"bias {percent(total.bias)}; ranges hold {percent(total.coverage)} of the rows at a median width of "
        f"±{percent(total.median_range_width)}; {total.rows} rows, {total.declined} declined.\n"
    )
    text += "\n### By source\n" + score_table("source", scored, lambda item: item.row.source)
    answered = [item for item in scored if item.predicted is not None]
    text += "\n### By GPU\n" + score_table("GPU", answered, lambda item: item.gpu_key)
    text += "\n### By family\n" + score_table(
        "family", answered, lambda item: item.row.text("model_family") or "not stated"
    )
    text += "\n### Declined\n\n| rows | reason |\n| ---: | --- |\n"
    reasons = Counter(item.reason for item in scored if item.predicted is None)
    for reason, count in reasons.most_common(40):
        text += f"| {count} | {reason.replace('|', '/')} |\n"
    return text


if __name__ == "__main__":
    main(sys.argv[1:])
