"""What follows from the end of a run: rules alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner.calibration.aftermath import (
    BUSY_PATIENCE_SECONDS,
    KILLS,
    LONGEST_WAIT_SECONDS,
    MOST_COOL_DOWNS,
    MOST_TRIES_OF_LOST,
    PROGRAM_FAULTS,
    has_program_fault,
    retry_of,
    why_held,
    why_left_out,
    why_too_many_faults,
)
from planner.calibration.run_states import RunState
from planner.hardware.catalogue import load_catalogue
from tests.builders import sample


def test_a_busy_device_is_tried_again_at_growing_distances_until_nobody_waits_any_more() -> None:
    waits, left, attempt = [], BUSY_PATIENCE_SECONDS, 1
    while (retry := retry_of(RunState.BUSY, attempt, 60.0, left)) is not None:
        waits.append(retry.seconds)
        left -= retry.seconds
        attempt += 1
    assert waits[:5] == [60, 120, 240, 480, LONGEST_WAIT_SECONDS]
    assert set(waits[5:]) == {LONGEST_WAIT_SECONDS}
    assert sum(waits) <= BUSY_PATIENCE_SECONDS < sum(waits) + LONGEST_WAIT_SECONDS


def test_a_run_slowed_by_heat_is_tried_again_after_cooling_a_limited_number_of_times() -> None:
    tries = [retry_of(RunState.SUSPECT, attempt, 300.0, 1e9) for attempt in range(1, MOST_COOL_DOWNS + 2)]
    assert [retry.seconds for retry in tries if retry] == [300.0] * MOST_COOL_DOWNS
    assert tries[-1] is None


def test_a_lost_run_is_tried_again_at_once_a_limited_number_of_times() -> None:
    assert [retry_of(RunState.LOST, attempt, None, 0.0) is None for attempt in (1, MOST_TRIES_OF_LOST)] == [False, True]


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.CANCELLED, RunState.OOM, RunState.TIMED_OUT])
def test_what_ended_otherwise_is_not_tried_again(state: RunState) -> None:
    assert retry_of(state, 1, 60.0, 1e9) is None


def test_a_suspect_run_without_a_moment_to_wait_for_is_not_tried_again() -> None:
    assert retry_of(RunState.SUSPECT, 1, None, 1e9) is None


def test_only_repeated_faults_of_programs_keep_a_card_from_work() -> None:
    assert [has_program_fault([code]) for code in (13, 31, 43, 79, 999)] == [True, True, True, False, False]
    assert not why_too_many_faults(PROGRAM_FAULTS - 1)
    assert "may be the card's" in why_too_many_faults(PROGRAM_FAULTS)


def test_a_bench_is_left_out_once_it_has_killed_often_enough() -> None:
    assert not why_left_out(KILLS - 1)
    assert "not measured" in why_left_out(KILLS)


@pytest.mark.fault(79)
@pytest.mark.parametrize(("seconds", "is_held"), [(0.9e-2, False), (1e-2, True), (1.2e-4, False), (1e-4, True)])
def test_a_sample_ten_times_off_is_held_for_review_either_way(seconds: float, is_held: bool) -> None:
    one = sample(seconds=seconds, flops=0.0)
    gpu = load_catalogue().get("H100-80GB-SXM")
    found = why_held([one], {(one.bench.key, one.bench.version): [0.9e-3, 1e-3, 1.2e-3]}, gpu)
    assert bool(found) is is_held
    assert not is_held or found.startswith(f"held for review: {one.bench.key}")


def test_a_first_sample_far_above_the_published_peak_is_held_for_review() -> None:
    gpu = load_catalogue().get("H100-80GB-SXM")
    peak = gpu.peak(sample().bench.dtype)
    assert peak is not None
    assert not why_held([sample(seconds=1.0, flops=9.9 * peak)], {}, gpu)
    assert "times the published peak" in why_held([sample(seconds=1.0, flops=10.1 * peak)], {}, gpu)


def test_samples_of_another_bench_version_are_not_compared() -> None:
    one = sample(seconds=1.0, flops=0.0)
    older = replace(one.bench, version=one.bench.version - 1)
    assert not why_held([one], {(older.key, older.version): [1e-3]}, load_catalogue().get("H100-80GB-SXM"))
