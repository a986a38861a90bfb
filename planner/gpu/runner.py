"""Run one measuring process to its end: events as they come, a hard time limit, and nothing left behind.

The process is started fresh (never forked with a driver open), in a session and process group of its own, on a leash
(process.py), with one visible device. One loop in the caller's thread reads its output, its errors and the telemetry
beside it, asks `should_stop`, and watches the clock; there are no threads. Whatever the end, the whole group is killed
before its leader is reaped, so that no process of it survives and no other process can have taken its number.
"""

from __future__ import annotations

import json
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from planner.calibration.sample import ERROR_CLASSES, BenchFailure, sample_from_document
from planner.gpu.events import (
    CANCELLED,
    CRASHED,
    FINISHED,
    TIMED_OUT,
    BenchStarted,
    ChildJob,
    ChildResult,
    Event,
    Failed,
    Measured,
    Started,
    job_to_json,
)
from planner.gpu.process import Group, LineReader, TailReader, helper_environment
from planner.gpu.telemetry import Sampler
from planner.inventory.device import Backend

CHILD_COMMAND = (sys.executable, "-m", "planner.gpu.child")
POLL_SECONDS = 0.2
MAX_MESSAGE = 1_000
DRAIN_SECONDS = 0.5  # for what still lies in the pipes once the process has ended


def measure(
    job: ChildJob,
    on_event: Callable[[Event], None],
    should_stop: Callable[[], bool] = lambda: False,
    command: Sequence[str] = CHILD_COMMAND,
) -> ChildResult:
    """Measure the job's benches in a process of their own and tell each event to `on_event`, in this thread.

    Every position of the job gets at most one Measured or Failed, and exactly one unless the run was cancelled or cut:
    then the benches not begun get none. `should_stop` is asked about five times a second; on True the process is gone
    within `grace_seconds` and a moment. An exception from `on_event` or `should_stop` kills the process and passes on.
    """
    started_at = time.monotonic()
    ledger = _Ledger(job, on_event)
    with tempfile.TemporaryFile() as stdin:
        stdin.write(job_to_json(job).encode())
        stdin.seek(0)
        process = Group(command, child_environment(job), stdin)
    with (
        process,
        Sampler(job.backend, job.device, job.telemetry_seconds, started_at) as sampler,
        selectors.DefaultSelector() as selector,
    ):
        output, errors = LineReader(process.stdout), TailReader(process.stderr)
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, errors)
        deadline = started_at + job.time_limit_seconds
        cut = ""
        while not process.has_ended():
            if should_stop():
                cut = CANCELLED
            elif time.monotonic() >= deadline:
                cut = TIMED_OUT
            if cut:
                break
            _read_for(selector, POLL_SECONDS, output, ledger)
            for reading in sampler.readings():
                on_event(reading)
        process.end(job.grace_seconds if cut else 0.0)
        _drain(selector, output, ledger)
        for reading in sampler.readings():
            on_event(reading)
        absent = sampler.absent
    ledger.close(cut, process)
    conditions = dict(ledger.conditions)
    if absent:
        conditions["telemetry_absent"] = dict(absent)
    if output.noise_bytes:
        conditions["noise_bytes"] = output.noise_bytes
    return ChildResult(
        outcome=ledger.outcome,
        reason=ledger.reason,
        exit_code=process.exit_code,
        signal=process.signal_number,
        stderr_tail=errors.text(),
        seconds=time.monotonic() - started_at,
        conditions=conditions,
    )


def child_environment(job: ChildJob) -> dict[str, str]:
    """This process's environment without our own settings (the child reaches no database), with one device visible."""
    environment = helper_environment()
    environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    environment["CUDA_VISIBLE_DEVICES"] = job.device if job.backend is Backend.CUDA else ""
    return environment


def _read_for(selector: selectors.BaseSelector, seconds: float, output: LineReader, ledger: _Ledger) -> bool:
    """Read what comes within `seconds` and enter it; False once every stream has ended."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not selector.get_map():
            time.sleep(left)
            return False
        for key, _ in selector.select(left):
            lines, ended = key.data.read()
            if ended:
                selector.unregister(key.fileobj)
            for line in lines if key.data is output else ():
                ledger.enter(line)
    return True


def _drain(selector: selectors.BaseSelector, output: LineReader, ledger: _Ledger) -> None:
    """Read what the ended group left in the pipes, for a bounded time: a stranger may still hold their other end."""
    until = time.monotonic() + DRAIN_SECONDS
    while selector.get_map() and time.monotonic() < until:
        _read_for(selector, 0.05, output, ledger)


class _Ledger:
    """What the child said, checked: each position is told at most once, and in the end none is left in doubt."""

    def __init__(self, job: ChildJob, on_event: Callable[[Event], None]) -> None:
        self._job = job
        self._tell = on_event
        self._told: set[int] = set()
        self._begun: set[int] = set()
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
            case "sample":
                self._measured(document)
            case "failure":
                self._failed(document)
            case "finished":
                self._said_finished = True
            case other:
                self._fail_current(f"the measuring process wrote an event that is not known: {str(other)[:50]!r}")

    def close(self, cut: str, process: Group) -> None:
        """Settle the outcome, and every position that a finished or broken run owes an answer."""
        if cut == CANCELLED:
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

    def _begin(self, position: object) -> None:
        if self._is_open(position) and position not in self._begun:
            self._begun.add(position)
            self._current = position
            self._tell(BenchStarted(position))

    def _measured(self, document: dict[str, Any]) -> None:
        position = document.get("position")
        if not self._is_open(position):
            return
        try:
            sample = sample_from_document(self._job.benches[position], document.get("sample") or {})
        except ValueError as error:
            self._fail(position, "invalid-result", str(error))
            return
        self._told.add(position)
        self._tell(Measured(position, sample))

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
