"""Migrations go up and down on both databases, also twice at once, and end where the tables say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Inspector, inspect, text

from planner.errors import DatabaseOutOfDate, Unavailable
from planner.store.engine import Engine, check_schema, make_engine
from planner.store.migrate import current, downgrade, upgrade
from planner.store.revision import MIGRATIONS, head_revision, known_revisions
from planner.store.tables import Base
from tests.postgres import fresh_database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh_database(request, tmp_path, "empty") as url:
        yield url


@pytest.fixture
def empty_engine(empty_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_url)
    yield engine
    engine.dispose()


def test_up_down_and_up_again(empty_url: str, empty_engine: Engine) -> None:
    assert current(empty_url) is None
    upgrade(empty_url)
    assert current(empty_url) == head_revision()
    downgrade(empty_url, "base")
    assert set(inspect(empty_engine).get_table_names()) <= {"alembic_version"}
    upgrade(empty_url)
    assert current(empty_url) == head_revision()


def test_each_step_goes_up_and_down(empty_url: str) -> None:
    for revision in sorted(known_revisions()):
        upgrade(empty_url, revision)
        downgrade(empty_url, "-1")
        upgrade(empty_url, revision)
        assert current(empty_url) == revision


def test_alembic_finds_nothing_left_to_migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrated_schema_is_the_one_that_the_tables_make(empty_url: str, empty_engine: Engine) -> None:
    """Alembic's comparison leaves out checks, defaults and names: here both schemas are read back and compared."""
    upgrade(empty_url)
    migrated = schema(inspect(empty_engine))
    downgrade(empty_url, "base")
    Base.metadata.create_all(empty_engine)
    assert schema(inspect(empty_engine)) == migrated


def schema(found: Inspector) -> dict[str, list[str]]:
    """By table, a line for each column, key, constraint and index."""
    return {
        table: sorted(
            str(sorted((name, str(value)) for name, value in part.items()))
            for part in [
                *found.get_columns(table),
                *found.get_check_constraints(table),
                *found.get_foreign_keys(table),
                *found.get_unique_constraints(table),
                *found.get_indexes(table),
                found.get_pk_constraint(table),
            ]
        )
        for table in sorted(set(found.get_table_names()) - {"alembic_version"})
    }


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


def test_migrations_are_numbered_without_a_gap() -> None:
    names = sorted(path.name for path in (MIGRATIONS / "versions").glob("*.py"))
    assert [name[:4] for name in names] == [f"{number:04d}" for number in range(1, len(names) + 1)]
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert known_revisions() == {script.revision for script in scripts.walk_revisions()} == {name[:4] for name in names}
    assert head_revision() == scripts.get_current_head()
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.py", name) for name in names)


def test_two_processes_may_migrate_at_once(empty_url: str) -> None:
    script = "import sys; from planner.store.migrate import upgrade; sys.stdin.read(); upgrade(sys.argv[1])"
    processes = [
        subprocess.Popen([sys.executable, "-c", script, empty_url], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in processes:  # all have started: now they may begin together
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    answers = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    assert current(empty_url) == head_revision()


def test_an_empty_database_is_refused_by_name(empty_engine: Engine) -> None:
    with pytest.raises(DatabaseOutOfDate, match=rf"revision none.*needs {head_revision()}.*planner db upgrade"):
        check_schema(empty_engine)


def test_an_older_schema_is_refused_by_name(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.store.engine.head_revision", lambda: "0099")
    with pytest.raises(DatabaseOutOfDate, match=rf"revision {head_revision()}.*needs 0099.*planner db upgrade"):
        check_schema(engine)


def test_a_schema_of_newer_code_is_refused_and_left_alone(engine: Engine, any_url: str) -> None:
    check_schema(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseOutOfDate, match=rf"9999.*at {head_revision()}.*newer planner made it"):
        check_schema(engine)
    with pytest.raises(DatabaseOutOfDate, match=r"9999.*newer planner made it"):
        upgrade(any_url)
    assert current(any_url) == "9999"


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str, empty_engine: Engine) -> None:
    with empty_engine.begin() as connection:
        connection.execute(text("CREATE TABLE telemetry (id INTEGER)"))
    with pytest.raises(Exception, match="telemetry"):
        upgrade(empty_url)
    assert set(inspect(empty_engine).get_table_names()) == {"telemetry"}
    assert current(empty_url) is None


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and long enough to be read as a header.\n" * 20, encoding="utf-8")
    with pytest.raises(Unavailable, match=r"notes\.txt cannot be used: file is not a database"):
        upgrade(f"sqlite:///{path}")
    assert path.read_text(encoding="utf-8").startswith("These are notes")


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"postgresql\+psycopg://planner:\*\*\*@/planner") as refusal:
        upgrade(f"postgresql://planner:secret@/planner?host={tmp_path}")
    assert "secret" not in str(refusal.value)
