"""The hours of the day in which a schedule may measure, on the wall clock of its zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, not including, `end`; over midnight where the end is the earlier one of the two."""

    start: time
    end: time
    timezone: str

    @classmethod
    def read(cls, start: str, end: str, timezone: str) -> Window:
        """The window of "22:00" to "06:00". Raises ValueError for another form, and for one that is never open."""
        try:
            first, last = (time.fromisoformat(text) for text in (start, end))
        except ValueError:
            raise ValueError(f"must be times such as 22:00 and 06:00, not {start!r} and {end!r}") from None
        if first == last:
            raise ValueError("must not begin when it ends; leave both out for the whole day")
        return cls(first, last, timezone)

    def is_open(self, moment: datetime) -> bool:
        """Whether measuring may begin at that moment."""
        local = moment.astimezone(ZoneInfo(self.timezone)).time()
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end

    def in_words(self) -> str:
        """ "from 22:00 to 06:00, Europe/Berlin"."""
        return f"from {self.start:%H:%M} to {self.end:%H:%M}, {self.timezone}"


def day_start(moment: datetime, timezone: str) -> datetime:
    """The first instant of that moment's day in the zone, in UTC."""
    local = moment.astimezone(ZoneInfo(timezone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)
