"""Samples become rates: known ones are found again, recorded ones are predicted when left out."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from planner.calibration.draw import fit_samples
from planner.calibration.efficiency import (
    BandwidthCurve,
    MatmulRate,
    PassRate,
    Rates,
    ideal_matmul_seconds,
    interpolate,
    matmul_seconds,
    work_seconds,
)
from planner.calibration.fit import FIT_FORM, Fit
from planner.calibration.sample import Bench, BenchFailure, Operation, Sample
from planner.calibration.theory import bench_forward_work, bench_theory, bench_training_work
from planner.hardware.catalogue import unlisted_gpu
from planner.hardware.gpu import Dtype, GpuKind
from planner.jobs.operations import Pass, WorkKind, forward_work
from tests.builders import transformer
from tests.recordings import recorded_samples

CPU = unlisted_gpu("A CPU", "AMD", GpuKind.CPU, 16e9)
GPU = unlisted_gpu("A GPU", "NVIDIA", GpuKind.GPU, 80e9)
SHAPE = {"layers": 4, "hidden": 1024, "heads": 16, "kv_heads": 4, "ffn": 4096, "gated": 1, "vocab": 8192}
TRUE_RATE = MatmulRate(peak=500e12, bandwidth=2e12, floor_seconds=4e-6, sharpness=4.0)
TRUE = Rates({Dtype.BF16: TRUE_RATE}, 2e12, PassRate(0.5, 1.3e12, 8e-6), is_synchronous=False)
PRODUCTS = [(m, n, k) for m in (1, 16, 64, 256, 1024, 4096) for n, k in ((1024, 1024), (4096, 1024), (4096, 4096))]


def _sample(operation: Operation, seconds: float, version: int = 1, **parameters: int) -> Sample:
    bench = Bench(operation, version, Dtype.BF16, parameters, 0.1)
    theory = bench_theory(bench)
    return Sample(bench, seconds, 0.01, 9, theory.flops, theory.num_bytes, steady=True)


def _product(m: int, n: int, k: int, factor: float = 1.0) -> Sample:
    bare = _sample(Operation.MATMUL, 1.0, m=m, n=n, k=k)
    seconds = ideal_matmul_seconds(TRUE_RATE, bare.flops, bare.num_bytes, k)
    return replace(bare, seconds=factor * float(seconds))


def _copy(num_bytes: int, rate: float) -> Sample:
    return _sample(Operation.COPY, 2 * num_bytes / rate, num_bytes=num_bytes)


def _pass(operation: Operation, factor: float, **parameters: int) -> Sample:
    sample = _sample(operation, 1.0, **SHAPE, **parameters)
    if operation is Operation.TRAIN_STEP:
        work = bench_training_work(sample.bench)
        works = (*work.forward, *work.backward, *work.optimizer)
    else:
        works = bench_forward_work(sample.bench)
    return replace(sample, seconds=factor * float(np.max(work_seconds(works, TRUE).total)))


def _made_samples() -> list[Sample]:
    return [
        *(_product(m, n, k) for m, n, k in PRODUCTS),
        *(_copy(size, rate) for size, rate in ((1_000_000, 6e12), (100_000_000, 3e12), (1_000_000_000, 2e12))),
        *(_pass(Operation.DECODE, 1.2, context=c, batch=b) for c, b in ((256, 1), (2048, 1), (256, 16), (2048, 16))),
        *(_pass(Operation.PREFILL, 1.1, sequence=s, batch=1) for s in (256, 1024, 4096)),
        _pass(Operation.TRAIN_STEP, 1.3, sequence=1024, micro_batch=4),
    ]


def test_samples_of_wide_spread_are_left_out_and_counted_and_pull_nothing() -> None:
    wide = replace(_product(1024, 1024, 1024), seconds=1.0, spread=0.45)
    others = [sample for sample in _made_samples() if sample.bench.key != wide.bench.key]
    with_it, without = fit_samples([*others, wide], GPU), fit_samples(others, GPU)
    assert with_it.left_out == {"spread above 25%": 1}
    assert replace(with_it, left_out={}) == without


def test_where_every_sample_of_an_operation_is_wide_they_stay_and_widen_its_range() -> None:
    made = _made_samples()
    wide = [replace(s, spread=0.45) if s.bench.operation is Operation.COPY else s for s in made]
    fit, usual = fit_samples(wide, GPU), fit_samples(made, GPU)
    assert fit.left_out == {}
    assert fit.bandwidth == usual.bandwidth
    assert fit.bandwidth_quality is not None
    assert usual.bandwidth_quality is not None
    assert fit.bandwidth_quality.spread > usual.bandwidth_quality.spread


def test_known_rates_are_found_again() -> None:
    fit = fit_samples(_made_samples(), GPU)
    assert fit.bandwidth is not None
    assert fit.bandwidth.far == pytest.approx(2e12)
    for sample in _made_samples():
        if sample.bench.operation is Operation.MATMUL:
            m, n, k = (float(sample.bench.parameters[name]) for name in "mnk")
            predicted = ideal_matmul_seconds(fit.matmul[Dtype.BF16], sample.flops, sample.num_bytes, k)
            assert float(predicted) == pytest.approx(sample.seconds, rel=0.12), (m, n, k)
    quality = fit.matmul_quality[Dtype.BF16]
    assert quality.held_out is not None
    assert quality.held_out < 0.15


def test_whole_passes_are_predicted_when_left_out() -> None:
    fit = fit_samples(_made_samples(), GPU)
    # The longest prompt alone tells how fast attention computes, so leaving it out costs more than leaving out a step.
    for operation, most in ((Operation.DECODE, 0.05), (Operation.PREFILL, 0.25)):
        held_out = fit.corrections[operation, Dtype.BF16].quality.held_out
        assert held_out is not None
        assert held_out < most
    assert fit.corrections[Operation.TRAIN_STEP, Dtype.BF16].quality.held_out is None


def test_the_hosts_time_per_kernel_is_found_where_steps_are_bound_by_it() -> None:
    launch = fit_samples(_made_samples(), GPU).in_pass[Operation.DECODE, Dtype.BF16].launch_seconds
    assert launch == pytest.approx(1.2 * 8e-6, rel=0.05)  # decoding was made 1.2 times as long as its operations


def test_a_recorded_cpu_is_predicted_within_a_fifth_when_each_sample_is_left_out() -> None:
    """The catalogue has no figure of this CPU: all rates are absolute."""
    fit = fit_samples(recorded_samples(), CPU)
    assert fit.gpu_key == CPU.key
    assert set(fit.matmul) == {Dtype.BF16, Dtype.FP32}
    assert 3e11 < float(fit.matmul[Dtype.BF16].peak) < 7e11
    for dtype in (Dtype.BF16, Dtype.FP32):
        for operation in (Operation.PREFILL, Operation.DECODE):
            held_out = fit.corrections[operation, dtype].quality.held_out
            assert held_out is not None
            assert held_out < math.log(1.35), (operation, dtype)
    assert fit.memory_excess_bytes is not None
    assert 0 <= fit.memory_excess_bytes < 0.5e9


def test_a_fit_goes_through_json_unchanged() -> None:
    for fit in (fit_samples(recorded_samples(), CPU, {"x": 1.0}), fit_samples([], CPU)):
        assert Fit.from_document(json.loads(json.dumps(fit.to_document()))) == fit


def test_another_form_is_refused() -> None:
    document = fit_samples([], CPU).to_document() | {"form": FIT_FORM + 1}
    with pytest.raises(ValueError, match="has form"):
        Fit.from_document(document)


def test_the_order_of_samples_does_not_matter() -> None:
    forwards, backwards = (fit_samples(order, GPU) for order in (_made_samples(), _made_samples()[::-1]))
    assert forwards.matmul[Dtype.BF16].peak == backwards.matmul[Dtype.BF16].peak
    assert forwards.in_pass == backwards.in_pass
    assert set(forwards.samples) == set(backwards.samples)


def test_unsteady_samples_and_failures_are_left_out_and_counted() -> None:
    made = _made_samples()
    wild = replace(_product(512, 512, 512, factor=50.0), steady=False)
    failure = BenchFailure(made[0].bench, "oom", "no memory")
    fit = fit_samples([*made, wild], GPU, failures=[failure, failure])
    assert fit.matmul == fit_samples(made, GPU).matmul
    assert fit.left_out == {"unsteady": 1, "failed: oom": 2}
    assert wild.bench.key not in fit.samples


def test_samples_of_two_bench_versions_are_never_mixed() -> None:
    old = [replace(s, bench=replace(s.bench, version=1), seconds=s.seconds * 3) for s in map(_newer, _made_samples())]
    new = [_newer(sample) for sample in _made_samples()]
    fit = fit_samples([*old, *new], GPU)
    assert fit.matmul == fit_samples(new, GPU).matmul
    assert fit.left_out == {"older bench version": len(old)}
    assert set(fit.bench_versions.values()) == {2}


def _newer(sample: Sample) -> Sample:
    return replace(sample, bench=replace(sample.bench, version=2))


def test_of_several_runs_the_median_counts_and_their_difference_widens_the_spread() -> None:
    once = fit_samples([_product(*shape) for shape in PRODUCTS], GPU)
    runs = [_product(*shape, factor=factor) for factor in (0.9, 1.0, 1.1) for shape in PRODUCTS]
    thrice = fit_samples(runs, GPU)
    assert thrice.matmul[Dtype.BF16].peak == pytest.approx(once.matmul[Dtype.BF16].peak)
    assert thrice.matmul_quality[Dtype.BF16].spread > 5 * once.matmul_quality[Dtype.BF16].spread


def test_power_is_averaged_per_operation() -> None:
    made = _made_samples()
    decodes = [sample.bench.key for sample in made if sample.bench.operation is Operation.DECODE]
    fit = fit_samples(made, GPU, dict(zip(decodes, (300.0, 320.0, 340.0, 360.0), strict=True)))
    assert fit.power_watts == {Operation.DECODE: 330.0}


def test_without_bandwidth_there_are_no_rates() -> None:
    fit = fit_samples([_product(*shape) for shape in PRODUCTS], GPU)
    assert fit.rates(Dtype.BF16, Operation.DECODE) is None
    assert fit_samples([], GPU).rates(Dtype.BF16, Operation.DECODE) is None


def test_efficiency_one_reproduces_the_roofline() -> None:
    peak, bandwidth = 100e12, 1e12
    rate = MatmulRate(peak, bandwidth, 0.0, sharpness=1e3)
    rates = Rates({Dtype.BF16: rate}, bandwidth, PassRate(1.0, bandwidth, 0.0), is_synchronous=False)
    for work in forward_work(transformer(), Pass(4.0, 128.0, Dtype.BF16)):
        once = work_seconds((work,), rates).total
        compute = 0.0 if work.kind is WorkKind.MEMORY else work.flops / peak
        if work.kind is WorkKind.ATTENTION:
            assert once >= work.count * max(compute, work.num_bytes / bandwidth)
        else:
            assert once == pytest.approx(work.count * max(compute, work.num_bytes / bandwidth), rel=1e-2), work.name


def test_bandwidth_is_interpolated_in_logarithms_and_held_beyond_the_ends() -> None:
    curve = BandwidthCurve(((1e6, 4e12), (1e8, 1e12)))
    assert curve.at(1e7) == pytest.approx(2e12)
    assert curve.at(1.0) == pytest.approx(4e12)
    assert curve.at(1e12) == pytest.approx(1e12) == pytest.approx(curve.far)


def test_interpolation_stays_between_its_samples_and_near_one_it_is_that_one() -> None:
    known, values = np.array([[0.0], [10.0]]), np.array([1.0, 3.0])
    near, middle = interpolate(known, values, np.array([[0.0], [5.0]]))
    assert near == pytest.approx(1.0, abs=1e-3)
    assert middle == pytest.approx(2.0)


def test_a_measured_shape_is_predicted_as_measured() -> None:
    odd = [_product(*shape, factor=1.5 if shape[0] == 64 else 1.0) for shape in PRODUCTS]
    fit = fit_samples([*odd, _copy(1_000_000_000, 2e12)], GPU)
    for sample in odd:
        m, n, k = (float(sample.bench.parameters[name]) for name in "mnk")
        work = next(w for w in forward_work(transformer(), Pass(1.0, 1.0, Dtype.BF16)) if w.kind is WorkKind.GEMM)
        asked = replace(work, flops=sample.flops, num_bytes=sample.num_bytes, rows=m, columns=n, inner=k)
        assert float(matmul_seconds(fit.matmul[Dtype.BF16], asked, 1.0)) == pytest.approx(sample.seconds, rel=0.1)
