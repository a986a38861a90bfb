"""Column types: exact decimals as scaled integers, aware UTC times, JSON to be searched, and JSON packed small."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

Json = JSON().with_variant(JSONB(), "postgresql")


class ScaledDecimal(TypeDecorator[Decimal]):
    """A Decimal kept as a BIGINT of 10^-places units: exact and sortable on SQLite and PostgreSQL alike.

    Rounds half-even to `places`; raises ValueError for a value that 64 bits cannot hold or that is not finite.
    """

    impl = BigInteger
    cache_ok = True

    def __init__(self, places: int) -> None:
        super().__init__()
        self.places = places

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise ValueError(f"an exact amount is a finite Decimal, not {value!r}")
        scaled = int(value.scaleb(self.places).to_integral_value(rounding=ROUND_HALF_EVEN))
        if abs(scaled) >= 2**63:
            raise ValueError(f"{value} is too large to be kept with {self.places} places")
        return scaled

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value).scaleb(-self.places)


class PackedJson(TypeDecorator[dict[str, Any]]):
    """A large document that is only ever read whole: JSON, compressed. Raises ValueError for what JSON cannot hold."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> bytes | None:
        return None if value is None else zlib.compress(json.dumps(value, allow_nan=False).encode())

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else dict(json.loads(zlib.decompress(value)))


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time; a naive one is refused rather than guessed."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"times are aware UTC; {value!r} has no zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
