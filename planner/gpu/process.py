"""Helper processes: on a leash, in a session of their own, ended as a group, their output read without ever waiting."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import planner
from planner.gpu.events import EVENT_MARK
from planner.gpu.leash import leashed

READ_BYTES = 1 << 16
MAX_LINE_BYTES = 1 << 16
TAIL_BYTES = 8_192
KILL_SECONDS = 10.0  # after SIGKILL a process is gone in milliseconds, unless a driver holds it in the kernel


def helper_environment() -> dict[str, str]:
    """The environment for helper processes: ours without PLANNER_ settings, with this package importable."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLANNER_")}
    root = str(Path(planner.__file__).resolve().parent.parent)
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([root, inherited]) if inherited else root
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


class Group:
    """A process on a leash in a session of its own, ended as a group."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], stdin: IO[bytes] | int) -> None:
        self._process = subprocess.Popen(
            leashed(list(command)),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        if self._process.stdout is None or self._process.stderr is None:
            raise AssertionError("pipes were asked for")
        self._is_stuck = False
        self.stdout, self.stderr = self._process.stdout, self._process.stderr
        for stream in (self.stdout, self.stderr):
            os.set_blocking(stream.fileno(), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_stuck(self) -> bool:
        """Whether it was killed and lives on: the kernel waits for a driver (D state)."""
        return self._is_stuck

    def close(self) -> None:
        """Kill what is left of the group and close the pipes."""
        if not self._is_stuck:
            self.end(0.0)
        self.stdout.close()
        self.stderr.close()

    @property
    def exit_code(self) -> int | None:
        code = self._process.returncode
        return code if code is not None and code >= 0 else None

    @property
    def signal_number(self) -> int | None:
        code = self._process.returncode
        return -code if code is not None and code < 0 else None

    def has_ended(self) -> bool:
        """Whether the leader has ended; it is not reaped by this, so its number stays taken."""
        if self._process.returncode is not None:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def end(self, grace_seconds: float) -> None:
        """End the whole group: SIGTERM and a grace where there is one, then SIGKILL to all, then reap the leader.

        A process that waits in the kernel for a driver cannot be killed: after a while it is left and `is_stuck`.
        """
        if self._process.returncode is not None:
            return
        if grace_seconds > 0 and not self.has_ended():
            self._signal(signal.SIGTERM)
            until = time.monotonic() + grace_seconds
            while not self.has_ended() and time.monotonic() < until:
                time.sleep(0.02)
        self._signal(signal.SIGKILL)
        try:
            self._process.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._is_stuck = True

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class LineReader:
    """Whole event lines out of a stream; what is too long or not ours is counted and dropped."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""
        self._skipping = False  # inside a line that is too long
        self.noise_bytes = 0

    def read(self) -> tuple[list[bytes], bool]:
        """The event lines in what can be read now without waiting, and whether the stream has ended."""
        chunk = _read_now(self._stream)
        if chunk is None:
            return [], False
        if not chunk:
            last, self._rest = self._rest, b""
            return ([last] if self._is_event(last) else []), True
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if self._skipping and lines:
            self.noise_bytes += len(lines.pop(0))
            self._skipping = False
        if self._skipping or len(self._rest) > MAX_LINE_BYTES:
            self.noise_bytes += len(self._rest)
            self._rest = b""
            self._skipping = True
        return [line for line in lines if self._is_event(line)], False

    def _is_event(self, line: bytes) -> bool:
        if line.startswith(EVENT_MARK):
            return True
        self.noise_bytes += len(line)
        return False


class TailReader:
    """The last part of a stream."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._tail = b""

    def read(self) -> tuple[list[bytes], bool]:
        """Read what is there; a tail has no lines to give."""
        chunk = _read_now(self._stream)
        if chunk:
            self._tail = (self._tail + chunk)[-TAIL_BYTES:]
        return [], chunk == b""

    def text(self) -> str:
        return self._tail.decode("utf-8", "replace")


def _read_now(stream: IO[bytes]) -> bytes | None:
    """Bytes, b"" at the end of the stream, None when there is nothing yet."""
    try:
        return os.read(stream.fileno(), READ_BYTES)
    except BlockingIOError:
        return None
