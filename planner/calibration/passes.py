"""What the parts of whole passes take within them, beside what they take alone: drawn from every whole pass of a run.

Seconds of a pass = Σ over parts of factor · seconds alone (Part of efficiency.py), and the host's time per kernel. The
factors are those that explain the measured passes best (least squares of logarithms, each pass weighed by its noise),
held to 1, or to what the parts' own benches say, by a prior: a part that few passes tell of stays where it was.
What they leave unexplained is a correction's (correction.py).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.calibration.correction import (
    LEAST_NOISE,
    Correction,
    CorrectionPoint,
    block_shape,
    expected_deviation,
    family_of,
    fit_correction,
    judged,
)
from planner.calibration.efficiency import (
    AttentionCurve,
    MatmulRate,
    Part,
    PassRate,
    Rates,
    one_execution,
    part_of,
    with_host,
)
from planner.calibration.sample import Bench, Operation, Sample
from planner.calibration.theory import TRAINING_BENCHES, bench_network, bench_pass, bench_works
from planner.hardware.gpu import Dtype

Array = NDArray[np.float64]
# The phase of a job that a bench is a whole pass of.
PHASES: Mapping[Operation, Operation] = {
    **dict.fromkeys(sorted(TRAINING_BENCHES), Operation.TRAIN_STEP),
    **dict.fromkeys((Operation.PREFILL, Operation.VIT_FORWARD, Operation.CNN_FORWARD), Operation.PREFILL),
    Operation.DECODE: Operation.DECODE,
}
# Where no bench says it: the part of the best product rate that fused attention reaches (forward and backward of
# FlashAttention-2 on A100 and FlashAttention-3 on H100 lie at 0.5 to 0.75 of the peak, Dao 2023 and Shah et al. 2024),
# the part of the memory bandwidth at which it reads keys and values, and a CPU's seconds to start an operation of an
# eager framework (both assumed).
ATTENTION_SHARE = 0.6
ATTENTION_BANDWIDTH_SHARE = 0.8
CPU_LAUNCH_SECONDS = 5e-6
# The host's time per kernel in a framework is at most this many times that of a bare loop over products (assumed).
FRAMEWORK_LAUNCHES = 3.0
# How far (standard deviation of logarithms) a factor may lie from its centre before passes speak: a part whose own
# benches were measured, one without any, and the host's time per kernel (assumed).
MEASURED_ROOM = 0.25
UNMEASURED_ROOM = 0.7
ATTENTION_ROOM = 1.5  # attention without benches of its own: kernels differ by multiples
LAUNCH_ROOM = 1.0
PASS_NOISE = 0.04  # what the form itself misses a single pass by (assumed; the correction takes it up)
FAR_OFF = 3.0  # a pass that many deviations away counts less and less
MOST_ABOVE = 1.5  # of its median, that the mean of a pass counts as at most: one disturbed visit is not the rule
QUARTILES = 1.349  # interquartile ranges per standard deviation of a normal distribution
DESCENTS = 40
HOST = "host"
COLUMNS: tuple[str, ...] = (*Part, HOST)


@dataclass(frozen=True, slots=True)
class Alone:
    """What the parts of passes take by themselves on one device, in one number format."""

    matmul: Mapping[Dtype, MatmulRate]
    bandwidth: float
    is_cpu: bool
    attention: PassRate
    memory_factor: float | None  # element-wise work and norms: measured ÷ bytes over bandwidth; None: not measured

    @property
    def rates(self) -> Rates:
        return Rates(self.matmul, self.bandwidth, self.attention, is_synchronous=self.is_cpu)


def alone(
    samples: Sequence[Sample],
    matmul: Mapping[Dtype, MatmulRate],
    bandwidth: float,
    place: tuple[Operation, Dtype],
    *,
    is_cpu: bool,
) -> Alone:
    """What the benches of single parts say of a phase in a format; usual values where there are none."""
    phase, dtype = place
    usual = usual_pass(matmul, bandwidth, is_cpu=is_cpu)
    launches = [sample for sample in samples if sample.bench.operation is Operation.LAUNCH]
    started = [s.seconds / s.bench.parameters["kernels"] for s in launches if not s.bench.parameters["graph"]]
    launch = FRAMEWORK_LAUNCHES * statistics.median(started) if started else usual.launch_seconds
    own = [s for s in samples if s.bench.dtype is dtype and _attention_phase(s.bench) is phase]
    moved = [s for s in samples if s.bench.operation in (Operation.ELEMENTWISE, Operation.NORM)]
    moved = [s for s in moved if s.bench.dtype is dtype] or moved
    factors = [sample.seconds * bandwidth / sample.num_bytes for sample in moved]
    return Alone(
        matmul=matmul,
        bandwidth=bandwidth,
        is_cpu=is_cpu,
        attention=replace(usual, launch_seconds=launch, curve=attention_curve(own)),
        memory_factor=statistics.median(factors) if factors else None,
    )


def _attention_phase(bench: Bench) -> Operation | None:
    """The phase whose attention a bench measures: kernels of training, prompts and decoding differ by multiples."""
    if bench.operation is not Operation.ATTENTION:
        return None
    if bench.parameters["backward"]:
        return Operation.TRAIN_STEP
    return Operation.DECODE if bench.parameters["queries"] == 1 else Operation.PREFILL


def usual_pass(matmul: Mapping[Dtype, MatmulRate], bandwidth: float, *, is_cpu: bool) -> PassRate:
    """What is taken where neither a whole pass nor its parts were measured."""
    floors = [float(np.min(rate.floor_seconds)) for rate in matmul.values()]
    launch = CPU_LAUNCH_SECONDS if is_cpu else FRAMEWORK_LAUNCHES * max(floors, default=0.0)
    return PassRate(ATTENTION_SHARE, ATTENTION_BANDWIDTH_SHARE * bandwidth, launch)


def attention_curve(samples: Sequence[Sample]) -> AttentionCurve | None:
    """Seconds by the number of keys, per FLOP or per byte, whichever leaves less of the benches to explain, and how
    much longer single widths of heads take; None without any bench.

    Some kernels read keys and values once for all heads that share them, others again for every one of them.
    """
    if not samples:
        return None
    curves = []
    for is_per_byte in (True, False):
        rates = [math.log(sample.seconds / (sample.num_bytes if is_per_byte else sample.flops)) for sample in samples]
        by_keys = _means(samples, "keys", rates)
        left = [rate - by_keys[sample.bench.parameters["keys"]] for sample, rate in zip(samples, rates, strict=True)]
        by_width = _means(samples, "head_width", left)
        missed = [
            rest - by_width[sample.bench.parameters["head_width"]] for sample, rest in zip(samples, left, strict=True)
        ]
        points, widths = (
            tuple((float(place), math.exp(mean)) for place, mean in means.items()) for means in (by_keys, by_width)
        )
        curves.append((sum(rest**2 for rest in missed), AttentionCurve(points, is_per_byte, widths)))
    return min(curves, key=lambda found: found[0])[1]


def _means(samples: Sequence[Sample], name: str, values: Sequence[float]) -> dict[int, float]:
    """The mean value of the samples of each size of that parameter, in rising size."""
    by_size: dict[int, list[float]] = {}
    for sample, value in zip(samples, values, strict=True):
        by_size.setdefault(sample.bench.parameters[name], []).append(value)
    return {size: statistics.fmean(found) for size, found in sorted(by_size.items())}


@dataclass(frozen=True, slots=True)
class _Table:
    """Passes of one phase and format: `seconds` (N, G) alone by part and of the host, `measured` (N), `noise` (N), and
    the centre and room of each factor's logarithm (G)."""

    seconds: Array
    measured: Array
    noise: Array
    centre: Array
    room: Array
    is_synchronous: bool

    def without(self, row: int) -> _Table:
        keep = np.arange(len(self.measured)) != row
        return replace(self, seconds=self.seconds[keep], measured=self.measured[keep], noise=self.noise[keep])

    def composed(self, logs: Array) -> Array:
        """Seconds of each pass with those factors."""
        scaled = self.seconds * np.exp(logs)
        found = with_host(scaled[:, :-1].sum(axis=1), scaled[:, -1], is_synchronous=self.is_synchronous)
        return np.asarray(found, dtype=float)


def fit_passes(samples: Sequence[Sample], parts: Alone) -> tuple[PassRate, Correction]:
    """What passes of one phase and format say: the factors of their parts, and what is left.

    `samples` are benches of PHASES, at least one. Each is also held out, with all else drawn from the others. A long
    run takes the mean of its steps and not their median, so the passes are told longer by how much the one lies above
    the other over all of them.
    """
    above = mean_above_median(samples)
    samples = [replace(sample, seconds=sample.seconds * above) for sample in samples]
    table = _table(samples, parts)
    logs = _factors(table)
    correction = fit_correction(_points(samples, table, logs))
    errors, expected = [], []
    for row in range(len(samples) if len(samples) > 1 else 0):
        rest = table.without(row)
        logs_without = _factors(rest)
        others = [sample for place, sample in enumerate(samples) if place != row]
        without = fit_correction(_points(others, rest, logs_without))
        left = _points([samples[row]], _only(table, row), logs_without)[0]
        found, deviation = expected_deviation(without, left)
        errors.append(found - left.factor)
        expected.append(deviation)
    factors = {part: float(np.exp(log)) for part, log in zip(Part, logs[:-1], strict=True)}
    launch = float(np.max(parts.attention.launch_seconds) * np.exp(logs[-1]))
    return replace(parts.attention, launch_seconds=launch, factors=factors), judged(correction, errors, expected)


def mean_above_median(samples: Sequence[Sample]) -> float:
    """The mean over passes of mean ÷ median of their windows; 1 where samples do not tell it."""
    told = [sample.details["mean_seconds"] / sample.seconds for sample in samples if "mean_seconds" in sample.details]
    return statistics.fmean(min(ratio, MOST_ABOVE) for ratio in told) if told else 1.0


def _table(samples: Sequence[Sample], parts: Alone) -> _Table:
    memory = UNMEASURED_ROOM if parts.memory_factor is None else MEASURED_ROOM
    rooms = {
        Part.PRODUCTS: MEASURED_ROOM,
        Part.GRADIENTS: MEASURED_ROOM,
        Part.ATTENTION: MEASURED_ROOM if parts.attention.curve is not None else ATTENTION_ROOM,
        Part.BOTH_WAYS: ATTENTION_ROOM,
        Part.MEMORY: memory,
        Part.UPDATE: MEASURED_ROOM,
    }
    centres = {Part.MEMORY.value: math.log(parts.memory_factor or 1.0)}
    return _Table(
        seconds=np.array([_alone_seconds(sample, parts) for sample in samples]),
        measured=np.array([sample.seconds for sample in samples]),
        noise=np.array([noise_of(sample) for sample in samples]),
        centre=np.array([centres.get(column, 0.0) for column in COLUMNS]),
        room=np.array([*(rooms.get(part, UNMEASURED_ROOM) for part in Part), LAUNCH_ROOM]),
        is_synchronous=parts.is_cpu,
    )


def _only(table: _Table, row: int) -> _Table:
    one = slice(row, row + 1)
    return replace(table, seconds=table.seconds[one], measured=table.measured[one], noise=table.noise[one])


def _alone_seconds(sample: Sample, parts: Alone) -> list[float]:
    """By part, and last the host's."""
    found = dict.fromkeys(COLUMNS, 0.0)
    rates = parts.rates
    for work in bench_works(sample.bench):
        found[part_of(work)] += float(np.max(work.count * one_execution(work, rates)))
        found[HOST] += float(np.max(work.count * work.launches * rates.in_pass.launch_seconds))
    return [found[column] for column in COLUMNS]


def length_of(bench: Bench) -> float:
    """Positions that the last row of a pass may attend to."""
    through = bench_pass(bench)
    return float(np.max(through.tokens + through.context))


def noise_of(sample: Sample) -> float:
    """The standard deviation of ln of a sample's seconds: its visits' median, each as uncertain as its spread says."""
    visits = max(1.0, sample.details.get("visits", 1.0))
    return max(LEAST_NOISE, sample.spread / QUARTILES / math.sqrt(visits))


def _factors(table: _Table) -> Array:
    """Logarithms of the factors: damped least squares from the centre, passes far off weighed down."""
    deviation = np.hypot(table.noise, PASS_NOISE)

    def missed(logs: Array) -> Array:
        found: Array = np.log(table.composed(logs) / table.measured) / deviation
        return found

    def loss(logs: Array) -> float:
        pulled = ((logs - table.centre) / table.room) ** 2
        return float((FAR_OFF**2 * np.log1p((missed(logs) / FAR_OFF) ** 2)).sum() + pulled.sum())

    logs, damping = table.centre.copy(), 1e-3
    best = loss(logs)
    for _ in range(DESCENTS):
        here = missed(logs)
        weights = 1.0 / (1.0 + (here / FAR_OFF) ** 2)
        slopes = _slopes(missed, logs, here)
        curvature = slopes.T @ (weights[:, None] * slopes) + np.diag(1.0 / table.room**2)
        downhill = slopes.T @ (weights * here) + (logs - table.centre) / table.room**2
        step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), downhill)
        after = loss(logs - step)
        if after < best:
            logs, gained, best, damping = logs - step, best - after, after, damping / 4.0
            if gained < 1e-9 * (1.0 + best):
                break
        else:
            damping *= 8.0
            if damping > 1e8:
                break
    return logs


def _slopes(missed: Callable[[Array], Array], logs: Array, here: Array) -> Array:
    """(N, G): how each pass's miss changes with each factor's logarithm."""
    step = 1e-5
    columns = [(missed(logs + step * unit) - here) / step for unit in np.eye(logs.size)]
    return np.stack(columns, axis=1)


def _points(samples: Sequence[Sample], table: _Table, logs: Array) -> list[CorrectionPoint]:
    composed = table.composed(logs)
    return [
        CorrectionPoint(
            rows=float(np.max(bench_pass(sample.bench).rows)),
            length=length_of(sample.bench),
            predicted_seconds=float(seconds),
            factor=float(math.log(sample.seconds / seconds)),
            shape=block_shape(bench_network(sample.bench)),
            family=family_of(bench_network(sample.bench)),
            noise=noise_of(sample),
        )
        for sample, seconds in zip(samples, composed, strict=True)
    ]
