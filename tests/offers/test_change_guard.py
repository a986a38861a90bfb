"""A change of more than a fifth is too large, in either direction and to the last digit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.offers.change_guard import AllowedChanges, change_in_words, is_allowed, is_too_large
from planner.offers.offer import OfferKind

PRICES = st.decimals(min_value="0.0000000001", max_value="1000", places=10)


@pytest.mark.parametrize(
    ("before", "after", "is_large"),
    [
        ("3.06", "36.078", True),  # what a source said for seven months
        ("98.32", "55.04", True),  # and a real cut
        ("10", "12", False),
        ("10", "12.0000000001", True),
        ("10", "8", False),
        ("10", "7.9999999999", True),
        ("31.212", "37.454", False),
    ],
)
def test_more_than_a_fifth_is_too_large(before: str, after: str, is_large: bool) -> None:
    assert is_too_large(Decimal(before), Decimal(after)) is is_large


@given(PRICES)
def test_no_change_is_never_too_large(price: Decimal) -> None:
    assert not is_too_large(price, price)


@given(PRICES, PRICES, st.integers(1, 1000))
def test_the_unit_does_not_matter(before: Decimal, after: Decimal, factor: int) -> None:
    assert is_too_large(before, after) is is_too_large(before * factor, after * factor)


def test_what_is_allowed_follows_the_flag_and_the_kind() -> None:
    allowed = {flag: {kind for kind in OfferKind if is_allowed(kind, flag)} for flag in AllowedChanges}
    assert allowed == {
        AllowedChanges.NONE: set(),
        AllowedChanges.SPOT: {OfferKind.SPOT},
        AllowedChanges.ALL: set(OfferKind),
    }


def test_the_change_is_said_in_per_cent() -> None:
    assert change_in_words(Decimal("3.06"), Decimal("36.078")) == "+1079 %"
    assert change_in_words(Decimal("98.32"), Decimal("55.04")) == "-44 %"
