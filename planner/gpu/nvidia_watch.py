"""What happens to an NVIDIA device beside a run: Xid events and programs that are not ours."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pynvml

from planner.calibration.xid import xid
from planner.gpu.nvidia_words import LASTING, in_words

MAX_EVENTS = 32  # taken at one look; a storm of them is told over several


class NvidiaWatch:
    """Asks without waiting. `absent` says what cannot be watched here and why."""

    def __init__(self, handle: Any, own_pid: int | None = None) -> None:
        self._handle = handle
        self._own_pid = own_pid
        self._told: set[int] = set()
        self._can_list = True
        self._events: Any = None
        self.absent: dict[str, str] = {}
        try:
            events = pynvml.nvmlEventSetCreate()
            pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
            self._events = events
        except pynvml.NVMLError as error:
            self.absent["xid"] = in_words(error)

    def incidents(self) -> list[tuple[str, int | None, str]]:
        """What came since the last call: (kind, the driver's number, sentence)."""
        return [*self._xids(), *self._strangers()]

    def close(self) -> None:
        if self._events is not None:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlEventSetFree(self._events)

    def _xids(self) -> list[tuple[str, int | None, str]]:
        found: list[tuple[str, int | None, str]] = []
        while self._events is not None and len(found) < MAX_EVENTS:
            try:
                event = pynvml.nvmlEventSetWait_v2(self._events, 0)
            except pynvml.NVMLError as error:
                if error.value != pynvml.NVML_ERROR_TIMEOUT:  # a timeout: nothing has happened
                    self.absent["xid"] = in_words(error)
                    self._events = None
                break
            if event.eventType == pynvml.nvmlEventTypeXidCriticalError:
                number = int(event.eventData)
                found.append(("xid", number, xid(number).sentence))
        return found

    def _strangers(self) -> list[tuple[str, int | None, str]]:
        """Programs on the device that are not of the measuring process's group.

        A number that is not known here (a container may be shown the host's) is our own once, and a stranger's from
        the second on.
        """
        if self._own_pid is None or not self._can_list:
            return []
        try:
            pids = {int(process.pid) for process in pynvml.nvmlDeviceGetComputeRunningProcesses(self._handle)}
        except pynvml.NVMLError as error:
            self.absent["foreign_processes"] = in_words(error)
            self._can_list = error.value not in LASTING
            return []
        unseen = sorted(pid for pid in pids if _group(pid) is None)
        strangers = {pid for pid in pids if _group(pid) not in (None, self._own_pid)}
        has_own = any(_group(pid) == self._own_pid for pid in pids)
        strangers |= set(unseen if has_own else unseen[1:])
        new, self._told = strangers - self._told, self._told | strangers
        return [
            ("foreign-process", pid, f"another program (process {pid}) came to the card during the run")
            for pid in sorted(new)
        ]


def _group(pid: int) -> int | None:
    """The process's group, None where it is not to be seen from here."""
    try:
        return os.getpgid(pid)
    except OSError:
        return None
