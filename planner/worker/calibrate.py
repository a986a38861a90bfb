"""Carry one claimed run through: measure in a child while no transaction is open, then apply in a single short one."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

import structlog

from planner.calibration.run_states import RunState
from planner.calibration.sample import Bench, BenchFailure, Sample
from planner.calibration.verdict import Incident, Trust, why_restless
from planner.errors import Conflict
from planner.gpu.events import (
    BUSY,
    CANCELLED,
    CRASHED,
    FINISHED,
    LOST,
    REFUSED,
    TIMED_OUT,
    BenchStarted,
    ChildJob,
    ChildResult,
    Event,
    Failed,
    Measured,
    Reading,
    Visited,
)
from planner.gpu.runner import measure
from planner.services.aftermath import XIDS
from planner.services.claims import ClaimedRun, begin_run, claim_run, held_until, note_progress
from planner.services.devices import node_id_of
from planner.services.runs import WRITTEN
from planner.store.engine import Sessions, database_now
from planner.worker.apply import apply
from planner.worker.heartbeat import Heartbeat, Progress
from planner.worker.identity import Identity
from planner.worker.spool import Ending, Spool, SpoolFile

log = structlog.get_logger()

TERM = timedelta(seconds=30)  # how long a lease lasts unless it is renewed
LOOK_AGAIN_SECONDS = 0.5
SILENT_SECONDS = 4.0  # a live worker renews about every second; one that did not for so long is taken for dead

Measure = Callable[[ChildJob, Callable[[Event], None], Callable[[], bool]], ChildResult]
OnProgress = Callable[[int, Bench | None], None]


def run_here(
    sessions: Sessions,
    run_id: str,
    on_progress: OnProgress = lambda _done, _bench: None,
    spool: Spool | None = None,
) -> None:
    """Claim that queued run of this machine and carry it through, in this thread; Ctrl-C cancels it and passes on.

    Raises Conflict where it cannot be claimed: a worker has it, or another run of this machine is under way.
    """
    identity = Identity.here()
    with sessions.begin() as session:
        claim = claim_run(
            session,
            node_id_of(session, identity.machine_id),
            identity.worker_id,
            identity.boot_id,
            TERM,
            database_now(session),
            run_id,
        )
    if claim is None:
        raise Conflict(f"run {run_id} cannot be started now: another calibration of this machine is under way")
    carry_through(sessions, claim, on_progress=on_progress, spool=spool)


def wait_for_silent_worker(
    sessions: Sessions, device_id: str, on_wait: Callable[[datetime], None] = lambda _until: None
) -> None:
    """Wait for the lease of a worker that seems to have died on this device to run out (TERM at most).

    Returns at once where nobody holds the device, and within a moment where the holder is alive and renews.
    """
    first = _lease_end(sessions, device_id)
    silent_since, told = time.monotonic(), False
    end = first
    while end is not None and end == first:
        if not told and time.monotonic() - silent_since > SILENT_SECONDS:
            told = True
            on_wait(end)
        time.sleep(LOOK_AGAIN_SECONDS)
        end = _lease_end(sessions, device_id)


def _lease_end(sessions: Sessions, device_id: str) -> datetime | None:
    with sessions() as session:
        return held_until(session, device_id)


def carry_through(
    sessions: Sessions,
    claim: ClaimedRun,
    *,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = lambda _done, _bench: None,
    measure: Measure = measure,
    term: timedelta = TERM,
    spool: Spool | None = None,
    pulse: Sessions | None = None,
) -> RunState | None:
    """Measure a claimed run and store what came out; the state it ended in, None where the claim was lost meanwhile.

    With a `spool` each outcome is on this machine's disk before it counts, and a database that is away for long costs
    nothing; `pulse` are sessions of the heartbeat's own, whose connection nobody else can hold. Call it from a thread
    that waits for it: the child is leashed to the life of the calling thread.
    """
    asked_at = time.monotonic()
    if not _begin(sessions, claim, term):
        log.warning("calibration.not_begun", run=claim.run_id, reason="the lease went to another worker or ran out")
        return None
    record = Record(claim, on_progress, _spool_file(spool, claim))
    peers = tuple(peer.device_uuid for peer in claim.peers)
    job = ChildJob(claim.device_uuid, claim.backend, claim.benches, claim.time_limit_seconds, peers=peers)
    heartbeat = Heartbeat(pulse or sessions, claim, term, record.progress, asked_at)
    try:
        with heartbeat:
            result = measure(job, record.enter, lambda: stopping() or bool(heartbeat.stop_reason))
    except BaseException as error:
        is_stop = isinstance(error, KeyboardInterrupt)
        reason = "ended by Ctrl-C" if is_stop else f"{type(error).__name__}: {error}"
        ending = record.ending(RunState.CANCELLED if is_stop else RunState.FAILED, reason, {}, heartbeat.num_noted)
        apply(sessions, claim, record.outcomes, ending, record.file, stopping)
        raise
    reason = heartbeat.stop_reason or ("the worker was stopped" if stopping() else "")
    ending = record.ending_of(result, reason, heartbeat.has_lease, heartbeat.num_noted)
    return apply(sessions, claim, record.outcomes, ending, record.file, stopping)


def _spool_file(spool: Spool | None, claim: ClaimedRun) -> SpoolFile | None:
    if spool is None:
        return None
    try:
        return spool.open(claim)
    except OSError as error:
        log.warning("calibration.spool_failed", run=claim.run_id, error=str(error))
        return None


def _begin(sessions: Sessions, claim: ClaimedRun, term: timedelta) -> bool:
    """Begin the run on a lease renewed for a whole term: the start may have waited long for the database."""
    with sessions.begin() as session:
        if not begin_run(session, claim, database_now(session)):
            return False
        return note_progress(session, claim, 0, None, term).lease is not None


@dataclass
class Record:
    """What the child said so far."""

    claim: ClaimedRun
    on_progress: OnProgress
    file: SpoolFile | None = None
    outcomes: dict[int, Sample | BenchFailure] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    watts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    current: int | None = None
    xids: list[int] = field(default_factory=list)
    visited: dict[int, float] = field(default_factory=dict)  # the share of a bench's visits that were made

    def enter(self, event: Event) -> None:
        """Take one event of the child."""
        match event:
            case BenchStarted(position):
                self.current = position
            case Visited(position, number, of):
                self.visited[position] = number / of
            case Measured(position, sample):
                self._keep(position, sample)
            case Failed(position, failure):
                self._keep(position, failure)
            case Incident(kind="xid", code=int(code)):
                self.xids.append(code)
            case Reading():
                self._read(event)
        if not isinstance(event, Reading):
            self.on_progress(self._num_done(), self._bench())

    def progress(self) -> Progress:
        """How far it is; asked from the heartbeat's thread while this one goes on."""
        return Progress(self._num_done(), self._bench(), self.readings)

    def mean_watts(self) -> dict[str, float]:
        """The mean power while each bench ran, by its key, where it was read."""
        return {key: fmean(values) for key, values in self.watts.items()}

    def ending(self, state: RunState, reason: str, conditions: dict[str, Any], num_noted: int) -> Ending:
        """An end of the run with what stands beside the outcomes: readings not noted yet, mean power by bench."""
        unsent = tuple(self.readings[num_noted:])
        return Ending(state, reason, conditions, readings=unsent, watts=self.mean_watts())

    def ending_of(self, result: ChildResult, stop_reason: str, has_lease: bool, num_noted: int) -> Ending:
        """What the child's end means for the run."""
        conditions = {**result.conditions, "seconds": result.seconds}
        written = result.stderr_tail.replace("\0", "").strip()  # PostgreSQL keeps no NUL in its JSON
        if written:
            conditions[WRITTEN] = written
        if self.xids:
            conditions[XIDS] = self.xids
        state, reason = self._verdict(result, stop_reason, has_lease)
        ending = self.ending(state, reason, conditions, num_noted)
        return replace(
            ending,
            quarantine=result.verdict.quarantine,
            wait_seconds=result.verdict.retry_seconds,
            peer_quarantine=dict(result.peer_quarantine),
        )

    def _verdict(self, result: ChildResult, stop_reason: str, has_lease: bool) -> tuple[RunState, str]:
        if result.outcome == CANCELLED:
            return (RunState.CANCELLED if has_lease else RunState.LOST), stop_reason or result.reason
        if result.outcome == LOST:
            return RunState.LOST, result.reason
        if result.outcome == TIMED_OUT:
            return RunState.TIMED_OUT, result.reason
        if result.outcome == CRASHED:
            tail = result.stderr_tail.strip().splitlines()[-1:]
            return RunState.FAILED, ": ".join([result.reason, *tail])
        if result.outcome == BUSY:
            return RunState.BUSY, result.reason
        if result.outcome == REFUSED:
            return (RunState.QUARANTINED if result.verdict.quarantine else RunState.FAILED), result.reason
        if result.outcome != FINISHED:
            raise ValueError(f"unknown outcome {result.outcome!r}")
        failures = [outcome for outcome in self.outcomes.values() if isinstance(outcome, BenchFailure)]
        if len(failures) == len(self.outcomes):
            state = RunState.OOM if failures and all(f.error_class == "oom" for f in failures) else RunState.FAILED
            why = failures[0].message if failures else "the suite holds none for this device"
            return state, f"no bench gave a sample: {why}"
        if result.verdict.trust is not Trust.OK:
            is_suspect = result.verdict.trust is Trust.SUSPECT
            return (RunState.SUSPECT if is_suspect else RunState.FAILED), "; ".join(result.verdict.reasons)
        restless = why_restless([outcome for outcome in self.outcomes.values() if isinstance(outcome, Sample)])
        return (RunState.SUSPECT, restless) if restless else (RunState.SUCCEEDED, "")

    def _keep(self, position: int, outcome: Sample | BenchFailure) -> None:
        """On the disk first, then it counts; without a disk that takes it the run goes on all the same."""
        if self.file is not None:
            try:
                self.file.outcome(position, outcome)
            except OSError as error:
                log.warning("calibration.spool_failed", run=self.claim.run_id, error=str(error))
                self.file.drop()
                self.file = None
        self.outcomes[position] = outcome

    def _read(self, reading: Reading) -> None:
        self.readings.append(reading)
        if reading.power_watts is not None and self.current is not None and self.current not in self.outcomes:
            self.watts[self.claim.benches[self.current].key].append(reading.power_watts)

    def _num_done(self) -> int:
        """Benches done, those that are visited again counted by the visits made."""
        visited = sum(share for position, share in tuple(self.visited.items()) if position not in self.outcomes)
        return len(self.outcomes) + int(visited)

    def _bench(self) -> Bench | None:
        """The bench being measured, None before the first and after the last."""
        done = len(self.outcomes) == len(self.claim.benches)
        return None if self.current is None or done else self.claim.benches[self.current]
