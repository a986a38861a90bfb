"""The roofline says the least time, which side binds, and what it does not know."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.hardware.catalogue import load_catalogue, unlisted_gpu
from planner.hardware.gpu import Dtype, GpuKind
from planner.hardware.roofline import Side, ideal, intensity, ridge_intensity

H100 = load_catalogue().get("H100-80GB-SXM")
UNLISTED = unlisted_gpu("some card", "NVIDIA", GpuKind.GPU, 8e9)
AMOUNTS = st.floats(min_value=0, max_value=1e24, allow_nan=False)


def test_a_large_matrix_product_is_bound_by_compute() -> None:
    # 8192³ in bf16: 2·n³ FLOPs over three n² matrices; 989 TFLOP/s and 3.35 TB/s from the data sheet
    time = ideal(2 * 8192**3, 3 * 8192**2 * 2, H100, Dtype.BF16)
    assert time.seconds == pytest.approx(1.1117e-3, rel=1e-3)
    assert time.memory_seconds == pytest.approx(1.2020e-4, rel=1e-3)
    assert time.side is Side.COMPUTE


def test_a_copy_is_bound_by_memory() -> None:
    time = ideal(0, 6.7e9, H100, Dtype.BF16)
    assert time.seconds == pytest.approx(2e-3)
    assert time.side is Side.MEMORY


def test_the_ridge_is_where_both_sides_take_equally_long() -> None:
    ridge = ridge_intensity(H100, Dtype.BF16)
    assert ridge == pytest.approx(295.2, rel=1e-3)
    time = ideal(ridge * 1e9, 1e9, H100, Dtype.BF16)
    assert time.compute_seconds == pytest.approx(time.memory_seconds)
    assert ideal(ridge * 0.99e9, 1e9, H100, Dtype.BF16).side is Side.MEMORY
    assert ideal(ridge * 1.01e9, 1e9, H100, Dtype.BF16).side is Side.COMPUTE


def test_a_format_without_a_peak_gives_no_time_but_a_bound_and_the_reason() -> None:
    a100 = load_catalogue().get("A100-80GB-SXM")
    time = ideal(1e12, 2.039e9, a100, Dtype.FP8)
    assert (time.seconds, time.side, time.compute_seconds) == (None, None, None)
    assert time.at_least_seconds == pytest.approx(1e-3)
    assert time.unknown == ("the fp8 peak of A100-80GB-SXM is not supported or not known",)
    assert ridge_intensity(a100, Dtype.FP8) is None


def test_an_unlisted_gpu_gives_no_time_and_names_both_figures() -> None:
    time = ideal(1e12, 1e9, UNLISTED, Dtype.BF16)
    assert time.seconds is None
    assert time.at_least_seconds == 0
    assert len(time.unknown) == 2
    assert ridge_intensity(UNLISTED, Dtype.BF16) is None


def test_an_unknown_figure_that_is_not_needed_does_no_harm() -> None:
    without_bandwidth = replace(H100, memory_bandwidth=None)
    assert ideal(989e12, 0, without_bandwidth, Dtype.BF16).seconds == pytest.approx(1)
    assert ideal(0, 0, UNLISTED, Dtype.BF16).seconds == 0


@pytest.mark.parametrize(("flops", "num_bytes"), [(-1, 0), (0, -1), (math.nan, 0), (0, math.inf)])
def test_impossible_work_is_refused(flops: float, num_bytes: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        ideal(flops, num_bytes, H100, Dtype.BF16)
    with pytest.raises(ValueError, match="finite and not negative"):
        intensity(flops, num_bytes)


def test_intensity_is_flops_per_byte() -> None:
    assert intensity(6, 2) == 3
    assert intensity(1, 0) == math.inf
    with pytest.raises(ValueError, match="without FLOPs and bytes"):
        intensity(0, 0)


@given(AMOUNTS, AMOUNTS)
def test_more_bandwidth_or_more_peak_is_never_slower(flops: float, num_bytes: float) -> None:
    pcie = load_catalogue().get("H100-80GB-PCIE")
    slow, fast = ideal(flops, num_bytes, pcie, Dtype.BF16).seconds, ideal(flops, num_bytes, H100, Dtype.BF16).seconds
    assert slow is not None
    assert fast is not None
    assert fast <= slow
