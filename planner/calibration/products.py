"""What a device reaches in matrix products and in reading and writing memory, drawn from their own benches."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.calibration.correction import NINETY, Quality
from planner.calibration.efficiency import (
    BandwidthCurve,
    MatmulPoint,
    MatmulRate,
    ideal_matmul_seconds,
    interpolate,
    shape_coordinates,
)
from planner.calibration.sample import Bench, Sample
from planner.hardware.gpu import Dtype
from planner.jobs.operations import Amount

# The values that are tried, coarse on purpose: there are about a dozen samples.
PEAK_FACTORS = (1.0, 1.03, 1.07, 1.12, 1.2)
BANDWIDTH_FACTORS = (0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.1)
FLOOR_SECONDS = (0.0, 1e-6, 2e-6, 4e-6, 8e-6, 16e-6, 32e-6, 64e-6)
SHARPNESSES = (1.0, 1.5, 2.0, 4.0, 8.0)
QUARTILES = 1.349  # interquartile ranges per standard deviation of a normal distribution


def fit_bandwidth(samples: Sequence[Sample]) -> tuple[BandwidthCurve | None, Quality | None]:
    """Bytes/s by size from copies, and how well a size is told from the others; None without any."""
    if not samples:
        return None, None
    ordered = sorted(samples, key=lambda sample: sample.num_bytes)
    curve = BandwidthCurve(tuple((sample.num_bytes, sample.num_bytes / sample.seconds) for sample in ordered))
    errors = []
    for place in range(1, len(ordered) - 1):  # an end cannot be told from the others
        rest = BandwidthCurve(curve.points[:place] + curve.points[place + 1 :])
        num_bytes, rate = curve.points[place]
        errors.append(math.log(rest.at(num_bytes) / rate))
    return curve, _quality(samples, errors)


def fit_matmuls(samples: Sequence[Sample], bandwidth: float) -> tuple[dict[Dtype, MatmulRate], dict[Dtype, Quality]]:
    """Per number format the rate of products, and how well a shape is told from the others."""
    rates: dict[Dtype, MatmulRate] = {}
    qualities: dict[Dtype, Quality] = {}
    for dtype in sorted({sample.bench.dtype for sample in samples}):
        same = [sample for sample in samples if sample.bench.dtype is dtype]
        rates[dtype] = _fit_matmul(same, bandwidth)
        qualities[dtype] = _quality(same, _matmul_errors(same, bandwidth))
    return rates, qualities


def _quality(samples: Sequence[Sample], errors: Sequence[float]) -> Quality:
    spread = statistics.median(sample.spread for sample in samples) / QUARTILES * NINETY
    held_out = None if not errors else NINETY * math.sqrt(statistics.fmean(error**2 for error in errors))
    return Quality(len(samples), spread, held_out)


def _fit_matmul(samples: Sequence[Sample], bandwidth: float) -> MatmulRate:
    """The tried values that leave the least to explain (squares of logarithms), and what is left per shape."""
    best = max(sample.flops / sample.seconds for sample in samples)
    axes = (PEAK_FACTORS, BANDWIDTH_FACTORS, FLOOR_SECONDS, SHARPNESSES)
    peaks, bandwidths, floors, sharpnesses = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    known = bandwidth if math.isfinite(bandwidth) else max(sample.num_bytes / sample.seconds for sample in samples)
    every = MatmulRate(best * peaks, known * bandwidths, floors, sharpnesses)
    unexplained = sum((np.square(_residual(sample, every)) for sample in samples), start=np.zeros(peaks.size))
    place = int(np.argmin(unexplained))
    rate = MatmulRate(
        float(best * peaks[place]), float(known * bandwidths[place]), float(floors[place]), float(sharpnesses[place])
    )
    return replace(rate, points=tuple(_matmul_point(sample, rate) for sample in samples))


def _matmul_point(sample: Sample, rate: MatmulRate) -> MatmulPoint:
    return MatmulPoint(*_shape(sample.bench), residual=float(_residual(sample, rate)))


def _residual(sample: Sample, rate: MatmulRate) -> Amount:
    """ln(measured ÷ the form's)."""
    _, _, inner = _shape(sample.bench)
    ideal = ideal_matmul_seconds(rate, sample.flops, sample.num_bytes, inner)
    result: Amount = np.log(sample.seconds / ideal)
    return result


def _shape(bench: Bench) -> tuple[float, float, float]:
    return float(bench.parameters["m"]), float(bench.parameters["n"]), float(bench.parameters["k"])


def _matmul_errors(samples: Sequence[Sample], bandwidth: float) -> list[float]:
    """Each shape predicted from the others: ln(predicted ÷ measured)."""
    errors = []
    for place, sample in enumerate(samples):
        rest = [*samples[:place], *samples[place + 1 :]]
        if rest:
            rate = _fit_matmul(rest, bandwidth)
            known = shape_coordinates(*(np.array(axis) for axis in zip(*map(_point_shape, rate.points), strict=True)))
            residuals = np.array([point.residual for point in rate.points])
            deviation = float(interpolate(known, residuals, shape_coordinates(*_shape(sample.bench)))[0])
            errors.append(deviation - float(_residual(sample, rate)))
    return errors


def _point_shape(point: MatmulPoint) -> tuple[float, float, float]:
    return point.rows, point.columns, point.inner
