"""The process that solves a plan: `python -m planner.worker.solve`, a JSON line in, one per step of the search out.

It has no database and ends when its standard input does, so that it cannot outlive the worker that started it. A
second line on standard input asks it to stop with the best plan so far: the search is given a moment to heed that, and
then the best plan is written without it, for the solver may be in the middle of a step that takes seconds.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from planner.errors import PlannerError
from planner.plans.linear import Progress, ShouldStop
from planner.plans.outlook import outlook
from planner.plans.plan import plan
from planner.plans.request import PlanRequest
from planner.plans.solution import Plan
from planner.plans.to_the_minute import to_the_minute

LONGEST_LINE = 512 * 2**20
TIMETABLE_SHARE, TIMETABLE_SECONDS = 0.5, 2.0  # of the time that is left, and at the least
PATIENCE_SECONDS = 0.5  # that a search is given to end by itself once it is asked to


def main() -> None:
    """Solve what the first line asks and say how it goes."""
    job = json.loads(sys.stdin.readline(LONGEST_LINE))
    stop, best = threading.Event(), _Best()
    threading.Thread(target=_listen, args=(stop, best), name="listen", daemon=True).start()
    try:
        found = plan(
            PlanRequest.from_document(job["request"]),
            gap=job["gap"],
            seconds=job["seconds"],
            on_progress=_tell_progress,
            should_stop=stop.is_set,
            on_best=best.keep,
        )
    except PlannerError as error:
        best.write_once({"error": str(error)})
    else:
        if not stop.is_set():  # from here on a wish to stop means: without the outlook
            best.keep(lambda: found)
        begun = time.monotonic()
        timetable = _timetable(job, found, stop.is_set)
        outlook_of = _outlook(job, found, time.monotonic() - begun, stop.is_set)
        best.write_once({"plan": found.to_document(), "outlook": outlook_of, "timetable": timetable})


class _Best:
    """The best plan so far, and the answer, which is written once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._write: Callable[[], Plan] | None = None
        self._is_written = False

    def keep(self, write: Callable[[], Plan]) -> None:
        """Remember how the best plan so far is written."""
        self._write = write

    def write_once(self, answer: dict[str, Any]) -> None:
        """Say the answer, unless one was said."""
        with self._lock:
            if not self._is_written:
                self._is_written = True
                _tell(answer)

    def write_so_far(self) -> bool:
        """Say the best plan so far; whether there was one, or the answer was said already."""
        write = self._write
        if write is not None:
            self.write_once({"plan": write().to_document(), "outlook": None})
        return self._is_written


def _timetable(job: dict[str, Any], found: Plan, should_stop: ShouldStop) -> dict[str, Any] | None:
    """The timetable of a plan that its own slots cannot give, in a part of the time that is left."""
    left = max((job["seconds"] - found.seconds) * TIMETABLE_SHARE, TIMETABLE_SECONDS)
    until = time.monotonic() + left
    if should_stop():
        return None
    request = PlanRequest.from_document(job["request"])
    written = to_the_minute(request, found, lambda: should_stop() or time.monotonic() >= until)
    return None if written is None else written.to_document()


def _outlook(job: dict[str, Any], found: Plan, spent: float, should_stop: ShouldStop) -> dict[str, Any] | None:
    """What else is worth knowing, in the time that is left; None for a plan that was not found or not waited for."""
    left = job["seconds"] - found.seconds - spent
    if not found.is_found or should_stop() or left <= 0:
        return None
    _tell({"cost": found.cost, "bound": found.bound, "seconds": found.seconds, "stage": "what moves it"})
    request = PlanRequest.from_document(job["request"])
    return outlook(request, found, left, job["spread"], job["gap"], should_stop).to_document()


def _listen(stop: threading.Event, best: _Best) -> None:
    """Another line, or the end of the input, means stop: by itself if it does so at once, else without the search."""
    sys.stdin.readline()
    stop.set()
    time.sleep(PATIENCE_SECONDS)
    if best.write_so_far():
        os._exit(0)  # the solver's own thread may be in a step for seconds yet


def _tell_progress(progress: Progress) -> None:
    _tell({"cost": progress.cost, "bound": progress.bound, "seconds": progress.seconds, "stage": progress.stage})


def _tell(event: dict[str, Any]) -> None:
    print(json.dumps(event, allow_nan=False), flush=True)


if __name__ == "__main__":
    main()
