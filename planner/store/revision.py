"""Which schema revision the code needs and which one a database has."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

MIGRATIONS = Path(__file__).resolve().parent / "migrations"


def config() -> Config:
    """alembic's configuration, without a file: the migrations lie beside this module."""
    found = Config()
    found.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    found.set_main_option("path_separator", "os")
    return found


@cache
def head_revision() -> str:
    """The newest revision among the migrations."""
    head = ScriptDirectory.from_config(config()).get_current_head()
    if head is None:
        raise RuntimeError(f"no migrations in {MIGRATIONS}")
    return head


@cache
def known_revisions() -> frozenset[str]:
    """Every revision that this code can go to and come from."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(config()).walk_revisions())


def current_revision(connection: Connection) -> str | None:
    """The revision of the connected database, None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()
