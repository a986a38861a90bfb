"""What this worker does by the clock: lead, and as the leader act on the schedules' due times.

APScheduler wakes us at the due times and no more: its entries live in memory and are made anew from our own tables.
Leading is a loop of its own on the monotonic clock, so that a wall clock set back cannot stop it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC
from typing import TypeVar

import structlog
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from planner.services.claims import mark_lost
from planner.services.schedules import due_times, fall_due
from planner.store.engine import DatabaseError, Session, Sessions, database_now, in_transaction
from planner.version import code_version
from planner.worker.leader import Leadership
from planner.worker.reconcile import Wanted, reconcile

log = structlog.get_logger()
Answer = TypeVar("Answer")

SPOOL_SECONDS = 10.0  # after an outage workers bring their spooled results before any run counts as lost
LEAD_SECONDS = 5.0  # at most; a third of the term where that is less


def new_scheduler() -> BackgroundScheduler:
    """A clock that forgets nothing that is due, takes what was missed together, and does nothing twice at once."""
    defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
    return BackgroundScheduler(timezone=UTC, job_defaults=defaults)


@dataclass
class Clockwork:
    """Everything that happens by the clock. Only the leading worker acts on schedules."""

    scheduler: BackgroundScheduler
    sessions: Sessions
    leadership: Leadership
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _broken: set[str] = field(default_factory=set)
    _back_at: float | None = field(default=-math.inf)  # since when the database answers us; None while it is away

    def start(self) -> None:
        """Start the clock and the leading loop."""
        self.scheduler.start()
        self._thread = threading.Thread(target=self._lead_until_stopped, name="lead", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise if the leading loop has ended by a fault of ours: a worker without it would look well and not be."""
        if self._thread is None or not self._thread.is_alive():
            raise RuntimeError("the leading loop has ended; its error is above")

    def stop(self) -> None:
        """Stop the clock, wait for what it is doing, and let another worker lead."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.scheduler.shutdown(wait=True)
        self._within("give up leadership", self.leadership.give_up)

    def lead(self) -> None:
        """Hold the leadership; as the leader, end lost runs, queue what is overdue and set the entries to come."""
        leads = self._within("lead", self.leadership.hold)
        if not leads:
            self._set_entries({})
            return
        self._back_at = self._back_at or time.monotonic()
        if time.monotonic() >= self._back_at + min(SPOOL_SECONDS, self.leadership.term.total_seconds()):
            self._within("end lost runs", self._end_lost_runs)
        wanted = self._within("read schedules", lambda session: due_times(session, database_now(session)))
        if wanted is None:
            return
        for schedule_id, due_at in wanted.items():
            if due_at is None:
                self._tell_broken(schedule_id)
            else:
                self.due(schedule_id)
        self._set_entries({name: due_at for name, due_at in wanted.items() if due_at is not None})

    def due(self, schedule_id: str) -> None:
        """A schedule's moment has come, or may have. A fault in one is told and does not hold up the others."""
        try:
            self._within("fall due", lambda session: self._fall_due(session, schedule_id))
        except Exception:
            log.exception("schedule.fault", schedule=schedule_id)

    def _lead_until_stopped(self) -> None:
        seconds = min(LEAD_SECONDS, self.leadership.term.total_seconds() / 3)
        while not self._stop.is_set():
            self.lead()
            self._stop.wait(seconds)

    def _end_lost_runs(self, session: Session) -> None:
        if self.leadership.is_current(session):
            for run_id in mark_lost(session, database_now(session), self.leadership.identity.worker_id):
                log.warning("calibration.lost", run=run_id)

    def _fall_due(self, session: Session, schedule_id: str) -> None:
        if not self.leadership.is_current(session):
            return
        actor = self.leadership.identity.worker_id
        for run in fall_due(session, schedule_id, database_now(session), code_version(), actor):
            log.info("schedule.due", schedule=schedule_id, run=run.id, state=run.state.value, missed=run.num_missed)

    def _tell_broken(self, schedule_id: str) -> None:
        if schedule_id not in self._broken:
            self._broken.add(schedule_id)
            log.warning("schedule.cannot_be_followed", schedule=schedule_id)

    def _set_entries(self, wanted: Wanted) -> None:
        change = reconcile(wanted, {job.id: job.trigger.run_date for job in self.scheduler.get_jobs()})
        for schedule_id in change.remove:
            with suppress(JobLookupError):  # it fired since
                self.scheduler.remove_job(schedule_id)
        for schedule_id, due_at in change.add.items():
            self.scheduler.add_job(
                self.due, DateTrigger(due_at), id=schedule_id, args=[schedule_id], replace_existing=True
            )

    def _within(self, what: str, act: Callable[[Session], Answer]) -> Answer | None:
        """What `act` answers within a transaction of its own; None, and a line in the log, without a database."""
        try:
            return in_transaction(self.sessions, act)
        except DatabaseError as error:
            log.warning("worker.database_away", during=what, error=str(error.orig))
            self._back_at = None
            return None
