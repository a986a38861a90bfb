"""Gangs of mixed sizes in instances: what the program lets run beside each other can be laid out in whole ones."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plans.linear import INFINITY, Model, solve_mip
from planner.plans.plan import plan
from planner.plans.program.packing import is_chain, patterns_of
from planner.plans.solution import Outcome
from tests.plans.requests import job, on_demand, owned, request, reserved


def fewest(gangs: list[int], block: int) -> int:
    """Instances that hold these gangs at once, by trying every place for each."""
    for number in range(1, len(gangs) + 1):
        model = Model()
        places = [[model.column(upper=1.0, whole=True) for _ in range(number)] for _ in gangs]
        for mine in places:
            model.row([(column, 1.0) for column in mine], lower=1.0, upper=INFINITY)
        for at in range(number):
            model.row([(mine[at], float(gang)) for mine, gang in zip(places, gangs, strict=True)], upper=float(block))
        if solve_mip(model, 0.0, 20.0).values is not None:
            return number
    return len(gangs)


@given(st.sets(st.integers(1, 8), min_size=1, max_size=5), st.integers(4, 9))
def test_patterns_are_all_the_ways_to_fill_an_instance(sizes: set[int], block: int) -> None:
    fitting = {size for size in sizes if size <= block}
    if not fitting:
        return
    ordered = sorted(fitting, reverse=True)
    expected = set()
    for counts in product(*(range(block // size + 1) for size in ordered)):
        left = block - sum(count * size for count, size in zip(counts, ordered, strict=True))
        if 0 <= left < ordered[-1]:
            expected.add(counts)
    assert set(patterns_of(list(fitting), block)) == expected


def test_sizes_that_divide_each_other_need_no_patterns() -> None:
    assert is_chain([1, 2, 4], 8)
    assert not is_chain([3], 8)
    assert not is_chain([2, 3], 6)
    assert is_chain([3, 6], 12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_whole_jobs_at_once_are_paid_for_in_as_many_instances_as_hold_them(gangs: list[int]) -> None:
    jobs = tuple(job(f"j{n}", 1.0, num_gpus=gang, is_divisible=False) for n, gang in enumerate(gangs))
    rented = on_demand(price=1.0, gpus_per_instance=8, is_shared=True)
    found = plan(request(slots=1, supplies=(rented,), jobs=jobs), gap=0.0)
    assert found.cost is not None
    paid = found.cost / 8
    assert fewest(gangs, 8) - 1 <= round(paid, 6) <= fewest(gangs, 8)


@pytest.mark.parametrize(
    ("gangs", "instances"), [((5, 5, 2, 2, 2), 3), ((5, 3, 5, 3), 2), ((6, 6, 2, 1), 2), ((7, 2), 2), ((4, 3, 3), 2)]
)
def test_sizes_that_leave_rests_are_laid_out(gangs: tuple[int, ...], instances: int) -> None:
    jobs = tuple(job(f"j{n}", 1.0, num_gpus=gang) for n, gang in enumerate(gangs))
    rented = on_demand(price=1.0, gpus_per_instance=8, is_shared=True)
    found = plan(request(slots=1, supplies=(rented,), jobs=jobs), gap=0.0)
    assert found.cost == pytest.approx(8.0 * instances)


def test_owned_nodes_hold_no_gang_across_two() -> None:
    """Three gangs of 5 do not run at once on two nodes of 8, whatever the 16 GPUs say."""
    jobs = tuple(job(f"j{n}", 4.0, num_gpus=5) for n in range(3))
    nodes = owned(num_gpus=16, gpus_per_instance=8)
    assert plan(request(slots=4, supplies=(nodes,), jobs=jobs)).outcome is Outcome.INFEASIBLE
    assert plan(request(slots=6, supplies=(nodes,), jobs=jobs)).outcome is Outcome.OPTIMAL
    assert plan(request(slots=4, supplies=(owned(num_gpus=16),), jobs=jobs)).outcome is Outcome.OPTIMAL


def test_reserved_nodes_are_as_many_as_hold_the_gangs() -> None:
    jobs = tuple(job(f"j{n}", 8.0, num_gpus=5) for n in range(3))
    found = plan(request(slots=8, supplies=(reserved(gpus_per_instance=8),), jobs=jobs), gap=0.0)
    (held,) = found.commitments
    assert held.num_gpus == 24


def test_a_gang_larger_than_a_node_shares_its_rest() -> None:
    jobs = (job("twelve", 8.0, num_gpus=12), job("four", 8.0, num_gpus=4))
    found = plan(request(slots=8, supplies=(reserved(gpus_per_instance=8),), jobs=jobs), gap=0.0)
    assert Counter({item.supply: item.num_gpus for item in found.commitments}) == {"reserve": 16}
    odd = (job("thirteen", 8.0, num_gpus=13), job("four", 8.0, num_gpus=4))
    found = plan(request(slots=8, supplies=(reserved(gpus_per_instance=8),), jobs=odd), gap=0.0)
    assert [item.num_gpus for item in found.commitments] == [24]
