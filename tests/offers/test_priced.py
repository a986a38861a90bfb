"""The price of one GPU for an hour, and the age of a price."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from planner.offers.priced import PricedOffer, per_gpu_hour
from tests.builders import offer, price


def priced(amount: str | None = "55.04", num_gpus: str = "8", **changes: object) -> PricedOffer:
    return PricedOffer(1, offer(num_gpus=Decimal(num_gpus)), 1, price(amount, **changes))


def test_eight_gpus_for_55_04_cost_6_88_each() -> None:
    assert priced().per_gpu_hour == Decimal("6.88")


def test_a_sixth_of_a_gpu_costs_what_a_whole_one_would_at_its_rate() -> None:
    assert round(priced("0.454", "0.166667").per_gpu_hour or 0, 4) == Decimal("2.7240")


@given(st.integers(1, 10**9), st.integers(0, 5))
def test_dividing_by_a_power_of_two_and_multiplying_back_is_exact(micros: int, power: int) -> None:
    amount = Decimal(micros).scaleb(-6)
    assert per_gpu_hour(amount, Decimal(2**power)) * 2**power == amount


def test_a_price_that_is_not_known_has_no_price_per_gpu_hour() -> None:
    assert priced(None).per_gpu_hour is None
    assert PricedOffer(1, offer(), None, None).per_gpu_hour is None


def test_age_counts_the_days_since_the_date_that_the_source_states(now: datetime) -> None:
    assert priced(source_date=date(2026, 7, 20)).age_days(now) == 124
    assert priced(source_date=now.date()).age_days(now) == 0


def test_age_is_counted_in_utc_days_wherever_now_is_told(now: datetime) -> None:
    in_samoa = now.astimezone(timezone(timedelta(hours=-11)))
    assert in_samoa.date() < now.date()
    assert priced(source_date=date(2026, 7, 20)).age_days(in_samoa) == 124


def test_an_offer_without_a_price_has_no_age(now: datetime) -> None:
    assert PricedOffer(1, offer(), None, None).age_days(now) is None
