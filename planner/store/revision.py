"""Which schema revision the code needs and which one a database has.

A migration's revision is the number that its file begins with (tests/test_migrations.py holds it to that), so that
to start does not take alembic, which reads and runs every migration to tell.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

MIGRATIONS = Path(__file__).resolve().parent / "migrations"


@cache
def head_revision() -> str:
    """The newest revision among the migrations."""
    return max(known_revisions())


@cache
def known_revisions() -> frozenset[str]:
    """Every revision that this code can go to and come from."""
    found = frozenset(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))
    if not found:
        raise RuntimeError(f"no migrations in {MIGRATIONS}")
    return found


def current_revision(connection: Connection) -> str | None:
    """The revision of the connected database, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return found
