"""Engines and sessions for SQLite and PostgreSQL, the database's clock, and the check that the schema is ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.exc import DBAPIError as DatabaseError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from planner.errors import DatabaseOutOfDate, InvalidInput, Unavailable
from planner.store.again import in_transaction, is_clash
from planner.store.revision import current_revision, head_revision, known_revisions

if TYPE_CHECKING:
    from planner.store.patient import PatientConnection

BUSY_SECONDS = 30.0
POOL_SECONDS = 10.0
CONNECT_SECONDS = 10

__all__ = [
    "DatabaseError",
    "Engine",
    "OperationalError",
    "PoolExhausted",
    "Session",
    "Sessions",
    "check_schema",
    "database_now",
    "engine_of",
    "in_transaction",
    "is_clash",
    "make_engine",
    "normal_url",
    "reaching",
    "reader_factory",
    "readers_of",
    "refuse_newer",
    "session_factory",
]


def normal_url(url: str) -> URL:
    """The URL with the driver we use: psycopg 3 for a bare `postgresql://`. Raises InvalidInput for other databases."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InvalidInput.of("PLANNER_DATABASE_URL", f"cannot be read: {error}") from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise InvalidInput.of(
            "PLANNER_DATABASE_URL", f"{parsed.drivername!r} is not supported; give sqlite:///PATH or postgresql://…"
        )
    if parsed.database in (None, "", ":memory:"):
        raise InvalidInput.of("PLANNER_DATABASE_URL", "a database in memory is lost at once; give sqlite:///PATH")
    return parsed.set(drivername="sqlite")


def make_engine(
    url: str, *, pooled: bool = True, answer_seconds: float | None = None, num_connections: int | None = None
) -> Engine:
    """An engine: SQLite with WAL, foreign keys and queueing writers; PostgreSQL with connections checked before use.

    A PostgreSQL that says nothing for `answer_seconds` (None: as long as usual) raises OperationalError.
    `num_connections` None takes the usual pool; who asks for more than there are waits for POOL_SECONDS and then gets
    Unavailable's cause, a TimeoutError.
    """
    parsed = normal_url(url)
    pool: dict[str, Any] = {"pool_timeout": POOL_SECONDS} if pooled else {"poolclass": NullPool}
    if num_connections is not None:
        pool |= {"pool_size": num_connections, "max_overflow": 0}
    if parsed.get_backend_name() == "postgresql":
        from planner.store.patient import ANSWER_SECONDS, KEEPALIVES, patient  # psycopg: SQLite does without

        arguments = {"connect_timeout": CONNECT_SECONDS, **KEEPALIVES}
        engine = create_engine(parsed, connect_args=arguments, pool_pre_ping=pooled, **pool)
        _make_patient(engine, patient(answer_seconds or ANSWER_SECONDS))
        return engine
    _make_folder(Path(str(parsed.database)).parent)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}, **pool)
    _prepare_sqlite(engine)
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"the database's folder {folder} cannot be made: {error.strerror}") from None


Sessions = sessionmaker[Session]


def session_factory(engine: Engine) -> Sessions:
    """Sessions whose objects stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


def reader_factory(engine: Engine) -> Sessions:
    """Sessions that only read: they never wait for a writer, and the database refuses their writes."""
    return session_factory(engine.execution_options(readonly=True, postgresql_readonly=True))


def readers_of(sessions: Sessions) -> Sessions:
    """Sessions of the same database that only read."""
    return reader_factory(engine_of(sessions))


def engine_of(sessions: Sessions) -> Engine:
    """The engine that these sessions were made for."""
    engine = sessions.kw["bind"]
    if not isinstance(engine, Engine):
        raise ValueError("these sessions belong to no engine")
    return engine


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
    with reaching(engine.url), engine.execution_options(readonly=True).connect() as connection:
        refuse_newer(connection)
        found = current_revision(connection)
    if found != wanted:
        raise DatabaseOutOfDate(
            f"the database is at revision {found or 'none'}, this code needs {wanted}; run: planner db upgrade"
        )


def refuse_newer(connection: Connection) -> None:
    """Raise DatabaseOutOfDate for a schema that this code knows nothing of and so cannot bring anywhere."""
    found = current_revision(connection)
    if found is not None and found not in known_revisions():
        raise DatabaseOutOfDate(
            f"the database is at revision {found}, which this code (at {head_revision()}) does not know: a newer "
            "planner made it; update this one, or name another database with PLANNER_DATABASE_URL"
        )


@contextmanager
def reaching(url: URL) -> Iterator[None]:
    """Turns what keeps a database from answering into Unavailable, with the address but not its password."""
    try:
        yield
    except DatabaseError as error:
        is_unreachable = isinstance(error, OperationalError) or "file is not a database" in str(error.orig)
        if not is_unreachable:
            raise
        raise Unavailable(f"the database {url.render_as_string()} cannot be used: {error.orig}") from error


def _make_patient(engine: Engine, kind: type[PatientConnection]) -> None:
    @event.listens_for(engine, "do_connect")
    def do_connect(_dialect: Any, _record: Any, arguments: Any, named: Any) -> Any:
        return kind.connect(*arguments, **named)


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
        is_reader = bool(connection.get_execution_options().get("readonly"))
        connection.exec_driver_sql(f"PRAGMA query_only={is_reader:d}")
        connection.exec_driver_sql("BEGIN" if is_reader else "BEGIN IMMEDIATE")
