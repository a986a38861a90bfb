"""The worker's side of a lease: renew it, report progress, hear of a cancel, know in time when it cannot be kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog

from planner.calibration.sample import Bench
from planner.gpu.events import Reading
from planner.services.claims import ClaimedRun, note_progress
from planner.store.engine import DatabaseError, Sessions

log = structlog.get_logger()

BEAT_SECONDS = 1.0  # between two reports; far below a third of the term
MARGIN = 1 / 6  # of the term: so long before its end the child is ended if the lease cannot be renewed
JOIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: benches done, the one being measured, and all readings so far, oldest first."""

    num_done: int
    bench: Bench | None
    readings: Sequence[Reading]


class Heartbeat:
    """Reports from a thread of its own, so that a database that hangs cannot keep the child from being ended in time.

    The end of the lease is reckoned on this process's monotonic clock from before each renewal was asked for, which is
    never later than the end that the database holds.
    """

    def __init__(
        self, sessions: Sessions, claim: ClaimedRun, term: timedelta, look: Callable[[], Progress], renewed_at: float
    ) -> None:
        self._sessions = sessions
        self._claim = claim
        self._term = term
        self._look = look
        self._ended = threading.Event()
        self._fault = ""
        self._cancel_requested = False
        self._lease_ends = renewed_at + term.total_seconds()
        self.num_noted = 0  # readings that are stored already
        self._thread = threading.Thread(target=self._beat_until_ended, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(JOIN_SECONDS)  # one that hangs in the database is left behind: its lease is not renewed then

    @property
    def has_lease(self) -> bool:
        """Whether the claim still counts; once False, it stays so."""
        if not self._fault and time.monotonic() >= self._lease_ends - MARGIN * self._term.total_seconds():
            self._fault = "the lease could not be renewed in time: the database was away"
        return not self._fault

    @property
    def stop_reason(self) -> str:
        """Why the child must be ended now; empty while it may go on."""
        if not self.has_lease:
            return self._fault
        return "cancelled on request" if self._cancel_requested else ""

    def _beat_until_ended(self) -> None:
        seconds = min(BEAT_SECONDS, self._term.total_seconds() / 6)
        while not self._fault and not self._ended.is_set():
            self._beat()
            self._ended.wait(seconds)

    def _beat(self) -> None:
        asked_at = time.monotonic()
        progress = self._look()
        unsent = progress.readings[self.num_noted :]
        key = None if progress.bench is None else progress.bench.key
        try:
            with self._sessions.begin() as session:
                pulse = note_progress(session, self._claim, progress.num_done, key, self._term, unsent)
        except DatabaseError as error:
            log.warning("calibration.database_away", run=self._claim.run_id, error=str(error.orig))
            return
        if pulse.lease is None:
            self._fault = "the lease went to another worker or ran out"
            return
        self._lease_ends = asked_at + self._term.total_seconds()
        self._cancel_requested = pulse.cancel_requested
        self.num_noted += len(unsent)
