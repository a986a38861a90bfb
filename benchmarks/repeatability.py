"""The same suite twice on this CPU: `python -m benchmarks.repeatability [SUITE]` prints how far the two agree.

Worth something on an idle machine only; the load before and after stands in the report.
"""

from __future__ import annotations

import os
import sys

from planner.calibration.repeatability import repeatability
from planner.calibration.sample import Sample
from planner.calibration.suites import get_suite
from planner.gpu import cpu
from planner.gpu.events import ChildJob, Event, Measured
from planner.gpu.runner import measure
from planner.inventory.device import Backend


def run(suite_name: str) -> list[Sample]:
    """The samples of one run."""
    suite = get_suite(suite_name)
    benches = suite.benches_for(Backend.CPU, cpu.memory_limit_bytes())
    events: list[Event] = []
    measure(ChildJob("CPU-repeat", Backend.CPU, benches, suite.time_limit_seconds), events.append)
    return [event.sample for event in events if isinstance(event, Measured)]


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "quick"
    before = os.getloadavg()[0]
    found = repeatability(run(name), run(name))
    print(f"Suite {name} twice on {cpu.cpu_name()} ({cpu.usable_cpus()} processors), load {before:.2f} before.")
    print(found.report(), end="")


if __name__ == "__main__":
    main()
