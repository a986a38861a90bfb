"""Readings of a device beside a run: taken by a helper process, so that a hanging driver holds up nobody.

The helper (`python -m planner.gpu.telemetry BACKEND UUID INTERVAL`) prints a line per reading. `Sampler` starts it,
hands its readings over without ever waiting, and replaces it when it falls silent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from planner.calibration.verdict import Incident
from planner.gpu.events import AMD, REPLAY, Reading, event_line
from planner.gpu.process import Group, LineReader, TailReader, helper_environment
from planner.inventory.device import Backend

SILENCE_SECONDS = 10.0  # without a line for so long the helper is taken for hung
MAX_REPLACEMENTS = 3
_FIELDS = {field.name for field in fields(Reading)}


class Reader(Protocol):
    """A device that can be looked at again and again."""

    absent: dict[str, str]

    def read(self, seconds_in: float) -> Reading: ...

    def incidents(self) -> list[tuple[str, int | None, str]]: ...

    def close(self) -> None: ...


def open_reader(backend: Backend, uuid: str, own_pid: int | None = None) -> Reader | None:
    """A reader for the device, None where no driver of this backend tells readings.

    `own_pid` is the measuring process: whoever else comes to the device beside it is an incident.
    """
    if uuid.startswith(REPLAY):
        from planner.gpu.replay import ReplayReader

        return ReplayReader(Path(uuid.removeprefix(REPLAY)))
    if uuid.startswith(AMD):
        from planner.gpu.amd import AmdReader

        return AmdReader(uuid)
    if backend is Backend.XPU:
        from planner.gpu.intel import IntelReader

        return IntelReader()
    if backend is Backend.CUDA:
        from planner.gpu.nvidia import NvidiaReader

        return NvidiaReader(uuid, own_pid)
    if backend is Backend.CPU:
        from planner.gpu.cpu import CpuReader

        return CpuReader()
    return None


class Sampler:
    """A helper process that reads the device every `interval_seconds`; None reads nothing.

    `absent` says per field why the driver does not tell it, and under "telemetry" why there are no readings at all.
    """

    def __init__(
        self,
        backend: Backend,
        uuid: str,
        interval_seconds: float | None,
        started_at: float,
        silence_seconds: float = SILENCE_SECONDS,
        own_pid: int | None = None,
    ) -> None:
        arguments = [backend.value, uuid, str(interval_seconds), *([] if own_pid is None else [str(own_pid)])]
        self._command = [sys.executable, "-m", "planner.gpu.telemetry", *arguments]
        self._started_at = started_at
        self._silence_seconds = silence_seconds
        self._replacements = 0
        self.absent: dict[str, str] = {}
        self.incidents: list[Incident] = []
        self._helper: Group | None = None
        if interval_seconds is not None:
            self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def readings(self) -> Iterator[Reading]:
        """The readings since the last call. Never waits."""
        if self._helper is None:
            return
        for line in self._new_lines():
            document = json.loads(line)
            if document["event"] == "incident":
                seconds_in = max(0.0, document["at"] - self._started_at)
                self.incidents.append(Incident(seconds_in, document["kind"], document["code"], document["message"]))
            elif document["event"] == "reading":
                yield replace(_reading(document), seconds_in=max(0.0, document["at"] - self._started_at))
            else:
                self.absent.update(document["absent"])
        self._look_after_helper()

    def _new_lines(self) -> Iterator[bytes]:
        while True:
            lines, ended = self._lines.read()
            if lines:
                self._heard_at = time.monotonic()
            yield from lines
            if ended or not lines:
                return

    def _look_after_helper(self) -> None:
        if self._helper is None:
            return
        self._errors.read()
        if self._helper.has_ended():
            last = (self._errors.text().strip().splitlines() or ["it gave no reason"])[-1]
            self.absent["telemetry"] = f"the reading process ended: {last[:300]}"
            self._stop()
        elif time.monotonic() - self._heard_at > self._silence_seconds:
            self._stop()
            if self._replacements < MAX_REPLACEMENTS:
                self._replacements += 1
                self._start()
            else:
                self.absent["telemetry"] = (
                    f"the driver did not answer within {self._silence_seconds:g} s, several times"
                )

    def _start(self) -> None:
        self._helper = Group(self._command, helper_environment(), subprocess.DEVNULL)
        self._lines, self._errors = LineReader(self._helper.stdout), TailReader(self._helper.stderr)
        self._heard_at = time.monotonic()

    def _stop(self) -> None:
        if self._helper is not None:
            self._helper.close()
            self._helper = None


def _reading(document: dict[str, Any]) -> Reading:
    return Reading(**{"seconds_in": 0.0} | {name: value for name, value in document.items() if name in _FIELDS})


def watch(reader: Reader, interval_seconds: float, write: Callable[[str], object]) -> None:
    """Write a line per reading for ever, and a line whenever it becomes known why a field is not told."""
    due, told_absent = time.monotonic(), -1
    while True:
        at = time.monotonic()
        for kind, code, message in reader.incidents():
            write(event_line("incident", at=at, kind=kind, code=code, message=message))
        try:
            document = asdict(reader.read(at))
        except Exception as error:
            if getattr(error, "is_lost", False):
                write(event_line("incident", at=at, kind="lost", code=None, message=str(error)))
            raise
        del document["seconds_in"]
        write(event_line("reading", at=at, **document))
        if len(reader.absent) != told_absent:
            told_absent = len(reader.absent)
            write(event_line("absent", absent=reader.absent))
        due = max(due + interval_seconds, time.monotonic())
        time.sleep(due - time.monotonic() if due > time.monotonic() else 0)


def main(backend: str, uuid: str, interval: str, own_pid: str = "") -> None:
    reader = open_reader(Backend(backend), uuid, int(own_pid) if own_pid else None)
    if reader is None:
        sys.exit(f"no driver of {backend} tells readings")
    try:
        watch(reader, float(interval), lambda line: print(line, flush=True))
    finally:
        reader.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
