"""The network between worker and PostgreSQL: cut, stalled, and answers lost, by a proxy before the real server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from planner.calibration.run_states import RunState
from planner.gpu.events import ChildJob, ChildResult
from planner.services.claims import ClaimedRun
from planner.services.runs import RunDetail, get_run
from planner.store import engine as engines
from planner.store import leases
from planner.store.engine import (
    OperationalError,
    PoolExhausted,
    Sessions,
    make_engine,
    session_factory,
)
from planner.store.patient import PatientConnection
from planner.worker import heartbeat
from planner.worker.apply import apply, replay
from planner.worker.calibrate import carry_through
from planner.worker.spool import Ending, Spool
from tests.runs import claimed, known_devices, outcomes_of, queued, running
from tests.worker.conftest import wait_for
from tests.worker.proxy import Fault, Proxy

ENDING = Ending(RunState.SUCCEEDED, "", {})


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[Proxy]:
    with Proxy(postgres_url) as found:
        yield found


@pytest.fixture
def straight(postgres_url: str) -> Iterator[Sessions]:
    """Sessions beside the proxy, for looking."""
    engine = make_engine(postgres_url)
    yield session_factory(engine)
    engine.dispose()


@pytest.fixture
def through(proxy: Proxy) -> Iterator[Sessions]:
    """Sessions through the proxy."""
    engine = make_engine(proxy.url)
    yield session_factory(engine)
    proxy.set(Fault.CUT)
    engine.dispose()


@pytest.fixture
def claim(straight: Sessions) -> ClaimedRun:
    with straight.begin() as session:
        return running(session, known_devices(session)[0])


def lose_patience(connection: Connection) -> None:
    """From now on this connection waits half a second for an answer, and no more minutes."""
    own = connection.connection.driver_connection
    assert isinstance(own, PatientConnection)
    own.answer_seconds = 0.5


def look(sessions: Sessions, claim: ClaimedRun) -> RunDetail:
    with sessions() as session:
        return get_run(session, claim.run_id)


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.MUTE, Fault.CUT])
def test_a_statement_ends_with_an_error_whatever_happens_to_the_network(
    proxy: Proxy, through: Sessions, fault: Fault
) -> None:
    with through() as session:
        assert session.execute(text("SELECT 1")).scalar_one() == 1
        lose_patience(session.connection())
        proxy.set(fault)
        with pytest.raises(OperationalError):
            session.execute(text("SELECT 2"))
    proxy.set(Fault.NONE)
    with through() as session:
        assert session.execute(text("SELECT 3")).scalar_one() == 3


@pytest.mark.fault(18)
def test_a_commit_whose_answer_was_lost_is_found_done_by_the_next_try(
    proxy: Proxy, through: Sessions, straight: Sessions, claim: ClaimedRun, tmp_path: Path
) -> None:
    engine = through.kw["bind"]
    lost: list[str] = []

    @event.listens_for(engine, "commit")
    def before_commit(connection: Connection) -> None:
        if not lost:
            lose_patience(connection)
            lost.append("an answer")
            proxy.set(Fault.MUTE)

    def mend() -> bool:
        proxy.set(Fault.NONE)
        return False

    file = Spool(tmp_path).open(claim)
    assert apply(through, claim, outcomes_of(claim), ENDING, file, mend) is RunState.SUCCEEDED
    assert lost
    run = look(straight, claim)
    assert len(run.samples) == len(claim.benches)
    assert [step.state for step in run.transitions].count(RunState.SUCCEEDED) == 1


@pytest.mark.fault(17)
def test_a_result_that_meets_a_cut_network_is_spooled_and_replayed_once(
    proxy: Proxy, through: Sessions, straight: Sessions, claim: ClaimedRun, tmp_path: Path
) -> None:
    spool = Spool(tmp_path)
    file = spool.open(claim)
    for position, outcome in outcomes_of(claim).items():
        file.outcome(position, outcome)
    proxy.set(Fault.CUT)
    assert apply(through, claim, outcomes_of(claim), ENDING, file, lambda: True) is None
    assert look(straight, claim).state is RunState.RUNNING
    with pytest.raises(OperationalError):
        replay(through, spool)
    proxy.set(Fault.NONE)
    assert replay(through, spool) == 1
    assert len(look(straight, claim).samples) == len(claim.benches)
    assert replay(through, spool) == 0


@pytest.mark.fault(13)
def test_a_network_cut_between_claim_and_start_starts_nothing(
    proxy: Proxy, through: Sessions, straight: Sessions
) -> None:
    with straight.begin() as session:
        gpu = known_devices(session)[0]
        queued(session, gpu)
        claim = claimed(session, gpu)

    def measure(_job: ChildJob, _tell: object, _should_stop: object) -> ChildResult:
        raise AssertionError("nothing starts without a confirmed lease")

    proxy.set(Fault.CUT)
    with pytest.raises(OperationalError):
        carry_through(through, claim, measure=measure)
    assert look(straight, claim).state is RunState.CLAIMED


@pytest.mark.fault(15)
def test_while_the_network_stalls_the_child_is_ended_before_the_lease_is(
    proxy: Proxy, through: Sessions, straight: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "MARGIN", 0.975)  # of the term: three of its hundred and twenty seconds are left
    with straight.begin() as session:
        gpu = known_devices(session)[0]
        queued(session, gpu)
        claim = claimed(session, gpu)
    term = timedelta(seconds=120)
    ended_after: list[float] = []

    def measure(_job: ChildJob, _tell: object, should_stop: Callable[[], bool]) -> ChildResult:
        proxy.set(Fault.STALL)
        began = time.monotonic()
        while not should_stop():
            time.sleep(0.02)
        ended_after.append(time.monotonic() - began)
        proxy.set(Fault.NONE)
        return ChildResult("cancelled", "stopped on request", None, None, "", 1.0)

    carry_through(through, claim, measure=measure, term=term)
    assert ended_after[0] < term.total_seconds()
    assert look(straight, claim).state is RunState.LOST


@pytest.mark.fault(21)
def test_an_exhausted_pool_is_a_clear_error_and_the_heartbeat_has_a_connection_of_its_own(
    postgres_url: str, straight: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "POOL_SECONDS", 0.3)
    engine, own = make_engine(postgres_url, num_connections=1), make_engine(postgres_url, num_connections=1)
    sessions = session_factory(engine)
    with straight.begin() as session:
        gpu = known_devices(session)[0]
        queued(session, gpu)
        claim = claimed(session, gpu)

    def ends() -> datetime:
        with straight() as session:
            found = leases.end_of(session, claim.lease.name)
        assert found is not None
        return found

    def measure(_job: ChildJob, _tell: object, should_stop: Callable[[], bool]) -> ChildResult:
        with sessions() as holder:
            holder.execute(text("SELECT 1"))
            with sessions() as refused, pytest.raises(PoolExhausted, match="timed out"):
                refused.execute(text("SELECT 1"))
            for _ in range(2):
                before = ends()
                wait_for(lambda: ends() > before, "the lease to be renewed")  # noqa: B023
            assert not should_stop(), "the lease is renewed although the pool is exhausted"
        return ChildResult("cancelled", "enough", None, None, "", 1.0)

    assert carry_through(sessions, claim, measure=measure, pulse=session_factory(own)) is RunState.CANCELLED
    engine.dispose()
    own.dispose()
