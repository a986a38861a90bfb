"""How alembic runs our migrations: on the connection it is handed, one process at a time."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from planner.store.tables import Base

MIGRATION_LOCK = 7_483_120_551  # any number that no other program's advisory lock uses


def run() -> None:
    connection = context.config.attributes["connection"]
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
