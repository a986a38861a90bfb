"""The worker process: keep the clockwork going and calibrate this machine's devices one run at a time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import FrameType

import structlog

from planner.errors import DatabaseOutOfDate, Unavailable
from planner.services.calibrations import claim_run
from planner.services.devices import node_id_of
from planner.settings import Settings
from planner.store.engine import DatabaseError, Engine, Sessions, check_schema, make_engine, session_factory
from planner.worker.calibrate import TERM, carry_through
from planner.worker.discover import discover_here
from planner.worker.entries import Clockwork, new_scheduler
from planner.worker.identity import Identity
from planner.worker.leader import Leadership

log = structlog.get_logger()

POLL_SECONDS = 1.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 30.0


def run_worker(settings: Settings, stop: threading.Event | None = None, term: timedelta = TERM) -> None:
    """Work until SIGTERM, SIGINT or `stop`. Raises DatabaseOutOfDate; an unreachable database is waited for.

    On the way out no new run is taken, the running child is ended with grace and its run is stored as cancelled.
    """
    stop = stop or threading.Event()
    engine = make_engine(settings.database_url)
    sessions = session_factory(engine)
    identity = Identity.here()
    with _signals_set(stop):
        if not _wait_for_database(engine, stop):
            return
        discover_here(sessions, datetime.now(UTC))
        clockwork = Clockwork(new_scheduler(), sessions, Leadership(identity, term))
        clockwork.start()
        log.info("worker.ready", worker=identity.worker_id)
        try:
            while not stop.is_set():
                if not _work_once(sessions, identity, stop, term):
                    stop.wait(POLL_SECONDS)
        finally:
            clockwork.stop()
            engine.dispose()
            log.info("worker.ended", worker=identity.worker_id)


def _work_once(sessions: Sessions, identity: Identity, stop: threading.Event, term: timedelta) -> bool:
    """Carry the next queued run of this machine through; whether there was one."""
    try:
        with sessions.begin() as session:
            node_id = node_id_of(session, identity.machine_id)
            now = datetime.now(UTC)
            claim = claim_run(session, node_id, identity.worker_id, identity.boot_id, term, now)
        if claim is None:
            return False
        log.info("calibration.claimed", run=claim.run_id, device=claim.device_uuid, fence=claim.lease.fence)
        carry_through(sessions, claim, stopping=stop.is_set, term=term)
    except DatabaseError as error:
        log.warning("worker.database_away", error=str(error.orig))
        return False
    return True


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
