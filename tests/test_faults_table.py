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


def test_every_fault_that_needs_a_real_gpu_has_a_test_on_one() -> None:
    tests = injected()
    on_a_gpu = {number for number, found in tests.items() if any(path == "tests/gpu/test_cuda.py" for path, _ in found)}
    assert {number for number, (where, _, _) in FAULTS.items() if "G" in where} <= on_a_gpu


def test_no_fault_is_left_without_a_test() -> None:
    assert sorted(set(FAULTS) - set(injected())) == []
