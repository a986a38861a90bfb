"""When a schedule falls due: a five-field cron rule read on the wall clock of an IANA zone.

Where the clock skips an hour, a rule for a time inside it runs once, at the first instant after the gap. Where an hour
comes twice, it runs at its first occurrence only. A rule for every hour (the hour field is `*`) means every real hour.
cronsim reads the fields and walks the calendar; what a clock change does to it is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from planner.errors import FieldProblem, InvalidInput

FIELDS = "minute hour day-of-month month day-of-week"
MOST_MISSED = 10_000  # missed due times are counted up to here: a week of a rule for every minute
_NEVER = "Bad day-of-month"  # what cronsim says of 31 February, too, when each field by itself is right


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule. Make one with `Rule.read`."""

    cron: str
    timezone: str

    @classmethod
    def read(cls, cron: str, timezone: str) -> Rule:
        """The rule; raises InvalidInput naming the field, also for one that never falls due (31 February)."""
        problems = []
        if timezone not in _zones():
            near = get_close_matches(timezone, _zones(), 2) or ["UTC", "Europe/Berlin"]
            problems.append(FieldProblem("timezone", f"{timezone!r} is no time zone; give one such as {near[0]}"))
        fault = _fault(cron)
        if fault:
            problems.append(FieldProblem("cron", f"{cron!r} {fault}"))
        if problems:
            raise InvalidInput(problems)
        return cls(" ".join(cron.split()), timezone)

    @property
    def _is_hourly(self) -> bool:
        return self.cron.split()[1] == "*"

    def in_words(self) -> str:
        """ "At 03:00 every day, Europe/Berlin"."""
        return f"{CronSim(self.cron, datetime(2024, 1, 1)).explain()}, {self.timezone}"  # noqa: DTZ001

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The due times later than `moment`, in UTC, without end (or until the rule's years run out)."""
        zone = ZoneInfo(self.timezone)
        local = moment.astimezone(zone)
        if self._is_hourly:
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
        """The latest due time in (after, until] and how many earlier ones were passed over; None without any.

        They are counted up to MOST_MISSED; that number means as many or more.
        """
        latest = next((due for due in self._back_from(until) if due <= until), None)
        if latest is None or latest <= after.astimezone(UTC):
            return None
        earlier = takewhile(lambda due: due < latest, self.after(after))
        return latest, sum(1 for _ in islice(earlier, MOST_MISSED))

    def _back_from(self, moment: datetime) -> Iterator[datetime]:
        """The due times in UTC, latest first, from some that may lie after `moment`."""
        zone = ZoneInfo(self.timezone)
        local = moment.astimezone(zone)
        if self._is_hourly:
            for due in CronSim(self.cron, local + timedelta(hours=1), reverse=True):
                yield due.astimezone(UTC)
            return
        for wall in CronSim(self.cron, local.replace(tzinfo=None) + timedelta(days=1), reverse=True):
            yield _first_instant(wall, zone)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _fault(cron: str) -> str:
    """What is wrong with a rule, empty where nothing is."""
    usage = f"give {FIELDS}, for example: 0 3 * * *"
    if len(cron.split()) != 5:
        return f"does not have five fields; {usage}"
    try:
        next(CronSim(cron, datetime(2024, 1, 1)))  # noqa: DTZ001 - the wall clock alone, to see that it ever fires
    except CronSimError as error:
        return (
            "never falls due" if str(error) == _NEVER and _is_day_list(cron) else f"cannot be read ({error}); {usage}"
        )
    except StopIteration:
        return "never falls due"
    return ""


def _is_day_list(cron: str) -> bool:
    """Whether the day-of-month field is right by itself: it can be read beside every month."""
    try:
        CronSim(f"0 0 {cron.split()[2]} * *", datetime(2024, 1, 1))  # noqa: DTZ001 - only read, not followed
    except CronSimError:
        return False
    return True


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
