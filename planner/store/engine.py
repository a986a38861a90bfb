"""Engines and sessions for SQLite and PostgreSQL, the database's clock, and the check that the schema is ours."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.exc import DBAPIError as DatabaseError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from planner.errors import DatabaseOutOfDate, InvalidInput, Unavailable
from planner.store.revision import current_revision, head_revision

BUSY_SECONDS = 30.0

__all__ = [
    "DatabaseError",
    "Engine",
    "Session",
    "Sessions",
    "check_schema",
    "database_now",
    "make_engine",
    "normal_url",
    "reader_factory",
    "session_factory",
]


def normal_url(url: str) -> URL:
    """The URL with the driver we use: psycopg 3 for a bare `postgresql://`. Raises InvalidInput for other databases."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InvalidInput.of("PLANNER_DATABASE_URL", f"cannot be read: {error}") from None
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(drivername="sqlite")
    raise InvalidInput.of(
        "PLANNER_DATABASE_URL", f"{parsed.drivername!r} is not supported; give sqlite:///PATH or postgresql://…"
    )


def make_engine(url: str, *, pooled: bool = True) -> Engine:
    """An engine: SQLite with WAL, foreign keys and queueing writers; PostgreSQL with connections checked before use."""
    parsed = normal_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
        _prepare_sqlite(engine)
        return engine
    options: dict[str, Any] = {"pool_pre_ping": True} if pooled else {"poolclass": NullPool}
    return create_engine(parsed, connect_args={"connect_timeout": 10}, **options)


Sessions = sessionmaker[Session]


def session_factory(engine: Engine) -> Sessions:
    """Sessions whose objects stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


def reader_factory(engine: Engine) -> Sessions:
    """Sessions that only read: on SQLite they never wait for a writer, on PostgreSQL the server refuses writes."""
    return session_factory(engine.execution_options(readonly=True, postgresql_readonly=True))


def database_now(session: Session) -> datetime:
    """This moment on the database's own clock: the only clock that leases are compared on."""
    if session.get_bind().dialect.name == "sqlite":
        stamp = session.execute(text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")).scalar_one()
        return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    moment: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment.astimezone(UTC)


def check_schema(engine: Engine) -> None:
    """Raise DatabaseOutOfDate, naming both revisions, unless the schema is the one this code was written for."""
    wanted = head_revision()
    try:
        with engine.connect() as connection:
            found = current_revision(connection)
    except OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {error.orig}") from error
    if found != wanted:
        raise DatabaseOutOfDate(
            f"the database is at revision {found or 'none'}, this code needs {wanted}; run: planner db upgrade"
        )


def _prepare_sqlite(engine: Engine) -> None:
    """Take transactions into our own hands, so that a writer locks at BEGIN and never deadlocks on an upgrade."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_SECONDS * 1000:.0f}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql("BEGIN" if options.get("readonly") else "BEGIN IMMEDIATE")
