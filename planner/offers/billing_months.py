"""A charge over calendar months of UTC: what falls into each, by time, the parts adding up to the last digit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

Stretch = tuple[datetime, datetime]  # from its start on, before its end
PLACES = Decimal("1E-10")  # as unit prices are kept


def month_of(moment: datetime) -> Stretch:
    """The calendar month that a moment lies in: its first day and the next month's, both 00:00 UTC."""
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first, (first + timedelta(days=32)).replace(day=1)


def by_month(start: datetime, end: datetime) -> tuple[Stretch, ...]:
    """The time from `start` until `end`, cut where months begin.

    Raises ValueError where it does not end after it begins, OverflowError beyond the calendar.
    """
    if end <= start:
        raise ValueError(f"a charge ends after it begins; {end.isoformat()} is not after {start.isoformat()}")
    return tuple(_stretches(start.astimezone(UTC), end.astimezone(UTC)))


def shared(amount: Decimal, stretches: Sequence[Stretch]) -> tuple[Decimal, ...]:
    """The amount to ten places, half to even, over the stretches in proportion to their time.

    What rounding the parts leaves over goes to the longest stretch, so they add up to the rounded amount.
    """
    whole = amount.quantize(PLACES, ROUND_HALF_EVEN)
    microseconds = [(end - start) // timedelta(microseconds=1) for start, end in stretches]
    parts = [(whole * span / sum(microseconds)).quantize(PLACES, ROUND_HALF_EVEN) for span in microseconds]
    parts[microseconds.index(max(microseconds))] += whole - sum(parts)
    return tuple(parts)


def _stretches(start: datetime, end: datetime) -> Iterator[Stretch]:
    while start < end:
        _, following = month_of(start)
        yield start, min(end, following)
        start = following
