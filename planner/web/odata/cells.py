"""Cells of an entity set: their types, how they are compared, and how they are written as JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any

from planner.services.documents import iso_utc
from planner.units import plain_decimal


class Kind(StrEnum):
    """The type of a property, by its name in OData."""

    TEXT = "Edm.String"
    NUMBER = "Edm.Double"
    EXACT = "Edm.Decimal"
    WHOLE = "Edm.Int64"
    FLAG = "Edm.Boolean"
    MOMENT = "Edm.DateTimeOffset"
    DAY = "Edm.Date"

    @property
    def is_number(self) -> bool:
        return self in (Kind.NUMBER, Kind.EXACT, Kind.WHOLE)


def plain(kind: Kind, value: Any) -> Any:
    """The cell as it is compared: numbers as Decimal, moments in UTC; None is unknown."""
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return None
    match kind:
        case Kind.NUMBER | Kind.EXACT | Kind.WHOLE:
            return Decimal(repr(value)) if isinstance(value, float) and math.isfinite(value) else Decimal(value)
        case Kind.MOMENT:
            return value.astimezone(UTC)
        case Kind.DAY:
            return value.date() if isinstance(value, datetime) else value
        case Kind.FLAG:
            return bool(value)
    return str(value)


def written(value: Any) -> str:
    """A compared value as JSON: numbers with every digit, for which JSON has no other word than its own."""
    if isinstance(value, Decimal):
        return plain_decimal(value)
    if isinstance(value, datetime):
        return f'"{iso_utc(value)}"'
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    return json.dumps(value, ensure_ascii=False)
