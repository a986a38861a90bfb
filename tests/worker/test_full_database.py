"""A disk that is full under the database itself: the engine's own error, from a limit on the file's pages."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from planner.calibration.run_states import RunState
from planner.gpu.events import ChildJob, ChildResult, Event, Measured
from planner.services.runs import get_run
from planner.settings import Settings
from planner.store.engine import Engine, OperationalError, Sessions, make_engine, session_factory
from planner.web.app import create_app
from planner.worker import apply as apply_module
from planner.worker.apply import replay
from planner.worker.calibrate import carry_through
from planner.worker.spool import Spool
from tests.builders import NOW
from tests.runs import claimed, finished, known_devices, outcomes_of, queued, running

Tell = Callable[[Event], None]
WORKER = f"here:{os.getpid()}:abc"


class Disk:
    """How much the database's file may hold: as much as it does now while it is `full`."""

    def __init__(self, engine: Engine) -> None:
        self.full = False
        event.listen(engine, "checkout", self._limit)

    def _limit(self, connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0] if self.full else 2**30
        connection.execute(f"PRAGMA max_page_count = {pages}")


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    found = make_engine(sqlite_url)
    yield found
    found.dispose()


@pytest.mark.fault(23)
def test_a_full_disk_under_the_database_leaves_old_results_whole_and_the_new_one_on_the_spool(
    sessions: Sessions, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_module, "SPOOLED_SECONDS", 0.2)
    monkeypatch.setattr(apply_module, "STORE_AGAIN_SECONDS", 0.05)
    disk, spool = Disk(engine), Spool(tmp_path / "elsewhere")
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        earlier = running(session, gpu, worker=WORKER)
        assert finished(session, earlier)
        queued(session, gpu, "standard", NOW + timedelta(hours=1))
        claim = claimed(session, gpu, WORKER)

    def measure(_job: ChildJob, tell: Tell, _should_stop: object) -> ChildResult:
        disk.full = True
        for position, outcome in outcomes_of(claim).items():
            tell(Measured(position, outcome))  # type: ignore[arg-type]
        return ChildResult("finished", "", 0, None, "", 1.0)

    assert carry_through(sessions, claim, measure=measure, spool=spool) is None, "the database takes nothing"
    with sessions() as session:
        assert get_run(session, claim.run_id).samples == (), "nothing of it, not a part"
        assert len(get_run(session, earlier.run_id).samples) == len(earlier.benches)
    with pytest.raises(OperationalError, match="full"):
        replay(sessions, spool)
    disk.full = False
    assert replay(sessions, spool) == 1
    with sessions() as session:
        run = get_run(session, claim.run_id)
    assert run.state is RunState.SUCCEEDED
    assert len(run.samples) == len(claim.benches)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.fault(23)
def test_pages_are_still_read_from_a_full_database_and_a_write_says_that_it_was_not_stored(
    sqlite_url: str, tmp_path: Path
) -> None:
    app = create_app(Settings(home=tmp_path, database_url=sqlite_url), clock=lambda: NOW)
    found = app.extensions["planner"].engine
    with session_factory(found).begin() as session:
        known_devices(session)
    disk, client = Disk(found), app.test_client()
    disk.full = True
    refused = 0
    for number in range(200):  # until the free space within the last pages is used up
        body = {"name": f"schedule {number} " + "x" * 180, "cron": "0 3 * * *"}
        answer = client.post("/api/v1/schedules", json=body)
        if answer.status_code != 201:
            refused = answer.status_code
            assert "The disk of the database is full" in answer.text
            break
    assert refused == 503
    assert client.get("/schedules").status_code == 200
    disk.full = False
    assert client.post("/api/v1/schedules", json={"name": "later", "cron": "0 3 * * *"}).status_code == 201
    found.dispose()
