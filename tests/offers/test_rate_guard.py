"""A rate is held against the known one of the nearest day, whichever way round it is stated."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.offers.currency import Rate
from planner.offers.rate_guard import Neighbour, RateGuard

DAY = date(2026, 7, 20)


def rate(value: str, days: int = 0, base: str = "EUR", quote: str = "USD") -> Rate:
    return Rate(base, quote, Decimal(value), DAY + timedelta(days=days), "a bank")


def guard(*known: Rate) -> RateGuard:
    def between(first: str, second: str) -> Iterable[Rate]:
        return [each for each in known if {each.base, each.quote} == {first, second}]

    return RateGuard(between)


def test_the_first_rate_of_a_pair_has_nothing_to_be_held_against() -> None:
    assert guard(rate("170", quote="JPY")).too_far_from(rate("1.10")) is None


@pytest.mark.parametrize(("value", "is_held"), [("1.20", False), ("1.21", True), ("0.80", False), ("0.79", True)])
def test_exactly_a_fifth_passes_and_more_waits(value: str, is_held: bool) -> None:
    assert (guard(rate("1.00", -1)).too_far_from(rate(value)) is not None) is is_held


def test_it_is_held_against_the_nearest_day_before_or_after() -> None:
    held = guard(rate("1.00", -10), rate("2.00", 3))
    assert held.too_far_from(rate("1.05")) == Neighbour(Decimal("2.00"), DAY + timedelta(days=3))
    assert held.too_far_from(rate("1.05", -4)) is None


def test_a_rate_the_other_way_round_is_turned_first() -> None:
    held = guard(rate("1.25", -1))
    assert held.too_far_from(rate("0.80", base="USD", quote="EUR")) is None
    far = held.too_far_from(rate("1.25", base="USD", quote="EUR"))
    assert far is not None
    assert far.rate == Decimal("0.8")


def test_what_was_taken_is_a_neighbour_of_what_follows() -> None:
    held = guard()
    held.add(rate("1.00"))
    held.add(rate("1.15", 1))
    assert held.too_far_from(rate("1.30", 2)) is None
    held.add(rate("1.50", 1))  # a correction of that day replaces it
    assert held.too_far_from(rate("1.15", 2)) is not None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(95, 105)), max_size=30))
def test_rates_within_a_tenth_of_one_another_all_pass_in_any_order(days: list[tuple[int, int]]) -> None:
    held = guard()
    for day, hundredths in days:
        each = rate(str(Decimal(hundredths) / 100), day)
        assert held.too_far_from(each) is None
        held.add(each)
