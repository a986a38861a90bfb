"""Store how a run ended: in one short transaction, from the spool where the database was away, and never twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import structlog

from planner.calibration.run_states import RunState
from planner.services.claims import ClaimedRun, finish_run, keep_late_result
from planner.services.run_actuals import enter_run
from planner.store.engine import OperationalError, Sessions, database_now, in_transaction
from planner.version import code_version
from planner.worker.spool import Ending, Outcomes, Spool, Spooled, SpoolFile

log = structlog.get_logger()

SPOOLED_SECONDS = 20.0  # how long a spooled result is offered at once; after that whenever the worker looks
STORE_SECONDS = 300.0  # the same for one that no disk took: then it is all there is
STORE_AGAIN_SECONDS = 1.0


def apply(
    sessions: Sessions,
    claim: ClaimedRun,
    outcomes: Outcomes,
    ending: Ending,
    file: SpoolFile | None,
    stopping: Callable[[], bool],
) -> RunState | None:
    """Store everything; the run's state, None where the claim is not the newest any more or the result stays spooled.

    While the database is away it is tried again, for a bounded time or until the worker is stopped. Then the spool
    keeps it for `replay`; raises OperationalError where there is no file of it.
    """
    file = _ended(file, ending)
    until = time.monotonic() + (STORE_SECONDS if file is None else SPOOLED_SECONDS)
    while True:
        try:
            stored = store(sessions, claim, outcomes, ending)
        except OperationalError as error:
            log.warning("calibration.database_away", run=claim.run_id, during="storing", error=str(error.orig))
            if time.monotonic() <= until and not stopping():
                time.sleep(STORE_AGAIN_SECONDS)
                continue
            if file is None:
                log.error("calibration.not_stored", run=claim.run_id, samples=len(outcomes))
                raise
            log.warning("calibration.spooled", run=claim.run_id, samples=len(outcomes))
            return None
        if file is not None:
            file.drop()
        if not stored:
            log.warning("calibration.not_taken", run=claim.run_id, state=ending.state.value, reason=ending.reason)
        return ending.state if stored else None


def store(sessions: Sessions, claim: ClaimedRun, outcomes: Outcomes, ending: Ending) -> bool:
    """One transaction with all of it, tried again where another was in its way; False where the claim is old."""
    stored = in_transaction(
        sessions,
        lambda session: finish_run(
            session,
            claim,
            ending.state,
            outcomes,
            ending.readings,
            ending.watts,
            ending.conditions,
            ending.reason,
            database_now(session),
            code_version(),
            quarantine=ending.quarantine,
            wait_seconds=ending.wait_seconds,
            peer_quarantine=ending.peer_quarantine,
        ),
    )
    if stored and ending.state is RunState.SUCCEEDED:
        _enter_in_ledger(sessions, claim.run_id)
    return stored


def _enter_in_ledger(sessions: Sessions, run_id: str) -> None:
    """Hold the run against what was estimated before it; a ledger that cannot be written leaves the run as it is."""
    try:
        entered = in_transaction(
            sessions, lambda session: enter_run(session, run_id, database_now(session), code_version())
        )
    except OperationalError as error:
        log.warning("ledger.database_away", run=run_id, error=str(error.orig))
    else:
        log.info("ledger.entered", run=run_id, rows=entered)


def replay(sessions: Sessions, spool: Spool) -> int:
    """Offer every spooled result to the database; how many it took, as a result or as evidence.

    What a worker left that died before its run's end is kept as evidence. Raises OperationalError while the database
    is away; the files stay then.
    """
    taken = 0
    for found in _left_alone(spool):
        if found.ending is not None:
            stored = store(sessions, found.claim, found.outcomes, found.ending)
            log.info("calibration.replayed", run=found.claim.run_id, counts=stored, samples=len(found.outcomes))
        else:
            _keep_part(sessions, found)
            log.info("calibration.part_kept", run=found.claim.run_id, samples=len(found.outcomes))
        found.path.unlink(missing_ok=True)
        taken += 1
    return taken


def _ended(file: SpoolFile | None, ending: Ending) -> SpoolFile | None:
    """The file with its end, None where the disk does not take it: the database may all the same."""
    if file is None:
        return None
    try:
        file.end(ending)
    except OSError as error:
        log.warning("calibration.spool_failed", error=str(error))
        file.drop()
        return None
    return file


def _left_alone(spool: Spool) -> Iterator[Spooled]:
    """Spooled results that nobody is writing."""
    for found in spool.waiting():
        if found.ending is not None or not _is_alive(found.claim.lease.holder):
            yield found


def _is_alive(holder: str) -> bool:
    """Whether the process lives that this machine's worker of that name was."""
    parts = holder.split(":")
    if len(parts) < 3 or not parts[-2].isdigit():
        return False
    try:
        os.kill(int(parts[-2]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _keep_part(sessions: Sessions, found: Spooled) -> None:
    reason = "its worker died before the end: what had been measured by then"
    in_transaction(
        sessions,
        lambda session: keep_late_result(
            session, found.claim, RunState.LOST, found.outcomes, {}, reason, database_now(session)
        ),
    )
