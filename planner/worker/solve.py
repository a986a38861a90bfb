"""The process that solves a plan: `python -m planner.worker.solve`, a JSON line in, one per step of the search out.

It has no database and ends when its standard input does, so that it cannot outlive the worker that started it. A
second line on standard input asks it to stop with the best plan so far.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from planner.errors import PlannerError
from planner.plans.linear import Progress, ShouldStop
from planner.plans.outlook import outlook
from planner.plans.plan import plan
from planner.plans.request import PlanRequest
from planner.plans.solution import Plan

LONGEST_LINE = 512 * 2**20


def main() -> None:
    """Solve what the first line asks and say how it goes."""
    job = json.loads(sys.stdin.readline(LONGEST_LINE))
    stop = threading.Event()
    threading.Thread(target=_listen, args=(stop,), name="listen", daemon=True).start()
    try:
        found = plan(
            PlanRequest.from_document(job["request"]),
            gap=job["gap"],
            seconds=job["seconds"],
            on_progress=_tell_progress,
            should_stop=stop.is_set,
        )
    except PlannerError as error:
        _tell({"error": str(error)})
    else:
        _tell({"plan": found.to_document(), "outlook": _outlook(job, found, stop.is_set)})


def _outlook(job: dict[str, Any], found: Plan, should_stop: ShouldStop) -> dict[str, Any] | None:
    """What else is worth knowing, in the time that is left; None for a plan that was not found or not waited for."""
    left = job["seconds"] - found.seconds
    if not found.is_found or should_stop() or left <= 0:
        return None
    _tell({"cost": found.cost, "bound": found.bound, "seconds": found.seconds, "stage": "what moves it"})
    request = PlanRequest.from_document(job["request"])
    return outlook(request, found, left, job["spread"], job["gap"], should_stop).to_document()


def _listen(stop: threading.Event) -> None:
    """Another line, or the end of the input, means stop."""
    sys.stdin.readline()
    stop.set()


def _tell_progress(progress: Progress) -> None:
    _tell({"cost": progress.cost, "bound": progress.bound, "seconds": progress.seconds, "stage": progress.stage})


def _tell(event: dict[str, Any]) -> None:
    print(json.dumps(event, allow_nan=False), flush=True)


if __name__ == "__main__":
    main()
