"""Prices over time: the steps of an offer agree with price_at, the market with the offers that have a price."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from planner.offers.market import PricedHour, change_moments, evenly, market, steps
from planner.offers.offer import Price, price_at

START = datetime(2026, 1, 1, tzinfo=UTC)


def price(day: int, amount: str | None, recorded: int = 0) -> Price:
    value = None if amount is None else Decimal(amount)
    stated = START + timedelta(days=day)
    reason = "" if value is not None else "withdrawn"
    return Price(value, stated, START + timedelta(days=recorded), "a list", stated.date(), reason)


def history(*prices: Price) -> list[tuple[int, Price]]:
    return list(enumerate(sorted(prices, key=lambda one: (one.valid_from, one.recorded_at)), start=1))


def test_a_step_ends_where_the_next_begins_and_the_last_one_is_open() -> None:
    found = steps(history(price(0, "2"), price(10, None), price(20, "3")), START + timedelta(days=30))
    assert [(step.amount, step.until) for step in found] == [
        (Decimal(2), START + timedelta(days=10)),
        (None, START + timedelta(days=20)),
        (Decimal(3), None),
    ]
    assert found[1].reason == "withdrawn"


def test_a_correction_takes_the_place_of_what_it_corrects_and_later_prices_are_left_out() -> None:
    found = steps(history(price(0, "2"), price(0, "2.5", recorded=9), price(20, "3")), START + timedelta(days=15))
    assert [(step.price_id, step.amount, step.until) for step in found] == [(2, Decimal("2.5"), None)]
    assert steps([], START) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(1, 9)), st.integers(0, 20)),
        unique_by=lambda one: (one[0], one[2]),
        max_size=12,
    ),
    st.integers(0, 25),
    st.integers(0, 25),
)
def test_the_step_at_a_moment_is_the_price_that_held(
    drawn: list[tuple[int, int | None, int]], day: int, known: int
) -> None:
    """The chart and the question "what held then, as known then" give one answer."""
    prices = [price(valid, None if amount is None else str(amount), recorded) for valid, amount, recorded in drawn]
    as_of, known_at = START + timedelta(days=day), START + timedelta(days=known)
    found = steps(history(*(one for one in prices if one.recorded_at <= known_at)), as_of)
    held = price_at(prices, as_of, known_at)
    assert (found[-1].since, found[-1].amount) == (held.valid_from, held.amount) if held else found == []
    assert all(one.until == following.since for one, following in pairwise(found))


def test_the_market_counts_whole_gpus_and_leaves_out_what_is_withdrawn() -> None:
    prices = [
        PricedHour(1, Decimal(8), START, Decimal(16)),
        PricedHour(2, Decimal("0.5"), START, Decimal(2)),
        PricedHour(3, Decimal(1), START + timedelta(days=1), Decimal(3)),
        PricedHour(1, Decimal(8), START + timedelta(days=2), None),
        PricedHour(2, Decimal("0.5"), START + timedelta(days=3), None),
        PricedHour(3, Decimal(1), START + timedelta(days=3), None),
    ]
    found = market(prices, [START + timedelta(days=day) for day in range(4)])
    figures = [(one.num_offers, one.lowest, one.median, one.highest, one.lowest_offer_id) for one in found]
    assert figures == [
        (2, Decimal(2), Decimal(2), Decimal(4), 1),
        (3, Decimal(2), Decimal(3), Decimal(4), 1),
        (2, Decimal(3), Decimal(3), Decimal(4), 3),
        (0, None, None, None, None),
    ]


def test_points_at_which_nothing_changes_are_left_out_but_for_the_ends() -> None:
    found = market([PricedHour(1, Decimal(1), START, Decimal(2))], evenly(START, START + timedelta(days=9), 10))
    assert [point.at for point in change_moments(found)] == [START, START + timedelta(days=9)]
    assert change_moments(found[:1]) == found[:1]
    assert change_moments([]) == []


def test_moments_hold_both_ends() -> None:
    last = START + timedelta(days=7)
    found = evenly(START, last, 60)
    assert (found[0], found[-1], len(found)) == (START, last, 60)
    assert evenly(last, START, 60) == [START]
