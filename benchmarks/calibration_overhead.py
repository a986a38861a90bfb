"""What telemetry and bookkeeping take of a calibration: `python -m benchmarks.calibration_overhead`.

A whole run of the worker's own code, on a database and a spool of its own: the runner that reads the measuring process,
the heartbeat that stores progress and readings each second, the spool that syncs each outcome to the disk. The share is
taken within one run, so that a busy machine slows both sides alike: the processor seconds of this process and of the
telemetry helper while it measures, over the seconds measured. A run with and one without them, one after the other,
would differ by more than what is looked for. What storing the result and drawing the fit take afterwards stands beside.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
import structlog

from planner.gpu.cpu import look_at_cpu, look_at_node
from planner.gpu.events import FINISHED, TIMED_OUT, ChildJob, ChildResult, Event, Reading
from planner.gpu.runner import measure
from planner.inventory.device import Discovery
from planner.services.calibrations import request_run
from planner.services.claims import claim_run
from planner.services.devices import record_discovery
from planner.store.engine import database_now, make_engine, session_factory
from planner.store.migrate import upgrade
from planner.worker.calibrate import TERM, carry_through
from planner.worker.identity import Identity
from planner.worker.spool import Spool

ALLOWED = 0.01
MOST_OTHERS = 64


@dataclass(frozen=True, slots=True)
class Overhead:
    """Processor seconds of each side while it measured, the run's seconds, and what came after them."""

    worker_seconds: float
    telemetry_seconds: float
    run_seconds: float
    num_readings: int
    num_benches: int
    after_seconds: float

    @property
    def share(self) -> float:
        return (self.worker_seconds + self.telemetry_seconds) / self.run_seconds

    @property
    def sentence(self) -> str:
        return (
            f"{self.share:.2%} of {self.run_seconds:.1f} s of measuring {self.num_benches} benches: the worker with its"
            f" heartbeat, database and spool {self.worker_seconds:.3f} s of processor time, the telemetry helper "
            f"{self.telemetry_seconds:.3f} s for {self.num_readings} readings (allowed: {ALLOWED:.0%}); "
            f"storing the result and drawing the fit took {self.after_seconds:.2f} s afterwards"
        )


def overhead(suite_name: str = "quick", telemetry_seconds: float = 0.5) -> Overhead:
    """Calibrate this CPU with that suite, on a database of its own, and say what looking after it took."""
    with tempfile.TemporaryDirectory() as folder:
        return _overhead(Path(folder), suite_name, telemetry_seconds)


def _overhead(folder: Path, suite_name: str, telemetry_seconds: float) -> Overhead:
    url = f"sqlite:///{folder / 'planner.sqlite3'}"
    upgrade(url)
    engine = make_engine(url)
    sessions, identity = session_factory(engine), Identity.here()
    with sessions.begin() as session:
        (device,) = record_discovery(session, Discovery(look_at_node(), (look_at_cpu(),)), datetime.now(UTC))
        request_run(session, device.id, suite_name, datetime.now(UTC), code_version="overhead")
    with sessions.begin() as session:
        now = database_now(session)
        claim = claim_run(session, device.node_id, identity.worker_id, identity.boot_id, TERM, now)
    if claim is None:
        raise RuntimeError("the run that was asked for cannot be claimed")
    tap = _Tap(telemetry_seconds)
    try:
        state = carry_through(sessions, claim, measure=tap, spool=Spool(folder / "spool"))
    finally:
        engine.dispose()
    if tap.result is None or tap.result.outcome not in (
        FINISHED,
        TIMED_OUT,
    ):  # one cut tells as well
        raise RuntimeError(f"{state}: {tap.result.reason if tap.result else 'nothing was measured'}")
    after = time.process_time() - tap.ended
    helper = tap.helper
    own = tap.ended - tap.began - helper.own_seconds
    return Overhead(own, helper.seconds, tap.result.seconds, tap.num_readings, len(claim.benches), after)


class _Tap:
    """The runner, with a look at the helper's processor time beside each reading."""

    def __init__(self, telemetry_seconds: float) -> None:
        self.helper = _Helper()
        self.num_readings = 0
        self.began = self.ended = 0.0
        self.result: ChildResult | None = None
        self._telemetry_seconds = telemetry_seconds

    def __call__(
        self, job: ChildJob, on_event: Callable[[Event], None], should_stop: Callable[[], bool]
    ) -> ChildResult:
        def tell(event: Event) -> None:
            if isinstance(event, Reading):
                self.num_readings += 1
                self.helper.look()
            on_event(event)

        self.began = time.process_time()
        self.result = measure(replace(job, telemetry_seconds=self._telemetry_seconds), tell, should_stop)
        self.ended = time.process_time()
        return self.result


class _Helper:
    """The processor seconds of the telemetry helper, as last seen; what looking took is counted apart."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.own_seconds = 0.0
        self._process: psutil.Process | None = None

    def look(self) -> None:
        before = time.thread_time()
        try:
            self._process = self._process or next(
                one for one in psutil.Process().children()[:MOST_OTHERS] if "planner.gpu.telemetry" in one.cmdline()
            )
            times = self._process.cpu_times()
            self.seconds = times.user + times.system
        except (StopIteration, psutil.NoSuchProcess):
            self._process = None
        self.own_seconds += time.thread_time() - before


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    found = overhead(sys.argv[1] if len(sys.argv) > 1 else "quick")
    print(found.sentence)
    sys.exit(0 if found.share < ALLOWED else f"more than {ALLOWED:.0%}")


if __name__ == "__main__":
    main()
