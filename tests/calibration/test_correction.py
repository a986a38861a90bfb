"""Corrections of whole passes: near what was measured as measured, far from it what passes share, and wider."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from planner.calibration.correction import (
    FARTHEST,
    LEAST_SCALE,
    Correction,
    CorrectionPoint,
    Family,
    block_shape,
    expected_deviation,
    family_of,
    fit_correction,
    judged,
)
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import Conv, ConvNet
from tests.builders import transformer

DECODER = Transformer("d", 4, 768, 12, 4, 2048, 8192)
ENCODER = replace(DECODER, causal=False)
PICTURES = ConvNet("c", (Conv(56, 64, 16, 3),), 112, 16)


def _points(factor: float = 0.1, slope: float = 0.0, noise: float = 0.01) -> list[CorrectionPoint]:
    """Passes of 64 to 4,096 rows, each a millisecond per row."""
    return [
        CorrectionPoint(
            2.0**power, 2.0**power, 2.0**power * 1e-3, factor + slope * (power - 9), (768, 12, 4, 2048), noise=noise
        )
        for power in (6, 8, 10, 12)
    ]


def _at(correction: Correction, rows: float, network: Transformer | ConvNet = DECODER) -> float:
    return math.log(float(np.asarray(correction.factor(network, rows, rows, rows * 1e-3))))


def test_a_pass_between_measured_ones_is_corrected_as_they_are() -> None:
    assert _at(fit_correction(_points()), 512.0) == pytest.approx(0.1, abs=0.01)


def test_a_trend_over_rows_is_followed_between_its_points() -> None:
    correction = fit_correction(_points(slope=0.05))
    assert _at(correction, 512.0) == pytest.approx(0.1, abs=0.03)
    assert _at(correction, 128.0) < _at(correction, 512.0) < _at(correction, 2048.0)


def test_the_order_of_points_does_not_matter() -> None:
    assert fit_correction(_points()) == fit_correction(_points()[::-1])


def test_far_from_every_pass_and_in_another_family_the_range_is_wider() -> None:
    correction = fit_correction(_points(slope=0.05))
    here, far = (correction.widths(DECODER, rows, rows, rows * 1e-3) for rows in (512.0, 2.0**22))
    other = correction.widths(ENCODER, 512.0, 512.0, 0.512)
    assert far.noise == here.noise == other.noise
    assert here.distance < far.distance
    assert here.distance < other.distance


def test_far_away_the_range_is_wide_however_well_the_measured_passes_agree() -> None:
    correction = judged(fit_correction(_points(factor=0.0)), [0.0] * 16, [0.02] * 16)
    assert correction.scale == LEAST_SCALE
    near, far = (correction.widths(DECODER, rows, rows, rows * 1e-3).distance for rows in (512.0, 2.0**18))
    assert near < 0.03 < 0.2 < far
    assert correction.widths(PICTURES, 8.0, 1.0, 0.1).distance == FARTHEST


def test_noise_widens_and_is_not_believed() -> None:
    calm, loud = fit_correction(_points(slope=0.05)), fit_correction(_points(slope=0.05, noise=0.3))
    assert loud.widths(DECODER, 64.0, 64.0, 0.064).noise > 10 * calm.widths(DECODER, 64.0, 64.0, 0.064).noise
    assert abs(_at(loud, 64.0) - (0.1 - 0.15)) > abs(_at(calm, 64.0) - (0.1 - 0.15))


def test_errors_larger_than_expected_widen_and_smaller_ones_narrow() -> None:
    correction = fit_correction(_points())
    wide, narrow = (judged(correction, [error] * 8, [0.02] * 8) for error in (0.1, 0.002))
    assert narrow.scale < 1 < wide.scale
    assert wide.quality.held_out == pytest.approx(1.645 * 0.1)
    assert wide.widths(DECODER, 64.0, 64.0, 0.064).held_out > correction.widths(DECODER, 64.0, 64.0, 0.064).held_out


def test_one_pass_far_off_widens_the_others_little() -> None:
    points = [replace(point, shape=(width, 12, 4, 2048)) for width in (384, 768, 1152) for point in _points()]
    odd = replace(points[0], family=Family.CONVOLUTIONAL, factor=0.6)
    straight, bent = (fit_correction(found) for found in (points, [*points, odd]))
    assert bent.kernel.local == straight.kernel.local
    usual, disturbed = (judged(straight, [*[0.02] * 12, error], [0.02] * 13).scale for error in (0.02, 1.0))
    assert usual == pytest.approx(1.0)
    assert usual < disturbed < 1.3


def test_one_point_alone_has_no_held_out_error() -> None:
    correction = fit_correction(_points()[:1])
    assert judged(correction, [], []) == correction
    assert correction.quality.held_out is None


def test_a_held_out_point_is_expected_near_the_others() -> None:
    *rest, left = _points(factor=0.2)
    found, deviation = expected_deviation(fit_correction(rest), left)
    assert found == pytest.approx(0.2, abs=0.1)
    assert deviation > left.noise


@pytest.mark.parametrize(
    ("network", "family"),
    [
        (DECODER, Family.DECODER),
        (ENCODER, Family.ENCODER),
        (replace(DECODER, num_experts=4, experts_per_token=2), Family.EXPERTS),
        (PICTURES, Family.CONVOLUTIONAL),
    ],
)
def test_every_network_belongs_to_a_family(network: Transformer | ConvNet, family: Family) -> None:
    assert family_of(network) is family
    assert block_shape(network)[0] in (768, 16)


def test_shapes_that_ran_are_known() -> None:
    correction = fit_correction(_points())
    assert correction.has_run(DECODER)
    assert not correction.has_run(transformer())
    assert not correction.has_run_several(DECODER)
    other = CorrectionPoint(64.0, 64.0, 0.1, 0.0, (384, 6, 2, 1024))
    assert fit_correction([*_points(), other]).has_run_several(DECODER)
    assert not fit_correction([*_points(), other]).has_run_several(ENCODER)
