"""Migrations go up and down on both databases and end where the tables say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from planner.errors import DatabaseOutOfDate
from planner.store.engine import Engine, check_schema, make_engine
from planner.store.migrate import current, downgrade, upgrade
from planner.store.revision import head_revision
from planner.store.tables import Base
from tests.postgres import database_url, run_sql


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite3'}"
        return
    server = request.getfixturevalue("postgres")
    run_sql(server, "CREATE DATABASE empty")
    yield database_url(server, "empty")
    run_sql(server, "DROP DATABASE empty WITH (FORCE)")


def test_up_down_and_up_again(empty_url: str) -> None:
    assert current(empty_url) is None
    upgrade(empty_url)
    assert current(empty_url) == head_revision()
    downgrade(empty_url, "base")
    engine = make_engine(empty_url, pooled=False)
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()
    upgrade(empty_url)
    assert current(empty_url) == head_revision()


def test_the_migrated_schema_is_the_one_of_the_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_constraint_has_a_name(engine: Engine) -> None:
    found = inspect(engine)
    for table in set(found.get_table_names()) - {"alembic_version"}:
        constraints = [
            found.get_pk_constraint(table),
            *found.get_foreign_keys(table),
            *found.get_unique_constraints(table),
            *found.get_check_constraints(table),
        ]
        assert all(constraint["name"] for constraint in constraints), table


def test_two_processes_may_migrate_at_once(empty_url: str) -> None:
    command = [sys.executable, "-c", f"from planner.store.migrate import upgrade; upgrade({empty_url!r})"]
    both = [subprocess.Popen(command), subprocess.Popen(command)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert current(empty_url) == head_revision()


def test_another_revision_is_refused_by_name(engine: Engine) -> None:
    check_schema(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseOutOfDate, match=rf"9999.*{head_revision()}.*planner db upgrade"):
        check_schema(engine)
