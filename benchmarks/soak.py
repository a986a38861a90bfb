"""Many runs one after the other: `python -m benchmarks.soak [RUNS]` ends with an error where something grows.

Counted in this process after each run: descriptors, threads, children (zombies among them) and resident memory. The
measuring process says what the real one says without loading torch, so that a thousand runs take minutes.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

from planner.calibration.sample import Bench, Operation
from planner.gpu.events import ChildJob, Event
from planner.gpu.runner import measure
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

BENCH = Bench(Operation.MATMUL, 1, Dtype.FP32, {"m": 1, "n": 2, "k": 3}, 0.1)
WARM_UP_RUNS = 10
ALLOWED_BYTES = 16_000_000  # of growth over the whole soak: a run may leave nothing, the interpreter's heap breathes
CHILD = """
import sys
sys.stdin.read()
print('{"event": "started", "conditions": {}}')
print('{"event": "bench", "position": 0}')
print('{"event": "sample", "position": 0, "sample": {"seconds": 0.5, "spread": 0.01, "repeats": 5, "flops": 1.0, '
      '"num_bytes": 2.0, "steady": true, "peak_memory_bytes": null, "details": {}}}')
print('{"event": "finished"}')
"""
COMMAND = (sys.executable, "-I", "-S", "-c", CHILD)


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds."""

    descriptors: int
    threads: int
    children: int
    resident_bytes: int

    @classmethod
    def now(cls) -> Held:
        own = psutil.Process()
        num_descriptors = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else own.num_fds()
        return cls(num_descriptors, threading.active_count(), len(own.children()), own.memory_info().rss)


def soak(num_runs: int) -> tuple[Held, Held]:
    """What is held after the first runs and after the last. Raises RuntimeError for a run that did not finish."""
    early = Held.now()
    for number in range(num_runs):
        events: list[Event] = []
        job = ChildJob("CPU-soak", Backend.CPU, (BENCH,), 30.0, telemetry_seconds=0.05 if number % 20 == 0 else None)
        result = measure(job, events.append, command=COMMAND)
        if result.outcome != "finished":
            raise RuntimeError(f"run {number}: {result.outcome}: {result.reason} {result.stderr_tail}")
        if number == min(WARM_UP_RUNS, num_runs - 1):
            early = Held.now()
    return early, Held.now()


def what_grew(early: Held, late: Held) -> str:
    """In words, empty where nothing did."""
    grown = [
        f"{name} from {getattr(early, name)} to {getattr(late, name)}"
        for name in ("descriptors", "threads", "children")
        if getattr(late, name) > getattr(early, name)
    ]
    if late.resident_bytes > early.resident_bytes + ALLOWED_BYTES:
        grown.append(f"resident memory from {early.resident_bytes} to {late.resident_bytes} bytes")
    return ", ".join(grown)


def main() -> None:
    num_runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    early, late = soak(num_runs)
    print(f"{num_runs} runs: {early} … {late}")
    sys.exit(what_grew(early, late) or 0)


if __name__ == "__main__":
    main()
