"""Answers of estimates are kept compressed: a twelfth of their size, which was most of the database.

Revision 0010, after 0009.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"

PLAIN = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    _rewrite(PLAIN, sa.LargeBinary(), lambda answer: zlib.compress(json.dumps(answer).encode()))


def downgrade() -> None:
    _rewrite(sa.LargeBinary(), PLAIN, lambda packed: json.loads(zlib.decompress(packed)))


def _rewrite(before: Any, after: Any, rewritten: Callable[[Any], Any]) -> None:
    """The column's type changed, every answer carried over, one row in memory at a time."""
    op.add_column("estimates", sa.Column("result_anew", after, nullable=True))
    estimates = sa.table(
        "estimates", sa.column("id", sa.String()), sa.column("result", before), sa.column("result_anew", after)
    )
    connection = op.get_bind()
    for name in connection.execute(sa.select(estimates.c.id)).scalars().all():
        row = estimates.c.id == name
        answer = connection.execute(sa.select(estimates.c.result).where(row)).scalar_one()
        connection.execute(estimates.update().where(row).values(result_anew=rewritten(answer)))
    with op.batch_alter_table("estimates") as table:
        table.drop_column("result")
        table.alter_column("result_anew", new_column_name="result", existing_type=after, nullable=False)
