"""Stored answers survive being packed and unpacked, to the last digit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from planner.store.engine import make_engine, session_factory
from planner.store.migrate import downgrade, upgrade
from planner.store.tables import EstimateRow
from tests.postgres import fresh_database

ANSWER = {"options": [{"cost": 0.1 + 0.2, "why_not": "dearer", "fit_id": None}] * 3, "form": 1}
MOMENT = "2026-01-01 00:00:00"


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database at revision 0009 with one job and two estimates of it."""
    with fresh_database(request, tmp_path, "unpacked") as url:
        upgrade(url, "0009")
        engine = make_engine(url, pooled=False)
        job = {"id": "J" * 26, "kind": "training", "name": "a job", "spec": "{}", "created_at": MOMENT}
        with engine.begin() as connection:
            _insert(connection, "jobs", job)
            for letter in "EF":
                estimate = {
                    "id": letter * 26,
                    "job_id": job["id"],
                    "created_at": MOMENT,
                    "as_of": MOMENT,
                    "known_at": MOMENT,
                    "request": "{}",
                    "summary": "{}",
                    "price_ids": "[]",
                    "fit_ids": "[]",
                    "catalogue_version": "c",
                    "code_version": "c",
                    "result": json.dumps(ANSWER),
                }
                _insert(connection, "estimates", estimate)
        engine.dispose()
        yield url


def _insert(connection: Any, table: str, row: dict[str, Any]) -> None:
    cast = "CAST(:{0} AS JSONB)" if connection.dialect.name == "postgresql" else ":{0}"
    values = [cast.format(name) if str(value)[:1] in "{[" else f":{name}" for name, value in row.items()]
    connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(values)})"), row)  # noqa: S608


def test_answers_survive_the_way_up_and_down(old_url: str) -> None:
    upgrade(old_url)
    engine = make_engine(old_url, pooled=False)
    with session_factory(engine)() as session:
        assert [row.result for row in session.query(EstimateRow)] == [ANSWER, ANSWER]
    engine.dispose()
    downgrade(old_url, "0009")
    engine = make_engine(old_url, pooled=False)
    with engine.connect() as connection:
        for found in connection.execute(text("SELECT result FROM estimates")).scalars():
            assert (json.loads(found) if isinstance(found, str) else found) == ANSWER
    engine.dispose()
