"""The few options that a decision is between, and what the rejected lack."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from planner.estimates.answer import answer
from planner.estimates.choices import AT_HAND, CHEAPEST, FASTEST, STEADY, choices, common_lacks, nearest_miss
from planner.estimates.estimate import Answer, Bottleneck
from planner.estimates.limits import Limits, apply_limits
from planner.offers.offer import OfferKind
from tests.builders import offer, training_job
from tests.estimates.makers import figure, gpu, rented


@pytest.fixture(scope="module")
def found() -> Answer:
    """A cheap spot offer, one on demand, a fast and dear one of four GPUs, one without memory enough."""
    spot = offer(provider="other", kind=OfferKind.SPOT, interruptions_per_hour=0.0)
    places = [
        rented(amount="3", num_gpus="1"),
        rented(amount="40", num_gpus="4"),
        rented(offer=spot, amount="1.5", num_gpus="1"),
        rented(gpu=gpu(key="SMALL", memory_bytes=figure(1e7)), amount="9", num_gpus="1"),
    ]
    return answer(training_job(global_batch=64), places, {})


def named(found: Answer) -> dict[str, int]:
    return {name: choice.rank for choice in choices(found) for name in choice.names}


def test_each_race_is_won_by_the_least_figure(found: Answer) -> None:
    ranks = named(found)
    costs = [option.cost.mid for option in found.options if option.cost is not None]
    times = [option.seconds.mid for option in found.options if option.seconds is not None]
    assert len(costs) == len(times) == 3
    assert costs[ranks[CHEAPEST]] == min(costs)
    assert times[ranks[FASTEST]] == min(times)
    assert found.options[ranks[CHEAPEST]].placement.offer == offer(
        provider="other", kind=OfferKind.SPOT, interruptions_per_hour=0.0
    )
    steady = found.options[ranks[STEADY]].placement.offer
    assert steady is not None
    assert steady.kind is OfferKind.ON_DEMAND
    assert AT_HAND not in ranks


def test_one_that_wins_several_stands_once_with_all_its_names() -> None:
    (only,) = choices(answer(training_job(global_batch=64), [rented(amount="3", num_gpus="1")], {}))
    assert (only.rank, only.names) == (0, (CHEAPEST, FASTEST))


def test_an_unknown_cost_is_in_no_race_for_the_least_one() -> None:
    places = [rented(amount=None, num_gpus="1"), rented(amount="3", num_gpus="2")]
    found = answer(training_job(global_batch=64), places, {})
    cheapest = found.options[named(found)[CHEAPEST]]
    assert cheapest.cost is not None
    unpriced = answer(training_job(global_batch=64), places[:1], {})
    assert named(unpriced) == {FASTEST: 0}


def test_an_attached_device_is_named_however_it_ranks() -> None:
    mine = replace(rented(amount="30", num_gpus="1"), device_id="d", device_name="Mine")
    found = answer(training_job(global_batch=64), [rented(amount="3", num_gpus="1"), mine], {})
    at_hand = found.options[named(found)[AT_HAND]]
    assert at_hand.placement.device_name == "Mine"
    assert named(found)[CHEAPEST] != named(found)[AT_HAND]


def test_nothing_that_fits_is_nothing_to_choose_from() -> None:
    small = rented(gpu=gpu(memory_bytes=figure(1e7)), amount="9")
    assert choices(answer(training_job(global_batch=64), [small], {})) == ()


def test_the_rejected_are_counted_by_what_they_lack_and_the_nearest_stands_for_them(found: Answer) -> None:
    spent = apply_limits(found, Limits(budget=Decimal("0.0001")))
    budget, memory = common_lacks(spent)
    assert (budget.bottleneck, budget.num_rejected) == (Bottleneck.BUDGET, 3)
    assert budget.first.placement == found.options[0].placement
    assert (memory.bottleneck, memory.num_rejected) == (Bottleneck.MEMORY, 1)
    assert sum(lack.num_rejected for lack in common_lacks(spent)) == len(spent.rejections)


def test_of_those_without_memory_the_one_with_most_stands_for_them_and_an_exceeded_limit_is_told_first() -> None:
    sizes = [rented(gpu=gpu(key=f"G{size:g}", memory_bytes=figure(size)), num_gpus="1") for size in (1e7, 3e7, 2e7)]
    missing = answer(training_job(global_batch=64), sizes, {})
    (memory,) = common_lacks(missing)
    assert memory.first.placement.gpu.key == "G3e+07"
    both = answer(training_job(global_batch=64), [*sizes, rented(amount="3", num_gpus="1")], {})
    late = common_lacks(apply_limits(both, Limits(deadline_seconds=1e-3)))
    assert late[0].bottleneck is Bottleneck.MEMORY
    told = nearest_miss(late)
    assert told is not None
    assert told.bottleneck is Bottleneck.DEADLINE
    assert nearest_miss([]) is None
