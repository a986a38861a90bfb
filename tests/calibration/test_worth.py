"""The worth of a measurement, and training against inference."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner.calibration.comparison import compare
from planner.calibration.sample import Operation, Sample
from planner.calibration.suites import get_suite
from planner.calibration.worth import MEASURED_WIDTH, Part, width_of, worths
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from tests.recordings import recorded_samples

BENCHES = get_suite("standard").benches_for(Backend.CUDA, 80_000_000_000)
PARTS = (
    Part("products", 0.7, 0.30, Dtype.BF16),
    Part("attention", 0.1, 0.50, Dtype.BF16),
    Part("memory", 0.2, 0.05),
)


def test_the_part_that_holds_most_of_the_doubt_is_worth_most() -> None:
    found = worths(PARTS, BENCHES)
    assert [worth.kind for worth in found] == ["products", "attention"]
    best = found[0]
    assert best.width_before == pytest.approx(width_of(PARTS))
    assert best.width_after == pytest.approx(width_of([replace(PARTS[0], width=MEASURED_WIDTH), *PARTS[1:]]))
    assert {(bench.operation, bench.dtype) for bench in best.benches} == {(Operation.MATMUL, Dtype.BF16)}
    assert best.minutes == pytest.approx((4 + sum(bench.expected_seconds for bench in best.benches)) / 60)
    assert best.narrowing > 0.6
    assert "narrows ±24% to ±7%" in best.sentence


def test_what_is_known_well_already_is_not_measured_again() -> None:
    assert "memory" not in [worth.kind for worth in worths(PARTS, BENCHES)]
    assert worths([Part("products", 1.0, 0.01)], BENCHES) == ()


def test_what_the_device_cannot_measure_is_not_offered() -> None:
    assert worths([Part("exchange", 1.0, 0.5)], BENCHES) == ()


def test_shares_must_be_those_of_a_whole() -> None:
    with pytest.raises(ValueError, match="must add up to 1"):
        worths(PARTS[:2], BENCHES)


def test_a_minute_more_makes_a_measurement_worth_less() -> None:
    slow = [
        replace(bench, expected_seconds=600.0) if bench.operation is Operation.MATMUL else bench for bench in BENCHES
    ]
    assert [worth.kind for worth in worths(PARTS, slow)] == ["attention", "products"]


def test_the_recorded_cpu_says_which_of_training_and_writing_pushes_it_harder() -> None:
    found = compare(recorded_samples(), Dtype.FP32)
    training, writing = found.sides[Operation.TRAIN_STEP], found.sides[Operation.DECODE]
    assert training.compute_share is not None
    assert 0.1 < training.compute_share < 1.2
    assert writing.compute_share is not None
    assert writing.compute_share < training.compute_share
    assert (writing.power_watts, writing.joules_per_token) == (None, None)
    assert "pushes this device harder than" in found.sentence
    assert "power was not told" in found.sentence


def with_power(sample: Sample) -> Sample:
    watts = {Operation.TRAIN_STEP: 650.0, Operation.DECODE: 420.0}.get(sample.bench.operation)
    return sample if watts is None else replace(sample, details={"power_watts": watts})


def test_where_power_is_told_it_decides_and_gives_energy_per_token() -> None:
    found = compare([with_power(sample) for sample in recorded_samples()], Dtype.FP32)
    writing = found.sides[Operation.DECODE]
    assert found.sentence.startswith("Training pushes this device harder than writing answers: it draws 650 W against")
    assert writing.joules_per_token == pytest.approx(420 / writing.tokens_per_second)


def test_one_side_alone_is_no_comparison() -> None:
    alone = [sample for sample in recorded_samples() if sample.bench.operation is Operation.TRAIN_STEP]
    assert "were not both measured" in compare(alone, Dtype.FP32).sentence
