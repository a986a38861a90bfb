"""Carry one claimed run through: measure in a child while no transaction is open, then apply in a single short one."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import fmean

import structlog

from planner.calibration.run_states import RunState
from planner.calibration.sample import Bench, BenchFailure, Sample
from planner.errors import Conflict
from planner.gpu.events import (
    CANCELLED,
    CRASHED,
    FINISHED,
    TIMED_OUT,
    BenchStarted,
    ChildJob,
    ChildResult,
    Event,
    Failed,
    Measured,
    Reading,
)
from planner.gpu.runner import measure
from planner.services.calibrations import ClaimedRun, begin_run, claim_run, finish_run, note_progress
from planner.services.devices import node_id_of
from planner.store.engine import DatabaseError, Sessions
from planner.version import code_version
from planner.worker.identity import Identity

log = structlog.get_logger()

TERM = timedelta(seconds=30)  # how long a lease lasts unless it is renewed
REPORT_SECONDS = 1.0  # between two looks at the database while the child measures
MARGIN_SECONDS = 5.0  # the child is ended so long before a lease that cannot be renewed runs out

Measure = Callable[[ChildJob, Callable[[Event], None], Callable[[], bool]], ChildResult]
OnProgress = Callable[[int, Bench | None], None]


def run_here(sessions: Sessions, run_id: str, on_progress: OnProgress = lambda _done, _bench: None) -> None:
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
            datetime.now(UTC),
            run_id,
        )
    if claim is None:
        raise Conflict(f"run {run_id} cannot be started now: another calibration of this machine is under way")
    carry_through(sessions, claim, on_progress=on_progress)


def carry_through(
    sessions: Sessions,
    claim: ClaimedRun,
    *,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = lambda _done, _bench: None,
    measure: Measure = measure,
    term: timedelta = TERM,
) -> RunState | None:
    """Measure a claimed run and store what came out; the state it ended in, None where the claim was lost meanwhile.

    Call it from a thread that waits for it: the child is leashed to the life of the calling thread.
    """
    record = Record(sessions, claim, stopping, on_progress, term)
    with sessions.begin() as session:
        if not begin_run(session, claim, datetime.now(UTC)):
            return None
    job = ChildJob(claim.device_uuid, claim.backend, claim.benches, claim.time_limit_seconds)
    try:
        result = measure(job, record.enter, record.should_stop)
    except BaseException as error:
        reason = "ended by Ctrl-C" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
        record.stop_reason = reason
        state = RunState.CANCELLED if isinstance(error, KeyboardInterrupt) else RunState.FAILED
        record.apply(state, reason, {})
        raise
    return record.apply(*record.verdict(result), conditions={**result.conditions, "seconds": result.seconds})


@dataclass
class Record:
    """What the child said so far, and the worker's side of the lease while it measures."""

    sessions: Sessions
    claim: ClaimedRun
    stopping: Callable[[], bool]
    on_progress: OnProgress
    term: timedelta
    outcomes: dict[int, Sample | BenchFailure] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    watts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    current: int | None = None
    stop_reason: str = ""
    has_lease: bool = True
    _reported_at: float = -1e9
    _lease_ends: float = 0.0

    def __post_init__(self) -> None:
        self._lease_ends = time.monotonic() + self.term.total_seconds()

    def enter(self, event: Event) -> None:
        """Take one event of the child."""
        match event:
            case BenchStarted(position):
                self.current = position
            case Measured(position, sample):
                self.outcomes[position] = sample
            case Failed(position, failure):
                self.outcomes[position] = failure
            case Reading():
                self._read(event)
        if not isinstance(event, Reading):
            self.on_progress(len(self.outcomes), self._bench())

    def should_stop(self) -> bool:
        """Report about once a second; True once the run was cancelled, the worker is stopping, or the lease is gone."""
        if self.stopping():
            self.stop_reason = "the worker was stopped"
            return True
        if time.monotonic() - self._reported_at >= REPORT_SECONDS:
            self._report()
        return bool(self.stop_reason)

    def verdict(self, result: ChildResult) -> tuple[RunState, str]:
        """The state that the child's end means for the run, with the reason."""
        if result.outcome == CANCELLED:
            return RunState.CANCELLED, self.stop_reason or result.reason
        if result.outcome == TIMED_OUT:
            return RunState.TIMED_OUT, result.reason
        if result.outcome == CRASHED:
            tail = result.stderr_tail.strip().splitlines()[-1:]
            return RunState.FAILED, ": ".join([result.reason, *tail])
        if result.outcome != FINISHED:
            raise ValueError(f"unknown outcome {result.outcome!r}")
        failures = [outcome for outcome in self.outcomes.values() if isinstance(outcome, BenchFailure)]
        if len(failures) == len(self.outcomes):
            state = RunState.OOM if failures and all(f.error_class == "oom" for f in failures) else RunState.FAILED
            why = failures[0].message if failures else "the suite holds none for this device"
            return state, f"no bench gave a sample: {why}"
        return RunState.SUCCEEDED, ""

    def apply(self, state: RunState, error: str, conditions: dict[str, object]) -> RunState | None:
        """Store everything in one transaction; None, and nothing stored, where the claim is not the newest any more."""
        if not self.has_lease:
            log.warning("calibration.lease_lost", run=self.claim.run_id, reason=self.stop_reason)
        with self.sessions.begin() as session:
            stored = finish_run(
                session,
                self.claim,
                state,
                self.outcomes,
                self.readings,
                {key: fmean(values) for key, values in self.watts.items()},
                conditions,
                error,
                datetime.now(UTC),
                code_version(),
            )
        log.info("calibration.ended", run=self.claim.run_id, state=state.value, stored=stored, error=error or None)
        return state if stored else None

    def _read(self, reading: Reading) -> None:
        self.readings.append(reading)
        if reading.power_watts is not None and self.current is not None and self.current not in self.outcomes:
            self.watts[self.claim.benches[self.current].key].append(reading.power_watts)

    def _bench(self) -> Bench | None:
        """The bench being measured, None before the first and after the last."""
        done = len(self.outcomes) == len(self.claim.benches)
        return None if self.current is None or done else self.claim.benches[self.current]

    def _report(self) -> None:
        asked_at = time.monotonic()
        self._reported_at = asked_at
        current = self._bench()
        key = None if current is None else current.key
        try:
            with self.sessions.begin() as session:
                pulse = note_progress(session, self.claim, len(self.outcomes), key, self.term)
        except DatabaseError as error:
            log.warning("calibration.database_away", run=self.claim.run_id, error=str(error.orig))
            if time.monotonic() > self._lease_ends - MARGIN_SECONDS:
                self.has_lease, self.stop_reason = False, "the lease could not be renewed: the database was away"
            return
        if pulse.lease is None:
            self.has_lease, self.stop_reason = False, "the lease went to another worker or ran out"
        else:
            self._lease_ends = asked_at + self.term.total_seconds()
            if pulse.cancel_requested:
                self.stop_reason = "cancelled on request"
