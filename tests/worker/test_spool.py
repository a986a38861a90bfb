"""What a run measured lies on this machine's disk until the database has it, and reaches it once."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from planner.calibration.run_states import RunState
from planner.calibration.sample import BenchFailure
from planner.gpu.events import ChildJob, ChildResult, Event, Measured
from planner.services.claims import ClaimedRun, begin_run, mark_lost
from planner.services.runs import RunDetail, get_run
from planner.store import leases
from planner.store.engine import Sessions, make_engine, session_factory
from planner.store.tables import LateResultRow, SampleRow, TelemetryRow
from planner.worker.apply import apply, replay, store
from planner.worker.calibrate import carry_through
from planner.worker.spool import Ending, Spool
from tests.builders import NOW
from tests.runs import claimed, known_devices, outcomes_of, queued, readings, running
from tests.worker.conftest import wait_for

ENDING = Ending(
    RunState.SUCCEEDED, "", {"torch": "2.13.0"}, "", None, tuple(readings(0.5, 1.0)), {"matmul/bf16/k=1": 250.0}
)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def claim(sessions: Sessions) -> ClaimedRun:
    """A run under way, of a worker process that is this one."""
    with sessions.begin() as session:
        return running(session, known_devices(session)[0], worker=f"here:{os.getpid()}:abc")


def spooled(spool: Spool, claim: ClaimedRun, ending: Ending | None = ENDING) -> None:
    file = spool.open(claim)
    for position, outcome in outcomes_of(claim).items():
        file.outcome(position, outcome)
    if ending is None:
        file.close()
    else:
        file.end(ending)


def look(sessions: Sessions, claim: ClaimedRun) -> RunDetail:
    with sessions() as session:
        return get_run(session, claim.run_id)


def num_rows(sessions: Sessions, table: type[SampleRow | TelemetryRow | LateResultRow]) -> int:
    with sessions() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_file_gives_back_all_that_was_written(spool: Spool, claim: ClaimedRun) -> None:
    left_out = BenchFailure(claim.benches[0], "left-out", "not measured")
    claim = replace(claim, benches=claim.benches[1:], left_out=(left_out,))
    file = spool.open(claim)
    failure = BenchFailure(claim.benches[1], "oom", "40 GB are not there")
    outcomes = {0: outcomes_of(claim)[0], 1: failure}
    for position, outcome in outcomes.items():
        file.outcome(position, outcome)
    file.end(ENDING)
    (found,) = spool.waiting()
    assert (found.claim, found.outcomes, found.ending) == (claim, outcomes, ENDING)


@pytest.mark.fault(17)
def test_a_spooled_result_is_stored_once_however_often_it_is_offered(
    sessions: Sessions, spool: Spool, claim: ClaimedRun
) -> None:
    spooled(spool, claim)
    assert replay(sessions, spool) == 1
    first = look(sessions, claim)
    assert (first.state, len(first.samples), len(first.telemetry)) == (RunState.SUCCEEDED, len(claim.benches), 2)
    spooled(spool, claim)
    assert replay(sessions, spool) == 1
    assert look(sessions, claim) == first
    assert num_rows(sessions, SampleRow) == len(claim.benches)
    assert replay(sessions, spool) == 0


@pytest.mark.fault(16)
def test_a_spooled_result_that_comes_after_its_run_was_given_up_is_kept_as_evidence(
    sessions: Sessions, spool: Spool, claim: ClaimedRun
) -> None:
    with sessions.begin() as session:
        leases.revoke(session, claim.lease.name, claim.lease.fence)
        mark_lost(session, NOW, "leader")
    spooled(spool, claim)
    assert replay(sessions, spool) == 1
    run = look(sessions, claim)
    assert (run.state, run.samples) == (RunState.LOST, ())
    (late,) = run.late
    assert (late.fence, late.state, late.num_samples) == (claim.lease.fence, RunState.SUCCEEDED, len(claim.benches))


def test_a_line_cut_short_is_as_if_it_had_not_been_written(spool: Spool, claim: ClaimedRun, tmp_path: Path) -> None:
    spooled(spool, claim)
    (path,) = (tmp_path / "spool").glob("*.jsonl")
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        for found in spool.waiting():
            assert found.ending is None
            assert all(found.outcomes[position] == outcomes_of(claim)[position] for position in found.outcomes)


@pytest.mark.fault(24)
def test_what_a_dead_worker_had_measured_is_kept_as_evidence_and_that_of_a_live_one_left_alone(
    sessions: Sessions, spool: Spool, claim: ClaimedRun
) -> None:
    spooled(spool, claim, ending=None)
    assert replay(sessions, spool) == 0
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = replace(claim, lease=replace(claim.lease, holder=f"here:{ended.pid}:abc"))
    spooled(spool, dead, ending=None)
    assert replay(sessions, spool) == 1
    run = look(sessions, claim)
    assert (run.state, run.samples) == (RunState.RUNNING, ())
    assert [(late.state, late.num_samples) for late in run.late] == [(RunState.LOST, len(claim.benches))]


Tell = Callable[[Event], None]


@pytest.mark.fault(23)
def test_a_disk_that_takes_no_more_costs_the_spool_and_not_the_run(
    sessions: Sessions, spool: Spool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files may not grow beyond what the first lines take: the same error path as a full disk, for the spool alone."""
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        queued(session, gpu)
        claim = claimed(session, gpu, worker=f"here:{os.getpid()}:abc")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def measure(_job: ChildJob, tell: Tell, _should_stop: object) -> ChildResult:
        size = max(path.stat().st_size for path in (tmp_path / "spool").glob("*.jsonl"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
        try:
            for position, outcome in outcomes_of(claim).items():
                tell(Measured(position, outcome))  # type: ignore[arg-type]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return ChildResult("finished", "", 0, None, "", 1.0)

    assert carry_through(sessions, claim, measure=measure, spool=spool) is RunState.SUCCEEDED
    assert len(look(sessions, claim).samples) == len(claim.benches)
    words = capsys.readouterr()
    assert "calibration.spool_failed" in words.out + words.err
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_stored_result_leaves_no_file(sessions: Sessions, spool: Spool, claim: ClaimedRun, tmp_path: Path) -> None:
    file = spool.open(claim)
    assert apply(sessions, claim, outcomes_of(claim), ENDING, file, lambda: False) is RunState.SUCCEEDED
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.fault(20)
def test_a_failover_that_loses_the_last_commit_has_no_double_effect(sqlite_url: str, tmp_path: Path) -> None:
    """The server that takes over knows the run as under way: it becomes lost and is tried again, once."""
    path, copy = Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "replica.sqlite3"
    engine = make_engine(sqlite_url)
    with session_factory(engine).begin() as session:
        claim = running(session, known_devices(session)[0], term=timedelta(seconds=0.5))
    engine.dispose()  # brings the write-ahead log home
    shutil.copyfile(path, copy)
    engine = make_engine(sqlite_url)
    assert apply(session_factory(engine), claim, outcomes_of(claim), ENDING, None, lambda: False) is RunState.SUCCEEDED
    engine.dispose()
    shutil.copyfile(copy, path)

    engine = make_engine(sqlite_url)
    sessions = session_factory(engine)
    wait_for(lambda: lost(sessions) == [claim.run_id], "the lease to run out")
    assert lost(sessions) == []
    run = look(sessions, claim)
    assert (run.state, run.samples) == (RunState.LOST, ())
    assert not store(sessions, claim, outcomes_of(claim), ENDING)
    again = run.retried_by
    assert again is not None
    with sessions.begin() as session:
        gpu = known_devices(session)[0]
        newer = claimed(session, gpu)
        assert (newer.run_id, newer.lease.fence) == (again, claim.lease.fence + 1)
        assert begin_run(session, newer, NOW)
    assert store(sessions, newer, outcomes_of(newer), ENDING)
    assert num_rows(sessions, SampleRow) == len(newer.benches)
    engine.dispose()


def lost(sessions: Sessions) -> list[str]:
    with sessions.begin() as session:
        return mark_lost(session, NOW, "leader")
