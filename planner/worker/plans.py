"""Plans are solved beside everything else: one at a time, in a process of its own, under a lease."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import IO, Any

import structlog

from planner.plans.linear import gap_of
from planner.plans.outlook import Outlook
from planner.plans.solution import Plan
from planner.plans.to_the_minute import ToTheMinute
from planner.services.plan_search import ClaimedPlan, claim_plan, finish_search, note_search
from planner.services.plans import SearchProgress
from planner.store.engine import DatabaseError, Sessions, database_now
from planner.worker.identity import Identity

log = structlog.get_logger()

TERM = timedelta(seconds=30)
POLL_SECONDS = 1.0
BEAT_SECONDS = 0.5
GRACE_SECONDS = 20.0  # after the time asked for, or after a wish to stop, until the process is ended
LATE_SECONDS = 60.0
COMMAND = (sys.executable, "-m", "planner.worker.solve")


class PlanSolver:
    """A thread that takes waiting plans one after the other."""

    def __init__(self, sessions: Sessions, identity: Identity, command: tuple[str, ...] = COMMAND) -> None:
        self._sessions = sessions
        self._identity = identity
        self._command = command
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="plans", daemon=True)

    def start(self) -> None:
        """Begin to take plans."""
        self._thread.start()

    def stop(self) -> None:
        """End the search that is under way, keep its best plan so far, and take no more."""
        self._stop.set()
        self._thread.join(GRACE_SECONDS + LATE_SECONDS)

    def solve_next(self) -> bool:
        """Solve the oldest plan that waits; whether there was one."""
        with self._sessions.begin() as session:
            who = self._identity
            claim = claim_plan(session, who.worker_id, who.boot_id, TERM, database_now(session))
        if claim is None:
            return False
        log.info("plan.claimed", plan=claim.id, fence=claim.lease.fence)
        try:
            self._solve(claim)
        except DatabaseError:
            raise
        except Exception as error:  # a fault of ours: this plan fails with its words, those behind it go on
            log.exception("plan.fault", plan=claim.id)
            with self._sessions.begin() as session:
                reason = f"a fault of ours: {type(error).__name__}: {error}"
                finish_search(session, claim, None, reason, database_now(session))
        return True

    def _solve(self, claim: ClaimedPlan) -> None:
        with _Search(self._command, claim) as search:
            followed = self._follow(search, claim)
            if followed is None:
                log.warning("plan.not_ours", plan=claim.id, why="the lease was lost")
                return
            plan, reason = search.result()
        with self._sessions.begin() as session:
            now = database_now(session)
            kept = finish_search(session, followed, plan, reason, now, search.outlook, search.timetable)
        log.info("plan.ended", plan=claim.id, kept=kept, reason=reason, cost=None if plan is None else plan.cost)

    def _follow(self, search: _Search, claim: ClaimedPlan) -> ClaimedPlan | None:
        """Pass on how the search goes until it ends; the claim as renewed, None where the lease was lost."""
        lost_at = time.monotonic() + TERM.total_seconds()
        while not search.wait(BEAT_SECONDS):
            begun = time.monotonic()
            try:
                with self._sessions.begin() as session:
                    lease, wants_stop = note_search(session, claim, search.progress, TERM)
            except DatabaseError as error:
                log.warning("worker.database_away", during="solving a plan", error=str(error.orig))
                if time.monotonic() > lost_at:
                    return None
                continue
            if lease is None:
                return None
            claim, lost_at = replace(claim, lease=lease), begun + TERM.total_seconds()
            if wants_stop or self._stop.is_set():
                search.ask_to_stop()
        return claim

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                if not self.solve_next():
                    self._stop.wait(POLL_SECONDS)
            except DatabaseError as error:
                log.warning("worker.database_away", during="plans", error=str(error.orig))
                self._stop.wait(5 * POLL_SECONDS)
            except Exception:  # beside any one plan: told, and tried again
                log.exception("plans.fault")
                self._stop.wait(5 * POLL_SECONDS)


class _Search:
    """The solving process: what it said so far, and its end in time whatever happens."""

    def __init__(self, command: tuple[str, ...], claim: ClaimedPlan) -> None:
        self._claim = claim
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__)
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
            )
        except BaseException:
            self._errors.close()
            raise
        self._reader = threading.Thread(target=self._read, name="plan output", daemon=True)
        self._ends_at = time.monotonic() + claim.seconds + LATE_SECONDS
        self._stop_asked = False
        self._killed = ""
        self._plan: Plan | None = None
        self._error = ""
        self.progress: SearchProgress | None = None
        self.outlook: Outlook | None = None
        self.timetable: ToTheMinute | None = None

    def __enter__(self) -> _Search:
        job = {
            "request": self._claim.request.to_document(),
            "gap": self._claim.gap,
            "seconds": self._claim.seconds,
            "spread": self._claim.spread,
        }
        self._reader.start()
        with suppress(BrokenPipeError):  # it ended at once: its end is told by result()
            self._input.write(json.dumps(job).encode() + b"\n")
            self._input.flush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    @property
    def _input(self) -> IO[bytes]:
        if self._process.stdin is None:
            raise RuntimeError("the process was started with a pipe")
        return self._process.stdin

    def wait(self, seconds: float) -> bool:
        """Take in what it says for so long; whether it has ended."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                self._take(self._events.get(timeout=left))
            except queue.Empty:
                break
            if self._plan is not None or self._error:
                return True
        if self._process.poll() is not None:
            self._reader.join()
            while not self._events.empty():
                self._take(self._events.get())
            return True
        if time.monotonic() > self._ends_at:
            self._killed = "it was ended: it went on long after its time"
            self._process.kill()
        return False

    def ask_to_stop(self) -> None:
        """Let it end with the best plan so far; it is ended after a while in any case."""
        if not self._stop_asked:
            self._stop_asked = True
            self._ends_at = min(self._ends_at, time.monotonic() + GRACE_SECONDS)
            with suppress(BrokenPipeError):
                self._input.write(b"stop\n")
                self._input.flush()

    def result(self) -> tuple[Plan | None, str]:
        """The plan, or why there is none."""
        if self._plan is not None:
            return self._plan, ""
        if self._error or self._killed:
            return None, self._error or self._killed
        self._errors.seek(0)
        lines = self._errors.read()[-4000:].decode(errors="replace").strip().splitlines()
        status = self._process.wait()
        return None, f"the search ended with status {status}" + (f": {lines[-1]}" if lines else "")

    def _take(self, event: dict[str, Any]) -> None:
        if "plan" in event:
            self._plan = Plan.from_document(event["plan"])
            if event.get("outlook") is not None:
                self.outlook = Outlook.from_document(event["outlook"])
            if event.get("timetable") is not None:
                self.timetable = ToTheMinute.from_document(event["timetable"])
        elif "error" in event:
            self._error = str(event["error"])
        else:
            cost, bound = event["cost"], event["bound"]
            gap = None if cost is None or bound is None else gap_of(cost, bound)
            self.progress = SearchProgress(cost, bound, gap, event["seconds"], event["stage"])

    def _read(self) -> None:
        if self._process.stdout is None:
            raise RuntimeError("the process was started with a pipe")
        for line in self._process.stdout:
            with suppress(ValueError):  # a line of a library's own
                event = json.loads(line)
                if isinstance(event, dict):
                    self._events.put(event)
