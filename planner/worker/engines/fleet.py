"""One worker for a whole Ray cluster: its nodes' devices in the inventory, and each node's runs carried through."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from planner.calibration.run_states import RunState
from planner.gpu.runner import CHILD_COMMAND
from planner.services.claims import ClaimedRun, claim_run
from planner.services.devices import node_id_of, record_discovery
from planner.settings import Settings
from planner.store.engine import (
    DatabaseError,
    Session,
    Sessions,
    check_schema,
    database_now,
    make_engine,
    session_factory,
)
from planner.worker.calibrate import TERM, carry_through
from planner.worker.engines import cluster
from planner.worker.entries import Clockwork, new_scheduler
from planner.worker.identity import Identity
from planner.worker.leader import Leadership

log = structlog.get_logger()

POLL_SECONDS = 1.0
LOOK_SECONDS = 60.0  # between two looks at which nodes there are and what is attached to them


@dataclass(frozen=True, slots=True)
class _Seat:
    """A node of the cluster as the database knows it."""

    node: cluster.ClusterNode
    machine_id: str
    boot_id: str


@dataclass
class Fleet:
    """Looks after a cluster until it is stopped: a thread per node, one run at a time on each."""

    sessions: Sessions
    command: Sequence[str] = CHILD_COMMAND
    look_seconds: float = LOOK_SECONDS
    identity: Identity = field(default_factory=Identity.here)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: dict[str, threading.Thread] = field(default_factory=dict)  # by Ray's id of the node

    def work_until(self, stop: threading.Event) -> None:
        """Look at the cluster now and then and keep a thread on each living node; returns once all have ended."""
        while not stop.is_set():
            try:
                self.look()
            except DatabaseError as error:
                log.warning("fleet.database_away", error=str(error.orig))
            except cluster.FAULTS as error:
                log.warning("fleet.cluster_away", error=str(error).splitlines()[0])
            stop.wait(self.look_seconds)
        self._stop.set()
        for thread in self._threads.values():
            thread.join()

    def look(self) -> None:
        """Record what is attached to each living node, and give a thread to those that have none."""
        nodes = cluster.living_nodes()
        for node, seen in cluster.discover_nodes(nodes):
            with self.sessions.begin() as session:
                record_discovery(session, seen, database_now(session))
            thread = self._threads.get(node.ray_id)
            if thread is None or not thread.is_alive():
                seat = _Seat(node, seen.node.machine_id, seen.node.boot_id)
                self._threads[node.ray_id] = threading.Thread(target=self._serve, args=(seat,), daemon=True)
                self._threads[node.ray_id].start()
                log.info("fleet.node", node=node.label or node.ray_id, hostname=seen.node.hostname)

    def _serve(self, seat: _Seat) -> None:
        """Carry the node's runs through until it is gone or the fleet is stopped."""
        while not self._stop.is_set():
            try:
                if not cluster.is_alive(seat.node):
                    log.warning("fleet.node_gone", node=seat.node.label or seat.node.ray_id)
                    return
                if not self._next(seat):
                    self._stop.wait(POLL_SECONDS)
            except DatabaseError as error:
                log.warning("fleet.database_away", error=str(error.orig))
                time.sleep(POLL_SECONDS)
            except Exception:  # a fault of ours in one run: it is failed, the node's others may go well
                log.exception("fleet.fault", node=seat.node.label or seat.node.ray_id)
                self._stop.wait(POLL_SECONDS)

    def _next(self, seat: _Seat) -> bool:
        """Whether there was a run of that node to carry through."""
        with self.sessions.begin() as session:
            claim = self._claim(session, seat)
        if claim is None:
            return False
        log.info("calibration.claimed", run=claim.run_id, node=seat.node.label or seat.node.ray_id)
        measure = cluster.measure_on(seat.node, self.command)
        state = carry_through(self.sessions, claim, stopping=self._stop.is_set, measure=measure)
        log.info("calibration.ended", run=claim.run_id, state=None if state is None else state.value)
        if state is RunState.LOST:
            self._wait_until_sure(seat)
        return True

    def _wait_until_sure(self, seat: _Seat) -> None:
        """Wait until the node answers again or the cluster counts it as dead, which it is slow to see.

        The lost run is queued again already: taken at once it would be lost again on the same dead node.
        """
        while not self._stop.is_set() and cluster.is_alive(seat.node) and not cluster.answers(seat.node):
            self._stop.wait(POLL_SECONDS)

    def _claim(self, session: Session, seat: _Seat) -> ClaimedRun | None:
        node_id = node_id_of(session, seat.machine_id)
        worker = f"{self.identity.worker_id}/{seat.node.label or seat.node.ray_id[:12]}"
        return claim_run(session, node_id, worker, seat.boot_id, TERM, database_now(session))


def run_fleet(settings: Settings, address: str, stop: threading.Event | None = None) -> None:
    """Calibrate a cluster's nodes until SIGTERM, SIGINT or `stop`; leads the schedules where no other worker does.

    Raises DatabaseOutOfDate, and Unavailable where no cluster answers at that address.
    """
    stop = stop or threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    engine = make_engine(settings.database_url)
    sessions = session_factory(engine)
    check_schema(engine)
    cluster.connect(address)
    clockwork = Clockwork(new_scheduler(), sessions, Leadership(Identity.here(), TERM))
    clockwork.start()
    try:
        Fleet(sessions).work_until(stop)
    finally:
        clockwork.stop()
        cluster.disconnect()
        engine.dispose()
