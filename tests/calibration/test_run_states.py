"""The states of a run: every step there is, and no other."""

from __future__ import annotations

from itertools import product

import pytest

from planner.calibration.run_states import ACTIVE, HELD, RunState, may_follow

ENDS = {
    RunState.SUCCEEDED,
    RunState.SUSPECT,
    RunState.FAILED,
    RunState.OOM,
    RunState.TIMED_OUT,
    RunState.BUSY,
    RunState.LOST,
    RunState.CANCELLED,
    RunState.QUARANTINED,
}
LEGAL = {
    (RunState.QUEUED, RunState.CLAIMED),
    (RunState.QUEUED, RunState.CANCELLED),
    (RunState.QUEUED, RunState.BUSY),
    (RunState.CLAIMED, RunState.RUNNING),
    (RunState.CLAIMED, RunState.FAILED),
    (RunState.CLAIMED, RunState.BUSY),
    (RunState.CLAIMED, RunState.LOST),
    (RunState.CLAIMED, RunState.CANCELLED),
    *((RunState.RUNNING, end) for end in ENDS),
}


@pytest.mark.parametrize(("before", "after"), sorted(product(RunState, RunState)))
def test_a_run_takes_the_listed_steps_and_no_others(before: RunState, after: RunState) -> None:
    assert may_follow(before, after) == ((before, after) in LEGAL)


def test_a_final_state_has_no_next_and_every_other_has_one() -> None:
    for state in RunState:
        nexts = [after for after in RunState if may_follow(state, after)]
        assert state.is_final == (not nexts)
        assert state.is_final == (state in ENDS)


def test_active_runs_are_those_that_have_not_ended_and_held_ones_have_a_worker() -> None:
    assert {state for state in RunState if not state.is_final} == ACTIVE
    assert ACTIVE - {RunState.QUEUED} == HELD
