"""Bring a schema up to this code's revision, or back. Two processes may try at once: one waits."""

from __future__ import annotations

from planner.store.engine import make_engine, reaching, refuse_newer
from planner.store.revision import MIGRATIONS, current_revision, head_revision


def upgrade(url: str, revision: str = "head") -> None:
    """Apply every migration up to `revision`. Raises Unavailable where the database cannot be used, DatabaseOutOfDate
    where newer code made it."""
    if revision != "head" or current(url) != head_revision():
        _migrate(url, revision, down=False)


def downgrade(url: str, revision: str) -> None:
    """Take migrations back down to `revision` ("base" for none)."""
    _migrate(url, revision, down=True)


def current(url: str) -> str | None:
    """The revision of that database, None for an empty or absent one."""
    engine = make_engine(url, pooled=False)
    try:
        with reaching(engine.url), engine.execution_options(readonly=True).connect() as connection:
            return current_revision(connection)
    finally:
        engine.dispose()


def _migrate(url: str, revision: str, *, down: bool) -> None:
    from alembic import command  # read only where something may have to be migrated
    from alembic.config import Config

    engine = make_engine(url, pooled=False)
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    try:
        with reaching(engine.url), engine.begin() as connection:
            refuse_newer(connection)
            settings.attributes["connection"] = connection
            (command.downgrade if down else command.upgrade)(settings, revision)
    finally:
        engine.dispose()
