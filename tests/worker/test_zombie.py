"""A worker that was frozen for longer than its lease, and one whose database is not its own: neither does harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from planner.store.engine import Engine
from tests.worker.conftest import ROOT, Here, is_alive, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's")


@pytest.mark.fault(16)
def test_a_frozen_worker_that_wakes_after_its_lease_ran_out_stores_nothing(here: Here) -> None:
    """A suspended machine, a paused container: its measuring process goes on and even finishes meanwhile."""
    run_id = here.queue()
    frozen = here.start(child="frozen")
    here.child_pid("frozen")
    here.freeze(frozen)
    here.leases_run_out()
    here.go("frozen")
    here.start(child="next")
    assert here.reaches(run_id, "lost").error == "its worker let the lease run out"
    again = here.retry_of(run_id)
    next_child = here.child_pid("next")
    before = here.look(run_id)
    frozen.send_signal(signal.SIGCONT)
    wait_for(lambda: "calibration.not_taken" in here.words(), "the zombie to be refused")
    after = here.look(run_id)
    assert replace(after, late=()) == before
    assert [late.fence for late in after.late] == [1], "what it measured is kept as evidence"
    assert before.samples == ()
    assert is_alive(next_child), "and the other worker's child goes on"
    here.go("next")
    ended = here.reaches(again, "succeeded")
    assert {step.fence for step in ended.transitions[1:]} == {2}
    assert len(ended.samples) == ended.num_benches


def test_the_frozen_worker_works_again_once_it_is_awake(here: Here) -> None:
    run_id = here.queue()
    worker = here.start()
    child = here.child_pid()
    here.reaches(run_id, "running")
    here.freeze(worker)
    worker.send_signal(signal.SIGCONT)
    here.go()
    here.reaches(run_id, "succeeded")
    wait_for(lambda: not is_alive(child), "the measuring process to end")
    assert here.reaches(here.queue(), "succeeded").num_done > 0


def planner(url: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLANNER_")}
    environment = {**kept, "PLANNER_HOME": str(home), "PLANNER_DATABASE_URL": url}
    command = [sys.executable, "-m", "planner", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)


@pytest.mark.parametrize("revision", ["0000", "from the future"])
@pytest.mark.fault(22)
def test_a_worker_refuses_a_schema_that_is_not_its_own_and_says_what_to_do(
    sqlite_engine: Engine, sqlite_url: str, tmp_path: Path, revision: str
) -> None:
    with sqlite_engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    answer = planner(sqlite_url, tmp_path, "worker")
    assert answer.returncode == 5
    assert f"the database is at revision {revision}" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_worker_on_an_empty_database_says_how_to_make_the_schema(tmp_path: Path) -> None:
    answer = planner(f"sqlite:///{tmp_path / 'new.sqlite3'}", tmp_path, "worker")
    assert answer.returncode == 5
    assert "planner db upgrade" in answer.stderr
