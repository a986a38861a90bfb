"""Engines: which addresses work, how SQLite's writers wait for each other, what readers may do, whose clock counts."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from planner.errors import InvalidInput, Unavailable
from planner.store.engine import (
    Engine,
    Session,
    check_schema,
    database_now,
    make_engine,
    normal_url,
    reader_factory,
    session_factory,
)
from planner.store.tables import JobRow, LeaseRow, RunTransitionRow


def job(name: str, now: datetime) -> JobRow:
    return JobRow(id=name.rjust(26, "0"), kind="training", name=name, spec={}, created_at=now)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgresql+psycopg2", "postgres"])
def test_every_way_to_write_a_postgresql_address_works(postgres_url: str, scheme: str) -> None:
    engine = make_engine(postgres_url.replace("postgresql:", f"{scheme}:"))
    check_schema(engine)
    assert engine.driver == "psycopg"
    engine.dispose()


@pytest.mark.parametrize("folder", ["a b", "50% off", "ünï#1"])
def test_an_sqlite_file_may_lie_in_a_folder_of_any_name_that_is_made_for_it(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "planner.sqlite3"
    engine = make_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER)"))
    engine.dispose()
    assert path.is_file()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("mysql://localhost/planner", "'mysql' is not supported"),
        ("planner.sqlite3", "cannot be read"),
        ("postgresql://host:port/planner", "cannot be read"),
        ("sqlite://", "a database in memory is lost at once"),
        ("sqlite:///:memory:", "a database in memory is lost at once"),
    ],
)
def test_an_address_that_cannot_work_is_refused_by_the_settings_name(url: str, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=f"PLANNER_DATABASE_URL: .*{complaint}"):
        normal_url(url)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(Unavailable, match=r"file/deeper cannot be made: Not a directory"):
        make_engine(f"sqlite:///{tmp_path / 'file' / 'deeper' / 'planner.sqlite3'}")


def test_sqlite_keeps_a_log_foreign_keys_and_patience(sqlite_engine: Engine) -> None:
    with sqlite_engine.connect() as connection:
        names = ("journal_mode", "foreign_keys", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert found == ["wal", 1, 30_000]


def test_a_row_that_refers_to_nothing_is_refused(session: Session, now: datetime) -> None:
    session.add(RunTransitionRow(run_id="nowhere", at=now, state="queued", actor="a test"))
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        session.flush()


def test_a_session_that_fails_leaves_nothing(engine: Engine, now: datetime) -> None:
    def fail() -> None:
        with session_factory(engine).begin() as session:
            session.add(job("lost", now))
            session.flush()
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail()
    with session_factory(engine)() as session:
        assert session.scalars(select(JobRow)).all() == []


def test_what_was_committed_stays_readable_without_the_session(engine: Engine, now: datetime) -> None:
    with session_factory(engine).begin() as session:
        row = job("kept", now)
        session.add(row)
    assert (row.name, row.created_at) == ("kept", now)


def test_writers_that_read_first_wait_for_each_other_and_lose_no_update(engine: Engine, now: datetime) -> None:
    """Read, add one, write: with a deferred BEGIN one of two would be refused on SQLite, and a step would be lost."""
    with session_factory(engine).begin() as session:
        session.add(LeaseRow(name="counter", fence=0, expires_at=now))

    def count_up() -> None:
        for _ in range(10):
            with session_factory(engine).begin() as session:
                row = session.scalars(select(LeaseRow).with_for_update()).one()
                row.fence += 1

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with session_factory(engine)() as session:
        assert session.scalars(select(LeaseRow.fence)).one() == 40


def test_a_reader_does_not_wait_for_a_writer_and_sees_what_was_committed(engine: Engine, now: datetime) -> None:
    with session_factory(engine)() as writer:
        writer.add(job("first", now))
        writer.commit()
        writer.add(job("second", now))
        writer.flush()
        with reader_factory(engine)() as reader:
            assert reader.scalars(select(JobRow.name)).all() == ["first"]
        writer.commit()
    with reader_factory(engine)() as reader:
        assert sorted(reader.scalars(select(JobRow.name))) == ["first", "second"]


def test_a_reader_cannot_write_and_the_next_writer_on_its_connection_can(engine: Engine, now: datetime) -> None:
    with reader_factory(engine)() as reader:
        reader.add(job("smuggled", now))
        with pytest.raises(DBAPIError, match=r"(?i)read-?only"):
            reader.flush()
    with session_factory(engine).begin() as writer:
        writer.add(job("allowed", now))
    with reader_factory(engine)() as reader:
        assert reader.scalars(select(JobRow.name)).all() == ["allowed"]


def test_the_databases_clock_is_aware_and_goes_on_within_a_transaction(session: Session) -> None:
    first = database_now(session)
    second = database_now(session)
    assert first.tzinfo is UTC
    assert first <= second
    assert abs(datetime.now(UTC) - first) < timedelta(minutes=1)


def test_a_killed_writer_leaves_the_database_open_to_others(sqlite_url: str, sqlite_engine: Engine) -> None:
    """The process dies by SIGKILL inside its transaction: nothing of it is there, and nobody waits for it."""
    script = """
import os, signal, sys
from sqlalchemy import text
from planner.store.engine import make_engine
with make_engine(sys.argv[1]).begin() as connection:
    connection.execute(text("INSERT INTO leases (name, fence, expires_at) VALUES ('half', 1, '2026-11-21')"))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    died = subprocess.run([sys.executable, "-c", script, sqlite_url], check=False, capture_output=True)
    assert died.returncode == -9, died.stderr
    with session_factory(sqlite_engine).begin() as session:
        assert session.scalars(select(LeaseRow)).all() == []


def test_a_connection_that_the_server_dropped_is_replaced_unseen(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with engine.connect() as connection:
        process: Any = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    other = make_engine(postgres_url, pooled=False)
    with other.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:process, 5000)"), {"process": process})
    check_schema(engine)
    engine.dispose()
    other.dispose()
