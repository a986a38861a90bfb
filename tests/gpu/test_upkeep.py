"""What looking after a run costs and leaves behind, in short versions of the long checks; and repeatability."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from benchmarks.calibration_overhead import overhead
from benchmarks.soak import Held, soak, what_grew
from planner.calibration.repeatability import repeatability
from planner.calibration.sample import Sample
from tests.recordings import recorded_samples


@pytest.mark.fault(38)
@pytest.mark.skipif(sys.platform != "linux", reason="counts by the proc file system")
def test_thirty_runs_leave_nothing_behind() -> None:
    early, late = soak(30)
    assert what_grew(early, late) == ""


def test_what_grows_is_named() -> None:
    held = Held(10, 1, 0, 100_000_000)
    assert what_grew(held, held) == ""
    assert what_grew(held, replace(held, descriptors=11)) == "descriptors from 10 to 11"
    assert "resident memory" in what_grew(held, replace(held, resident_bytes=200_000_000))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processor seconds of another process")
def test_what_looking_after_a_run_takes_is_counted_in_that_run() -> None:
    found = overhead("custom:norm", telemetry_seconds=0.25)
    assert found.num_readings >= 5
    assert found.num_benches >= 3
    assert found.worker_seconds > 0
    assert found.telemetry_seconds > 0
    assert found.share == pytest.approx((found.worker_seconds + found.telemetry_seconds) / found.run_seconds)
    assert f"{found.share:.2%} of {found.run_seconds:.1f} s" in found.sentence
    assert "allowed: 1%" in found.sentence


def scaled(samples: list[Sample], factors: list[float]) -> list[Sample]:
    return [replace(one, seconds=one.seconds * factors[place % len(factors)]) for place, one in enumerate(samples)]


def test_a_run_agrees_with_itself_and_not_with_one_half_as_slow_again() -> None:
    samples = recorded_samples()
    steady = sum(sample.steady for sample in samples)
    assert repeatability(samples, samples).share == 1.0
    assert len(repeatability(samples, samples).pairs) == steady
    slower = repeatability(samples, scaled(samples, [1.5]))
    assert slower.share is not None
    assert slower.share < 0.05, "a sample that says it varies by half is believed"
    assert "| bench | differs by | allowed |" in slower.report()


def test_the_worst_bench_stands_first_in_the_report() -> None:
    samples = recorded_samples()
    found = repeatability(samples, scaled(samples, [1.0] * 9 + [1.6] + [1.0] * 9 + [2.0]))
    lines = [line for line in found.report().splitlines() if line.startswith("| `")]
    assert "100.0%" in lines[0]
    assert found.share is not None
    assert 0.85 < found.share < 0.95


def test_other_versions_and_unsteady_samples_are_not_compared() -> None:
    samples = recorded_samples()
    other = [replace(one, bench=replace(one.bench, version=9)) for one in samples]
    assert repeatability(samples, other).share is None
    assert repeatability(samples, [replace(one, steady=False) for one in samples]).pairs == ()
    assert "No bench" in repeatability(samples, other).report()
