"""A worker whose PostgreSQL refuses everybody for a while: before the start, in mid-run, at the moment of storing."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import make_url

from planner.calibration.run_states import RunState
from planner.store.engine import make_engine, session_factory
from tests.postgres import run_sql
from tests.worker.conftest import PATIENCE_SECONDS, Here, is_alive, wait_for, world

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's")


@dataclass
class Outage:
    """Shuts the database and opens it again, by an order to the server that it lies in."""

    server: str
    name: str

    def begin(self) -> None:
        run_sql(self.server, f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
        ours = f"datname = '{self.name}'"  # a name that our fixture made
        run_sql(self.server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")  # noqa: S608

    def end(self) -> None:
        run_sql(self.server, f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")

    @contextmanager
    def lasting(self) -> Iterator[None]:
        self.begin()
        try:
            yield
        finally:
            self.end()


@pytest.fixture
def outage(postgres: str, postgres_url: str) -> Outage:
    return Outage(postgres, str(make_url(postgres_url).database))


@pytest.fixture
def here(postgres_url: str, tmp_path: Path) -> Iterator[Here]:
    engine = make_engine(postgres_url)
    with world(postgres_url, session_factory(engine), tmp_path) as found:
        yield found
    engine.dispose()


@pytest.mark.fault(12)
def test_a_worker_waits_for_a_database_that_is_away_and_then_works(here: Here, outage: Outage) -> None:
    run_id = here.queue()
    with outage.lasting():
        worker = here.start()
        here.go()
        wait_for(lambda: here.words().count("worker.waiting_for_database") >= 2, "two tries")
        assert worker.poll() is None
        assert "worker.ready" not in here.words()
    assert here.reaches(run_id, "succeeded").samples


def test_a_worker_that_waits_for_its_database_can_be_stopped(here: Here, outage: Outage) -> None:
    with outage.lasting():
        worker = here.start()
        wait_for(lambda: "worker.waiting_for_database" in here.words(), "a first try")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_SECONDS) == 0


@pytest.mark.fault(14)
def test_an_outage_shorter_than_the_lease_costs_nothing(here: Here, outage: Outage) -> None:
    run_id = here.queue()
    here.start()
    pid = here.child_pid()
    with outage.lasting():
        wait_for(lambda: here.words().count("calibration.database_away") >= 2, "reports that cannot be made")
    assert is_alive(pid)
    here.go()
    run = here.reaches(run_id, "succeeded")
    assert [step.state.value for step in run.transitions] == ["queued", "claimed", "running", "succeeded"]
    assert len(run.samples) == run.num_benches


@pytest.mark.fault(15)
def test_in_an_outage_longer_than_the_lease_the_child_is_ended_before_the_lease_is(here: Here, outage: Outage) -> None:
    run_id = here.queue()
    here.start(margin=0.9)
    pid = here.child_pid()
    lease_ends = here.lease_ends()
    with outage.lasting():
        wait_for(lambda: not is_alive(pid), "the measuring process to be ended")
        assert datetime.now(UTC) < lease_ends
    assert here.reaches(run_id, "lost").state is RunState.LOST
    here.go()
    again = here.retry_of(run_id)
    assert here.reaches(again, "succeeded").transitions[1].fence == 2


@pytest.mark.fault(17)
def test_a_result_that_cannot_be_stored_at_first_is_stored_once_when_the_database_is_back(
    here: Here, outage: Outage
) -> None:
    run_id = here.queue()
    here.start()
    pid = here.child_pid()
    with outage.lasting():
        here.go()
        wait_for(lambda: not is_alive(pid), "the measuring process to finish")
        wait_for(lambda: "during=storing" in here.words(), "a try to store")
    run = here.reaches(run_id, "succeeded")
    assert len(run.samples) == run.num_benches
    assert [step.state.value for step in run.transitions] == ["queued", "claimed", "running", "succeeded"]
