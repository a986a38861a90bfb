"""Windows of the day on the wall clock of a zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from planner.calibration.window import Window, day_start


def utc(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "is_open"), [(utc(21, 21), True), (utc(21, 4, 59), True), (utc(21, 5), False), (utc(21, 20, 59), False)]
)
def test_a_window_over_midnight_is_open_on_both_sides_of_it(moment: datetime, is_open: bool) -> None:
    assert Window.read("22:00", "06:00", "Europe/Berlin").is_open(moment) is is_open


def test_a_window_of_the_day_is_closed_at_its_end() -> None:
    window = Window.read("09:00", "17:30", "UTC")
    assert [window.is_open(utc(21, 9)), window.is_open(utc(21, 17, 29)), window.is_open(utc(21, 17, 30))] == [
        True,
        True,
        False,
    ]
    assert window.in_words() == "from 09:00 to 17:30, UTC"


@pytest.mark.parametrize(("start", "end"), [("22", "x"), ("25:00", "06:00"), ("06:00", "06:00")])
def test_what_is_no_window_is_refused(start: str, end: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Window.read(start, end, "UTC")


def test_a_day_begins_at_midnight_of_the_zone() -> None:
    assert day_start(utc(21, 9), "Europe/Berlin") == utc(20, 23)
    assert day_start(utc(20, 22, 59), "Europe/Berlin") == utc(19, 23)
