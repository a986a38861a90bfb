"""What keeps a queued run waiting, and what a schedule may spend: pauses, windows, budgets."""

from __future__ import annotations

from datetime import datetime

from planner.store import schedules as store
from planner.store.engine import Session
from planner.store.tables import PauseRow, RunRow


def why_to_wait(session: Session, run: RunRow, now: datetime) -> str:
    """Why no worker may take this queued run yet; empty where one may."""
    if run.not_before is not None and now < run.not_before:
        return f"waits until {run.not_before:%H:%M:%S} UTC to try again"
    if run.schedule_id is None:
        return ""
    pause = store.newest_pause(session)
    if pause is not None and pause.paused:
        return why_paused(pause)
    return ""


def why_paused(pause: PauseRow) -> str:
    """The pause in words."""
    return f"all schedules are paused since {pause.at:%Y-%m-%d %H:%M} UTC by {pause.actor}: {pause.reason}"
