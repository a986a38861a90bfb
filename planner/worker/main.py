"""The worker process: keep the clockwork going and calibrate this machine's devices one run at a time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FrameType

import structlog

from planner.errors import DatabaseOutOfDate, Unavailable
from planner.gpu.runner import measure
from planner.services.claims import ClaimedRun, claim_run
from planner.services.devices import node_id_of
from planner.services.fits import refit_outdated
from planner.settings import Settings
from planner.store.engine import (
    DatabaseError,
    Engine,
    Session,
    Sessions,
    check_schema,
    database_now,
    in_transaction,
    make_engine,
    session_factory,
)
from planner.version import code_version
from planner.worker.apply import replay
from planner.worker.calibrate import TERM, Measure, carry_through
from planner.worker.discover import discover_here
from planner.worker.entries import Clockwork, new_scheduler
from planner.worker.identity import Identity
from planner.worker.leader import Leadership
from planner.worker.plans import PlanSolver
from planner.worker.prices import Refreshing
from planner.worker.spool import Spool

log = structlog.get_logger()

POLL_SECONDS = 1.0
PULSE_ANSWER_SECONDS = 10.0  # the heartbeat gives up on a connection that says nothing, and tries another
LOOK_SECONDS = 300.0  # between two looks at what is attached; never while a run of ours is measuring
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 30.0
SKEW_SECONDS = 5.0  # a difference to the database's clock that is worth a word; nothing depends on it


def run_worker(
    settings: Settings, stop: threading.Event | None = None, term: timedelta = TERM, measure: Measure = measure
) -> None:
    """Work until SIGTERM, SIGINT or `stop`. Raises DatabaseOutOfDate; an unreachable database is waited for.

    On the way out no new run is taken, the running child is ended with grace and its run is stored as cancelled.
    """
    stop = stop or threading.Event()
    engine = make_engine(settings.database_url)
    sessions = session_factory(engine)
    pulse = make_engine(settings.database_url, num_connections=1, answer_seconds=PULSE_ANSWER_SECONDS)
    identity = Identity.here()
    with _signals_set(stop):
        if not _wait_for_database(engine, stop):
            return
        clockwork = Clockwork(new_scheduler(), sessions, Leadership(identity, term))
        refreshing = Refreshing(sessions)
        plans = PlanSolver(sessions, identity)
        clockwork.start()
        refreshing.start()
        plans.start()
        try:
            spool = Spool(settings.home / "spool")
            calibrator = Calibrator(sessions, identity, stop, term, measure, spool, session_factory(pulse))
            _work_until(stop, clockwork, calibrator)
        finally:
            plans.stop()
            refreshing.stop()
            clockwork.stop()
            engine.dispose()
            pulse.dispose()
            log.info("worker.ended", worker=identity.worker_id)


@dataclass(frozen=True, slots=True)
class Calibrator:
    """What this worker needs to carry its machine's runs through."""

    sessions: Sessions
    identity: Identity
    stop: threading.Event
    term: timedelta
    measure: Measure
    spool: Spool
    pulse: Sessions

    def calibrate_next(self) -> bool:
        """Bring what is spooled, then carry the next queued run of this machine through; whether there was one."""
        replay(self.sessions, self.spool)
        claim = in_transaction(self.sessions, self._claim)
        if claim is None:
            return False
        log.info("calibration.claimed", run=claim.run_id, device=claim.device_uuid, fence=claim.lease.fence)
        state = carry_through(
            self.sessions,
            claim,
            stopping=self.stop.is_set,
            measure=self.measure,
            term=self.term,
            spool=self.spool,
            pulse=self.pulse,
        )
        log.info("calibration.ended", run=claim.run_id, state=None if state is None else state.value)
        return True

    def _claim(self, session: Session) -> ClaimedRun | None:
        who = self.identity
        node_id = node_id_of(session, who.machine_id)
        return claim_run(session, node_id, who.worker_id, who.boot_id, self.term, database_now(session))


def _work_until(stop: threading.Event, clockwork: Clockwork, calibrator: Calibrator) -> None:
    """Look at the devices now and then, and calibrate while there is something queued."""
    wait, look_at, ready = FIRST_WAIT_SECONDS, time.monotonic(), False
    while not stop.is_set():
        clockwork.check()
        try:
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_SECONDS
                _look(calibrator.sessions)
                if not ready:
                    ready = True
                    log.info("worker.ready", worker=calibrator.identity.worker_id)
            if not calibrator.calibrate_next():
                stop.wait(POLL_SECONDS)
            wait = FIRST_WAIT_SECONDS
        except DatabaseError as error:
            log.warning("worker.database_away", error=str(error.orig), next_try_seconds=wait)
            stop.wait(wait)
            wait, look_at = min(2 * wait, LONGEST_WAIT_SECONDS), time.monotonic()
        except Exception:  # no process or space to be had, or a fault of ours: the run is failed, others may go well
            log.exception("worker.fault", next_try_seconds=wait)
            stop.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)


def _look(sessions: Sessions) -> None:
    """Follow what is attached to this machine, and draw again the fits that this code cannot read."""
    with sessions.begin() as session:
        now = database_now(session)
    skew = (datetime.now(UTC) - now).total_seconds()
    if abs(skew) > SKEW_SECONDS:
        log.warning("worker.clock_differs_from_the_database", seconds=round(skew, 1))
    for problem in discover_here(sessions, now).problems:
        log.warning("worker.driver", problem=problem)
    with sessions.begin() as session:
        refit_outdated(session, now, code_version())


def _wait_for_database(engine: Engine, stop: threading.Event) -> bool:
    wait = FIRST_WAIT_SECONDS
    while not stop.is_set():
        try:
            check_schema(engine)
        except DatabaseOutOfDate:
            raise
        except Unavailable as error:
            log.warning("worker.waiting_for_database", error=str(error), next_try_seconds=wait)
            stop.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        else:
            return True
    return False


@contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop`, where this is the main thread; restored afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, _frame: FrameType | None) -> None:
        log.info("worker.stopping", signal=signal.Signals(number).name)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
