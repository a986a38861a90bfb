"""A device with a queued run, workers as real processes, and patience with a bound."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from sqlalchemy import text, update

from planner.gpu.cpu import look_at_cpu, look_at_node
from planner.inventory.device import Discovery
from planner.services.calibrations import request_run
from planner.services.claims import held_until
from planner.services.devices import record_discovery
from planner.services.runs import RunDetail, get_run
from planner.store.engine import Engine, Sessions, database_now, engine_of, readers_of, session_factory
from planner.store.tables import LeaseRow

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUSY_BACKENDS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend' AND state <> 'idle'
"""
TERM_SECONDS = 120.0
PATIENCE_SECONDS = 120.0  # two busy cores may take long to start a few processes, and stand still for a while
Found = TypeVar("Found")


def wait_for(look: Callable[[], Found | None], what: str, seconds: float = PATIENCE_SECONDS) -> Found:
    """What `look` finds, as soon as it finds something: neither None nor False nor nothing in a list."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


def is_alive(pid: int) -> bool:
    """Whether that process runs; one that has ended and waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def due_an_hour_ago() -> str:
    """A rule that falls due once a day, in UTC: long ago and in a long time, however slow the test is."""
    moment = datetime.now(UTC) - timedelta(hours=1)
    return f"{moment.minute} {moment.hour} * * *"


@dataclass
class Here:
    """This machine's CPU in a database of its own, and the worker processes that serve it."""

    url: str
    folder: Path
    sessions: Sessions
    device_id: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def queue(self) -> str:
        """Ask for a smoke run; its id."""
        with self.sessions.begin() as session:
            return request_run(session, self.device_id, "smoke", datetime.now(UTC), code_version="test").id

    def look(self, run_id: str) -> RunDetail:
        with readers_of(self.sessions)() as session:
            return get_run(session, run_id)

    def reaches(self, run_id: str, *states: str) -> RunDetail:
        """The run once it is in one of those states."""

        def there() -> RunDetail | None:
            run = self.look(run_id)
            return run if run.state in states else None

        return wait_for(there, f"run {run_id} to be {' or '.join(states)}; the worker said:\n{self.words()}")

    def retry_of(self, run_id: str) -> str:
        """The run that tries that one again."""
        return wait_for(lambda: self.look(run_id).retried_by, f"run {run_id} to be tried again")

    def start(self, child: str = "child", margin: float | None = None) -> subprocess.Popen[bytes]:
        """A worker process; its child waits for the file `go` in the folder `child`.

        Its leases are so long that a machine that stands still for a while costs it none: `leases_run_out` ends them.
        With a `margin` its first child is ended so large a part of the term before the lease.
        """
        (self.folder / child).mkdir(exist_ok=True)
        command = [sys.executable, str(HERE / "run.py"), self.url, str(self.folder), str(TERM_SECONDS)]
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, str(self.folder / child), *([] if margin is None else [str(margin)])],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            )
        self.processes.append(process)
        return process

    def leases_run_out(self) -> None:
        """What comes of it when nobody renews them, at once: every lease is over by the database's clock."""
        with self.sessions.begin() as session:
            session.execute(update(LeaseRow).values(expires_at=database_now(session) - timedelta(seconds=1)))

    def lease_ends(self) -> datetime:
        """When the lease on the device runs out unless it is renewed."""
        with self.sessions() as session:
            found = held_until(session, self.device_id)
        assert found is not None
        return found

    def freeze(self, process: subprocess.Popen[bytes]) -> None:
        """Stop that worker where it is writing nothing, so that what it holds is its lease and no lock."""

        def stopped_between_writes() -> bool:
            process.send_signal(signal.SIGSTOP)
            wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "the worker to stop")
            if not self._someone_writes():
                return True
            process.send_signal(signal.SIGCONT)
            return False

        wait_for(stopped_between_writes, "the worker to be between two writes")

    def _someone_writes(self) -> bool:
        engine = engine_of(self.sessions)
        if engine.dialect.name == "sqlite":
            with closing(sqlite3.connect(engine.url.database or "", timeout=0.5)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    return True
                return False
        with engine.connect() as connection:
            found = connection.execute(text(BUSY_BACKENDS))
            return bool(found.scalar_one())

    def words(self) -> str:
        """What the workers have logged so far."""
        log = self.folder / "worker.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def child_pid(self, child: str = "child") -> int:
        """The process number of the measuring process, once it has measured its first bench."""
        path = self.folder / child / "pid"
        wait_for(path.exists, f"the measuring process to begin; the worker said:\n{self.words()}")
        return int(path.read_text())

    def go(self, child: str = "child") -> None:
        """Let the measuring process finish."""
        (self.folder / child / "go").touch()


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    return session_factory(engine)


@pytest.fixture
def here(any_url: str, sessions: Sessions, tmp_path: Path) -> Iterator[Here]:
    """The world on each kind of database."""
    with world(any_url, sessions, tmp_path) as found:
        yield found


@contextmanager
def world(url: str, sessions: Sessions, folder: Path) -> Iterator[Here]:
    """This machine's CPU recorded in that database; every worker process is gone afterwards."""
    with sessions.begin() as session:
        found = Discovery(look_at_node(), (look_at_cpu(),))
        (device,) = record_discovery(session, found, datetime.now(UTC))
    here = Here(url, folder, sessions, device.id)
    try:
        yield here
    finally:
        for process in here.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
