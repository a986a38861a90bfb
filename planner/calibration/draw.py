"""Drawing a fit from samples: products and memory by themselves first, then whole passes on top of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from planner.calibration.correction import Correction
from planner.calibration.efficiency import MatmulRate, PassRate
from planner.calibration.fit import Fit, Place
from planner.calibration.kept import kept_samples
from planner.calibration.links import fit_links
from planner.calibration.passes import PHASES, alone, fit_passes
from planner.calibration.products import fit_bandwidth, fit_matmuls
from planner.calibration.sample import BenchFailure, Operation, Sample
from planner.calibration.theory import bench_training_bytes
from planner.hardware.gpu import Dtype, Gpu, GpuKind


def fit_samples(
    samples: Iterable[Sample],
    gpu: Gpu,
    telemetry_power: Mapping[str, float] | None = None,
    failures: Iterable[BenchFailure] = (),
) -> Fit:
    """The fit of one device from its samples, of one run or several.

    `telemetry_power` holds mean watts by bench key. What is left out, and why, is counted (kept.py).
    """
    kept, left_out = kept_samples(samples, failures)
    bandwidth, bandwidth_quality = fit_bandwidth(_of(kept, Operation.COPY))
    far = bandwidth.far if bandwidth is not None else math.inf
    matmul, matmul_quality = fit_matmuls(_of(kept, Operation.MATMUL), far)
    is_cpu = gpu.kind is GpuKind.CPU
    in_pass, corrections = ({}, {}) if bandwidth is None else _passes(kept, matmul, far, is_cpu=is_cpu)
    return Fit(
        gpu_key=gpu.key,
        is_cpu=is_cpu,
        matmul=matmul,
        matmul_quality=matmul_quality,
        bandwidth=bandwidth,
        bandwidth_quality=bandwidth_quality,
        in_pass=in_pass,
        corrections=corrections,
        memory_excess_bytes=_memory_excess(kept),
        power_watts=_power(kept, telemetry_power or {}),
        bench_versions={sample.bench.operation: sample.bench.version for sample in kept},
        samples=tuple(sample.bench.key for sample in kept),
        left_out=left_out,
        links=fit_links(kept),
    )


def _of(samples: Sequence[Sample], operation: Operation) -> list[Sample]:
    return [sample for sample in samples if sample.bench.operation is operation]


def _passes(
    samples: Sequence[Sample], matmul: Mapping[Dtype, MatmulRate], bandwidth: float, *, is_cpu: bool
) -> tuple[dict[Place, PassRate], dict[Place, Correction]]:
    """What whole passes say, each phase in each number format by itself."""
    in_pass: dict[Place, PassRate] = {}
    corrections: dict[Place, Correction] = {}
    for dtype in matmul:
        for phase in (Operation.TRAIN_STEP, Operation.PREFILL, Operation.DECODE):
            whole = [s for s in samples if s.bench.dtype is dtype and PHASES.get(s.bench.operation) is phase]
            if whole:
                parts = alone(samples, matmul, bandwidth, (phase, dtype), is_cpu=is_cpu)
                in_pass[phase, dtype], corrections[phase, dtype] = fit_passes(
                    sorted(whole, key=lambda sample: sample.bench.key), parts
                )
    return in_pass, corrections


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
