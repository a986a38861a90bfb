"""Amounts come back exact and sortable, times aware and in UTC, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select, text
from sqlalchemy.exc import StatementError

from planner.store.engine import Engine
from planner.store.types import Json, PackedJson, ScaledDecimal, UtcDateTime

LARGEST = Decimal(2**63 - 1).scaleb(-10)
THINGS = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("amount", ScaledDecimal(10)),
    Column("moment", UtcDateTime),
    Column("document", Json),
    Column("packed", PackedJson),
)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as found:
        THINGS.create(found)
        yield found


def kept(connection: Connection, column: str, value: Any) -> Any:
    connection.execute(insert(THINGS), {column: value})
    return connection.execute(select(THINGS.c[column]).order_by(THINGS.c.id.desc())).scalars().first()


@pytest.mark.parametrize("amount", ["12.7948475088", "0.0000000001", "0", "-3.5", str(LARGEST), str(-LARGEST)])
def test_an_amount_comes_back_as_it_was(connection: Connection, amount: str) -> None:
    found = kept(connection, "amount", Decimal(amount))
    assert isinstance(found, Decimal)
    assert found == Decimal(amount)


def test_amounts_sort_and_compare_by_value_in_the_database(connection: Connection) -> None:
    for amount in ("10", "9.5", "0.1", "100"):
        kept(connection, "amount", Decimal(amount))
    found = connection.scalars(
        select(THINGS.c.amount).where(THINGS.c.amount > Decimal("0.5")).order_by(THINGS.c.amount)
    )
    assert list(found) == [Decimal("9.5"), Decimal("10"), Decimal("100")]


@pytest.mark.parametrize(("amount", "rounded"), [("0.00000000005", "0"), ("0.00000000015", "0.0000000002")])
def test_an_amount_finer_than_the_column_is_rounded_half_even(
    connection: Connection, amount: str, rounded: str
) -> None:
    assert kept(connection, "amount", Decimal(amount)) == Decimal(rounded)


@pytest.mark.parametrize(
    "amount", [Decimal("NaN"), Decimal("Infinity"), LARGEST + 1, Decimal("1e400"), 1.5, 2, "3"], ids=str
)
def test_what_is_no_exact_amount_is_refused(connection: Connection, amount: object) -> None:
    with pytest.raises(StatementError, match=r"finite Decimal|too large"):
        kept(connection, "amount", amount)


@given(st.decimals(min_value=-LARGEST, max_value=LARGEST, places=10))
def test_every_amount_that_fits_survives_the_way_there_and_back(amount: Decimal) -> None:
    column = ScaledDecimal(10)
    dialect: Any = None
    assert column.process_result_value(column.process_bind_param(amount, dialect), dialect) == amount


def test_a_time_comes_back_aware_and_in_utc(connection: Connection) -> None:
    written = datetime(2026, 11, 21, 14, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    found = kept(connection, "moment", written)
    assert found == written
    assert found.tzinfo is UTC
    assert found.hour == 9


def test_times_of_different_zones_sort_by_the_moment(connection: Connection) -> None:
    early = datetime(2026, 11, 21, 10, 0, tzinfo=timezone(timedelta(hours=9)))
    late = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
    kept(connection, "moment", late)
    kept(connection, "moment", early)
    assert list(connection.scalars(select(THINGS.c.moment).order_by(THINGS.c.moment))) == [early, late]


def test_a_time_without_a_zone_is_refused(connection: Connection) -> None:
    with pytest.raises(StatementError, match="has no zone"):
        kept(connection, "moment", datetime(2026, 11, 21, 9, 0))  # noqa: DTZ001


def test_nothing_stays_nothing(connection: Connection) -> None:
    connection.execute(insert(THINGS), {"id": 1})
    assert connection.execute(select(THINGS.c.amount, THINGS.c.moment)).one() == (None, None)


def test_a_document_comes_back_and_postgresql_can_look_into_it(connection: Connection) -> None:
    assert kept(connection, "document", {"a": [1, None, "ü"]}) == {"a": [1, None, "ü"]}
    if connection.dialect.name == "postgresql":
        kind = connection.execute(text("SELECT pg_typeof(document)::text FROM things")).scalar_one()
        assert kind == "jsonb"


def test_a_packed_document_comes_back_and_takes_little(connection: Connection) -> None:
    document = {"options": [{"cost": 1.0 / 3, "why": "dearer", "price": None, "where": "Zürich"}] * 500}
    assert kept(connection, "packed", document) == document
    assert kept(connection, "packed", None) is None
    size = connection.execute(text("SELECT max(length(packed)) FROM things")).scalar_one()
    assert size < 1000


def test_a_packed_document_holds_no_number_that_is_none(connection: Connection) -> None:
    with pytest.raises(StatementError):
        kept(connection, "packed", {"cost": float("nan")})
