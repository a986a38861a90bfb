"""The plan when an offer is sold out, and where own, reserve and rent change places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.plans.break_even import break_evens, crossovers, ways_of
from planner.plans.outlook import outlook
from planner.plans.plan import plan
from planner.plans.second_choice import second_choices, without
from planner.plans.supply import HOURS_PER_YEAR, Kind, Supply
from tests.plans.requests import job, on_demand, owned, request, reserved, service


def test_each_offer_that_is_used_has_its_second_choice_with_the_difference() -> None:
    asked = request(
        supplies=(owned(num_gpus=1), on_demand("cheap", 1.0, num_gpus=1), on_demand("dear", 3.0)),
        services=(service(demand=(3.0,) * 8),),
    )
    found = plan(asked, gap=0.0)
    tried, untried, seconds = second_choices(asked, found, gap=0.0)
    by_name = {item.supply: item for item in tried}
    assert set(by_name) == {"cheap", "dear"}, "what is owned cannot be sold out"
    assert by_name["cheap"].extra == pytest.approx(8 * 2.0)
    assert by_name["cheap"].instead == {"dear": pytest.approx(8.0)}
    assert by_name["dear"].cost is None
    assert "chat" in by_name["dear"].reason
    assert untried == ()
    assert seconds > 0


def test_what_there_is_no_time_for_is_named() -> None:
    asked = request(
        supplies=(on_demand("a", 1.0, num_gpus=1), on_demand("b", 2.0)), services=(service(demand=(2.0,) * 8),)
    )
    tried, untried, _ = second_choices(asked, plan(asked), seconds_in_all=0.0)
    assert (tried, set(untried)) == ((), {"a", "b"})
    with pytest.raises(ValueError, match="no supply 'c'"):
        without(asked, ("c",))


def test_the_outlook_tries_each_offer_as_sold_out() -> None:
    asked = request(supplies=(on_demand("a", 1.0), on_demand("b", 2.0)), jobs=(job(),))
    found = outlook(asked, plan(asked), 60.0, 0.2, 0.01)
    assert [(item.supply, item.extra) for item in found.second_choices] == [("a", pytest.approx(4.0))]
    assert type(found).from_document(found.to_document()) == found


def test_a_reservation_pays_above_its_share_of_the_rent() -> None:
    asked = request(supplies=(on_demand(price=2.0), reserved(price=1.2)), services=(service(demand=(1.0,) * 8),))
    (flip,) = break_evens(asked, plan(asked, gap=0.0))
    assert flip.utilisation == pytest.approx(0.6)
    assert (flip.planned, flip.is_taken) == (pytest.approx(1.0), True)
    assert "more than 60% of the time" in flip.sentence


def test_a_commitment_that_is_not_taken_says_how_much_a_first_one_would_be_used() -> None:
    asked = request(
        supplies=(on_demand(price=2.0), reserved(price=1.2)), services=(service(demand=(1.0, 1.0) + (0.0,) * 6),)
    )
    (flip,) = break_evens(asked, plan(asked, gap=0.0))
    assert (flip.planned, flip.is_taken) == (pytest.approx(0.25), False)
    dear = request(supplies=(on_demand(price=1.0), reserved(price=1.2)), services=(service(demand=(1.0,) * 8),))
    assert break_evens(dear, plan(dear))[0].utilisation is None
    alone = request(supplies=(reserved(),), services=(service(demand=(1.0,) * 8),))
    assert "cannot be rented" in break_evens(alone, plan(alone))[0].sentence


@given(use=st.floats(0.05, 1.0), capex=st.floats(1_000, 40_000), rent=st.floats(0.5, 8.0), running=st.floats(0.0, 0.4))
def test_at_the_crossover_both_ways_have_cost_the_same(use: float, capex: float, rent: float, running: float) -> None:
    bought = Supply("buy", "H100", Kind.PURCHASE, running, capex=capex, life_hours=4 * HOURS_PER_YEAR)
    ways = ways_of(request(supplies=(on_demand(price=rent), bought), jobs=(job(),)), "H100", use)
    (found,) = crossovers(ways)
    hours = found.cheaper_from_hours
    if hours is None:
        assert ways[0].paid_by(4 * HOURS_PER_YEAR) <= ways[1].paid_by(4 * HOURS_PER_YEAR) * (1 + 1e-9)
    else:
        assert ways[0].paid_by(hours) == pytest.approx(ways[1].paid_by(hours))


def test_a_reservation_without_upfront_is_cheaper_at_once_and_pays_if_needed_long_enough() -> None:
    asked = request(supplies=(on_demand(price=2.0), reserved(price=1.2, term=1000.0)), jobs=(job(),))
    (found,) = crossovers(ways_of(asked, "H100", 1.0))
    assert (found.cheaper_from_hours, found.needed_hours) == (0.0, pytest.approx(600.0))
    (idle,) = crossovers(ways_of(asked, "H100", 0.5))
    assert (idle.cheaper_from_hours, idle.needed_hours) == (None, None)
    with pytest.raises(ValueError, match="share"):
        ways_of(asked, "H100", 0.0)
