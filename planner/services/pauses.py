"""Pause all schedules at once and resume them; due times that pass meanwhile do not count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from planner.errors import Conflict
from planner.store import schedules as store
from planner.store.engine import Session
from planner.store.tables import PauseRow


@dataclass(frozen=True, slots=True)
class Pause:
    """Whether all schedules are paused; since when, by whom and why, None and empty where nobody ever said."""

    paused: bool
    at: datetime | None
    actor: str
    reason: str


def current_pause(session: Session) -> Pause:
    """What holds now."""
    row = store.newest_pause(session)
    return Pause(False, None, "", "") if row is None else Pause(row.paused, row.at, row.actor, row.reason)


def set_paused(session: Session, paused: bool, reason: str, now: datetime, actor: str = "user") -> Pause:
    """Pause or resume all: runs under way go on, queued ones of schedules wait. Raises Conflict where it is so."""
    if current_pause(session).paused == paused:
        raise Conflict(f"schedules are {'paused' if paused else 'not paused'} already")
    session.add(PauseRow(at=now, paused=paused, actor=actor, reason=reason))
    session.flush()
    return current_pause(session)
