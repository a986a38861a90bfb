"""`python -m benchmarks.accuracy FOLDER [OUTPUT]`: write docs/accuracy.md from the tables of published runs in FOLDER.

`make accuracy TABLES=FOLDER` runs it. The tables are training_runs.csv and, if it is there, inference_runs.csv.
`--only=Training` or `--only=Inference` writes that section anew and keeps the other as it stands.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.fit_priors import fit, left_out, left_out_linearly
from benchmarks.prior_parameters import FACTS, expected
from benchmarks.published_error import write_facts
from benchmarks.range_widths import shipped_widths, spans, spans_left_out, spans_of_strangers
from benchmarks.score_tables import percent, score_table
from benchmarks.serving_accuracy import section
from benchmarks.training_cases import ROWS_PER_SOURCE, Case, cases_of, totals
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
    paths = [Path(argument) for argument in arguments if not argument.startswith("--")]
    only = next((argument[7:] for argument in arguments if argument.startswith("--only=")), "")
    folder, output = paths[0], paths[1] if len(paths) > 1 else OUTPUT
    found = {}
    if only in ("", "Training"):
        found["Training"] = _training(folder / "training_runs.csv")
    if only in ("", "Inference") and (folder / "inference_runs.csv").exists():
        found["Inference"] = section(folder / "inference_runs.csv")
    kept = sections(output) if only else {}
    parts = [_head(), *({**kept, **found}[name] for name in ("Training", "Inference") if name in kept or name in found)]
    output.write_text("\n".join(part.strip("\n") + "\n" for part in parts), encoding="utf-8")
    if output == OUTPUT:
        write_facts(output.read_text(encoding="utf-8"))
    print(f"{output} written")


def sections(path: Path) -> dict[str, str]:
    """The sections that the file has now, by their headings."""
    parts = path.read_text(encoding="utf-8").split("\n## ")[1:]
    return {part.partition("\n")[0]: f"## {part}" for part in parts}


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
    cases, text = cases_of(path), FACTS.read_text(encoding="utf-8")
    shipped = fit(text, cases, rounds=0)
    out, step = left_out(text, cases, shipped), left_out_linearly(cases, shipped, expected(text))
    found, inside = totals(cases, out), spans_left_out(cases, out)
    headline = (
        "## Training\n\n"
        "**Each source predicted with priors fitted without it: median over sources "
        f"{found.median:.1%}, 90th percentile {found.p90:.1%}, bias {found.bias:+.1%}; ranges hold {inside:.1%} of the "
        f"rows** ({len(cases)} rows of {found.num_sources} sources, at most {ROWS_PER_SOURCE} of each; every source "
        f"has its own fit to all the others). Where the ranges are fitted without the source as well they hold "
        f"{spans_of_strangers(cases, out):.1%}. By one linear step from the common fit, as this page "
        f"had it before, the median is {totals(cases, step).median:.1%}. The other tables are with the shipped priors, "
        "which have seen these sources.\n"
    )
    return headline + _left_out_table(cases, out) + _tables(_scored(path))


def _left_out_table(cases: Sequence[Case], out: np.ndarray) -> str:
    """Each source under the priors that never saw it."""
    within, _ = spans(cases, out, shipped_widths())
    lines = [
        "\n### Each source left out\n\n| source | rows | median | bias | inside |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    sources = np.array([case.row.source for case in cases])
    for source in sorted(set(sources)):
        of = sources == source
        middle, bias = math.expm1(float(np.median(np.abs(out[of])))), math.expm1(float(np.median(out[of])))
        name = source.replace("|", "/")
        lines.append(f"| {name} | {of.sum()} | {middle:.1%} | {bias:+.1%} | {within[of].mean():.1%} |")
    return "\n".join(lines) + "\n"


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
