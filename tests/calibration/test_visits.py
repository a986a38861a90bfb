"""Visits far apart: what a sample says of its own spread holds for the next run, and unlike visits are not steady."""

from __future__ import annotations

import random

import pytest

from planner.calibration.repeatability import WANTED, repeatability
from planner.calibration.sample import Bench, Operation, Sample
from planner.calibration.visits import (
    MOST_VISITS,
    QUARTILES,
    Visit,
    interquartile_range,
    merged,
    patience_seconds,
    settled,
    usual_deviation,
    wants_another,
)
from planner.hardware.gpu import Dtype

BENCH = Bench(Operation.COPY, 2, Dtype.FP32, {"num_bytes": 64}, 0.1)


def visit(seconds: float, settled: bool = True, **details: float) -> Visit:
    return Visit((seconds * 0.999, seconds, seconds * 1.001), settled, None, details)


def test_two_visits_make_one_sample_between_them_whose_spread_tells_their_distance() -> None:
    found = merged(BENCH, 1.0, 128.0, [visit(1.0, p50_seconds=2.0), visit(1.04, p50_seconds=4.0)])
    assert (found.seconds, found.repeats, found.steady) == (pytest.approx(1.02), 6, True)
    assert found.spread == pytest.approx(QUARTILES * 0.0392 / 2**0.5, rel=0.05)
    assert found.details["visits"] == 2
    assert found.details["visits_apart"] == pytest.approx(0.04)
    assert found.details["p50_seconds"] == 3.0


def test_one_visit_says_what_its_windows_say() -> None:
    found = merged(BENCH, 1.0, 128.0, [Visit((1.0, 1.1, 1.2), False)])
    assert (found.spread, found.steady) == (pytest.approx(0.1 / 1.1), False)


@pytest.mark.parametrize(
    ("second", "warm_ups", "steady"),
    [(1.04, False, True), (1.10, True, True), (1.10, False, False), (1.20, True, True), (1.60, True, False)],
)
def test_a_state_is_steady_where_visits_are_close_or_settled_and_never_where_they_are_far_apart(
    second: float, warm_ups: bool, steady: bool
) -> None:
    assert merged(BENCH, 1.0, 128.0, [visit(1.0, warm_ups), visit(second, warm_ups)]).steady is steady


def test_a_pair_that_agrees_by_chance_promises_no_more_than_the_run_keeps() -> None:
    lucky = merged(BENCH, 1.0, 128.0, [visit(1.0), visit(1.0)])
    others = [merged(BENCH, 1.0, 128.0, [visit(1.0), visit(1.06)]) for _ in range(9)]
    usual = usual_deviation([lucky, *others])
    assert usual == pytest.approx(0.0412 * 0.9**0.5, rel=0.01)
    first, *_ = settled([lucky, *others])
    assert first.spread > 0.03
    assert lucky.spread < 0.003


def test_a_long_bench_that_is_visited_once_promises_no_more_than_those_visited_twice() -> None:
    once = merged(BENCH, 1.0, 128.0, [visit(1.0)])
    others = [merged(BENCH, 1.0, 128.0, [visit(1.0), visit(1.06)]) for _ in range(9)]
    first, *_ = settled([once, *others])
    assert first.spread == pytest.approx(QUARTILES * (usual_deviation(others) or 0))


def test_without_second_visits_nothing_is_said_of_the_distance_between_visits() -> None:
    alone = [merged(BENCH, 1.0, 128.0, [visit(1.0)])]
    assert usual_deviation(alone) is None
    assert settled(alone) == alone


def test_one_disturbed_visit_of_three_moves_neither_the_median_nor_the_verdict() -> None:
    found = merged(BENCH, 1.0, 128.0, [visit(1.0), visit(4.0), visit(1.02)])
    assert (found.seconds, found.steady) == (1.02, True)
    assert found.details["visits_apart"] == pytest.approx(0.02)
    assert found.spread > 0.5, "it does widen the spread"


def test_another_visit_is_wanted_where_there_is_one_alone_or_they_lie_apart_and_not_for_ever() -> None:
    assert wants_another([visit(1.0)])
    assert wants_another([visit(1.0), visit(1.2)])
    assert not wants_another([visit(1.0), visit(1.03)])
    assert not wants_another([visit(1.0 + 0.2 * number) for number in range(MOST_VISITS)])


def test_only_runs_that_may_take_long_are_patient() -> None:
    assert patience_seconds(300.0) == 0.0
    assert 300.0 < patience_seconds(1_200.0) < 600.0


def drifting_run(source: random.Random) -> list[Sample]:
    """Sixty benches whose windows agree within 0.5 %, on a machine that differs by 4 % from minute to minute."""
    runs = []
    for number in range(60):
        bench = Bench(Operation.COPY, 2, Dtype.FP32, {"num_bytes": number + 1}, 0.1)
        visits = [
            Visit(tuple(level * source.gauss(1, 0.005) for _ in range(5)), True)
            for level in (source.gauss(1, 0.04), source.gauss(1, 0.04))
        ]
        runs.append(merged(bench, 1.0, 1.0, visits))
    return settled(runs)


def test_two_runs_of_a_machine_that_drifts_from_minute_to_minute_agree_within_what_they_say() -> None:
    source = random.Random(7)  # noqa: S311
    found = repeatability(drifting_run(source), drifting_run(source))
    assert len(found.pairs) > 50
    assert (found.share or 0) >= WANTED


def test_the_interquartile_range_is_that_of_linear_quartiles() -> None:
    assert interquartile_range([1.0, 2.0, 3.0, 4.0, 5.0]) == 2.0
    assert interquartile_range([7.0]) == 0.0
