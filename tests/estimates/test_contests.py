"""The best of each vendor, way and provider."""

from __future__ import annotations

import pytest

from planner.estimates.answer import answer
from planner.estimates.contests import CPUS, NO_PLACE, Contest, Entrant, Field, contests
from planner.estimates.estimate import Answer
from planner.hardware.gpu import GpuKind, Vendor
from planner.offers.offer import OfferKind
from tests.builders import offer, training_job
from tests.estimates.makers import figure, gpu, rented


@pytest.fixture(scope="module")
def found() -> Answer:
    """Two NVIDIA offers, a dear AMD one without enough memory, a cheaper spot one of another provider."""
    small = gpu(key="SMALL", vendor=Vendor.AMD, memory_bytes=figure(1e7))
    spot = offer(provider="other", kind=OfferKind.SPOT, interruptions_per_hour=0.0)
    places = [
        rented(amount="3", num_gpus="1"),
        rented(amount="6", num_gpus="2"),
        rented(gpu=small, amount="9", num_gpus="1"),
        rented(offer=spot, amount="1.5", num_gpus="1"),
    ]
    return answer(training_job(global_batch=64), places, {})


def of(answer: Answer, field: Field) -> dict[str, Entrant]:
    contest: Contest = next(contest for contest in contests(answer) if contest.field is field)
    return {entrant.name: entrant for entrant in contest.entrants}


def test_every_vendor_is_answered_for_whether_or_not_it_is_in_the_race(found: Answer) -> None:
    vendors = of(found, Field.VENDOR)
    assert next(iter(vendors)) == "NVIDIA"
    assert (vendors["NVIDIA"].rank, vendors["NVIDIA"].num_options, vendors["NVIDIA"].wins_below) == (0, 3, None)
    assert (vendors["AMD"].rank, vendors["AMD"].num_rejected) == (None, 1)
    assert vendors["AMD"].why_none == found.rejections[0].reason
    assert (vendors["Intel"].rank, vendors["Intel"].why_none) == (None, NO_PLACE)
    assert vendors[CPUS].why_none == NO_PLACE


def test_each_way_and_each_provider_stands_with_its_best_option(found: Answer) -> None:
    for field in (Field.WAY, Field.PROVIDER):
        entrants = of(found, field)
        ranks = [entrant.rank for entrant in entrants.values() if entrant.rank is not None]
        assert ranks == sorted(ranks)
        assert ranks[0] == 0
        assert sum(entrant.num_options for entrant in entrants.values()) == len(found.options)
    assert of(found, Field.WAY)["spot"].rank == 0
    assert of(found, Field.PROVIDER)["other"].rank == 0


def test_at_the_price_below_which_it_wins_it_costs_what_the_best_costs(found: Answer) -> None:
    entrant = of(found, Field.WAY)["on_demand"]
    assert entrant.rank is not None
    best, mine = found.options[0], found.options[entrant.rank]
    assert entrant.wins_below is not None
    assert mine.seconds is not None
    assert best.cost is not None
    assert mine.cost is not None
    price = mine.cost_per_hour.mid / float(mine.placement.num_gpus) if mine.cost_per_hour else 0.0
    assert mine.cost.mid * entrant.wins_below / price == pytest.approx(best.cost.mid)


def test_without_prices_nobody_can_say_at_which_price_it_wins() -> None:
    found = answer(training_job(global_batch=64), [rented(amount=None), rented(amount=None, num_gpus="2")], {})
    assert [entrant.wins_below for contest in contests(found) for entrant in contest.entrants if entrant.rank] == []
    assert of(found, Field.VENDOR)["NVIDIA"].num_options == 2


def test_a_cpu_is_no_card_of_its_maker() -> None:
    host = gpu(key="Some CPU", vendor=Vendor.INTEL, kind=GpuKind.CPU)
    vendors = of(answer(training_job(global_batch=64), [rented(gpu=host)], {}), Field.VENDOR)
    assert vendors["Intel"].why_none == NO_PLACE
    assert vendors[CPUS].num_options + vendors[CPUS].num_rejected == 1
