"""What can be asked of an entity set, by OData's own parameters and a few of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from planner.errors import InvalidInput
from planner.services.requests.base import Key, Moment, Request, whole
from planner.web.odata.cells import Kind
from planner.web.odata.filter import LONGEST

MOST = 2**31
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
Words = Annotated[str, Field(max_length=LONGEST)]
Number = Annotated[int, *whole(0, MOST)]


class FeedQuery(Request):
    """Which entities, with which properties, in which order. `as_of` and `known_at` are those of prices."""

    select: Words | None = Field(default=None, alias="$select")
    filter: Words | None = Field(default=None, alias="$filter")
    orderby: Words | None = Field(default=None, alias="$orderby")
    top: Number | None = Field(default=None, alias="$top")
    skip: Number = Field(default=0, alias="$skip")
    count: bool = Field(default=False, alias="$count")
    format: Literal["json", "application/json"] | None = Field(default=None, alias="$format")
    skiptoken: Number = Field(default=0, alias="$skiptoken")
    as_of: Moment | None = None
    known_at: Moment | None = None
    plan_id: Key | None = None

    def check_options(self, allowed: tuple[str, ...]) -> None:
        """Raises InvalidInput for a parameter of ours that this entity set does not have."""
        for name in ("as_of", "known_at", "plan_id"):
            if getattr(self, name) is not None and name not in allowed:
                raise InvalidInput.of(name, "is not a parameter of this entity set")

    def chosen(self, kinds: Mapping[str, Kind]) -> list[str]:
        """The properties that are wanted, in the set's own order. Raises InvalidInput for one that there is not."""
        if self.select is None or self.select.strip() == "*":
            return list(kinds)
        wanted = [name.strip() for name in self.select.split(",")]
        _check("$select", wanted, kinds)
        return [name for name in kinds if name in wanted]

    def sorted(self, entities: list[dict[str, Any]], kinds: Mapping[str, Kind], key: tuple[str, ...]) -> None:
        """Sort by what is asked for and then by key, unknown before known; so pages hold still while rows are added."""
        wanted = [*self._orders(kinds), *((name, False) for name in key)]
        for name, is_descending in reversed(wanted):
            entities.sort(key=lambda cells, name=name: _rank(cells[name]), reverse=is_descending)  # type: ignore[misc]

    def _orders(self, kinds: Mapping[str, Kind]) -> list[tuple[str, bool]]:
        if not self.orderby:
            return []
        found = []
        for part in self.orderby.split(","):
            name, _, direction = part.strip().partition(" ")
            if direction.strip() not in ("", "asc", "desc"):
                raise InvalidInput.of("$orderby", f"{direction.strip()[:40]!r} is neither asc nor desc")
            found.append((name, direction.strip() == "desc"))
        _check("$orderby", [name for name, _ in found], kinds)
        return found


def _rank(value: Any) -> tuple[Any, ...]:
    return (0,) if value is None else (1, value)


def _check(field: str, names: list[str], kinds: Mapping[str, Kind]) -> None:
    for name in names:
        if name not in kinds:
            raise InvalidInput.of(field, f"{name[:60]!r} is no property here; there are {', '.join(kinds)}")
