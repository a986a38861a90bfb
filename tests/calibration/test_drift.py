"""Drift within a run and over runs: a real change is seen, noise is not, and a new driver is marked."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from planner.calibration.drift import MIN_RUNS, History, drift, drift_within
from planner.calibration.sample import Bench, Operation, Sample
from planner.calibration.siblings import Sibling, laggards
from planner.hardware.gpu import Dtype

START = datetime(2026, 11, 1, tzinfo=UTC)
KEYS = [(f"matmul/bf16/k={size},m=64,n=64", 1) for size in range(1, 13)]


def conditions(driver: str = "580.65", **rest: Any) -> dict[str, Any]:
    return {"torch": "2.13.0", "device_before": {"driver_version": driver} | rest}


def history(days: int, factor: float, seed: int, noise: float = 0.01, driver: str = "580.65") -> History:
    source = random.Random(seed)  # noqa: S311
    seconds = {key: 0.01 * place * factor * source.gauss(1, noise) for place, key in enumerate(KEYS, start=1)}
    return History(START + timedelta(days=days), conditions(driver), seconds)


def before(num_runs: int, noise: float = 0.01) -> list[History]:
    return [history(day, 1.0, day, noise) for day in range(num_runs)]


def test_a_device_six_per_cent_slower_than_its_own_runs_has_drifted() -> None:
    found = drift(history(20, 1.06, 99), before(8))
    assert found.is_real
    assert found.change == pytest.approx(0.06, abs=0.01)
    assert "slower than the 8 runs before" in found.sentence


def test_noise_is_no_drift_in_forty_quiet_histories() -> None:
    assert not [seed for seed in range(40) if drift(history(20, 1.0, 1000 + seed), before(8)).is_real]


def test_a_change_that_is_real_but_small_does_not_matter() -> None:
    found = drift(history(20, 1.02, 99, noise=0.0001), before(8, noise=0.0001))
    assert (found.is_real, round(found.change or 0, 2)) == (False, 0.02)


def test_a_large_change_on_a_device_that_always_differs_so_is_not_believed() -> None:
    assert not drift(history(20, 1.06, 99, noise=0.05), before(8, noise=0.05)).is_real


def test_too_little_history_says_nothing() -> None:
    found = drift(history(20, 2.0, 99), before(MIN_RUNS - 1))
    assert (found.change, found.is_real, found.num_runs) == (None, False, 3)
    assert found.sentence.startswith("No judgement yet: 3 earlier runs")


def test_runs_under_another_driver_are_not_compared_with_and_the_change_is_marked() -> None:
    found = drift(history(20, 1.06, 99, driver="590.10"), before(8))
    assert (found.change, found.num_runs) == (None, 0)
    assert found.changed == {"driver_version": ("580.65", "590.10")}
    assert "driver_version went from 580.65 to 590.10" in found.sentence


def test_another_version_of_a_bench_is_not_compared_with() -> None:
    newest = history(20, 1.5, 99)
    newest = History(newest.at, newest.conditions, {(key, 2): value for (key, _), value in newest.seconds.items()})
    assert drift(newest, before(8)).change is None


def sentinel(place: int, seconds: float) -> Sample:
    bench = Bench(Operation.SENTINEL, 1, Dtype.BF16, {"m": 8, "n": 8, "k": 8, "place": place}, 0.5)
    return Sample(bench, seconds, 0.0, 9, 1.0, 1.0, True)


def test_the_sentinels_of_a_run_say_how_far_it_drifted() -> None:
    assert drift_within([sentinel(1, 1.0), sentinel(2, 1.02), sentinel(3, 1.05)]) == pytest.approx(0.05)
    assert drift_within([sentinel(1, 1.0)]) is None


def sibling(name: str, factor: float, seed: int, **rest: Any) -> Sibling:
    return Sibling(name, conditions(**rest), history(0, factor, seed, noise=0.004).seconds)


def test_one_of_eight_equal_devices_behind_the_others_is_named_with_its_loss() -> None:
    devices = [sibling(f"GPU-{number}", 1.08 if number == 5 else 1.0, number) for number in range(8)]
    (found,) = laggards(devices, price_per_hour=Decimal("2.00"))
    assert found.device_id == "GPU-5"
    assert found.behind == pytest.approx(0.08, abs=0.01)
    assert float(found.loss_per_month or 0) == pytest.approx(2 * 730 * 0.08 / 1.08, rel=0.12)
    assert "behind its 7 siblings" in found.sentence


def test_equal_devices_have_no_laggard_and_a_faster_one_is_none() -> None:
    assert laggards([sibling(f"GPU-{number}", 1.0, number) for number in range(8)]) == ()
    assert laggards([sibling(f"GPU-{number}", 0.9 if number == 2 else 1.0, number) for number in range(8)]) == ()


def test_of_two_nobody_can_say_which_is_off_and_a_limited_one_has_its_reason() -> None:
    assert laggards([sibling("a", 1.0, 1), sibling("b", 1.2, 2)]) == ()
    limited = sibling("slow", 1.2, 9, power_limit_watts=500.0)
    others = [sibling(f"GPU-{number}", 1.0, number, power_limit_watts=700.0) for number in range(5)]
    assert laggards([limited, *others]) == ()


def test_without_a_price_the_loss_is_unknown_and_not_nought() -> None:
    devices = [sibling(f"GPU-{number}", 1.1 if not number else 1.0, number) for number in range(4)]
    assert [found.loss_per_month for found in laggards(devices)] == [None]
