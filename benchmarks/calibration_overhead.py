"""What telemetry and bookkeeping take of a calibration: `python -m benchmarks.calibration_overhead`.

The share is taken within one run, so that a busy machine slows both sides alike: the processor seconds of the reading
process and of the runner's own thread, over the seconds measured. A run with and one without readings, one after the
other, would differ by more than what is looked for.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import psutil

from planner.calibration.suites import get_suite
from planner.gpu import cpu
from planner.gpu.events import ChildJob, Event, Reading
from planner.gpu.runner import measure
from planner.inventory.device import Backend

ALLOWED = 0.01
MOST_OTHERS = 64


@dataclass(frozen=True, slots=True)
class Overhead:
    """Processor seconds of each side and the run's seconds."""

    runner_seconds: float
    telemetry_seconds: float
    run_seconds: float
    num_readings: int

    @property
    def share(self) -> float:
        return (self.runner_seconds + self.telemetry_seconds) / self.run_seconds

    @property
    def sentence(self) -> str:
        return (
            f"{self.share:.2%} of {self.run_seconds:.1f} s: the runner {self.runner_seconds:.3f} s of processor time, "
            f"the telemetry helper {self.telemetry_seconds:.3f} s, {self.num_readings} readings"
        )


def overhead(suite_name: str = "quick", telemetry_seconds: float = 0.5) -> Overhead:
    """Measure a suite on this CPU and what looking after it took."""
    suite = get_suite(suite_name)
    benches = suite.benches_for(Backend.CPU, cpu.memory_limit_bytes())
    job = ChildJob("CPU-overhead", Backend.CPU, benches, suite.time_limit_seconds, telemetry_seconds)
    helper = _Helper()
    num_readings = 0

    def enter(event: Event) -> None:
        nonlocal num_readings
        num_readings += isinstance(event, Reading)
        if isinstance(event, Reading):
            helper.look()

    before, started_at = time.thread_time(), time.monotonic()
    result = measure(job, enter)
    own = time.thread_time() - before - helper.own_seconds
    if result.outcome != "finished":
        raise RuntimeError(f"{result.outcome}: {result.reason}")
    return Overhead(own, helper.seconds, time.monotonic() - started_at, num_readings)


class _Helper:
    """The processor seconds of the telemetry helper, as last seen; what looking took is counted apart."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.own_seconds = 0.0
        self._process: psutil.Process | None = None

    def look(self) -> None:
        before = time.thread_time()
        try:
            self._process = self._process or next(
                one for one in psutil.Process().children()[:MOST_OTHERS] if "planner.gpu.telemetry" in one.cmdline()
            )
            times = self._process.cpu_times()
            self.seconds = times.user + times.system
        except (StopIteration, psutil.NoSuchProcess):
            self._process = None
        self.own_seconds += time.thread_time() - before


def main() -> None:
    found = overhead(sys.argv[1] if len(sys.argv) > 1 else "quick")
    print(found.sentence)
    sys.exit(0 if found.share < ALLOWED else f"more than {ALLOWED:.0%}")


if __name__ == "__main__":
    main()
