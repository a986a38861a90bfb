"""What a GPU reaches in practice, as absolute rates, and the seconds that operations take at those rates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from planner.hardware.gpu import Dtype
from planner.jobs.blocks import BOTH_WAYS
from planner.jobs.operations import AGAIN, Amount, Work, WorkClass, WorkKind

# Compute and memory overlap inside a kernel: t^p = compute^p + memory^p. Fitted p on five GPUs: 2.0 to 8.8, median 3.7
# (our design notes, table of GEMM priors).
SHARPNESS = 4.0
# Host and device overlap across kernels: the same form with p = 6 (our design notes, host-bound rule).
HOST_SHARPNESS = 6.0
# Tiles that small products are cut into, and into how many parts libraries divide long inner sizes where there are few
# (our design notes, GEMM time: tiles of 64 × 64 and larger, one part per 512 and more, at most 8).
TILE = 64.0
LONG_INNER = 1024.0
MOST_SPLIT = 4.0
FEW_TILES = 0.7  # smaller tiles and more parts win back some of what idle units cost (our design notes, as above)
# How near two matrix shapes are, per doubling of rows, columns and inner size (our design notes, GEMM residual).
SHAPE_SCALES = (0.8, 0.6, 0.6)
# Inverse-distance interpolation; the constant keeps a sample from being taken at its word where others lie close by.
DISTANCE_POWER = 4.0
DISTANCE_FLOOR = 0.25

Array = NDArray[np.float64]


class Part(StrEnum):
    """What a pass is made of, as far as whole passes tell its parts apart."""

    PRODUCTS = "products"
    AGAIN = "again"  # whatever is computed a second time instead of kept
    GRADIENTS = "gradients"  # products of the backward pass, whose operands lie otherwise in memory
    CONVOLUTIONS = "convolutions"
    ATTENTION = "attention"
    BOTH_WAYS = "both_ways"  # attention without a causal mask
    MEMORY = "memory"  # norms, residuals, activations, losses: whatever goes by its bytes
    NORMALISATION = "normalisation"  # batch normalisation of convolutional networks
    UPDATE = "update"  # the optimizer


_PRODUCTS = (WorkClass.PRODUCT, WorkClass.EXPERT)
_PARTS = {
    WorkClass.CONVOLUTION: Part.CONVOLUTIONS,
    WorkClass.NORMALISATION: Part.NORMALISATION,
    WorkClass.UPDATE: Part.UPDATE,
}


def part_of(work: Work) -> Part:
    """The part of a pass that an operation belongs to."""
    if work.name.endswith(AGAIN):
        return Part.AGAIN
    if work.name.startswith(BOTH_WAYS):
        return Part.BOTH_WAYS
    if work.kind is WorkKind.GEMM and work.work_class in _PRODUCTS and work.name.endswith("gradient"):
        return Part.GRADIENTS
    usual = {WorkKind.GEMM: Part.PRODUCTS, WorkKind.ATTENTION: Part.ATTENTION}.get(work.kind, Part.MEMORY)
    return _PARTS.get(work.work_class, usual)


@dataclass(frozen=True, slots=True)
class MatmulPoint:
    """A measured product: `residual` is ln(measured ÷ ideal seconds)."""

    rows: float
    columns: float
    inner: float
    residual: float


@dataclass(frozen=True, slots=True)
class MatmulRate:
    """Products in one number format, and how single shapes deviate from the form that is fitted.

    Seconds = launches · floor + (compute^p + memory^p)^(1/p) with compute = FLOPs ÷ peak · (1 + fill ÷ K) and memory =
    bytes ÷ bandwidth; p = 1 adds the two (a CPU that rearranges the weights first), a large p hides the shorter.
    """

    peak: Amount
    bandwidth: Amount
    floor_seconds: Amount = 0.0
    sharpness: Amount = SHARPNESS
    inner_fill: float = 0.0
    edge_fill: float = 0.0  # likewise of rows and columns: tiles at the edge are computed whole
    num_units: float = 0.0  # that tiles of the result are dealt to
    unit_fill: Amount = 0.0  # seconds are (1 + unit_fill · units ÷ tiles)^0.7 as long: few tiles leave units idle
    points: tuple[MatmulPoint, ...] = ()


def _between(points: tuple[tuple[float, float], ...], place: Amount) -> Amount:
    """Interpolated in logarithms, held beyond the ends."""
    known, values = (np.log(column) for column in zip(*points, strict=True))
    found: Amount = np.exp(np.interp(np.log(np.maximum(place, 1.0)), known, values))
    return found


@dataclass(frozen=True, slots=True)
class AttentionCurve:
    """Seconds of fused attention by the number of keys, as (keys, seconds per FLOP, or per byte) in rising keys, and
    how many times as long heads of single widths take, as (width, factor) in rising widths."""

    points: tuple[tuple[float, float], ...]
    is_per_byte: bool
    widths: tuple[tuple[float, float], ...] = ()

    def seconds(self, keys: Amount, flops: Amount, num_bytes: Amount, width: Amount = 0.0) -> Amount:
        """Interpolated in logarithms, held beyond the ends."""
        found: Amount = _between(self.points, keys) * (num_bytes if self.is_per_byte else flops)
        return found * _between(self.widths, width) if self.widths else found


@dataclass(frozen=True, slots=True)
class PassRate:
    """What shows only when whole passes run: the part of the product peak that fused attention reaches, the bytes/s at
    which it reads keys and values, the host's seconds per kernel, and how many times longer than alone the parts of a
    pass take within it (absent: 1)."""

    attention: Amount
    attention_bandwidth: Amount
    launch_seconds: Amount
    factors: Mapping[Part, float] = field(default_factory=dict)
    curve: AttentionCurve | None = None  # where attention itself was measured, in place of the two figures above


@dataclass(frozen=True, slots=True)
class BandwidthCurve:
    """Bytes per second to and from memory by the size of what is touched, as (bytes, bytes/s) in rising size."""

    points: tuple[tuple[float, float], ...]

    def at(self, num_bytes: float) -> float:
        """Interpolated in logarithms, held beyond the ends."""
        sizes, rates = zip(*self.points, strict=True)
        return float(np.exp(np.interp(np.log(max(num_bytes, 1.0)), np.log(sizes), np.log(rates))))

    @property
    def far(self) -> float:
        """Of the largest size: what a working set above all caches gets."""
        return self.points[-1][1]


@dataclass(frozen=True, slots=True)
class Rates:
    """All that the time of an operation follows from.

    The host's time per kernel adds to the device's on one that computes in the calling thread (a CPU) and hides behind
    it elsewhere. `kernel_share` is how many kernels are left of an eager framework's where the software fuses them.
    """

    matmul: Mapping[Dtype, MatmulRate]
    bandwidth: float
    in_pass: PassRate
    is_synchronous: bool
    kernel_share: float = 1.0
    elementwise_share: float = 1.0  # bytes of what can be fused that are left, likewise
    vector: float = math.inf  # of depthwise convolutions, which product units cannot do; not known: infinite
    class_factors: Mapping[WorkClass, float] = field(default_factory=dict)  # seconds ÷ those of the form; absent: 1

    def matmul_rate(self, dtype: Dtype) -> MatmulRate:
        """The rate of that format. Raises KeyError where it is not known."""
        return self.matmul[dtype]


def interpolate(coordinates: Array, values: Array, queries: Array) -> Array:
    """Inverse-distance means of `values` (P) known at `coordinates` (P, D), at `queries` (Q, D); gives (Q)."""
    squares = ((queries[:, None, :] - coordinates[None, :, :]) ** 2).sum(axis=2)
    weights = 1.0 / (squares + DISTANCE_FLOOR**2) ** (DISTANCE_POWER / 2)
    result: Array = (weights * values).sum(axis=1) / weights.sum(axis=1)
    return result


def shape_coordinates(rows: Amount, columns: Amount, inner: Amount) -> Array:
    """The place of matrix shapes in the space that residuals are interpolated in: (Q, 3)."""
    axes = np.broadcast_arrays(*(np.atleast_1d(np.asarray(axis, dtype=float)) for axis in (rows, columns, inner)))
    scaled = [scale * np.log2(np.maximum(axis, 1.0)).ravel() for scale, axis in zip(SHAPE_SCALES, axes, strict=True)]
    return np.stack(scaled, axis=1)


def ideal_matmul_seconds(
    rate: MatmulRate,
    flops: Amount,
    num_bytes: Amount,
    inner: Amount,
    launches: Amount = 1.0,
    edges: tuple[Amount, Amount] | None = None,
    tiles: Amount | None = None,
) -> Amount:
    """Seconds of a product by the form alone, without what single shapes deviate by; `edges` are rows and columns,
    `tiles` the parts of the result that are computed side by side."""
    compute = flops / rate.peak * (1.0 + rate.inner_fill / np.maximum(inner, 1.0))
    if edges is not None and rate.edge_fill:
        for edge in edges:
            compute = compute * (1.0 + rate.edge_fill / np.maximum(edge, 1.0))
    if tiles is not None and rate.num_units:
        compute = compute * (1.0 + rate.unit_fill * rate.num_units / tiles) ** FEW_TILES
    return launches * rate.floor_seconds + _overlapped(compute, num_bytes / rate.bandwidth, rate.sharpness)


def matmul_seconds(rate: MatmulRate, work: Work, launches: Amount) -> Amount:
    """Seconds of one execution of a product in so many kernels."""
    edges = (work.rows, work.columns)
    tiles = _tiles(work) if rate.num_units else None
    ideal = ideal_matmul_seconds(rate, work.flops, work.num_bytes, work.inner, launches, edges, tiles)
    if not rate.points:
        return ideal
    known = np.array([(point.rows, point.columns, point.inner) for point in rate.points])
    residuals = np.array([point.residual for point in rate.points])
    queries = shape_coordinates(work.rows, work.columns, work.inner)
    deviation = interpolate(shape_coordinates(known[:, 0], known[:, 1], known[:, 2]), residuals, queries)
    factor = np.exp(deviation)
    return ideal * (float(factor[0]) if factor.size == 1 else factor)


def _tiles(work: Work) -> Amount:
    """Tiles of the result, those of products that share a launch together, long inner sizes divided among several."""
    together = 1.0 / np.minimum(np.maximum(work.launches, 1e-9), 1.0)
    split = np.clip(np.asarray(work.inner) / LONG_INNER, 1.0, MOST_SPLIT)
    tiles: Amount = np.ceil(np.asarray(work.rows) / TILE) * np.ceil(np.asarray(work.columns) / TILE) * together * split
    return np.maximum(tiles, 1.0)


@dataclass(frozen=True, slots=True)
class Seconds:
    """Seconds of a list of operations and what they are bound by; each part is a share of `total`'s device time."""

    total: Amount
    compute: Amount
    memory: Amount
    overhead: Amount


def work_seconds(works: Iterable[Work], rates: Rates) -> Seconds:
    """Seconds for all executions of all operations one after the other. Raises KeyError for a format without a rate."""
    device: Amount = 0.0
    compute: Amount = 0.0
    memory: Amount = 0.0
    launches: Amount = 0.0
    waited: Amount = 0.0
    for work in works:
        rate = rates.matmul_rate(work.dtype) if work.kind is not WorkKind.MEMORY else None
        factor = rates.class_factors.get(work.work_class, 1.0) * rates.in_pass.factors.get(part_of(work), 1.0)
        seconds = work.count * factor * one_execution(work, rates)
        device = device + seconds
        if work.is_waited:
            waited = waited + work.count * work.launches
        else:
            launches = launches + work.count * work.launches
        memory = memory + work.count * _moved(work, rates) / rates.bandwidth
        if rate is not None:
            compute = compute + work.count * work.flops / rate.peak
    each = rates.kernel_share * rates.in_pass.launch_seconds
    total = with_host(device, launches * each, is_synchronous=rates.is_synchronous) + waited * each
    return Seconds(total, compute, memory, np.maximum(total - np.maximum(compute, memory), 0.0))


def with_host(device: Amount, host: Amount, *, is_synchronous: bool) -> Amount:
    """Seconds of a pass: where the host computes itself both add up, else the shorter hides behind the longer."""
    return device + host if is_synchronous else _overlapped(device, host, HOST_SHARPNESS)


def one_execution(work: Work, rates: Rates) -> Amount:
    """Device seconds of one execution of one operation."""
    launches = rates.kernel_share * work.launches
    if work.kind is WorkKind.GEMM:
        return matmul_seconds(rates.matmul_rate(work.dtype), work, launches)
    floor = 0.0 if rates.is_synchronous else min(float(np.min(rate.floor_seconds)) for rate in rates.matmul.values())
    curve = rates.in_pass.curve
    if work.kind is WorkKind.ATTENTION and curve is not None:
        return launches * floor + curve.seconds(work.columns, work.flops, work.num_bytes, work.inner)
    if work.kind is WorkKind.ATTENTION:
        compute = work.flops / (rates.matmul_rate(work.dtype).peak * rates.in_pass.attention)
        memory = work.num_bytes / rates.in_pass.attention_bandwidth
        return launches * floor + _overlapped(compute, memory, SHARPNESS)
    moved = _moved(work, rates) / rates.bandwidth
    if work.work_class is not WorkClass.DEPTHWISE or math.isinf(rates.vector):
        return launches * floor + moved
    return launches * floor + _overlapped(work.flops / rates.vector, moved, SHARPNESS)


def _moved(work: Work, rates: Rates) -> Amount:
    """Bytes that an operation moves after fusion."""
    return work.num_bytes * rates.elementwise_share if work.is_fusable else work.num_bytes


def _overlapped(first: Amount, second: Amount, sharpness: Amount) -> Amount:
    """(a^p + b^p)^(1/p), by the larger one so that no power overflows."""
    larger, smaller = np.maximum(first, second), np.minimum(first, second)
    ratio = smaller / np.maximum(larger, 1e-300)
    result: Amount = larger * (1.0 + ratio**sharpness) ** (1.0 / sharpness)
    return result
