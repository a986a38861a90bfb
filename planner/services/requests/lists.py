"""What can be asked of lists: a page of them, and a stretch of time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from planner.services.requests.base import DayOrMoment, Request, whole
from planner.store.span import Span


class ListQuery(Request):
    """A page of a list, newest first; `after` is the id of the last one already seen."""

    limit: Annotated[int, *whole(1, 200)] = 50
    after: Annotated[str, Field(max_length=100)] | None = None


class SpanQuery(ListQuery):
    """A page of what was entered from `since` on and before `before`; a day begins at 00:00 UTC."""

    since: DayOrMoment | None = None
    before: DayOrMoment | None = None

    @property
    def span(self) -> Span:
        """Both ends, as stores take them."""
        return Span(self.since, self.before)

    @property
    def rows(self) -> int | None:
        """How many rows a table has at most: the limit where one is asked for, else all (None)."""
        return self.limit if "limit" in self.model_fields_set else None


class EstimatesQuery(SpanQuery):
    """Which stored estimates, newest first."""

    kind: Literal["training", "inference"] | None = None
