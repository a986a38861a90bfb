"""The log: one readable line per event on standard error, in UTC, by level, and no secrets in a traceback."""

from __future__ import annotations

import logging
import re

import pytest
import structlog

from planner.cli.logs import log_to_standard_error

SECRET = "postgresql://planner:open-sesame@db/planner"


def test_an_event_is_one_line_with_its_time_in_utc_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_standard_error("INFO")
    structlog.get_logger().info("calibration.claimed", run="01M7", error="refused\nIs the server running?")
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[info", line)
    assert "calibration.claimed" in line
    assert "run=01M7" in line
    assert r"refused\nIs the server running?" in line
    assert "\x1b" not in line, "colours belong on a terminal only"


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", 4), ("INFO", 3), ("WARNING", 2), ("ERROR", 1)])
def test_lines_below_the_level_are_not_shown(capsys: pytest.CaptureFixture[str], level: str, shown: int) -> None:
    log_to_standard_error(level)
    log = structlog.get_logger()
    for say in (log.debug, log.info, log.warning, log.error):
        say("an event")
    assert len(capsys.readouterr().err.splitlines()) == shown


def test_a_fault_is_told_with_its_traceback_but_without_the_values_of_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log_to_standard_error("INFO")

    def connect(url: str) -> None:
        raise LookupError("a fault of ours")

    try:
        connect(SECRET)
    except LookupError:
        structlog.get_logger().exception("worker.fault")
    errors = capsys.readouterr().err
    assert "worker.fault" in errors
    assert "Traceback (most recent call last)" in errors
    assert "LookupError: a fault of ours" in errors
    assert "open-sesame" not in errors


def test_what_libraries_say_is_heard_in_the_same_form_from_warnings_up(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_standard_error("DEBUG")
    log_to_standard_error("DEBUG")
    library = logging.getLogger("apscheduler.executors.default")
    library.info("Running job")
    try:
        raise LookupError("a fault of ours")
    except LookupError:
        library.exception("Job raised an exception")
    errors = capsys.readouterr().err
    assert "Running job" not in errors
    assert errors.count("Job raised an exception") == 1
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[error", errors)
    assert "LookupError: a fault of ours" in errors


def test_an_error_level_silences_the_warnings_of_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_standard_error("ERROR")
    logging.getLogger("alembic").warning("an old setting")
    assert capsys.readouterr().err == ""
