"""The scheduler's entries: what this worker does by the clock, in one short list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from planner.services.calibrations import mark_lost
from planner.services.schedules import due_times, fall_due
from planner.store.engine import DatabaseError, Session, Sessions
from planner.version import code_version
from planner.worker.leader import Leadership
from planner.worker.reconcile import Wanted, reconcile

log = structlog.get_logger()

LEAD_SECONDS = 5.0


def new_scheduler() -> BackgroundScheduler:
    """A clock and no more: entries live in memory and are made anew from our own tables."""
    defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
    return BackgroundScheduler(timezone=UTC, job_defaults=defaults)


@dataclass
class Clockwork:
    """Everything that happens by the clock. Only the leading worker acts on schedules."""

    scheduler: BackgroundScheduler
    sessions: Sessions
    leadership: Leadership

    def start(self) -> None:
        """Add the standing entries and start the clock."""
        for name, seconds, act in (("lead", LEAD_SECONDS, self.lead),):
            trigger = IntervalTrigger(seconds=seconds, timezone=UTC)
            self.scheduler.add_job(act, trigger, id=name, next_run_time=datetime.now(UTC))
        self.scheduler.start()

    def stop(self) -> None:
        """Stop the clock, wait for what it is doing, and let another worker lead."""
        self.scheduler.shutdown(wait=True)
        self._guarded("give up leadership", self.leadership.give_up)

    def lead(self) -> None:
        """Hold the leadership; as the leader, end lost runs, queue what is overdue and set the entries to come."""
        self._guarded("lead", self._lead)

    def due(self, schedule_id: str) -> None:
        """A schedule's moment has come."""
        self._guarded("due", lambda session: self._fall_due(session, schedule_id))

    def _lead(self, session: Session) -> None:
        if not self.leadership.hold(session):
            self._set_entries({})
            return
        now = datetime.now(UTC)
        for run_id in mark_lost(session, now, self.leadership.identity.worker_id):
            log.warning("calibration.lost", run=run_id)
        wanted = due_times(session, now)
        for schedule_id in wanted:
            self._fall_due(session, schedule_id)
        self._set_entries(wanted)

    def _fall_due(self, session: Session, schedule_id: str) -> None:
        if not self.leadership.is_current(session):
            return
        for run in fall_due(
            session, schedule_id, datetime.now(UTC), code_version(), self.leadership.identity.worker_id
        ):
            log.info("schedule.due", schedule=schedule_id, run=run.id, state=run.state.value, missed=run.num_missed)

    def _set_entries(self, wanted: Wanted) -> None:
        scheduled = {
            job.id: job.trigger.run_date for job in self.scheduler.get_jobs() if isinstance(job.trigger, DateTrigger)
        }
        change = reconcile(wanted, scheduled)
        for schedule_id in change.remove:
            self.scheduler.remove_job(schedule_id)
        for schedule_id, due_at in change.add.items():
            self.scheduler.add_job(self.due, DateTrigger(due_at), id=schedule_id, args=[schedule_id])

    def _guarded(self, what: str, act: Callable[[Session], None]) -> None:
        try:
            with self.sessions.begin() as session:
                act(session)
        except DatabaseError as error:
            log.warning("worker.database_away", during=what, error=str(error.orig))
