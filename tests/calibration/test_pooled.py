"""A bench that several runs measured: the median of them, and how well it is known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from planner.calibration.passes import noise_of
from planner.calibration.pooled import pooled
from planner.calibration.sample import Sample
from planner.calibration.visits import QUARTILES
from tests.builders import sample


def of_run(seconds: float, spread: float = 0.04, visits: float = 2.0) -> Sample:
    return replace(sample(seconds=seconds, spread=spread), details={"visits": visits, "mean_seconds": 1.1 * seconds})


def test_a_single_run_stays_as_it_is() -> None:
    only = of_run(1.0)
    assert pooled([only]) is only


def test_the_median_of_the_runs_counts_and_their_visits_add_up() -> None:
    found = pooled([of_run(1.0), of_run(3.0), of_run(1.1, visits=3.0)])
    assert found.seconds == 1.1
    assert found.details == {"visits": 7.0, "runs": 3.0, "mean_seconds": pytest.approx(1.1 * 5.1 / 3)}
    assert found.repeats == 3 * of_run(1.0).repeats


def test_runs_that_agree_tell_the_time_better_than_one_of_them() -> None:
    one, four = of_run(1.0, spread=0.2), pooled([of_run(1.0, spread=0.2)] * 4)
    assert four.spread == pytest.approx(one.spread)
    assert noise_of(four) == pytest.approx(noise_of(one) / 2)


def test_what_runs_differ_by_counts_once_a_run_and_not_once_a_visit() -> None:
    apart = [of_run(seconds, spread=0.0, visits=10.0) for seconds in (0.9, 1.0, 1.1)]
    logs = [math.log(one.seconds) for one in apart]
    mean = sum(logs) / 3
    deviation = math.sqrt(sum((log - mean) ** 2 for log in logs) / 2)
    found = pooled(apart)
    assert found.spread / QUARTILES / math.sqrt(found.details["visits"]) == pytest.approx(deviation / math.sqrt(3))


def test_what_no_run_told_stays_untold() -> None:
    assert pooled([sample(), sample()]).peak_memory_bytes is None
    told = replace(sample(), peak_memory_bytes=7)
    assert pooled([sample(), told]).peak_memory_bytes == 7
