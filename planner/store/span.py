"""A stretch of time by which lists are narrowed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression


@dataclass(frozen=True, slots=True)
class Span:
    """Moments from `since` on and earlier than `before`; None: no end on that side."""

    since: datetime | None = None
    before: datetime | None = None

    def holds(self, column: SQLColumnExpression[Any]) -> list[ColumnElement[bool]]:
        """The conditions for a column of moments to lie within; none where neither end is given."""
        conditions = []
        if self.since is not None:
            conditions.append(column >= self.since)
        if self.before is not None:
            conditions.append(column < self.before)
        return conditions


EVER = Span()
