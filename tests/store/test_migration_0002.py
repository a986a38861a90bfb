"""A database with prices from before imports, assets and rates keeps every one of them, up and down again."""
# ruff: noqa: S608 - the statements are made of constants of this file

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from planner.store.engine import make_engine
from planner.store.migrate import downgrade, upgrade
from tests.postgres import fresh_database

OFFERS = "id, provider, region, zone, instance_type, kind, currency, gpu_name, num_gpus, host_included, created_at"
PRICES = "id, offer_id, amount, reason, valid_from, recorded_at, source, source_date"


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database at revision 0001 with two offers and three prices, one of an offer that was withdrawn."""
    with fresh_database(request, tmp_path, "old") as url:
        upgrade(url, "0001")
        engine = make_engine(url, pooled=False)
        with engine.begin() as connection:
            for number in (3, 7):
                values = f"{number}, 'aws', 'r', '', 'type-{number}', 'spot', 'USD', 'H100', 8000000, true"
                connection.execute(text(f"INSERT INTO offers ({OFFERS}) VALUES ({values}, '2026-01-01 00:00:00')"))
            for number, offer, amount in ((5, 3, "550400000000"), (6, 7, "NULL"), (9, 7, "9900000000")):
                reason = "withdrawn" if amount == "NULL" else ""
                moments = f"'2026-01-{number:02d} 00:00:00', '2026-02-01 00:00:00', 'a list', '2026-01-01'"
                values = f"{number}, {offer}, {amount}, '{reason}', {moments}"
                connection.execute(text(f"INSERT INTO prices ({PRICES}) VALUES ({values})"))
        engine.dispose()
        yield url


def rows(url: str, columns: str, table: str) -> list[tuple[object, ...]]:
    engine = make_engine(url, pooled=False)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY id"))]
    engine.dispose()
    return found


def test_offers_and_prices_survive_the_way_up_and_down(old_url: str) -> None:
    before = rows(old_url, OFFERS, "offers"), rows(old_url, PRICES, "prices")
    upgrade(old_url)
    assert (rows(old_url, OFFERS, "offers"), rows(old_url, PRICES, "prices")) == before
    assert rows(old_url, "upfront, interconnect, is_available", "offers") == [("", "", None)] * 2
    assert rows(old_url, "import_id", "prices") == [(None,)] * 3
    downgrade(old_url, "0001")
    assert (rows(old_url, OFFERS, "offers"), rows(old_url, PRICES, "prices")) == before


def test_a_price_of_no_offer_is_still_refused_afterwards(old_url: str) -> None:
    upgrade(old_url)
    engine = make_engine(old_url, pooled=False)
    values = "77, 4, 1, '', '2026-01-01 00:00:00', '2026-01-01 00:00:00', 'x', '2026-01-01'"
    with pytest.raises(Exception, match=r"(?i)foreign key"), engine.begin() as connection:
        connection.execute(text(f"INSERT INTO prices ({PRICES}) VALUES ({values})"))
    engine.dispose()
