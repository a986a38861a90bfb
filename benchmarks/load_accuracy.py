"""The simulation of requests against measured serving runs: `python -m benchmarks.load_accuracy FOLDER [OUTPUT]` writes
the part of docs/services.md on it anew, from the table inference_runs.csv in FOLDER.

A run of so many requests at a time is a closed loop: whenever one ends, the next begins. A run at the most throughput
has all its requests waiting from the start. Both are simulated on the layout that the run states, uncalibrated.
"""

from __future__ import annotations

import math
import statistics
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.estimates.answer import profiles
from planner.estimates.estimate import Placement
from planner.estimates.load.engine import EnginePolicy, Served, simulate
from planner.estimates.load.replica import Shape, replica
from planner.estimates.load.requests import Requests
from planner.estimates.load.step_table import tabulate
from planner.estimates.memory import usable_bytes
from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.profile import Lack
from planner.estimates.validation.inference import DRAWN_LENGTHS, InferenceTrial, inference_trial
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row, read_table
from planner.hardware.catalogue import load_catalogue
from planner.jobs.architecture import Transformer
from planner.jobs.engine import Batching
from planner.jobs.job import InferenceJob

OUTPUT = Path(__file__).parent.parent / "docs" / "services.md"
TITLE, END = "## Against measured runs\n", "<!-- end of measured runs -->\n"
ROWS_OF_A_SOURCE = 24  # evenly spaced over its rows: a simulation takes a tenth of a second
# Times as many requests as run at a time, all places taken at the start: the client of the benchmark that tells most of
# the waiting among others (InferenceMAX README, read 2026-11-21).
ROUNDS = 10
MOST_REQUESTS = 6_000
METRICS = {
    "output_tokens_per_s_total": "output tokens per second",
    "output_tokens_per_s_per_gpu": "output tokens per second",
    "total_tokens_per_s_per_gpu": "output tokens per second",
    "tpot_ms": "time per output token",
    "ttft_ms": "time to the first token",
}
BATCH_TOKENS = 8_192
SEED = 1  # of lengths that a bench draws


@dataclass(frozen=True, slots=True)
class Compared:
    """One run: what was published, what the simulation gives, and whether its memory was full."""

    source: str
    kind: str
    is_saturated: bool
    error: float  # ln of simulated ÷ published


def main(arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    if not arguments:
        raise SystemExit(__doc__)
    found = compared(Path(arguments[0]) / "inference_runs.csv")
    text = section(found)
    output = Path(arguments[1]) if len(arguments) > 1 else OUTPUT
    page = output.read_text(encoding="utf-8")
    before, _, rest = page.partition(TITLE)
    after = rest.partition(END)[2]
    output.write_text(before + TITLE + text + END + after, encoding="utf-8")
    print(text)


def compared(path: Path) -> list[Compared]:
    """Every run that can be simulated, at most so many of a source and a kind."""
    catalogue = load_catalogue()
    rows = [row for row in read_table(path.read_text(encoding="utf-8")).rows if row.metric in METRICS]
    found = []
    for row in spaced(rows):
        trial = inference_trial(row, catalogue)
        if isinstance(trial, Declined) or trial.job.batching is not Batching.CONTINUOUS:
            continue
        value = simulated(row, trial)
        if value is not None and value > 0:
            error = math.log(value / row.value)
            found.append(Compared(row.source, METRICS[row.metric], trial.job.concurrency is None, error))
    return found


def spaced(rows: Sequence[Row]) -> Iterable[Row]:
    """Rows evenly spaced over each source and metric."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.source, row.metric), []).append(row)
    for group in groups.values():
        step = max(1, math.ceil(len(group) / ROWS_OF_A_SOURCE))
        yield from group[::step]


def simulated(row: Row, trial: InferenceTrial) -> float | None:
    """The row's metric from the simulation of one replica; None where no replica of that layout stands."""
    job, placement = trial.job, trial.placement
    num_gpus = int(placement.num_gpus)
    served = closed_loop(job, placement, num_gpus, _spread(row))
    if served is None:
        return None
    run, replicas, at_once, front = served
    requests = run.requests
    per_second = replicas * requests.size / run.end_seconds
    if row.metric.startswith("output_tokens"):
        return per_second * job.output_tokens / (num_gpus if row.metric.endswith("per_gpu") else 1)
    if row.metric.startswith("total_tokens"):
        return per_second * (job.prompt_tokens + job.output_tokens) / num_gpus
    begun = np.concatenate([np.zeros(at_once), np.sort(run.done)])[: requests.size]
    if row.metric == "ttft_ms":
        return 1e3 * (front + float(np.mean(run.first_token - begun)))
    steady = slice(at_once, None)  # the first ones come all at once
    each = (run.done - run.first_token)[steady] / max(job.output_tokens - 1, 1)
    return 1e3 * float(np.median(each))


def _spread(row: Row) -> float:
    """How far the lengths of a bench that draws them evenly lie from their mean, as a part of it."""
    mean = next((share for source, share in DRAWN_LENGTHS if row.source.startswith(source)), 1.0)
    return 1.0 / mean - 1.0


def closed_loop(
    job: InferenceJob, placement: Placement, num_gpus: int, spread: float = 0.0
) -> tuple[Served, int, int, float] | None:
    """One replica's share of the requests, of which so many are always there; the number of replicas and of those, and
    seconds of a request in the server in front, through which the next one comes when one ends. Lengths lie evenly
    within `spread` of the job's."""
    _, profile = profiles(job, [placement], {})[0]
    usable = usable_bytes(placement.gpu, placement.device_memory_bytes)
    if isinstance(profile, Lack) or usable is None or not isinstance(job.architecture, Transformer):
        return None
    tensor, stages = job.tensor_parallel or num_gpus, job.pipeline_parallel or 1
    replicas = max(1, num_gpus // (tensor * stages))
    shape = Shape(tensor, stages, 1, placement.num_nodes, placement.gpus_per_node if placement.num_nodes > 1 else None)
    most = int(load_serving_priors().engines[job.engine].max_requests)
    at_once = most if job.concurrency is None else max(1, math.ceil(job.concurrency / replicas))
    made = replica(job, profile, shape, usable, BATCH_TOKENS, float(job.prompt_tokens))
    if isinstance(made, str):
        return None
    table = tabulate(made.steps, at_once, BATCH_TOKENS, reserve=made.reserve)
    if (1.0 + spread) * (job.prompt_tokens + job.output_tokens) + 2 >= table.capacity:
        return None
    number = min(MOST_REQUESTS, ROUNDS * at_once)
    drawn = np.random.default_rng(SEED).uniform(1.0 - spread, 1.0 + spread, (2, number))
    prompts, outputs = np.round(drawn * [[job.prompt_tokens], [job.output_tokens]]).astype(int)
    waiting = Requests(np.zeros(number), np.maximum(prompts, 1), np.maximum(outputs, 1))
    policy = EnginePolicy(max_sequences=at_once, batch_tokens=BATCH_TOKENS)
    run = simulate(waiting, table, policy)
    at_a_time = min(at_once, number)
    return run, replicas, at_a_time, float(made.front.seconds(float(at_a_time)))


def section(found: Sequence[Compared]) -> str:
    """The part of the page, after its title."""
    lines = [
        "",
        f"{len(found)} published serving runs, at most {ROWS_OF_A_SOURCE} of a source and a metric, simulated on the",
        "layout that each states, uncalibrated (`python -m benchmarks.load_accuracy FOLDER`). Errors are medians over",
        "sources of the median error of each, and the bias is the median of the sources' medians.",
        "",
        "| what | runs | sources | error | bias |",
        "|---|---|---|---|---|",
    ]
    for is_saturated, words in ((False, "so many requests at a time"), (True, "as many as memory holds")):
        for kind in dict.fromkeys(METRICS.values()):
            mine = [each for each in found if each.kind == kind and each.is_saturated is is_saturated]
            if mine:
                lines.append(f"| {kind}, {words} | {_line(mine)} |")
    return "\n".join([*lines, "", ""])


def _line(mine: Sequence[Compared]) -> str:
    by_source: dict[str, list[float]] = {}
    for each in mine:
        by_source.setdefault(each.source, []).append(each.error)
    errors = [statistics.median(abs(one) for one in group) for group in by_source.values()]
    biases = [statistics.median(group) for group in by_source.values()]
    error, bias = math.expm1(statistics.median(errors)), math.expm1(statistics.median(biases))
    return f"{len(mine)} | {len(by_source)} | {error:.0%} | {bias:+.0%}"


if __name__ == "__main__":
    main(sys.argv[1:])
