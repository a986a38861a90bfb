"""Rows of runs: steps written down, samples and readings read back in order, and illegal steps refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from planner.calibration.run_states import ACTIVE, HELD, RunState, may_follow
from planner.calibration.sample import Bench, BenchFailure, Operation
from planner.hardware.gpu import Dtype
from planner.services.devices import DeviceView
from planner.store import runs as store
from planner.store.engine import Engine, Session, session_factory
from planner.store.tables import RunRow
from tests.builders import NOW, sample
from tests.runs import known_devices, queued, readings, running

LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def device(sqlite_session: Session) -> DeviceView:
    return known_devices(sqlite_session)[0]


def run_in(session: Session, device: DeviceView, state: RunState) -> RunRow:
    row = session.get_one(RunRow, queued(session, device))
    row.state = state.value
    session.flush()
    return row


@pytest.mark.parametrize("before", sorted(RunState))
def test_an_illegal_step_is_refused_and_leaves_no_trace(
    sqlite_session: Session, device: DeviceView, before: RunState
) -> None:
    run = run_in(sqlite_session, device, before)
    for after in RunState:
        if not may_follow(before, after):
            with pytest.raises(ValueError, match=f"cannot go from {before} to {after}"):
                store.move(sqlite_session, run, after, LATER, "worker-1")
    assert (run.state, run.started_at, run.finished_at) == (before, None, None)
    assert [step.state for step in store.transitions(sqlite_session, run.id)] == [RunState.QUEUED]


@pytest.mark.parametrize("state", sorted(set(RunState) - {RunState.QUEUED}))
def test_a_step_says_when_it_began_or_ended(sqlite_session: Session, device: DeviceView, state: RunState) -> None:
    before = next(one for one in RunState if may_follow(one, state))
    run = run_in(sqlite_session, device, before)
    store.move(sqlite_session, run, state, LATER, "worker-1", "a reason")
    assert run.started_at == (LATER if state is RunState.RUNNING else None)
    assert run.finished_at == (LATER if state.is_final else None)
    last = store.transitions(sqlite_session, run.id)[-1]
    assert (last.at, last.state, last.actor, last.reason) == (LATER, state, "worker-1", "a reason")


@pytest.mark.parametrize("state", sorted(RunState))
def test_active_and_held_runs_are_found_by_their_state(
    sqlite_session: Session, device: DeviceView, state: RunState
) -> None:
    run = run_in(sqlite_session, device, state)
    assert (store.active_run(sqlite_session, device.id) == run) == (state in ACTIVE)
    assert store.num_held_runs(sqlite_session, device.node_id) == (1 if state in HELD else 0)
    found = [row.id for row, _ in store.queued_runs(sqlite_session, device.node_id)]
    assert found == ([run.id] if state is RunState.QUEUED else [])


def test_samples_and_failures_read_back_equal_in_the_order_of_the_suite(engine: Engine) -> None:
    bench = Bench(Operation.MATMUL, 3, Dtype.FP8, {"n": 1, "k": 3, "m": 2}, 0.25)
    outcomes = {
        10: sample(bench=bench, details={"b": 0.1, "a": 1e-300}, steady=False, peak_memory_bytes=2**40),
        2: BenchFailure(bench, "unsupported", "no fp8 here: “quoted”\nand on two lines"),
        0: sample(),
    }
    sessions = session_factory(engine)
    with sessions.begin() as session:
        claim = running(session, known_devices(session)[0])
        for position, outcome in outcomes.items():
            store.add_samples(session, claim.run_id, 1, {position: outcome}, NOW)
    with sessions() as session:
        found = store.samples_of(session, [claim.run_id])
    assert [(item.position, item.outcome) for item in found] == sorted(outcomes.items(), key=lambda item: item[0])


def test_no_samples_and_no_readings_are_no_statement_at_all(sqlite_session: Session, device: DeviceView) -> None:
    run = run_in(sqlite_session, device, RunState.RUNNING)
    store.add_samples(sqlite_session, run.id, 1, {}, NOW)
    store.add_readings(sqlite_session, run.id, [])
    assert store.samples_of(sqlite_session, [run.id]) == []
    assert store.samples_of(sqlite_session, []) == []
    assert store.readings_of(sqlite_session, run.id) == []


def test_readings_come_back_in_time_order_with_what_was_not_told_as_none(
    sqlite_session: Session, device: DeviceView
) -> None:
    run = run_in(sqlite_session, device, RunState.RUNNING)
    store.add_readings(sqlite_session, run.id, readings(0.5, 1.0))
    store.add_readings(sqlite_session, run.id, readings(1.0, 2.0))
    found = store.readings_of(sqlite_session, run.id)
    assert [row.seconds_in for row in found] == [0.5, 1.0, 2.0]
    assert found[0].power_watts == 100.5
    assert found[0].temperature_celsius is None


def test_progress_is_taken_only_from_the_fence_that_runs_it(sqlite_session: Session, device: DeviceView) -> None:
    claim = running(sqlite_session, device)
    assert store.set_progress(sqlite_session, claim.run_id, claim.lease.fence, 3, "a bench")
    assert not store.set_progress(sqlite_session, claim.run_id, claim.lease.fence - 1, 5, "another")
    assert not store.set_progress(sqlite_session, "nothing", claim.lease.fence, 5, "another")
    sqlite_session.expire_all()
    run = store.get_run(sqlite_session, claim.run_id)
    assert run is not None
    assert (run.num_done, run.current_bench) == (3, "a bench")
