"""The peer's side of `benchmarks.training_peer`, run by an interpreter that has llm-analysis, whose pins are not ours.

Reads one JSON list of cases from standard input and writes one list of {"seconds", "taken"}: seconds of an optimizer
step by the peer (null where it refuses), and how long it took to say so.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main() -> None:
    from llm_analysis.analysis import ActivationRecomputation, DSZeRO, LLMAnalysis
    from llm_analysis.config import ModelConfig, ParallelismConfig, get_dtype_config_by_name, get_gpu_config_by_name

    def step(case: dict[str, Any]) -> float:
        analysis = LLMAnalysis(
            ModelConfig(**case["model"]),
            get_gpu_config_by_name(case["gpu"]),
            get_dtype_config_by_name("w16a16e16"),
            ParallelismConfig(**case["parallelism"]),
            flops_efficiency=case["flops_efficiency"],
            hbm_memory_efficiency=case["memory_efficiency"],
        )
        found = analysis.training(
            batch_size_per_gpu=case["micro_batch"],
            global_batch_size=case["global_batch"],
            seq_len=case["sequence"],
            activation_recomputation=ActivationRecomputation(case["recompute"]),
            ds_zero=DSZeRO(case["zero"]),
        )
        return float(found["latency_per_iter"])

    answers = []
    for case in json.load(sys.stdin):
        before = time.process_time()
        try:
            seconds: float | None = step(case)
        except (AssertionError, ValueError, ZeroDivisionError, TypeError):  # how the peer refuses
            seconds = None
        answers.append({"seconds": seconds, "taken": time.process_time() - before})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
