"""A fit: what the samples of one device say it reaches, in absolute rates, with the error left when each is held out.

Versioned twice: FIT_FORM is the meaning of the document, `bench_versions` that of the samples. Samples of several bench
versions are never mixed: of each operation the newest version counts.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from planner.calibration.efficiency import (
    BandwidthCurve,
    MatmulPoint,
    MatmulRate,
    PassRate,
    Rates,
    ideal_matmul_seconds,
    interpolate,
    shape_coordinates,
    work_seconds,
)
from planner.calibration.sample import Bench, BenchFailure, Operation, Sample
from planner.calibration.theory import (
    bench_architecture,
    bench_forward_work,
    bench_pass,
    bench_training_bytes,
    bench_training_work,
)
from planner.hardware.gpu import Dtype, Gpu, GpuKind
from planner.jobs.architecture import Transformer
from planner.jobs.operations import Amount, Work

Entry = TypeVar("Entry")

FIT_FORM = 1
# A sample whose repeats differ by more says little of its device and pulls what is drawn from it (assumed: on an idle
# machine the interquartile range is a few per cent of the median, beside other work a quarter and more).
MOST_SPREAD = 0.25
# Where whole passes say nothing about it: the part of the best product rate that fused attention reaches (forward and
# backward of FlashAttention-2 on A100 and FlashAttention-3 on H100 lie at 0.5 to 0.75 of the peak, Dao 2023 and Shah et
# al. 2024), and the part of the memory bandwidth at which it reads keys and values (assumed).
ATTENTION_SHARE = 0.6
ATTENTION_BANDWIDTH_SHARE = 0.8
# The host's time per kernel in a framework is at most this many times that of a bare loop over products (assumed).
FRAMEWORK_LAUNCHES = 3.0
# The values that are tried, coarse on purpose: there are about a dozen samples.
PEAK_FACTORS = (1.0, 1.03, 1.07, 1.12, 1.2)
BANDWIDTH_FACTORS = (0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.1)
FLOOR_SECONDS = (0.0, 1e-6, 2e-6, 4e-6, 8e-6, 16e-6, 32e-6, 64e-6)
SHARPNESSES = (1.0, 1.5, 2.0, 4.0, 8.0)
ATTENTION_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.85)
ATTENTION_BANDWIDTH_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
LAUNCH_SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
# How strongly, against the samples, whole passes are held to the sum of their operations and to the shares above.
FACTOR_PULL = 0.1
SHARE_PULL = 0.002
# 90 % of a normal distribution lies within this many standard deviations; its quartiles 1.349 of them apart.
NINETY = 1.645
QUARTILES = 1.349


@dataclass(frozen=True, slots=True)
class Quality:
    """How far to trust a fitted part: log half-widths meant to hold nine times in ten."""

    num_samples: int
    spread: float  # of repeated measurement
    held_out: float | None  # of each sample predicted from the others; None for a single one


def block_shape(architecture: Transformer) -> tuple[int, ...]:
    """What makes one block run like another: hidden, heads, key-value heads, feed-forward width."""
    return (architecture.hidden, architecture.num_heads, architecture.num_kv_heads, architecture.ffn)


@dataclass(frozen=True, slots=True)
class CorrectionPoint:
    """A whole pass of a transformer: `factor` is ln(measured ÷ predicted from its operations).

    `shape` is hidden, heads, key-value heads and feed-forward width of what was run.
    """

    rows: float
    predicted_seconds: float
    factor: float
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Correction:
    """What a whole pass takes beyond the sum of its operations."""

    points: tuple[CorrectionPoint, ...]
    quality: Quality

    def factor(self, rows: Amount, predicted_seconds: Amount) -> Amount:
        """Measured ÷ predicted near a pass of so many rows and seconds."""
        queries = _pass_coordinates(rows, predicted_seconds)
        found = np.exp(interpolate(_known(self.points), np.array([p.factor for p in self.points]), queries))
        return float(found[0]) if found.size == 1 else found

    def has_run(self, architecture: Transformer) -> bool:
        """Whether blocks of this shape were measured."""
        return any(point.shape == block_shape(architecture) for point in self.points)

    def distance(self, rows: float, predicted_seconds: float) -> float:
        """Doublings of rows or seconds from the nearest measured pass."""
        query = _pass_coordinates(rows, predicted_seconds)
        return float(np.sqrt(((_known(self.points) - query) ** 2).sum(axis=1)).min())


@dataclass(frozen=True, slots=True)
class Fit:
    """What one device reaches. Operations that were not measured are absent."""

    gpu_key: str
    is_cpu: bool
    matmul: Mapping[Dtype, MatmulRate]
    matmul_quality: Mapping[Dtype, Quality]
    bandwidth: BandwidthCurve | None
    bandwidth_quality: Quality | None
    in_pass: Mapping[Dtype, PassRate]
    corrections: Mapping[tuple[Operation, Dtype], Correction]
    memory_excess_bytes: float | None  # peak memory of a training step, measured − itemised
    power_watts: Mapping[Operation, float]  # mean draw while measuring
    bench_versions: Mapping[Operation, int]
    samples: tuple[str, ...]  # keys of the benches used
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason → how many
    form: int = FIT_FORM

    def rates(self, dtype: Dtype) -> Rates | None:
        """For timing passes in `dtype`; None where products or memory were not measured."""
        if not self.matmul or self.bandwidth is None:
            return None
        in_pass = self.in_pass.get(dtype) or next(iter(self.in_pass.values()), None)
        return Rates(self.matmul, self.bandwidth.far, in_pass or _usual_pass(self), is_synchronous=self.is_cpu)

    def to_document(self) -> dict[str, Any]:
        """The fit as JSON."""
        return fit_to_document(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Fit:
        """The fit back from JSON. Raises ValueError for another form."""
        return fit_from_document(document)


def fit_samples(
    samples: Iterable[Sample],
    gpu: Gpu,
    telemetry_power: Mapping[str, float] | None = None,
    failures: Iterable[BenchFailure] = (),
) -> Fit:
    """The fit of one device from its samples, of one run or several.

    `telemetry_power` holds mean watts by bench key. Unsteady samples, those of wide spread (MOST_SPREAD), failures and
    older bench versions are left out and counted; of a bench measured several times the median counts, and how much its
    runs differ widens the range.
    """
    left_out: Counter[str] = Counter()
    for failure in failures:
        left_out[f"failed: {failure.error_class}"] += 1
    kept = _newest_versions([sample for sample in samples if _is_steady(sample, left_out)], left_out)
    kept = _without_wide(kept, left_out)
    merged = _of_one_grouping(_merged(kept), left_out)
    bandwidth, bandwidth_quality = _fit_bandwidth(_of(merged, Operation.COPY))
    is_cpu = gpu.kind is GpuKind.CPU
    far = bandwidth.far if bandwidth is not None else math.inf
    matmul, matmul_quality = _fit_matmuls(_of(merged, Operation.MATMUL), far)
    fit = Fit(
        gpu_key=gpu.key,
        is_cpu=is_cpu,
        matmul=matmul,
        matmul_quality=matmul_quality,
        bandwidth=bandwidth,
        bandwidth_quality=bandwidth_quality,
        in_pass={},
        corrections={},
        memory_excess_bytes=_memory_excess(merged),
        power_watts=_power(merged, telemetry_power or {}),
        bench_versions={sample.bench.operation: sample.bench.version for sample in merged},
        samples=tuple(sample.bench.key for sample in merged),
        left_out=dict(left_out),
    )
    return fit if bandwidth is None else _with_passes(fit, merged)


def _is_steady(sample: Sample, left_out: Counter[str]) -> bool:
    if not sample.steady:
        left_out["unsteady"] += 1
    return sample.steady


def _without_wide(samples: Sequence[Sample], left_out: Counter[str]) -> list[Sample]:
    """Those whose repeats agree; of an operation in a format that has none such, all: their spread widens its range."""
    narrow = [sample for sample in samples if sample.spread <= MOST_SPREAD]
    known = {(sample.bench.operation, sample.bench.dtype) for sample in narrow}
    kept = [s for s in samples if s.spread <= MOST_SPREAD or (s.bench.operation, s.bench.dtype) not in known]
    if len(kept) < len(samples):
        left_out[f"spread above {MOST_SPREAD:.0%}"] += len(samples) - len(kept)
    return kept


def _newest_versions(samples: Sequence[Sample], left_out: Counter[str]) -> list[Sample]:
    newest: dict[Operation, int] = {}
    for sample in samples:
        operation = sample.bench.operation
        newest[operation] = max(newest.get(operation, 0), sample.bench.version)
    kept = [sample for sample in samples if sample.bench.version == newest[sample.bench.operation]]
    if len(kept) < len(samples):
        left_out["older bench version"] += len(samples) - len(kept)
    return kept


def _merged(samples: Sequence[Sample]) -> list[Sample]:
    """One sample per bench: the median of its runs, with the larger of their own and their mutual spread."""
    by_key: dict[str, list[Sample]] = {}
    for sample in samples:
        by_key.setdefault(sample.bench.key, []).append(sample)
    merged = []
    for same in by_key.values():
        seconds = [sample.seconds for sample in same]
        middle = statistics.median(seconds)
        spread = max(max(sample.spread for sample in same), (max(seconds) - min(seconds)) / middle)
        merged.append(replace(same[-1], seconds=middle, spread=spread))
    return merged


def _of_one_grouping(samples: Sequence[Sample], left_out: Counter[str]) -> list[Sample]:
    """Without the decoding steps whose query heads share a key-value head by another number than most do.

    Kernels differ by multiples between groupings, and what a pass takes beyond its operations is looked up by rows and
    seconds alone: mixed in, they would spoil the figure of the usual grouping.
    """
    groupings = Counter(_grouping(sample) for sample in _of(samples, Operation.DECODE))
    if len(groupings) < 2:
        return list(samples)
    usual = groupings.most_common(1)[0][0]
    kept = [s for s in samples if s.bench.operation is not Operation.DECODE or _grouping(s) == usual]
    left_out["another grouping of query heads"] += len(samples) - len(kept)
    return kept


def _grouping(sample: Sample) -> float:
    return sample.bench.parameters["heads"] / sample.bench.parameters["kv_heads"]


def _of(samples: Sequence[Sample], operation: Operation) -> list[Sample]:
    return [sample for sample in samples if sample.bench.operation is operation]


def _quality(samples: Sequence[Sample], errors: Sequence[float] | None) -> Quality:
    spread = statistics.median(sample.spread for sample in samples) / QUARTILES * NINETY
    held_out = None if not errors else NINETY * math.sqrt(statistics.fmean(error**2 for error in errors))
    return Quality(len(samples), spread, held_out)


def _fit_bandwidth(samples: Sequence[Sample]) -> tuple[BandwidthCurve | None, Quality | None]:
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


def _fit_matmuls(samples: Sequence[Sample], bandwidth: float) -> tuple[dict[Dtype, MatmulRate], dict[Dtype, Quality]]:
    rates: dict[Dtype, MatmulRate] = {}
    qualities: dict[Dtype, Quality] = {}
    for dtype in sorted({sample.bench.dtype for sample in samples}):
        same = [sample for sample in samples if sample.bench.dtype is dtype]
        rates[dtype] = _fit_matmul(same, bandwidth)
        qualities[dtype] = _quality(same, _matmul_errors(same, bandwidth))
    return rates, qualities


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


def _works(sample: Sample) -> tuple[Work, ...]:
    """The operations of a transformer bench, none of another."""
    if sample.bench.operation is Operation.TRAIN_STEP:
        training = bench_training_work(sample.bench)
        return (*training.forward, *training.backward, *training.optimizer)
    if sample.bench.operation in (Operation.PREFILL, Operation.DECODE):
        return bench_forward_work(sample.bench)
    return ()


def _usual_pass(fit: Fit) -> PassRate:
    """What is taken where no whole pass was measured."""
    bandwidth = fit.bandwidth.far if fit.bandwidth is not None else 0.0
    floors = [float(np.min(rate.floor_seconds)) for rate in fit.matmul.values()]
    launch = 0.0 if fit.is_cpu else FRAMEWORK_LAUNCHES * max(floors, default=0.0)
    return PassRate(ATTENTION_SHARE, ATTENTION_BANDWIDTH_SHARE * bandwidth, launch)


@dataclass(frozen=True, slots=True)
class _Passes:
    """The whole passes of one number format under every tried value: ln(measured ÷ predicted) and predicted seconds,
    one row per tried value, one column per pass."""

    samples: tuple[Sample, ...]
    tried: PassRate
    pull: np.ndarray[Any, np.dtype[np.float64]]
    factors: np.ndarray[Any, np.dtype[np.float64]]
    seconds: np.ndarray[Any, np.dtype[np.float64]]

    def best(self, without: int | None = None) -> int:
        """The tried value under which passes of one operation deviate alike, by little; `without` leaves one out."""
        loss = self.pull.copy()
        for operation in sorted({sample.bench.operation for sample in self.samples}):
            columns = [
                place
                for place, sample in enumerate(self.samples)
                if sample.bench.operation is operation and place != without
            ]
            if columns:
                same = self.factors[:, columns]
                loss += same.var(axis=1) * len(columns) + FACTOR_PULL * same.mean(axis=1) ** 2
        return int(np.argmin(loss))

    def point(self, row: int, column: int) -> CorrectionPoint:
        bench = self.samples[column].bench
        rows = float(np.max(bench_pass(bench).rows))
        shape = block_shape(bench_architecture(bench))
        return CorrectionPoint(rows, float(self.seconds[row, column]), float(self.factors[row, column]), shape)

    def held_out_error(self, column: int, columns: Sequence[int]) -> float:
        """ln(predicted ÷ measured) of a pass when all is fitted without it."""
        row = self.best(without=column)
        rest = [self.point(row, other) for other in columns if other != column]
        left = self.point(row, column)
        query = _pass_coordinates(left.rows, left.predicted_seconds)
        return float(interpolate(_known(rest), np.array([p.factor for p in rest]), query)[0]) - left.factor


def _with_passes(fit: Fit, samples: Sequence[Sample]) -> Fit:
    """The fit with what whole passes say, each number format by itself."""
    in_pass: dict[Dtype, PassRate] = {}
    corrections: dict[tuple[Operation, Dtype], Correction] = {}
    for dtype in fit.matmul:
        whole = tuple(sample for sample in samples if sample.bench.dtype is dtype and _works(sample))
        if not whole:
            continue
        passes = _try_passes(fit, whole)
        row = passes.best()
        in_pass[dtype] = _one(passes.tried, row)
        for operation in sorted({sample.bench.operation for sample in whole}):
            columns = [place for place, sample in enumerate(whole) if sample.bench.operation is operation]
            errors = [passes.held_out_error(column, columns) for column in columns] if len(columns) > 1 else None
            points = tuple(passes.point(row, column) for column in columns)
            quality = _quality([whole[column] for column in columns], errors)
            corrections[operation, dtype] = Correction(points, quality)
    return replace(fit, in_pass=in_pass, corrections=corrections)


def _try_passes(fit: Fit, samples: tuple[Sample, ...]) -> _Passes:
    usual = _usual_pass(fit)
    bandwidth = fit.bandwidth.far if fit.bandwidth is not None else 0.0
    slowest = min(sample.seconds / _num_launches(_works(sample)) for sample in samples)
    axes = (ATTENTION_SHARES, ATTENTION_BANDWIDTH_SHARES, LAUNCH_SHARES)
    shares, bandwidths, launches = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    tried = PassRate(shares, bandwidths * bandwidth, launches * slowest)
    rates = Rates(fit.matmul, bandwidth, tried, is_synchronous=fit.is_cpu)
    seconds = np.stack(
        [np.broadcast_to(work_seconds(_works(sample), rates).total, shares.shape) for sample in samples], axis=1
    )
    measured = np.array([sample.seconds for sample in samples])
    pull = np.log(shares / ATTENTION_SHARE) ** 2 + np.log(bandwidths / ATTENTION_BANDWIDTH_SHARE) ** 2
    usual_launch = float(np.max(usual.launch_seconds))
    if usual_launch > 0:
        pull += np.log(np.maximum(launches, min(LAUNCH_SHARES[1:])) * slowest / usual_launch) ** 2
    return _Passes(samples, tried, SHARE_PULL * pull, np.log(measured / seconds), seconds)


def _one(tried: PassRate, row: int) -> PassRate:
    amounts = (tried.attention, tried.attention_bandwidth, tried.launch_seconds)
    return PassRate(*(float(np.asarray(amount)[row]) for amount in amounts))


def _num_launches(works: Iterable[Work]) -> float:
    return sum(float(np.max(work.count * work.launches)) for work in works)


def _pass_coordinates(rows: Amount, seconds: Amount) -> np.ndarray[Any, np.dtype[np.float64]]:
    axes = np.broadcast_arrays(*(np.atleast_1d(np.asarray(axis, dtype=float)) for axis in (rows, seconds)))
    return np.stack([np.log2(np.maximum(axis, 1e-12)).ravel() for axis in axes], axis=1)


def _known(points: Sequence[CorrectionPoint]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return _pass_coordinates(
        np.array([point.rows for point in points]), np.array([point.predicted_seconds for point in points])
    )


def _memory_excess(samples: Sequence[Sample]) -> float | None:
    """Median of measured peak − itemised memory over the training steps that told their peak, at least 0.

    A difference and not a ratio: what libraries keep beside the tensors hardly grows with the job, and a ratio drawn
    from a small bench would multiply it by the size of a large one.
    """
    beyond = [
        sample.peak_memory_bytes - bench_training_bytes(sample.bench)
        for sample in _of(samples, Operation.TRAIN_STEP)
        if sample.peak_memory_bytes
    ]
    return max(0.0, statistics.median(beyond)) if beyond else None


def _power(samples: Sequence[Sample], watts: Mapping[str, float]) -> dict[Operation, float]:
    found: dict[Operation, list[float]] = {}
    for sample in samples:
        if sample.bench.key in watts:
            found.setdefault(sample.bench.operation, []).append(watts[sample.bench.key])
    return {operation: statistics.fmean(values) for operation, values in found.items()}


def fit_to_document(fit: Fit) -> dict[str, Any]:
    """The fit as JSON: enums by value, pairs as "operation/dtype"."""
    return {
        "form": fit.form,
        "gpu_key": fit.gpu_key,
        "is_cpu": fit.is_cpu,
        "matmul": {
            dtype.value: {
                "peak": rate.peak,
                "bandwidth": rate.bandwidth,
                "floor_seconds": rate.floor_seconds,
                "sharpness": rate.sharpness,
                "inner_fill": rate.inner_fill,
                "points": [[p.rows, p.columns, p.inner, p.residual] for p in rate.points],
                "quality": _quality_document(fit.matmul_quality[dtype]),
            }
            for dtype, rate in fit.matmul.items()
        },
        "bandwidth": None if fit.bandwidth is None else [list(point) for point in fit.bandwidth.points],
        "bandwidth_quality": None if fit.bandwidth_quality is None else _quality_document(fit.bandwidth_quality),
        "in_pass": {dtype.value: asdict(rate) for dtype, rate in fit.in_pass.items()},
        "corrections": {
            f"{operation.value}/{dtype.value}": {
                "points": [[p.rows, p.predicted_seconds, p.factor, list(p.shape)] for p in correction.points],
                "quality": _quality_document(correction.quality),
            }
            for (operation, dtype), correction in fit.corrections.items()
        },
        "memory_excess_bytes": fit.memory_excess_bytes,
        "power_watts": {operation.value: watts for operation, watts in fit.power_watts.items()},
        "bench_versions": {operation.value: version for operation, version in fit.bench_versions.items()},
        "samples": list(fit.samples),
        "left_out": dict(fit.left_out),
    }


def fit_from_document(document: Mapping[str, Any]) -> Fit:
    """The fit that `fit_to_document` wrote. Raises ValueError for another form."""
    if document.get("form") != FIT_FORM:
        raise ValueError(f"the fit has form {document.get('form')!r}, this code reads form {FIT_FORM}")
    quality = document["bandwidth_quality"]
    return Fit(
        gpu_key=document["gpu_key"],
        is_cpu=document["is_cpu"],
        matmul=_by_dtype(document["matmul"], _rate_from),
        matmul_quality=_by_dtype(document["matmul"], lambda entry: Quality(**entry["quality"])),
        bandwidth=None if document["bandwidth"] is None else _curve_from(document["bandwidth"]),
        bandwidth_quality=None if quality is None else Quality(**quality),
        in_pass=_by_dtype(document["in_pass"], lambda entry: PassRate(**entry)),
        corrections={_pair(name): _correction_from(entry) for name, entry in document["corrections"].items()},
        memory_excess_bytes=document["memory_excess_bytes"],
        power_watts={Operation(name): watts for name, watts in document["power_watts"].items()},
        bench_versions={Operation(name): version for name, version in document["bench_versions"].items()},
        samples=tuple(document["samples"]),
        left_out=dict(document["left_out"]),
    )


def _quality_document(quality: Quality) -> dict[str, Any]:
    return {"num_samples": quality.num_samples, "spread": quality.spread, "held_out": quality.held_out}


def _by_dtype(entries: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Entry]) -> dict[Dtype, Entry]:
    return {Dtype(name): read(entry) for name, entry in entries.items()}


def _rate_from(entry: Mapping[str, Any]) -> MatmulRate:
    points = tuple(MatmulPoint(*point) for point in entry["points"])
    single = ("peak", "bandwidth", "floor_seconds", "sharpness", "inner_fill")
    return MatmulRate(**{name: entry[name] for name in single}, points=points)


def _curve_from(points: Sequence[Sequence[float]]) -> BandwidthCurve:
    return BandwidthCurve(tuple((size, rate) for size, rate in points))


def _pair(name: str) -> tuple[Operation, Dtype]:
    operation, dtype = name.split("/")
    return Operation(operation), Dtype(dtype)


def _correction_from(entry: Mapping[str, Any]) -> Correction:
    points = tuple(
        CorrectionPoint(rows, seconds, factor, tuple(shape)) for rows, seconds, factor, shape in entry["points"]
    )
    return Correction(points, Quality(**entry["quality"]))
