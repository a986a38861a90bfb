"""Charges over months: cut where months begin, and nothing lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.offers.billing_months import by_month, month_of, shared


def at(month: int, day: int, hour: int = 0, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def test_time_is_cut_where_months_begin() -> None:
    assert by_month(at(11, 30), at(1, 2, year=2027)) == (
        (at(11, 30), at(12, 1)),
        (at(12, 1), at(1, 1, year=2027)),
        (at(1, 1, year=2027), at(1, 2, year=2027)),
    )
    assert by_month(at(11, 1), at(12, 1)) == ((at(11, 1), at(12, 1)),)


def test_months_are_those_of_utc() -> None:
    late = datetime(2026, 12, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert month_of(late) == (at(11, 1), at(12, 1))


def test_an_amount_follows_the_time() -> None:
    stretches = by_month(at(11, 30), at(12, 4))
    assert shared(Decimal(100), stretches) == (Decimal(25), Decimal(75))
    assert shared(Decimal("0.0000000001"), stretches) == (0, Decimal("0.0000000001"))


@given(
    amount=st.decimals(Decimal("-1E9"), Decimal("1E9"), places=10),
    hours=st.floats(0.001, 20_000),
    begin=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_the_parts_add_up_to_the_last_digit(amount: Decimal, hours: float, begin: datetime) -> None:
    stretches = by_month(begin, begin + timedelta(hours=hours))
    assert sum(shared(amount, stretches)) == amount
    assert all(earlier[1] == later[0] for earlier, later in pairwise(stretches))


def test_a_charge_that_does_not_last_is_refused() -> None:
    with pytest.raises(ValueError, match="ends after it begins"):
        by_month(at(11, 1), at(11, 1))
