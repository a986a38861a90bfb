"""What a measuring process said, checked line by line: it is believed only as far as the job that it was given."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from planner.calibration.sample import ERROR_CLASSES, BenchFailure, Sample, sample_from_document
from planner.gpu.events import (
    CANCELLED,
    CRASHED,
    FINISHED,
    TIMED_OUT,
    BenchStarted,
    ChildJob,
    Event,
    Failed,
    Measured,
    Started,
    Visited,
)
from planner.gpu.process import Group

MAX_MESSAGE = 1_000
MAX_VISITS = 16  # of one bench: a process that says it begins again and again is not listened to


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the process ended, known from elsewhere than its exit."""

    error_class: str
    reason: str


class Transcript:
    """What the child said, checked: each position is told at most once, and in the end none is left in doubt."""

    def __init__(self, job: ChildJob, on_event: Callable[[Event], None]) -> None:
        self._job = job
        self._tell = on_event
        self._told: set[int] = set()
        self._begun: Counter[int] = Counter()
        self._so_far: dict[int, Sample] = {}  # of benches with visits to come
        self._current: int | None = None
        self._said_finished = False
        self.conditions: Mapping[str, Any] = {}
        self.outcome = CRASHED
        self.reason = ""

    def enter(self, line: bytes) -> None:
        """Check one line and tell what it says. A line that cannot be believed fails the bench that is running."""
        try:
            document = json.loads(line, parse_constant=_refuse_constant)
        except ValueError as error:
            self._fail_current(f"the measuring process wrote a line that cannot be read: {error}")
            return
        match document.get("event"):
            case "started" if isinstance(document.get("conditions"), dict):
                self.conditions = document["conditions"]
                self._tell(Started(self.conditions))
            case "bench":
                self._begin(document.get("position"))
            case "visit":
                self._visited(document)
            case "sample":
                self._measured(document)
            case "failure":
                self._failed(document)
            case "finished":
                self._said_finished = True
            case other:
                self._fail_current(f"the measuring process wrote an event that is not known: {str(other)[:50]!r}")

    def close(self, cut: str, process: Group, cause: Cause | None = None) -> None:
        """Settle the outcome, and every position that a finished or broken run owes an answer."""
        if cause is not None:
            self.outcome, self.reason = CRASHED, cause.reason
            self._fail_current(cause.reason, cause.error_class)
        elif cut == CANCELLED:
            self.outcome, self.reason = CANCELLED, "stopped on request"
        elif cut == TIMED_OUT:
            self.outcome = TIMED_OUT
            self.reason = f"stopped at its time limit of {self._job.time_limit_seconds:g} s"
            self._fail_current(self.reason, "timed-out")
        elif process.exit_code == 0 and self._said_finished:
            self.outcome = FINISHED
            for position in range(len(self._job.benches)):
                self._fail(position, "error", "the measuring process finished without reporting this bench")
        else:
            self.outcome, self.reason = CRASHED, _end_in_words(process)
            self._fail_current(self.reason, "crashed")
        for position in sorted(set(self._so_far) - self._told):
            self._told.add(position)
            self._tell(Measured(position, self._so_far[position]))

    def _begin(self, position: object) -> None:
        if self._is_open(position) and self._begun[position] < MAX_VISITS:
            self._begun[position] += 1
            self._current = position
            self._tell(BenchStarted(position))

    def _visited(self, document: dict[str, Any]) -> None:
        position, number, of = (document.get(name) for name in ("position", "number", "of"))
        if not self._is_open(position) or not _is_count(number) or not _is_count(of) or number > of:
            return
        sample = self._believed(position, document)
        if sample is not None:
            self._so_far[position] = sample
            self._current = None
            self._tell(Visited(position, number, of))

    def _measured(self, document: dict[str, Any]) -> None:
        position = document.get("position")
        if not self._is_open(position):
            return
        sample = self._believed(position, document)
        if sample is not None:
            self._told.add(position)
            self._tell(Measured(position, sample))

    def _believed(self, position: int, document: dict[str, Any]) -> Sample | None:
        try:
            return sample_from_document(self._job.benches[position], document.get("sample") or {})
        except ValueError as error:
            self._fail(position, "invalid-result", str(error))
            return None

    def _failed(self, document: dict[str, Any]) -> None:
        position, error_class = document.get("position"), document.get("error_class")
        if self._is_open(position):
            known = error_class if error_class in ERROR_CLASSES else "error"
            self._fail(position, known, str(document.get("message")))

    def _fail_current(self, message: str, error_class: str = "invalid-result") -> None:
        if self._current is not None:
            self._fail(self._current, error_class, message)

    def _fail(self, position: int, error_class: str, message: str) -> None:
        if position not in self._told:
            self._told.add(position)
            failure = BenchFailure(self._job.benches[position], error_class, message[:MAX_MESSAGE])
            self._tell(Failed(position, failure))

    def _is_open(self, position: object) -> TypeGuard[int]:
        if isinstance(position, bool) or not isinstance(position, int):
            return False
        return 0 <= position < len(self._job.benches) and position not in self._told


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_VISITS


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _end_in_words(process: Group) -> str:
    number = process.signal_number
    if number is not None:
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return f"the measuring process was ended by {name}"
    if process.exit_code == 0:
        return "the measuring process ended before it had finished"
    return f"the measuring process ended with exit code {process.exit_code}"
