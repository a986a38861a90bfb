"""A copy of the price tables to try an import on, for SQLite, where whoever writes holds up every other writer.

The copy takes no lock that a writer would wait for. What an import adds to it is afterwards appended to the database
itself as rows, in one short transaction, if nothing of the price tables was written in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from planner.store.engine import Session, Sessions, engine_of, make_engine, session_factory

__all__ = ["Added", "Copy", "Session", "copied", "is_needed"]

_TABLES = ("offers", "prices", "price_imports", "price_import_rows", "gpu_aliases")
_APPENDED = ("offers", "price_imports", "prices", "price_import_rows")  # in the order in which they refer to each other
_CHUNK = 5_000
# what tells whether anybody wrote: rows are only added, save that offers are described anew and held rows decided
_FINGERPRINT = (
    "SELECT (SELECT max(id) FROM {0}offers), (SELECT max(id) FROM {0}prices), (SELECT count(*) FROM {0}price_imports),"
    " (SELECT max(id) FROM {0}price_import_rows), (SELECT max(id) FROM {0}gpu_aliases),"
    " (SELECT count(*) FROM {0}price_import_rows WHERE decision IS NOT NULL),"
    " (SELECT total(num_gpus) FROM {0}offers), (SELECT count(gpu_key) FROM {0}offers),"
    " (SELECT total(vcpus) + total(memory_bytes) FROM {0}offers), (SELECT total(is_available) FROM {0}offers)"
)


@dataclass(frozen=True, slots=True)
class Added:
    """What an import added to the copy: whole rows by table, and known offers that it described anew."""

    file: str
    fingerprint: tuple[Any, ...]
    columns: dict[str, tuple[str, ...]]
    described: Sequence[tuple[Any, ...]]

    def take_over(self, session: Session, import_id: str) -> bool:
        """Append it all in the session's transaction; False, and nothing done, where the tables were written since."""
        connection = session.connection()
        if tuple(connection.exec_driver_sql(_FINGERPRINT.format("")).one()) != self.fingerprint:
            return False
        if self.described:
            names = self.columns["offers"]
            settings = ", ".join(f"{name} = ?" for name in names if name != "id")
            place = names.index("id")
            rows = [(*row[:place], *row[place + 1 :], row[place]) for row in self.described]
            connection.exec_driver_sql(f"UPDATE offers SET {settings} WHERE id = ?", rows)  # noqa: S608 - our columns
        with closing(sqlite3.connect(self.file)) as copy:
            for table in _APPENDED:
                for rows in self._new_rows(copy, table, import_id):
                    names = self.columns[table]
                    places = ", ".join("?" for _ in names)
                    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608 - our columns
                    connection.exec_driver_sql(statement, rows)
        return True

    def _new_rows(self, copy: sqlite3.Connection, table: str, import_id: str) -> Iterator[list[tuple[Any, ...]]]:
        names = ", ".join(self.columns[table])
        if table == "price_imports":
            found = copy.execute(f"SELECT {names} FROM price_imports WHERE id = ?", (import_id,))  # noqa: S608
        else:
            last = self.fingerprint[("offers", "prices", "", "price_import_rows").index(table)] or 0
            found = copy.execute(f"SELECT {names} FROM {table} WHERE id > ? ORDER BY id", (last,))  # noqa: S608
        while rows := found.fetchmany(_CHUNK):
            yield rows


@dataclass(frozen=True, slots=True)
class Copy:
    """The copied tables as a database of their own."""

    sessions: Sessions
    file: str
    live: str
    fingerprint: tuple[Any, ...]

    def added(self) -> Added:
        """What was committed on the copy since it was made."""
        with closing(_connected(self.file, self.live)) as connection:
            columns = {table: _columns(connection, table) for table in _TABLES}
            names = ", ".join(columns["offers"])
            # compared without the live tables' lock: what the fingerprint does not see stays as it is there
            described = connection.execute(
                f"SELECT {names} FROM main.offers WHERE id <= ? EXCEPT SELECT {names} FROM live.offers",  # noqa: S608
                (self.fingerprint[0] or 0,),
            ).fetchall()
        return Added(self.file, self.fingerprint, columns, described)


def is_needed(sessions: Sessions) -> bool:
    """Whether a transaction that writes keeps all others from writing."""
    return bool(engine_of(sessions).dialect.name == "sqlite")


@contextmanager
def copied(sessions: Sessions) -> Iterator[Copy]:
    """A copy of the price tables as they are at one moment, gone with the block."""
    live = str(Path(str(engine_of(sessions).url.database)).resolve())
    with TemporaryDirectory(prefix="planner-prices-") as folder:
        file = str(Path(folder) / "prices.sqlite")
        with closing(_connected(file, live)) as connection:
            fingerprint = _copy(connection)
        engine = make_engine(f"sqlite:///{file}", pooled=False)
        try:
            yield Copy(session_factory(engine), file, live, fingerprint)
        finally:
            engine.dispose()


def _copy(connection: sqlite3.Connection) -> tuple[Any, ...]:
    """Fill the copy, indexes last, and say what was there. One transaction, so one moment of the live tables."""
    connection.execute("PRAGMA main.synchronous=OFF")
    connection.execute("BEGIN")
    fingerprint = tuple(connection.execute(_FINGERPRINT.format("live.")).fetchone())
    marks = ", ".join("?" for _ in _TABLES)
    found = connection.execute(
        f"SELECT type, sql FROM live.sqlite_master WHERE tbl_name IN ({marks}) AND sql IS NOT NULL",  # noqa: S608
        _TABLES,
    ).fetchall()
    for wanted in ("table", "index"):
        for kind, statement in found:
            if kind == wanted:
                connection.execute(statement)
        if wanted == "table":
            for table in _TABLES:
                connection.execute(f"INSERT INTO main.{table} SELECT * FROM live.{table}")  # noqa: S608 - our tables
    connection.execute("COMMIT")
    return fingerprint


def _connected(file: str, live: str) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("ATTACH DATABASE ? AS live", (live,))
    return connection


def _columns(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    return tuple(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
