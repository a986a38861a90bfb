"""What it costs a CPU that the C library returns freed memory: one training step with and without, in one run.

`python -m benchmarks.freed_memory [--seconds N]` takes the step of SmolLM-135M with 2 × 1,024 tokens in bf16, for N
seconds in a process each: first as plain glibc does it, then as calibrations do (`keep_freed_memory`). Worth something
on an idle machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from unittest.mock import patch

from benchmarks.calibrated_accuracy import run_one
from benchmarks.held_out import Times

STEP = {
    "operation": "train_step",
    "dtype": "bf16",
    "parameters": {
        "layers": 30,
        "hidden": 576,
        "heads": 9,
        "kv_heads": 3,
        "ffn": 1536,
        "gated": 1,
        "vocab": 49152,
        "sequence": 1024,
        "micro_batch": 2,
    },
}


def timed(seconds: float, *, keeps: bool) -> Times:
    """The step in a process of its own."""
    name = "kept" if keeps else "returned"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.freed_memory", "--seconds", str(seconds), "--one", name],
        check=True,
        capture_output=True,
        text=True,
    )
    return Times(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=12.0, help="of each of the two")
    parser.add_argument("--one", choices=("kept", "returned"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one == "kept":
        print(json.dumps(asdict(run_one(STEP, given.seconds))))
        return
    if given.one == "returned":
        with patch("planner.gpu.child.keep_freed_memory", return_value=False):
            print(json.dumps(asdict(run_one(STEP, given.seconds))))
        return
    load = os.getloadavg()[0]
    returned, kept = timed(given.seconds, keeps=False), timed(given.seconds, keeps=True)
    print(
        f"freed memory returned: {returned.mean:.2f} s a step, kept: {kept.mean:.2f} s, "
        f"{returned.mean / kept.mean:.2f} times as long; load before {load:.2f}"
    )


if __name__ == "__main__":
    main()
