"""Training steps against llm-analysis on its own kind of case, and our speed in bulk.

`python -m benchmarks.training_peer TABLE.csv PEER_PYTHON`: the rows of a table of measured training runs that the peer
can describe (dense decoders in 16 bits on GPUs that it ships, every split stated), each asked of both; PEER_PYTHON is
an interpreter in which `pip install llm-analysis` was done. The peer's efficiency is an input that its user must know:
it is asked with its default (all of the peak) and with the half that its documentation names for training.
`python -m benchmarks.training_peer --speed` times layouts × offers alone.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from planner.estimates.communication import node_links
from planner.estimates.layout import Layouts, training_layouts
from planner.estimates.memory import total, usable_bytes
from planner.estimates.profile import Lack, profile_from_priors
from planner.estimates.step import step_times
from planner.estimates.training import TRAINING_SHARES, training_items
from planner.estimates.validation.score import Scored, by_source, overall
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row, read_table
from planner.estimates.validation.trials import Trial, training_trial
from planner.estimates.validation.validate import run_trial
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype, Gpu
from planner.jobs.architecture import Transformer
from planner.jobs.job import Recompute, Sharding, Stack, TrainingJob, TrainingMethod
from planner.jobs.presets import ARCHITECTURES

PEER_GPUS = {
    "A100-40GB-SXM": "a100-sxm-40gb",
    "A100-80GB-SXM": "a100-sxm-80gb",
    "H100-80GB-SXM": "h100-sxm-80gb",
    "V100-16GB-SXM": "v100-sxm-16gb",
    "V100-32GB-SXM": "v100-sxm-32gb",
}
EFFICIENCIES = (1.0, 0.5)  # its default; what its documentation says Megatron reaches
SHARDINGS = (Sharding.NONE, Sharding.ZERO1, Sharding.ZERO2, Sharding.ZERO3)
LAYOUTS, OFFERS = 1000, 100


def peer_case(trial: Trial, layout_sharding: Sharding | None) -> dict[str, Any] | None:
    """The trial in the peer's words; None where it has none for it."""
    job, gpu = trial.job, trial.placement.gpu
    network = job.architecture
    if gpu.key not in PEER_GPUS or not isinstance(network, Transformer) or not network.causal:
        return None
    if network.num_experts > 1 or job.dtype not in (Dtype.BF16, Dtype.FP16) or job.method is not TrainingMethod.FULL:
        return None
    splits = job.tensor_parallel, job.pipeline_parallel
    if trial.is_open or job.micro_batch is None or None in splits or (job.context_parallel or 1) > 1:
        return None
    tensor, pipeline = splits[0] or 1, splits[1] or 1
    return {
        "gpu": PEER_GPUS[gpu.key],
        "model": {
            "name": network.name,
            "num_layers": network.num_layers,
            "n_head": network.num_heads,
            "hidden_dim": network.hidden,
            "vocab_size": network.vocab,
            "max_seq_len": job.sequence_length,
            "num_key_value_heads": network.num_kv_heads,
            # Its feed-forward network has two products; of a gated one as wide as makes three.
            "ffn_embed_dim": round(1.5 * network.ffn) if network.gated else network.ffn,
            "expansion_ratio": 1,
        },
        "parallelism": {
            "tp_size": tensor,
            "pp_size": pipeline,
            "dp_size": int(trial.placement.num_gpus) // (tensor * pipeline),
        },
        "micro_batch": job.micro_batch,
        "global_batch": job.global_batch,
        "sequence": job.sequence_length,
        "recompute": list(Recompute).index(job.recompute),
        "zero": SHARDINGS.index(job.sharding or layout_sharding or Sharding.NONE),
        "memory_efficiency": 1.0,
    }


def compare(table: Path, peer: str) -> None:
    """Print errors and milliseconds of both on the rows that both answer."""
    catalogue = load_catalogue()
    asked: list[tuple[Row, Trial, dict[str, Any], float, float]] = []
    for row in read_table(table.read_text(encoding="utf-8")).rows:
        trial = training_trial(row, catalogue)
        case = None if isinstance(trial, Declined) else peer_case(trial, None)
        if isinstance(trial, Declined) or case is None:
            continue
        before = time.process_time()
        found = run_trial(trial)
        taken = time.process_time() - before
        if not isinstance(found, Lack):
            asked.append((row, trial, case, found.step_seconds.mid, taken))
    answers = [
        _ask(peer, [{**case, "flops_efficiency": share} for _, _, case, _, _ in asked]) for share in EFFICIENCIES
    ]
    both = [place for place in range(len(asked)) if all(answer[place]["seconds"] for answer in answers)]
    print(f"{len(both)} rows that both answer ({len(asked) - len(both)} of ours the peer refuses)")
    _print("ours, no calibration", [asked[place] for place in both], [asked[place][3] for place in both])
    for share, answer in zip(EFFICIENCIES, answers, strict=True):
        _print(f"llm-analysis at {share:.0%}", [asked[place] for place in both], [answer[p]["seconds"] for p in both])
    ours = statistics.median(asked[place][4] for place in both)
    theirs = statistics.median(answers[0][place]["taken"] for place in both)
    print(f"one at a time: ours {ours * 1e3:.2f} ms of one core with ranges and reasons, theirs {theirs * 1e3:.2f} ms")


def _ask(peer: str, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    child = Path(__file__).with_name("llm_analysis_peer.py")
    done = subprocess.run([peer, str(child)], input=json.dumps(cases), capture_output=True, text=True, check=True)
    answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def _print(title: str, asked: Sequence[tuple[Row, Trial, Any, float, float]], seconds: Sequence[float]) -> None:
    scored = [Scored(row, trial.metric_of(step)) for (row, trial, *_), step in zip(asked, seconds, strict=True)]
    sources = by_source(scored)
    found = overall(scored, sources)
    errors = [item.error for item in scored if item.error is not None]
    print(
        f"{title:24s} median over {len(sources)} sources {found.median_of_source_medians:.1%}, 90th {found.p90:.1%}, "
        f"bias {found.bias:+.1%}; all rows: median {math.expm1(statistics.median(errors)):.1%}"
    )


def speed() -> None:
    """Print the seconds of LAYOUTS layouts of one job on each of OFFERS kinds of GPU, and of one in bulk."""
    network = ARCHITECTURES["llama-3-70b"].architecture
    job = TrainingJob("bulk", network, 1e9, 65_536, 4096, stack=Stack.MEGATRON)
    layouts = _some(training_layouts(job, 1024, 8), LAYOUTS)
    known = [gpu for gpu in load_catalogue().gpus.values() if not isinstance(profile_from_priors(gpu, job.dtype), Lack)]
    gpus = [replace(known[place % len(known)], key=f"offer-{place}") for place in range(OFFERS)]
    taken = min(_bulk(job, layouts, gpus) for _ in range(3))
    print(
        f"{layouts.size} layouts × {len(gpus)} offers, memory and time: {taken:.2f} s of one core, "
        f"{taken / layouts.size / len(gpus) * 1e6:.1f} µs each"
    )


def _some(layouts: Layouts, number: int) -> Layouts:
    kept = np.zeros(layouts.size, dtype=bool)
    kept[np.unique(np.linspace(0, layouts.size - 1, number).astype(int))] = True
    return layouts.only(kept)


def _bulk(job: TrainingJob, layouts: Layouts, gpus: Sequence[Gpu]) -> float:
    before = time.process_time()
    for gpu in gpus:
        profile = profile_from_priors(gpu, job.dtype, job.stack)
        if isinstance(profile, Lack):
            raise ValueError(profile.reason)
        links = node_links(gpu, 1024, 8, None, TRAINING_SHARES)
        usable = usable_bytes(gpu, None) or 0.0
        fits = total(training_items(job, profile, layouts)) <= usable
        seconds = step_times(job, profile, layouts, links).total
        np.where(fits, seconds, np.inf).min()
    return time.process_time() - before


def main(arguments: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    if "--speed" not in arguments:
        if len(arguments) != 2:
            raise SystemExit(__doc__)
        compare(Path(arguments[0]), arguments[1])
    speed()


if __name__ == "__main__":
    main(sys.argv[1:])
