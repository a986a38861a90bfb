"""Views as JSON documents: money as decimal strings, times as ISO 8601 UTC, unknown as null."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from planner.units import plain_decimal


def document(value: Any) -> Any:
    """`value` (dataclasses, mappings, sequences, scalars) as what `json.dumps` takes; raises TypeError for others."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return plain_decimal(value)
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: document(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key.value if isinstance(key, Enum) else key): document(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(document(item) for item in value)
    if isinstance(value, list | tuple):
        return [document(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def iso_utc(moment: datetime) -> str:
    """ "2026-11-21T09:00:00Z", with microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
