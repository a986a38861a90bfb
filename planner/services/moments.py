"""When something is recorded."""

from __future__ import annotations

from datetime import datetime, timedelta


def later_than(newest: datetime | None, now: datetime) -> datetime:
    """`now`, or a microsecond after the newest record where the clock is behind it: what was known at an earlier
    moment must not change."""
    return now if newest is None or newest < now else newest + timedelta(microseconds=1)
