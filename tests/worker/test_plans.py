"""The worker solves plans in a process of its own: to the end, to a wish to stop, and through a process that dies."""

from __future__ import annotations

import sys
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from benchmarks.plan_scale import instance
from planner.services.plans import PlanView, ask_plan, cancel_plan, get_plan
from planner.services.requests import parse
from planner.services.requests.plans import PlanQuestion
from planner.store.engine import Engine, session_factory
from planner.store.tables import PlanRow
from planner.worker import solve
from planner.worker.identity import Identity
from planner.worker.plans import BEAT_SECONDS, PlanSolver
from tests.worker.conftest import PATIENCE_SECONDS, wait_for

SUPPLY = {"name": "rent", "gpu": "H100", "kind": "on_demand", "price_per_hour": 2.5, "gpus_per_instance": 8}
JOB = {"name": "train", "options": [{"gpu": "H100", "num_gpus": 8, "time": "6 h"}]}


def question(**fields: Any) -> PlanQuestion:
    values = {"jobs": [JOB], "span": "1 day", "supply": {"offers": False, "own": False, "extra": [SUPPLY]}}
    return parse(PlanQuestion, {**values, **fields})


def kept(engine: Engine, now: datetime, **fields: Any) -> str:
    with session_factory(engine).begin() as session:
        return ask_plan(session, question(**fields), now, "test").id


def read(engine: Engine, plan_id: str) -> PlanView:
    with session_factory(engine).begin() as session:
        return get_plan(session, plan_id)


def solver(engine: Engine, *command: str) -> PlanSolver:
    return PlanSolver(session_factory(engine), Identity.here(), *([command] if command else []))


def test_a_plan_is_solved_and_stored(engine: Engine, now: datetime) -> None:
    plan_id = kept(engine, now)
    assert solver(engine).solve_next()
    view = read(engine, plan_id)
    assert (view.state, view.reason) == ("solved", "")
    assert view.plan is not None
    assert view.plan.cost == pytest.approx(8 * 6 * 2.5)
    assert view.progress is not None
    assert view.progress.cost == view.plan.cost
    assert view.outlook is not None
    assert {swing.figure for swing in view.outlook.swings} >= {"rents", "hours of jobs"}
    assert any("no commitment" in words for words in view.outlook.left_out)
    assert not solver(engine).solve_next(), "nothing waits any more"


def test_a_process_that_dies_fails_the_plan_with_its_last_words(engine: Engine, now: datetime) -> None:
    plan_id = kept(engine, now)
    script = "import sys; sys.stdin.readline(); print('no line of ours'); sys.exit('the disk is full')"
    assert solver(engine, sys.executable, "-c", script).solve_next()
    view = read(engine, plan_id)
    assert (view.state, view.plan) == ("failed", None)
    assert "status 1: the disk is full" in view.reason


def test_a_wish_to_stop_reaches_the_process_within_two_seconds(engine: Engine, now: datetime) -> None:
    plan_id = kept(engine, now)
    script = (
        "import sys, json; sys.stdin.readline(); "
        "print(json.dumps({'cost': 9.0, 'bound': 3.0, 'seconds': 1.0, 'stage': 'first plan'}), flush=True); "
        "assert sys.stdin.readline() == 'stop\\n'; print(json.dumps({'error': 'stopped as asked'}), flush=True)"
    )
    thread = threading.Thread(target=solver(engine, sys.executable, "-c", script).solve_next)
    thread.start()
    wait_for(lambda: read(engine, plan_id).progress, "a first word of the search")
    with session_factory(engine).begin() as session:
        cancel_plan(session, plan_id, now)
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert BEAT_SECONDS < 2, "so often is asked whether somebody wants it to stop"
    view = read(engine, plan_id)
    assert (view.state, view.reason) == ("cancelled", "stopped as asked")
    assert view.progress is not None
    assert view.progress.gap == pytest.approx(2 / 3)


def test_a_real_search_that_is_cancelled_ends_within_two_seconds_with_its_best_plan(
    engine: Engine, now: datetime
) -> None:
    with session_factory(engine).begin() as session:
        asked = parse(
            PlanQuestion, {"request": instance(168, 30, 40, 5).to_document(), "gap": 0, "time_limit": "600 s"}
        )
        plan_id = ask_plan(session, asked, now, "test").id
    thread = threading.Thread(target=solver(engine).solve_next)
    thread.start()

    def searches() -> bool:
        told = read(engine, plan_id).progress
        return told is not None and told.stage == "search"

    wait_for(searches, "the search for a better plan")
    with session_factory(engine).begin() as session:
        cancel_plan(session, plan_id, now)
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive(), "of the ten minutes that it was given"
    assert BEAT_SECONDS + solve.PATIENCE_SECONDS < 2, "hears of it, and waits for the search to heed it"
    view = read(engine, plan_id)
    assert view.state == "cancelled"
    assert view.plan is not None
    assert view.plan.cost is not None
    assert view.plan.bound is not None
    assert view.plan.bound < view.plan.cost, "it was not at its end"


def test_the_thread_takes_what_comes_and_ends(engine: Engine, now: datetime) -> None:
    working = solver(engine)
    working.start()
    plan_id = kept(engine, now)
    wait_for(lambda: read(engine, plan_id).state not in ("queued", "solving"), "an answer")
    working.stop()
    assert read(engine, plan_id).state == "solved"


def test_a_plan_that_nobody_can_read_fails_and_the_next_one_is_solved(engine: Engine, now: datetime) -> None:
    spoilt, sound = kept(engine, now), kept(engine, now + timedelta(seconds=1))
    with session_factory(engine).begin() as session:
        session.execute(update(PlanRow).where(PlanRow.id == spoilt).values(request={"horizon": "for ever"}))
    assert not solver(engine).solve_next()
    assert solver(engine).solve_next()
    assert read(engine, sound).state == "solved"
    with session_factory(engine).begin() as session:
        row = session.get(PlanRow, spoilt)
        assert row is not None
        assert row.state == "failed"
        assert "horizon" in row.reason


def test_a_plan_whose_process_cannot_be_started_fails_with_the_reason(engine: Engine, now: datetime) -> None:
    plan_id = kept(engine, now)
    assert solver(engine, "/nowhere/to/be/found").solve_next()
    view = read(engine, plan_id)
    assert view.state == "failed"
    assert "FileNotFoundError" in view.reason
