"""Bring a schema up to this code's revision, or back. Two processes may try at once: one waits."""

from __future__ import annotations

from alembic import command
from sqlalchemy.exc import OperationalError

from planner.errors import Unavailable
from planner.store.engine import make_engine
from planner.store.revision import config, current_revision


def upgrade(url: str, revision: str = "head") -> None:
    """Apply every migration up to `revision`; raises Unavailable where the database cannot be reached."""
    _migrate(url, revision, down=False)


def downgrade(url: str, revision: str) -> None:
    """Take migrations back down to `revision` ("base" for none)."""
    _migrate(url, revision, down=True)


def current(url: str) -> str | None:
    """The revision of that database, None for an empty or absent one."""
    engine = make_engine(url, pooled=False)
    try:
        with engine.connect() as connection:
            return current_revision(connection)
    except OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {error.orig}") from error
    finally:
        engine.dispose()


def _migrate(url: str, revision: str, *, down: bool) -> None:
    engine = make_engine(url, pooled=False)
    settings = config()
    try:
        with engine.begin() as connection:
            settings.attributes["connection"] = connection
            (command.downgrade if down else command.upgrade)(settings, revision)
    except OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {error.orig}") from error
    finally:
        engine.dispose()
