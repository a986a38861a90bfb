"""The table of faults is that of the tests, and every marker names a fault."""

from __future__ import annotations

from tests.faults import FAULTS, PAGE, injected, page


def test_the_table_of_faults_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.faults"


def test_every_marker_names_a_fault_of_the_table() -> None:
    assert set(injected()) <= set(FAULTS)


def test_the_faults_of_the_driver_are_injected() -> None:
    missing = [number for number, (where, _, _) in FAULTS.items() if "F" in where and number not in injected()]
    assert missing == []
