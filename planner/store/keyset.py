"""Paging by the sort key of the last row seen: stable while rows are added, and never a count of rows to skip."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, false, or_

from planner.errors import InvalidInput

_MALFORMED = "is not a place in this list; take it from the answer before, and keep its order"
Value = int | float | str


@dataclass(frozen=True, slots=True)
class SortKey:
    """One part of an order: never null, of one kind (int, float, str or date), smallest first unless descending."""

    expression: SQLColumnExpression[Any]
    kind: type
    descending: bool = False

    @property
    def clause(self) -> ColumnElement[Any]:
        return self.expression.desc() if self.descending else self.expression.asc()


def encode_place(order: str, values: Sequence[Value | date]) -> str:
    """The place behind a row in a list of that order, as a token for an address."""
    plain = [value.isoformat() if isinstance(value, date) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps([order, *plain]).encode()).decode().rstrip("=")


def behind(place: str, order: str, keys: Sequence[SortKey]) -> ColumnElement[bool]:
    """The condition for the rows behind the place; raises InvalidInput for a token not made for this order."""
    values = _decode_place(place, order, keys)
    either: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    for key, value in zip(keys, values, strict=True):
        step = key.expression < value if key.descending else key.expression > value
        either.append(and_(*same, step))
        same.append(key.expression == value)
    return or_(false(), *either)


def _decode_place(place: str, order: str, keys: Sequence[SortKey]) -> list[Any]:
    try:
        content = json.loads(base64.urlsafe_b64decode(place + "=" * (-len(place) % 4)))
    except (ValueError, RecursionError):
        raise InvalidInput.of("after", _MALFORMED) from None
    if not isinstance(content, list) or len(content) != len(keys) + 1 or content[0] != order:
        raise InvalidInput.of("after", _MALFORMED)
    return [_value(found, key.kind) for found, key in zip(content[1:], keys, strict=True)]


def _value(found: Any, kind: type) -> Any:
    if kind is date and type(found) is str:
        try:
            return date.fromisoformat(found)
        except ValueError:
            raise InvalidInput.of("after", _MALFORMED) from None
    if type(found) is not kind or not _is_sound(found):
        raise InvalidInput.of("after", _MALFORMED)
    return found


def _is_sound(value: Any) -> bool:
    """Whether a database can compare it."""
    if isinstance(value, int):
        return abs(value) < 2**63
    return math.isfinite(value) if isinstance(value, float) else str(value).isprintable()
