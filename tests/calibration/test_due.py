"""When schedules fall due: on the wall clock of a zone, over the days when the clock jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.calibration.due import MOST_MISSED, Rule
from planner.errors import InvalidInput


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def due_between(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    found = []
    for due in Rule.read(cron, zone).after(after):
        if due > until:
            return found
        found.append(due)
    return found


# The three clocks: Berlin skips 02:00-03:00 on 2026-03-29 (at 01:00 UTC) and has 02:00-03:00 twice on 2026-10-25;
# New York 2026-03-08 (at 07:00 UTC) and 2026-11-01; Lord Howe moves by half an hour only: it skips 02:00-02:30 on
# 2026-10-04 (at 15:30 UTC the day before) and has 01:30-02:00 twice on 2026-04-05. (IANA tzdata)
SPRING = [
    ("Europe/Berlin", "30 2 * * *", utc(2026, 3, 28, 12), utc(2026, 3, 29, 1)),
    ("Europe/Berlin", "0 2 * * *", utc(2026, 3, 28, 12), utc(2026, 3, 29, 1)),
    ("America/New_York", "30 2 * * *", utc(2026, 3, 7, 12), utc(2026, 3, 8, 7)),
    ("Australia/Lord_Howe", "15 2 * * *", utc(2026, 10, 3, 0), utc(2026, 10, 3, 15, 30)),
]
AUTUMN = [
    ("Europe/Berlin", "30 2 * * *", utc(2026, 10, 24, 12), utc(2026, 10, 25, 0, 30)),
    ("America/New_York", "30 1 * * *", utc(2026, 10, 31, 12), utc(2026, 11, 1, 5, 30)),
    ("Australia/Lord_Howe", "45 1 * * *", utc(2026, 4, 4, 0), utc(2026, 4, 4, 14, 45)),
]


@pytest.mark.parametrize(("zone", "cron", "after", "expected"), SPRING)
@pytest.mark.fault(3)
def test_a_time_in_the_spring_gap_falls_due_once_at_the_first_instant_after_it(
    zone: str, cron: str, after: datetime, expected: datetime
) -> None:
    assert due_between(cron, zone, after, after + timedelta(days=1)) == [expected]


@pytest.mark.parametrize(("zone", "cron", "after", "expected"), AUTUMN)
@pytest.mark.fault(4)
def test_a_time_that_comes_twice_in_autumn_falls_due_at_its_first_occurrence_only(
    zone: str, cron: str, after: datetime, expected: datetime
) -> None:
    assert due_between(cron, zone, after, after + timedelta(days=1)) == [expected]


@pytest.mark.parametrize(("zone", "cron", "after", "expected"), AUTUMN)
def test_asking_between_the_two_occurrences_gives_the_next_day(
    zone: str, cron: str, after: datetime, expected: datetime
) -> None:
    later = next(Rule.read(cron, zone).after(expected + timedelta(minutes=10)))
    assert later.astimezone(ZoneInfo(zone)).date() == expected.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)


def test_several_times_in_one_gap_fall_due_together_once() -> None:
    found = due_between("*/20 2 * * *", "Europe/Berlin", utc(2026, 3, 28, 12), utc(2026, 3, 29, 12))
    assert found == [utc(2026, 3, 29, 1)]


def test_a_time_just_after_the_gap_and_one_inside_it_are_one_due_time() -> None:
    found = due_between("30 2,3 * * *", "Europe/Berlin", utc(2026, 3, 28, 12), utc(2026, 3, 29, 12))
    assert found == [utc(2026, 3, 29, 1), utc(2026, 3, 29, 1, 30)]
    found = due_between("0 2,3 * * *", "Europe/Berlin", utc(2026, 3, 28, 12), utc(2026, 3, 29, 12))
    assert found == [utc(2026, 3, 29, 1)]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize(
    "first",
    [utc(2026, 3, 7), utc(2026, 3, 28), utc(2026, 4, 4), utc(2026, 10, 3), utc(2026, 10, 24), utc(2026, 10, 31)],
)
def test_a_rule_for_every_minute_means_every_real_minute(zone: str, first: datetime) -> None:
    found = due_between("* * * * *", zone, first, first + timedelta(days=2))
    assert found == [first + timedelta(minutes=number) for number in range(1, 2 * 24 * 60 + 1)]


@pytest.mark.parametrize("cron", ["0 * * * *", "30 * * * *"])
def test_a_rule_for_every_hour_runs_23_times_in_spring_and_25_times_in_autumn(cron: str) -> None:
    spring = due_between(cron, "Europe/Berlin", utc(2026, 3, 28, 22, 59), utc(2026, 3, 29, 21, 59))
    autumn = due_between(cron, "Europe/Berlin", utc(2026, 10, 24, 21, 59), utc(2026, 10, 25, 22, 59))
    assert (len(spring), len(autumn)) == (23, 25)
    assert {later - earlier for earlier, later in pairwise(spring)} == {timedelta(hours=1)}
    assert {later - earlier for earlier, later in pairwise(autumn)} == {timedelta(hours=1)}


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    spans = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    lists = st.lists(number, min_size=1, max_size=3, unique=True).map(lambda few: ",".join(map(str, few)))
    steps = st.integers(2, max(2, high // 2)).map(lambda step: f"*/{step}")
    return st.one_of(st.just("*"), spans, lists, steps)


RULES = st.tuples(fields(0, 59), fields(0, 23), st.just("*"), st.just("*"), fields(0, 6)).map(" ".join)
MOMENTS = st.integers(0, 365 * 24 * 3600).map(lambda seconds: utc(2026, 1, 1) + timedelta(seconds=seconds))
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])


@settings(max_examples=40, deadline=None)
@given(RULES, ZONES, MOMENTS)
def test_due_times_rise_strictly_and_never_stop_short(cron: str, zone: str, start: datetime) -> None:
    after = start
    found = Rule.read(cron, zone).next_due(after, 30)
    assert len(found) == 30
    assert found[0] > after
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(due.tzinfo is UTC for due in found)


@settings(max_examples=30, deadline=None)
@given(RULES, ZONES, st.integers(0, 27 * 24 * 60))
def test_away_from_clock_changes_due_times_are_the_wall_clock_minutes_that_match(
    cron: str, zone: str, offset: int
) -> None:
    """June and July: none of the zones changes its clock. The brute force reads each field by itself."""
    after = utc(2026, 6, 2) + timedelta(minutes=offset)
    until = after + timedelta(days=2)
    expected = []
    moment = after.replace(second=0) + timedelta(minutes=1)
    while moment <= until:
        if matches(cron, moment.astimezone(ZoneInfo(zone))):
            expected.append(moment)
        moment += timedelta(minutes=1)
    assert due_between(cron, zone, after, until) == expected


def matches(cron: str, wall: datetime) -> bool:
    minute, hour, _, _, weekday = cron.split()
    values = ((minute, wall.minute), (hour, wall.hour), (weekday, wall.isoweekday() % 7))
    return all(holds(text, value) for text, value in values)


def holds(text: str, value: int) -> bool:
    if text == "*":
        return True
    if text.startswith("*/"):
        return value % int(text[2:]) == 0
    if "-" in text:
        low, high = text.split("-")
        return int(low) <= value <= int(high)
    return value in {int(part) for part in text.split(",")}


@pytest.mark.parametrize("cron", ["0 3 31 2 *", "0 0 30 2 *", "0 0 31 4,6 *"])
@pytest.mark.fault(9)
def test_a_rule_that_never_falls_due_is_refused_by_its_field(cron: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Rule.read(cron, "UTC")
    assert [(problem.field, problem.message) for problem in caught.value.problems] == [
        ("cron", f"{cron!r} never falls due")
    ]


def test_the_29th_of_february_falls_due_in_leap_years() -> None:
    assert Rule.read("0 12 29 2 *", "UTC").next_due(utc(2026, 1, 1), 2) == [utc(2028, 2, 29, 12), utc(2032, 2, 29, 12)]


@pytest.mark.parametrize(
    "cron", ["", "0 3 * *", "0 3 * * * *", "60 3 * * *", "0 24 * * *", "x 3 * * *", "0 3 0 * *", "0 3 32 * *", "@daily"]
)
def test_a_rule_that_cannot_be_read_is_refused_with_an_example(cron: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Rule.read(cron, "UTC")
    (problem,) = caught.value.problems
    assert problem.field == "cron"
    assert "0 3 * * *" in problem.message


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "CEST+2", "../etc/passwd", "europe/berlin "])
def test_an_unknown_zone_is_refused_by_its_field(zone: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Rule.read("0 3 * * *", zone)
    assert [problem.field for problem in caught.value.problems] == ["timezone"]


def test_both_faults_are_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        Rule.read("never", "Nowhere")
    assert {problem.field for problem in caught.value.problems} == {"cron", "timezone"}


def test_the_latest_due_time_says_how_many_were_missed_before_it() -> None:
    rule = Rule.read("0 3 * * *", "Europe/Berlin")
    found = rule.latest_due(utc(2026, 11, 1, 12), utc(2026, 11, 6, 12))
    assert found == (utc(2026, 11, 6, 2), 4)


def test_no_due_time_in_the_span_is_none() -> None:
    rule = Rule.read("0 3 * * *", "UTC")
    assert rule.latest_due(utc(2026, 11, 1, 3), utc(2026, 11, 2, 2, 59)) is None
    assert rule.latest_due(utc(2026, 11, 1, 3), utc(2026, 11, 1, 3)) is None


def test_the_end_of_the_span_belongs_to_it_and_its_beginning_does_not() -> None:
    rule = Rule.read("0 3 * * *", "UTC")
    assert rule.latest_due(utc(2026, 11, 1, 3), utc(2026, 11, 2, 3)) == (utc(2026, 11, 2, 3), 0)


@pytest.mark.parametrize(("zone", "cron", "after", "expected"), [*SPRING, *AUTUMN])
def test_the_latest_due_time_agrees_with_the_next_one_where_the_clock_jumps(
    zone: str, cron: str, after: datetime, expected: datetime
) -> None:
    rule = Rule.read(cron, zone)
    for seconds in (0, 1, 1800, 3600, 7200):
        assert rule.latest_due(after, expected + timedelta(seconds=seconds)) == (expected, 0)
    earlier = rule.latest_due(after - timedelta(days=3), expected - timedelta(seconds=1))
    assert earlier is not None
    assert earlier[0] < expected


@settings(max_examples=40, deadline=None)
@given(RULES, ZONES, MOMENTS, st.integers(0, 3 * 24 * 60))
def test_the_latest_due_time_and_the_missed_ones_are_those_counted_forward(
    cron: str, zone: str, start: datetime, minutes: int
) -> None:
    after = start.replace(second=0, microsecond=0)
    until = after + timedelta(minutes=minutes)
    forward = due_between(cron, zone, after, until)
    expected = (forward[-1], len(forward) - 1) if forward else None
    assert Rule.read(cron, zone).latest_due(after, until) == expected


def test_a_month_of_a_rule_for_every_minute_is_counted_up_to_a_bound() -> None:
    found = Rule.read("* * * * *", "UTC").latest_due(utc(2026, 1, 1), utc(2026, 2, 1))
    assert found == (utc(2026, 2, 1), MOST_MISSED)


def test_a_rule_in_words_names_its_zone() -> None:
    assert Rule.read("0 3 * * *", "Europe/Berlin").in_words() == "At 03:00 every day, Europe/Berlin"


def test_blanks_around_and_between_the_fields_do_not_matter() -> None:
    assert Rule.read("  0   3 * *  * ", "UTC").cron == "0 3 * * *"
