"""Which price held at a moment, as far as was known at another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.offers.offer import Price, price_at
from tests.builders import offer, price

START = datetime(2026, 1, 1, tzinfo=UTC)
days = st.integers(0, 20).map(lambda day: START + timedelta(days=day))
amounts = st.one_of(st.none(), st.integers(1, 999).map(Decimal))


@st.composite
def histories(draw: st.DrawFn) -> list[Price]:
    """Prices of one offer, no two of them alike in both times."""
    times = draw(st.lists(st.tuples(days, days), unique=True, max_size=12))
    return [
        price(None if (amount := draw(amounts)) is None else str(amount), valid_from=valid, recorded_at=recorded)
        for valid, recorded in times
    ]


@given(histories(), histories(), days, days)
def test_what_was_known_on_a_day_never_changes_with_what_is_learnt_later(
    known: list[Price], learnt: list[Price], moment: datetime, known_at: datetime
) -> None:
    later = [p for p in learnt if p.recorded_at > known_at]
    assert price_at(known + later, moment, known_at) == price_at(known, moment, known_at)


@given(histories(), days, days, st.randoms(use_true_random=False))
def test_the_order_in_which_prices_are_read_does_not_matter(
    known: list[Price], moment: datetime, known_at: datetime, random: Random
) -> None:
    shuffled = list(known)
    random.shuffle(shuffled)
    assert price_at(shuffled, moment, known_at) == price_at(known, moment, known_at)


@given(histories(), days, days)
def test_the_price_in_force_is_known_began_already_and_no_known_one_began_later(
    known: list[Price], moment: datetime, known_at: datetime
) -> None:
    found = price_at(known, moment, known_at)
    usable = [p for p in known if p.valid_from <= moment and p.recorded_at <= known_at]
    if found is None:
        assert not usable
    else:
        assert found in usable
        assert all(p.valid_from <= found.valid_from for p in usable)
        assert all(p.recorded_at <= found.recorded_at for p in usable if p.valid_from == found.valid_from)


def test_a_correction_replaces_a_price_only_for_who_asks_after_it() -> None:
    wrong = price("36.078", valid_from=START, recorded_at=START)
    right = price("3.06", valid_from=START, recorded_at=START + timedelta(days=200))
    moment = START + timedelta(days=100)
    assert price_at([wrong, right], moment, known_at=moment) == wrong
    assert price_at([wrong, right], moment, known_at=START + timedelta(days=201)) == right


def test_a_withdrawn_offer_has_a_price_without_an_amount() -> None:
    gone = price(None, valid_from=START + timedelta(days=5), recorded_at=START + timedelta(days=5))
    moment = START + timedelta(days=6)
    found = price_at([price(valid_from=START, recorded_at=START), gone], moment, known_at=moment)
    assert found is gone
    assert found.reason == "withdrawn"


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity"])
def test_an_amount_that_is_no_price_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        price(amount)


def test_a_price_without_an_amount_or_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="reason"):
        price(None, reason="")


def test_a_price_with_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        price(valid_from=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("num_gpus", ["0", "-1", "NaN"])
def test_an_offer_without_gpus_is_refused(num_gpus: str) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        offer(num_gpus=Decimal(num_gpus))


def test_the_identity_of_an_offer_is_where_what_and_how_not_its_description() -> None:
    assert offer(gpu_key=None, num_gpus=Decimal(4), vcpus=None).identity == offer().identity
    for change in ({"region": "eu-west-1"}, {"zone": "a"}, {"instance_type": "p5.4xlarge"}, {"currency": "EUR"}):
        assert offer(**change).identity != offer().identity
