"""When a schedule falls due: a five-field cron rule read on the wall clock of an IANA zone.

Where the clock skips an hour, a rule for a time inside it runs once, at the first instant after the gap. Where an hour
comes twice, it runs at its first occurrence only. A rule for every hour (an hour field with `*`) means real hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from planner.errors import FieldProblem, InvalidInput

FIELDS = "minute hour day-of-month month day-of-week"
MISSED_LOOKBACK = 10_000  # a rule for every minute is followed back for a week; beyond that only "many" is known


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule. Make one with `Rule.read`."""

    cron: str
    timezone: str

    @classmethod
    def read(cls, cron: str, timezone: str) -> Rule:
        """The rule; raises InvalidInput naming the field, also for one that never falls due (31 February)."""
        problems = []
        if timezone not in available_timezones():
            problems.append(
                FieldProblem("timezone", f"{timezone!r} is no time zone; give one such as UTC or Europe/Berlin")
            )
        try:
            next(CronSim(cron, datetime(2024, 1, 1)))  # noqa: DTZ001 - the wall clock alone, to see that it ever fires
        except CronSimError as error:
            problems.append(
                FieldProblem("cron", f"{cron!r} cannot be read ({error}); give {FIELDS}, for example: 0 3 * * *")
            )
        except StopIteration:
            problems.append(FieldProblem("cron", f"{cron!r} never falls due"))
        if problems:
            raise InvalidInput(problems)
        return cls(" ".join(cron.split()), timezone)

    def in_words(self) -> str:
        """ "At 03:00 every day, Europe/Berlin"."""
        return f"{CronSim(self.cron, datetime(2024, 1, 1)).explain()}, {self.timezone}"  # noqa: DTZ001

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The due times later than `moment`, in UTC, without end (or until the rule's years run out)."""
        zone = ZoneInfo(self.timezone)
        local = moment.astimezone(zone)
        if self.cron.split()[1].startswith("*"):
            for due in CronSim(self.cron, local):
                yield due.astimezone(UTC)
            return
        last = moment.astimezone(UTC)
        for wall in CronSim(self.cron, local.replace(tzinfo=None) - timedelta(days=1)):
            due = _first_instant(wall, zone)
            if due > last:
                last = due
                yield due

    def next_due(self, moment: datetime, number: int) -> list[datetime]:
        """The next `number` due times later than `moment`."""
        return list(islice(self.after(moment), number))

    def latest_due(self, after: datetime, until: datetime) -> tuple[datetime, int] | None:
        """The latest due time in (after, until] and how many earlier ones were passed over; None without any."""
        latest, number = None, 0
        for due in islice(self.after(after), MISSED_LOOKBACK):
            if due > until:
                break
            latest, number = due, number + 1
        return None if latest is None else (latest, number - 1)


def _first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the zone's clock shows `wall`, or has gone past it where it skips it; in UTC."""
    due = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if due.astimezone(zone).replace(tzinfo=None) == wall:
        return due
    # In the gap: read with the offset of before it, the time lies as far past the gap's start as it lay in the gap.
    before = wall.replace(tzinfo=zone, fold=0).utcoffset()
    after = wall.replace(tzinfo=zone, fold=1).utcoffset()
    if before is None or after is None:
        raise ValueError(f"{zone.key} has no offset at {wall}")
    low, high = due - abs(after - before), due
    offset_before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == offset_before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
