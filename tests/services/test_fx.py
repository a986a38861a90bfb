"""Exchange rates are appended with their source, read as they were known, and never assumed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from planner.errors import Conflict, InvalidInput
from planner.offers.currency import MissingRate
from planner.services.documents import document
from planner.services.fx import (
    convert_amount,
    converter,
    import_rates,
    known_currencies,
    list_rates,
    rates_on,
    record_rates,
)
from planner.services.held_rates import approve_rates, list_held_rates, num_waiting_rates, refuse_rates
from planner.services.requests import parse
from planner.services.requests.fx import RateQuery, RateRequest
from planner.store.engine import Session, make_engine, session_factory
from planner.store.tables import FxRateRow

DAY = date(2026, 11, 20)
HOUR = timedelta(hours=1)
HEADER = "date,base,quote,rate,source\n"


def rate(**changes: Any) -> RateRequest:
    base = {"base": "EUR", "quote": "USD", "rate": "1.0837", "rate_date": "2026-11-20", "source": "a bank"}
    return parse(RateRequest, base | changes)


def test_a_rate_comes_back_to_the_last_digit(session: Session, now: datetime) -> None:
    record_rates(session, [rate(base="IDR", rate="0.000062137519")], now)
    (found,) = list_rates(session, RateQuery())
    assert (found.rate.rate, found.rate.rate_date, found.rate.source) == (Decimal("0.000062137519"), DAY, "a bank")
    assert known_currencies(session) == ["IDR", "USD"]


def test_a_conversion_in_a_document_is_all_decimal_strings(session: Session, now: datetime) -> None:
    record_rates(session, [rate()], now)
    found = convert_amount(session, Decimal("2.49"), "EUR", "USD", DAY, now)
    shown = document(found)
    assert (shown["original"], shown["amount"]) == ("2.49", "2.698413")
    assert shown["legs"][0]["rate"] == {
        "base": "EUR",
        "quote": "USD",
        "rate": "1.0837",
        "rate_date": "2026-11-20",
        "source": "a bank",
    }


@pytest.mark.fault(77)
def test_a_missing_rate_is_an_error_and_never_1(session: Session, now: datetime) -> None:
    record_rates(session, [rate()], now)
    with pytest.raises(MissingRate, match="no rate from GBP to USD is known for 2026-11-20"):
        convert_amount(session, Decimal(1), "GBP", "USD", DAY, now)
    with pytest.raises(MissingRate):
        convert_amount(session, Decimal(1), "EUR", "USD", DAY - timedelta(days=1), now)


def test_repeating_adds_nothing_and_a_correction_leaves_what_was_known(session: Session, now: datetime) -> None:
    first = record_rates(session, [rate()], now)
    again = record_rates(session, [rate(rate="1.08370")], now + timedelta(hours=1))
    assert (first.num_added, again.num_added, again.num_known) == (1, 0, 1)
    corrected = record_rates(session, [rate(rate="1.09")], now)  # a clock that did not move
    assert corrected.num_added == 1
    assert convert_amount(session, Decimal(1), "EUR", "USD", DAY, first.recorded_at).amount == Decimal("1.0837")
    assert convert_amount(session, Decimal(1), "EUR", "USD", DAY, corrected.recorded_at).amount == Decimal("1.09")


def test_a_file_of_rates_is_taken_but_for_the_lines_that_cannot_be_used(session: Session, now: datetime) -> None:
    lines = [HEADER, "2026-11-20,EUR,USD,1.0837,a bank\n", "2026-11-20,EUR,EUR,1,a bank\n", "2036-01-01,EUR,USD,1,x\n"]
    found = import_rates(session, lines, now)
    assert (found.num_added, found.num_refused) == (1, 2)
    assert "EUR is the base itself" in found.refused[0].reason
    assert "lies in the future" in found.refused[1].reason
    assert import_rates(session, lines[:2], now + timedelta(days=1)).num_known == 1


def test_a_file_without_a_usable_line_stores_nothing(session: Session, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="no line can be used; line 2: "):
        import_rates(session, [HEADER, "2026-11-20,EUR,USD,zero,a bank\n"], now)


def test_a_table_of_a_central_bank_needs_its_source_named(session: Session, now: datetime) -> None:
    lines = ["Date,USD,GBP\n", "2026-11-20,1.0837,0.84\n"]
    with pytest.raises(InvalidInput, match="source: is needed"):
        import_rates(session, lines, now)
    assert import_rates(session, lines, now, "a central bank").num_added == 2


def test_many_amounts_are_converted_with_the_rates_read_once(session: Session, now: datetime) -> None:
    record_rates(session, [rate(), rate(quote="GBP", rate="0.84")], now)
    into_dollars = converter(session, "USD", DAY, now)
    assert into_dollars(Decimal(2), "EUR").amount == Decimal("2.1674")
    assert into_dollars(Decimal(2), "USD").amount == 2
    assert f"{into_dollars(Decimal('0.84'), 'GBP').amount:.10f}" == "1.0837000000"
    with pytest.raises(MissingRate):
        into_dollars(Decimal(1), "JPY")


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"rate": "0"}, "rate"), ({"rate": "1e9"}, "rate"), ({"base": "eur"}, "base"), ({"source": ""}, "source")],
)
def test_a_rate_that_cannot_be_is_refused_by_field(changes: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        rate(**changes)
    assert [problem.field for problem in refused.value.problems] == [field]


def test_rates_are_listed_page_by_page(session: Session, now: datetime) -> None:
    days = [(DAY - timedelta(days=number)).isoformat() for number in range(5)]
    record_rates(session, [rate(rate_date=day) for day in days], now)
    first = list_rates(session, RateQuery(limit=3))
    second = list_rates(session, RateQuery(limit=3, after=first[-1].id))
    assert len(first) == 3
    assert len({view.id for view in first + second}) == 5
    assert list_rates(session, RateQuery(base="USD")) == []


def test_ten_uploads_of_one_file_at_once_store_each_rate_once(any_url: str, now: datetime) -> None:
    def bring_in(_: int) -> int:
        engine = make_engine(any_url, pooled=False)
        try:
            with session_factory(engine).begin() as session:
                return record_rates(session, [rate(), rate(quote="GBP", rate="0.84")], now).num_added
        finally:
            engine.dispose()

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(bring_in, range(10))) == [0] * 9 + [2]
    engine = make_engine(any_url, pooled=False)
    with session_factory(engine)() as session:
        assert session.scalar(select(func.count()).select_from(FxRateRow)) == 2
    engine.dispose()


def jump(value: str, day: str) -> RateRequest:
    return rate(rate=value, rate_date=day)


def test_a_jump_of_more_than_a_fifth_waits_and_is_not_converted_at(session: Session, now: datetime) -> None:
    record_rates(session, [jump("1.08", "2026-11-18")], now)
    found = record_rates(session, [jump("108.4", "2026-11-19"), jump("1.09", "2026-11-20")], now)
    assert (found.num_added, found.num_held) == (1, 1)
    assert convert_amount(session, Decimal(1), "EUR", "USD", date(2026, 11, 19), now + HOUR).amount == Decimal("1.08")
    (held,) = list_held_rates(session, waiting=True)
    assert (held.rate.rate, held.compared_with, held.change) == (Decimal("108.4"), Decimal("1.08"), "+9937 %")
    assert (held.compared_date, held.decision) == (date(2026, 11, 18), None)


def test_a_rate_that_waits_is_held_once_however_often_it_comes(session: Session, now: datetime) -> None:
    record_rates(session, [jump("1.08", "2026-11-18")], now)
    for hours in range(3):
        found = record_rates(session, [jump("2.00", "2026-11-19")], now + hours * HOUR)
        assert (found.num_added, found.num_held) == (0, 1)
    assert num_waiting_rates(session) == 1


def test_an_approved_rate_counts_from_then_on_and_not_before(session: Session, now: datetime) -> None:
    record_rates(session, [jump("1.08", "2026-11-18")], now)
    record_rates(session, [jump("2.00", "2026-11-19")], now)
    (held,) = list_held_rates(session)
    assert approve_rates(session, now + HOUR, [held.id], "Ada") == 1
    day = date(2026, 11, 19)
    assert convert_amount(session, Decimal(1), "EUR", "USD", day, now).amount == Decimal("1.08")
    assert convert_amount(session, Decimal(1), "EUR", "USD", day, now + 2 * HOUR).amount == 2
    (decided,) = list_held_rates(session)
    assert (decided.decision, decided.decided_by, decided.decided_at) == ("approved", "Ada", now + HOUR)
    assert record_rates(session, [jump("2.00", "2026-11-19")], now + 2 * HOUR).num_known == 1
    assert record_rates(session, [jump("2.01", "2026-11-20")], now + 2 * HOUR).num_added == 1
    with pytest.raises(Conflict, match="waits for a decision"):
        approve_rates(session, now, [held.id], "Ada")


def test_a_refused_rate_is_refused_from_then_on(session: Session, now: datetime) -> None:
    record_rates(session, [jump("1.08", "2026-11-18")], now)
    record_rates(session, [jump("2.00", "2026-11-19")], now)
    assert refuse_rates(session, now, None, "Ada") == 1
    assert num_waiting_rates(session) == 0
    with pytest.raises(InvalidInput, match="2 was refused on 2026-11-21"):
        record_rates(session, [jump("2.00", "2026-11-19")], now + HOUR)
    assert record_rates(session, [jump("2.10", "2026-11-19")], now + HOUR).num_held == 1


def test_large_changes_pass_where_a_person_says_so(session: Session, now: datetime) -> None:
    record_rates(session, [jump("1.08", "2026-11-18")], now)
    found = record_rates(session, [jump("2.00", "2026-11-19")], now, allow_large_changes=True)
    assert (found.num_added, found.num_held) == (1, 0)


def test_the_rates_of_a_day_are_the_last_ones_of_each_pair_of_a_week(session: Session, now: datetime) -> None:
    days = [jump("1.08", "2026-11-10"), jump("1.09", "2026-11-18"), jump("1.10", "2026-11-20")]
    record_rates(session, [*days, rate(quote="JPY", rate="165", rate_date="2026-11-19")], now)
    assert [(each.quote, each.rate) for each in rates_on(session, date(2026, 11, 19), now)] == [
        ("JPY", Decimal(165)),
        ("USD", Decimal("1.09")),
    ]
    assert rates_on(session, date(2026, 11, 9), now) == []
