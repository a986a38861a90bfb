"""The states of a calibration run and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    QUEUED = "queued"  # asked for; no worker has it yet
    CLAIMED = "claimed"  # a worker holds the device's lease
    RUNNING = "running"  # the measuring process was started
    SUCCEEDED = "succeeded"
    SUSPECT = "suspect"  # measured, but something about it is not right
    FAILED = "failed"
    OOM = "oom"  # the device had not the memory
    TIMED_OUT = "timed_out"
    BUSY = "busy"  # the device was in other use: another run, or somebody else
    LOST = "lost"  # its worker died or fell silent
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"  # the device did not come back clean

    @property
    def is_final(self) -> bool:
        return not _NEXT[self]


ACTIVE = frozenset({RunState.QUEUED, RunState.CLAIMED, RunState.RUNNING})
HELD = frozenset({RunState.CLAIMED, RunState.RUNNING})

_ENDS = frozenset(set(RunState) - ACTIVE)
_NEXT: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.CLAIMED, RunState.CANCELLED, RunState.BUSY}),
    RunState.CLAIMED: frozenset({RunState.RUNNING, RunState.FAILED, RunState.BUSY, RunState.LOST, RunState.CANCELLED}),
    RunState.RUNNING: _ENDS,
    **dict.fromkeys(_ENDS, frozenset()),
}


def may_follow(before: RunState, after: RunState) -> bool:
    """Whether a run may go from the one state to the other."""
    return after in _NEXT[before]
