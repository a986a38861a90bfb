"""A plan solved again a window at a time: it gets better, keeps every row, and in one window is the best there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.plans.demand import Replica, Service
from planner.plans.linear import Answer, Status, solve_mip
from planner.plans.program import windows
from planner.plans.program.build import build, refined
from planner.plans.program.draft import Draft
from planner.plans.program.windows import improved
from planner.plans.request import PlanRequest
from tests.plans.requests import job, owned, request, reserved

SIZES = st.tuples(st.integers(1, 4), st.floats(0.5, 6.0), st.booleans(), st.floats(1.0, 60.0))
JOBS = st.lists(SIZES, min_size=1, max_size=6)


def scarce(jobs: list[tuple[int, float, bool, float]]) -> PlanRequest:
    """Jobs and two services on six GPUs, all of which may be left undone, and a reservation for three hours."""
    made = tuple(
        job(f"j{n}", hours, num_gpus=gang, release_hours=float(n), is_divisible=not whole, drop_cost=drop)
        for n, (gang, hours, whole, drop) in enumerate(jobs)
    )
    services = tuple(
        Service(name, (Replica("H100", size, 10.0),), tuple(float(8 + slot % 7) for slot in range(12)), drop_cost=1.5)
        for name, size in (("chat", 2), ("code", 3))
    )
    supplies = (owned(num_gpus=6, price=0.1), reserved(term=3.0, price=3.0, num_gpus=4))
    return request(slots=12, supplies=supplies, jobs=made, services=services)


def nothing_done(draft: Draft) -> Answer:
    """The plan in which everybody is left undone."""
    values = np.zeros(draft.model.num_columns)
    for column in (*draft.dropped.values(), *draft.unserved.values()):
        values[column] = draft.model.upper[column]
    return Answer(Status.FEASIBLE, values, float(np.array(draft.model.costs) @ values), None, 0.0)


def assert_keeps_to_all_rows(draft: Draft, answer: Answer) -> None:
    model, values = draft.model, answer.values
    assert values is not None
    rows = np.repeat(np.arange(model.num_rows), np.diff(np.array(model.starts)))
    sums = np.bincount(rows, np.array(model.weights) * values[np.array(model.columns)], model.num_rows)
    assert (sums >= np.array(model.row_lower) - 1e-6).all()
    assert (sums <= np.array(model.row_upper) + 1e-6).all()
    assert (values >= np.array(model.lower) - 1e-6).all()
    assert (values <= np.array(model.upper) + 1e-6).all()
    assert values[model.integers] == pytest.approx(np.round(values[model.integers]))


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JOBS)
def test_windows_keep_to_all_rows_and_one_that_holds_all_is_the_best_plan(
    monkeypatch: pytest.MonkeyPatch, jobs: list[tuple[int, float, bool, float]]
) -> None:
    draft, _ = build(refined(scarce(jobs)))
    least = solve_mip(draft.model, 1e-6, 30.0).objective
    begun = nothing_done(draft)
    assert least is not None
    assert begun.objective is not None
    told: list[float] = []
    monkeypatch.setattr(windows, "MOST_COLUMNS", draft.model.num_columns // 3)
    apart = improved(draft, begun, least, 0.0, 30.0, on_better=lambda better: told.append(better.objective or 0.0))
    monkeypatch.setattr(windows, "MOST_COLUMNS", 2 * draft.model.num_columns)
    together = improved(draft, begun, least, 0.0, 30.0)
    for answer in (apart, together):
        assert_keeps_to_all_rows(draft, answer)
        assert answer.objective is not None
        assert answer.objective >= least - 1e-6 * abs(least)
    assert told == sorted(told, reverse=True)
    assert told[-1] == apart.objective
    assert apart.objective < begun.objective
    assert together.objective == pytest.approx(least, rel=5e-3)


def test_windows_end_when_they_are_told_to() -> None:
    draft, _ = build(refined(scarce([(2, 3.0, False, 50.0)])))
    begun = nothing_done(draft)
    found = improved(draft, begun, 0.0, 0.0, 30.0, should_stop=lambda: True)
    assert found.objective == begun.objective
    with pytest.raises(ValueError, match="no plan"):
        improved(draft, Answer(Status.NOTHING, None, None, None, 0.0), 0.0, 0.0, 30.0)
