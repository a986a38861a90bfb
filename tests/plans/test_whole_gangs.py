"""A gang runs only where all of its GPUs are held at once, however its hours could be spread over fewer."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plans.demand import Job, Work
from planner.plans.horizon import Horizon
from planner.plans.plan import plan
from planner.plans.runs import runs_of
from planner.plans.solution import Outcome
from tests.plans.requests import job, on_demand, owned, request, reserved


def test_a_gang_is_not_spread_in_time_over_fewer_gpus_than_it_has() -> None:
    asked = request(slots=40, supplies=(reserved(price=1.0),), jobs=(job(hours=10.0, num_gpus=8),))
    found = plan(asked, gap=0.0)
    assert [(item.supply, item.num_gpus) for item in found.commitments] == [("reserve", 8)]
    assert found.cost == pytest.approx(8 * 40 * 1.0), "two GPUs for forty hours would hold its hours and not the gang"


def test_renting_for_its_hours_wins_where_holding_the_whole_gang_is_dearer() -> None:
    supplies = (reserved(price=1.0), on_demand(price=2.0, provider="elsewhere"))
    found = plan(request(slots=40, supplies=supplies, jobs=(job(hours=10.0, num_gpus=8),)), gap=0.0)
    assert found.commitments == ()
    assert found.cost == pytest.approx(8 * 10 * 2.0)


def test_gpus_that_are_there_count_beside_those_that_are_committed_to() -> None:
    supplies = (owned(num_gpus=6), reserved(price=1.0))
    found = plan(request(slots=10, supplies=supplies, jobs=(job(hours=4.0, num_gpus=8),)), gap=0.0)
    assert [item.num_gpus for item in found.commitments] == [2]


def test_a_gang_of_two_nodes_asks_for_two() -> None:
    supplies = (reserved(price=1.0, gpus_per_instance=8, num_gpus=64),)
    found = plan(request(slots=20, supplies=supplies, jobs=(job(hours=5.0, num_gpus=16),)), gap=0.0)
    assert [item.num_gpus for item in found.commitments] == [16]


def test_too_few_that_could_be_committed_to_is_said() -> None:
    supplies = (reserved(price=1.0, num_gpus=4),)
    found = plan(request(slots=40, supplies=supplies, jobs=(job(hours=10.0, num_gpus=8),)))
    assert found.outcome is Outcome.INFEASIBLE
    assert found.clash is not None
    assert "takes 8 at once" in found.clash.reason


def test_a_reservation_that_ends_within_a_slot_is_there_for_its_part_of_it() -> None:
    supplies = (reserved(price=1.0, term=5.0, num_gpus=16),)
    asked = request(horizon=Horizon.uniform(4, 4.0), supplies=supplies, jobs=(job(hours=5.0, num_gpus=8),))
    found = plan(asked, gap=0.0)
    assert [(item.num_gpus, item.until_hours - item.from_hours) for item in found.commitments] == [(8, 5.0)]
    assert runs_of(asked, found).too_few == {}


@settings(max_examples=20, deadline=None)
@given(
    jobs=st.lists(
        st.tuples(st.sampled_from([1, 2, 3, 4, 6]), st.floats(1.0, 6.0), st.booleans(), st.integers(0, 6)),
        min_size=1,
        max_size=4,
    ),
    term=st.sampled_from([5.0, 8760.0]),
    spare=st.integers(0, 2),
)
def test_no_job_runs_while_fewer_gpus_are_held_than_its_gang_has(
    jobs: list[tuple[int, float, bool, int]], term: float, spare: int
) -> None:
    supplies = (owned(num_gpus=max(spare, 1)), reserved(price=1.0, term=term, num_gpus=12), on_demand(gpu="A100"))
    asked = request(
        slots=14,
        supplies=supplies,
        jobs=tuple(
            Job(
                f"j{n}",
                (Work("H100", gang, hours), Work("A100", gang, hours * 1.5)),
                float(release),
                is_divisible=flows,
            )
            for n, (gang, hours, flows, release) in enumerate(jobs)
        ),
    )
    found = plan(asked, gap=0.0, seconds=20)
    assert found.cost is not None
    assert found.bound is not None
    assert found.bound <= found.cost + 1e-6
    assert runs_of(asked, found).too_few == {}
    for start, end in pairwise(found.edges):
        middle = (start + end) / 2
        held = max(spare, 1) + sum(
            item.num_gpus for item in found.commitments if item.from_hours <= middle < item.until_hours
        )
        for item in found.assignments:
            if item.gpu == "H100" and item.from_hours <= middle < item.until_hours:
                assert item.num_gpus <= held
