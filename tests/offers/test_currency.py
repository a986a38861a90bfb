"""Amounts are converted at dated rates, exactly, with everything they came from; a missing rate is an error."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InvalidInput
from planner.offers.currency import MissingRate, Rate, RefusedRate, convert, read_rates

DAY = date(2026, 7, 20)
ECB = "a central bank"


def rate(base: str = "EUR", quote: str = "USD", value: str = "1.0837", on: date = DAY, source: str = ECB) -> Rate:
    return Rate(base, quote, Decimal(value), on, source)


def test_a_conversion_carries_original_rate_day_and_source() -> None:
    found = convert(Decimal("2.49"), "EUR", "USD", DAY, [rate()])
    assert (found.amount, found.currency) == (Decimal("2.698413"), "USD")
    assert (found.original, found.original_currency) == (Decimal("2.49"), "EUR")
    assert (found.rate, found.rate_date, found.source) == (Decimal("1.0837"), DAY, ECB)


def test_the_same_currency_needs_no_rate() -> None:
    found = convert(Decimal("2.49"), "USD", "USD", DAY, [])
    assert (found.amount, found.rate, found.rate_date, found.legs) == (Decimal("2.49"), None, None, ())


def test_a_rate_serves_the_other_way_round_to_28_digits() -> None:
    found = convert(Decimal("1.0837"), "USD", "EUR", DAY, [rate()])
    assert found.legs[0].is_inverse
    assert found.rate == Decimal("0.9227646027498385161945187783")
    assert round(found.amount, 20) == 1


def test_two_currencies_meet_over_a_third() -> None:
    rates = [rate(), rate(quote="GBP", value="0.8402")]
    found = convert(Decimal(100), "GBP", "USD", DAY, rates)
    assert [leg.rate.quote for leg in found.legs] == ["GBP", "USD"]
    assert f"{found.amount:.6f}" == f"{100 * 1.0837 / 0.8402:.6f}"


def test_of_several_ways_the_freshest_is_taken() -> None:
    old = DAY - timedelta(days=5)
    rates = [rate(), rate(quote="GBP", value="0.84"), rate("CHF", "USD", "1.1", old), rate("CHF", "GBP", "0.9", old)]
    assert convert(Decimal(1), "GBP", "USD", DAY, rates).legs[0].rate.base == "EUR"


@pytest.mark.parametrize(
    "rates",
    [
        [],
        [rate(quote="GBP", value="0.84")],
        [rate(on=DAY + timedelta(days=1))],
        [rate(on=DAY - timedelta(days=8))],
        [rate(), rate("GBP", "CHF", "1.1")],
    ],
)
@pytest.mark.fault(77)
def test_a_missing_rate_is_an_error_and_never_1(rates: list[Rate]) -> None:
    with pytest.raises(MissingRate, match=r"no rate from USD to JPY|no rate from USD to EUR"):
        convert(Decimal(1), "USD", "JPY" if len(rates) == 2 else "EUR", DAY, rates)


def test_the_last_rate_before_a_weekend_holds_over_it_for_a_week_at_most() -> None:
    friday = date(2026, 7, 17)
    assert convert(Decimal(1), "EUR", "USD", friday + timedelta(days=7), [rate(on=friday)]).rate_date == friday
    with pytest.raises(MissingRate, match="no rate from EUR to USD is known for 2026-07-25"):
        convert(Decimal(1), "EUR", "USD", friday + timedelta(days=8), [rate(on=friday)])


def test_a_correction_given_later_counts() -> None:
    assert convert(Decimal(1), "EUR", "USD", DAY, [rate(), rate(value="1.0900")]).amount == Decimal("1.0900")


AMOUNTS = st.decimals(min_value="0.0001", max_value="100000", places=10)
RATES = st.decimals(min_value="0.0001", max_value="20000", places=6)


@given(AMOUNTS, RATES)
def test_there_and_back_is_the_same_to_the_tenth_place(amount: Decimal, value: Decimal) -> None:
    rates = [rate(value=str(value))]
    there = convert(amount, "EUR", "USD", DAY, rates)
    back = convert(there.amount, "USD", "EUR", DAY, rates)
    assert round(back.amount, 10) == amount


@given(AMOUNTS, AMOUNTS, RATES)
def test_converting_is_linear(one: Decimal, other: Decimal, value: Decimal) -> None:
    rates = [rate(value=str(value))]
    parts = convert(one, "EUR", "USD", DAY, rates).amount + convert(other, "EUR", "USD", DAY, rates).amount
    assert round(convert(one + other, "EUR", "USD", DAY, rates).amount - parts, 9) == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"base": "euro"}, "base"),
        ({"quote": "EUR"}, "quote"),
        ({"value": "0"}, "rate"),
        ({"value": "-1"}, "rate"),
        ({"value": "NaN"}, "rate"),
        ({"value": "Infinity"}, "rate"),
        ({"source": ""}, "source"),
    ],
)
def test_a_rate_that_cannot_be_is_refused_by_field(changes: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        rate(**changes)
    assert [problem.field for problem in refused.value.problems] == [field]


def test_our_own_file_is_read_line_by_line() -> None:
    lines = [
        "date,base,quote,rate,source\n",
        "2026-07-20,EUR,USD,1.0837,a bank\n",
        "\n",
        "20.7.2026,EUR,USD,1.0837,a bank\n",
        "2026-07-20,EUR,USD,1e3,a bank\n",
        "2026-07-20,EUR,USD,0,a bank\n",
        "2026-07-20,EUR,USD\n",
        "2026-07-21,EUR,GBP,0.84,a bank\n",
    ]
    found = list(read_rates(lines))
    assert [item for item in found if isinstance(item, Rate)] == [
        rate(source="a bank"),
        rate(quote="GBP", value="0.84", on=date(2026, 7, 21), source="a bank"),
    ]
    refused = [item for item in found if isinstance(item, RefusedRate)]
    assert [item.line for item in refused] == [4, 5, 6, 7]
    assert refused[0].reason == "'20.7.2026' is not a day such as 2026-07-20"
    assert refused[2].reason == "rate: 0 is not a rate above 0"


def test_a_table_of_a_central_bank_is_read_and_its_gaps_stay_gaps() -> None:
    lines = ["Date,USD,JPY,BGN,\n", "2026-07-20,1.0837,170.2,N/A,\n", "2026-07-19,1.08,,abc,\n"]
    found = list(read_rates(lines, ECB))
    assert [(item.quote, str(item.rate)) for item in found if isinstance(item, Rate)] == [
        ("USD", "1.0837"),
        ("JPY", "170.2"),
        ("USD", "1.08"),
    ]
    assert [item.reason for item in found if isinstance(item, RefusedRate)] == [
        "BGN: 'abc' is not a plain number such as 1.0837"
    ]


@pytest.mark.parametrize("header", ["", "a,b\n", "Date\n", "Date,usd\n", '"Date\n'])
def test_a_file_with_other_columns_is_refused(header: str) -> None:
    with pytest.raises(InvalidInput, match="file:"):
        list(read_rates([header]))
