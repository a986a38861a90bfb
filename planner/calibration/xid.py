"""NVIDIA's Xid numbers: what each says about the card, the run it broke and what to do next.

Numbers and actions: NVIDIA, "XID Errors" (docs.nvidia.com/deploy/xid-errors), read 2026-11-21. A number that is not
listed here is shown as a number and makes the run suspect; nothing is guessed from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class XidKind(StrEnum):
    """What the planner does about it."""

    LOST = "lost"  # the card is gone: end the run, quarantine
    MEMORY_RESET = "memory-reset"  # the card's memory failed: the run is invalid, the card needs a reset
    MEMORY = "memory"  # the card's memory failed and was contained: the run is invalid
    APPLICATION = "application"  # usually the program's own fault: the run failed, the card is kept
    TRIAGE = "triage"  # could be either: the run is invalid, a person looks
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Xid:
    """One kind of error with its words and the next step."""

    number: int
    kind: XidKind
    words: str
    advice: str

    @property
    def sentence(self) -> str:
        return f"Xid {self.number}: {self.words}; {self.advice}"


_RESET = "drain the card and reset it"
_PROGRAM = "usually the program's fault; the card is kept"
_LOOK = "look at the driver's log and at the recovery action it names"
_KNOWN = {
    xid.number: xid
    for xid in (
        Xid(79, XidKind.LOST, "the card fell off the bus", "reboot, then check its power and seating"),
        Xid(48, XidKind.MEMORY_RESET, "an uncorrectable memory error", _RESET),
        Xid(64, XidKind.MEMORY_RESET, "a memory row could not be remapped", _RESET),
        Xid(95, XidKind.MEMORY_RESET, "an uncontained memory error", _RESET),
        Xid(63, XidKind.MEMORY, "a memory row is to be remapped", "reset the card when it is free"),
        Xid(94, XidKind.MEMORY, "a contained memory error", "run again; reset the card when it is free"),
        Xid(13, XidKind.APPLICATION, "an exception in a kernel", _PROGRAM),
        Xid(31, XidKind.APPLICATION, "a memory page fault", _PROGRAM),
        Xid(43, XidKind.APPLICATION, "the card stopped working on a program", _PROGRAM),
        Xid(45, XidKind.APPLICATION, "a program's work was removed early", _PROGRAM),
        Xid(74, XidKind.TRIAGE, "an error of the direct link between cards", _LOOK),
        Xid(119, XidKind.TRIAGE, "the card's system processor did not answer", _LOOK),
        Xid(120, XidKind.TRIAGE, "an error of the card's system processor", _LOOK),
        Xid(154, XidKind.TRIAGE, "the recovery action of the card changed", _LOOK),
    )
}


def xid(number: int) -> Xid:
    """The error of that number; one that is not listed is of kind unknown."""
    return _KNOWN.get(number) or Xid(number, XidKind.UNKNOWN, "an error that is not listed here", _LOOK)
