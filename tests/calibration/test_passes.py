"""What parts take within whole passes: factors that were made are found again, and what tells of nothing stays put."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.calibration.correction import Family
from planner.calibration.efficiency import MatmulRate, Part, PassRate, Rates, work_seconds
from planner.calibration.passes import (
    CPU_LAUNCH_SECONDS,
    PHASES,
    Alone,
    alone,
    attention_curve,
    fit_passes,
    mean_above_median,
    usual_pass,
)
from planner.calibration.sample import Bench, Operation, Sample
from planner.calibration.suites import get_suite
from planner.calibration.theory import bench_theory, bench_works
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

MATMUL = {Dtype.BF16: MatmulRate(4e11, 1.5e10, 1e-6, 1.5), Dtype.FP32: MatmulRate(1.2e11, 1.5e10, 1e-6, 1.5)}
BANDWIDTH = 1.5e10
TRUE = PassRate(
    0.4,
    1e10,
    6e-6,
    {
        Part.PRODUCTS: 1.2,
        Part.MEMORY: 1.6,
        Part.UPDATE: 1.3,
        Part.CONVOLUTIONS: 1.5,
        Part.AGAIN: 1.4,
        Part.BOTH_WAYS: 0.7,
    },
)
STANDARD = get_suite("standard").benches_for(Backend.CPU, 16_000_000_000)


def _sample(bench: Bench, seconds: float) -> Sample:
    theory = bench_theory(bench)
    return Sample(bench, seconds, 0.01, 6, theory.flops, theory.num_bytes, steady=True)


def _passes(phase: Operation, dtype: Dtype = Dtype.BF16) -> list[Sample]:
    rates = Rates(MATMUL, BANDWIDTH, TRUE, is_synchronous=True)
    chosen = [b for b in STANDARD if PHASES.get(b.operation) is phase and b.dtype is dtype]
    return [_sample(bench, float(np.max(work_seconds(bench_works(bench), rates).total))) for bench in chosen]


def _parts(**changes: object) -> Alone:
    attention = PassRate(0.4, 1e10, CPU_LAUNCH_SECONDS)
    return replace(Alone(MATMUL, BANDWIDTH, True, attention, None), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", [Operation.TRAIN_STEP, Operation.PREFILL, Operation.DECODE])
def test_passes_made_of_scaled_parts_are_told_when_each_is_left_out(phase: Operation) -> None:
    _, correction = fit_passes(_passes(phase), _parts())
    assert correction.quality.held_out is not None
    assert correction.quality.held_out < 0.03


def test_factors_that_were_made_are_found_again() -> None:
    found, _ = fit_passes(_passes(Operation.TRAIN_STEP), _parts())
    for part in (Part.PRODUCTS, Part.MEMORY, Part.CONVOLUTIONS):
        assert found.factors[part] == pytest.approx(TRUE.factors[part], rel=0.15), part


def test_a_part_that_no_pass_has_stays_where_its_own_benches_put_it() -> None:
    found, _ = fit_passes(_passes(Operation.DECODE), _parts(memory_factor=1.4))
    assert found.factors[Part.CONVOLUTIONS] == found.factors[Part.UPDATE] == 1.0


def test_one_pass_far_off_moves_the_others_little() -> None:
    passes = _passes(Operation.TRAIN_STEP)
    odd = [replace(passes[0], seconds=3 * passes[0].seconds), *passes[1:]]
    straight, bent = (fit_passes(samples, _parts())[0].factors[Part.PRODUCTS] for samples in (passes, odd))
    assert bent == pytest.approx(straight, rel=0.1)


def test_every_family_of_networks_is_among_the_training_passes() -> None:
    _, correction = fit_passes(_passes(Operation.TRAIN_STEP), _parts())
    assert {point.family for point in correction.points} == set(Family)


def _bench(operation: Operation, **inside: int) -> Bench:
    return Bench(operation, 2, Dtype.BF16, inside, 0.1)


HEADS = {"batch": 1, "heads": 12, "kv_heads": 12, "head_width": 64, "causal": 1}


def _attentions() -> list[Sample]:
    """Of a prompt at a quarter of the peak, of training at a tenth, of one query at half of the bandwidth."""
    prompt = _bench(Operation.ATTENTION, **HEADS, queries=1024, keys=1024, backward=0)
    training = _bench(Operation.ATTENTION, **HEADS, queries=1024, keys=1024, backward=1)
    one = _bench(Operation.ATTENTION, **HEADS, queries=1, keys=1024, backward=0)
    return [
        _sample(prompt, bench_theory(prompt).flops / (0.25 * 4e11)),
        _sample(training, bench_theory(training).flops / (0.1 * 4e11)),
        _sample(one, bench_theory(one).num_bytes / (0.5 * BANDWIDTH)),
    ]


def test_attention_is_told_apart_by_phase() -> None:
    found = {
        phase: alone(_attentions(), MATMUL, BANDWIDTH, (phase, Dtype.BF16), is_cpu=True)
        for phase in (Operation.TRAIN_STEP, Operation.PREFILL, Operation.DECODE)
    }
    for phase, sample in zip((Operation.PREFILL, Operation.TRAIN_STEP, Operation.DECODE), _attentions(), strict=True):
        curve = found[phase].attention.curve
        assert curve is not None
        assert curve.seconds(1024.0, sample.flops, sample.num_bytes, 64.0) == pytest.approx(sample.seconds)


@pytest.mark.parametrize("is_per_byte", [True, False])
def test_whether_shared_keys_are_read_once_or_again_is_told_by_the_benches(is_per_byte: bool) -> None:
    samples = []
    for kv_heads in (12, 4):
        for keys in (256, 1024):
            bench = _bench(Operation.ATTENTION, **HEADS | {"kv_heads": kv_heads}, queries=1, keys=keys, backward=0)
            theory = bench_theory(bench)
            samples.append(_sample(bench, 1e-10 * (theory.num_bytes if is_per_byte else theory.flops)))
    curve = attention_curve(samples)
    assert curve is not None
    assert curve.is_per_byte is is_per_byte
    between = curve.seconds(512.0, 1e6, 1e6, 64.0)
    assert between == pytest.approx(1e-4, rel=0.01)


def test_heads_of_a_slower_width_take_longer_by_what_their_benches_say() -> None:
    samples = []
    for width, factor in ((48, 1.5), (64, 1.0), (128, 1.0)):
        for keys in (256, 1024):
            inside = HEADS | {"head_width": width}
            bench = _bench(Operation.ATTENTION, **inside, queries=keys, keys=keys, backward=1)
            samples.append(_sample(bench, factor * 1e-11 * bench_theory(bench).flops))
    curve = attention_curve(samples)
    assert curve is not None
    seconds = {width: float(curve.seconds(256.0, 1e9, 1e6, width)) for width in (48.0, 56.0, 64.0, 256.0)}
    assert seconds[48.0] == pytest.approx(1.5 * seconds[64.0])
    assert seconds[64.0] < seconds[56.0] < seconds[48.0]
    assert seconds[256.0] == pytest.approx(seconds[64.0])


def test_memory_benches_say_how_much_longer_than_a_copy_such_work_takes() -> None:
    norm = _bench(Operation.NORM, rows=1024, columns=768)
    samples = [_sample(norm, 1.5 * bench_theory(norm).num_bytes / BANDWIDTH)]
    found = alone(samples, MATMUL, BANDWIDTH, (Operation.PREFILL, Dtype.BF16), is_cpu=True)
    assert found.memory_factor == pytest.approx(1.5)
    assert found.attention.curve is None


def test_where_no_part_was_measured_usual_values_stand_and_say_so() -> None:
    found = alone([], MATMUL, BANDWIDTH, (Operation.DECODE, Dtype.BF16), is_cpu=True)
    assert found.attention == usual_pass(MATMUL, BANDWIDTH, is_cpu=True)
    assert found.attention.curve is None
    assert found.memory_factor is None


def test_a_long_run_is_told_by_the_mean_of_its_steps_and_not_by_their_median() -> None:
    plain = _passes(Operation.DECODE)
    skewed = [replace(sample, details={"mean_seconds": 1.04 * sample.seconds}) for sample in plain]
    disturbed = [replace(plain[0], details={"mean_seconds": 9.0 * plain[0].seconds}), *skewed[1:]]
    assert mean_above_median(plain) == 1.0
    assert mean_above_median(skewed) == pytest.approx(1.04)
    assert mean_above_median(disturbed) < 1.04 + 0.5 / len(plain)
    usual, longer = (fit_passes(samples, _parts())[1].points[0] for samples in (plain, skewed))
    told = [point.predicted_seconds * np.exp(point.factor) for point in (usual, longer)]
    assert told[1] == pytest.approx(1.04 * told[0])


def test_benches_that_are_no_whole_pass_are_refused() -> None:
    product = next(bench for bench in STANDARD if bench.operation is Operation.MATMUL)
    with pytest.raises(ValueError, match="has no parameter"):
        bench_works(product)
