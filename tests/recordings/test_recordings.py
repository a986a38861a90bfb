"""The recorded runs are whole and still mean what they meant."""

from __future__ import annotations

from itertools import pairwise

import pytest

from planner.calibration.sample import Operation
from planner.calibration.suites import get_suite
from planner.calibration.theory import bench_theory
from planner.inventory.device import Backend
from tests.recordings import CPU_QUICK, recorded, recorded_samples


def test_every_bench_of_the_recorded_run_is_still_measured_though_otherwise_now() -> None:
    benches = {bench.key: bench for bench in get_suite("quick").benches_for(Backend.CPU, 25_000_000_000)}
    for sample in recorded_samples():
        assert (sample.bench.version, benches[sample.bench.key].version) == (1, 3), "samples of two versions never mix"
    assert recorded(CPU_QUICK, "failure") == []


def test_recorded_products_and_copies_have_the_theory_of_today() -> None:
    for sample in recorded_samples():
        if sample.bench.operation in (Operation.MATMUL, Operation.COPY):
            theory = bench_theory(sample.bench)
            assert (sample.flops, sample.num_bytes) == (theory.flops, theory.num_bytes)


def test_the_recorded_run_was_steady_and_its_readings_go_through_the_run() -> None:
    samples = recorded_samples()
    assert sum(sample.steady for sample in samples) >= 0.95 * len(samples)
    assert sorted(sample.spread for sample in samples)[len(samples) // 2] < 0.03
    times = [reading["seconds_in"] for reading in recorded(CPU_QUICK, "reading")]
    assert times == sorted(times)
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert sum(steps) / len(steps) == pytest.approx(0.5, abs=0.01)
