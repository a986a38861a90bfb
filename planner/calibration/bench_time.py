"""A bench with its version and how long it takes on a typical device: what a plan shows before the start."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from planner.calibration.sample import Bench, Operation
from planner.calibration.theory import bench_theory
from planner.calibration.visits import NUM_VISITS
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

# 2: visited twice, far apart (planner.calibration.visits). 3: on a CPU freed memory stays with the process, and windows
# in which others held up the measuring threads are taken again.
BENCH_VERSION = 3
BENCH_VERSIONS: Mapping[Operation, int] = MappingProxyType({Operation.SERVE: 4})  # 3: batches continuously; 4: as above

# What a typical device of each backend reaches (FLOP/s in 16-bit, bytes/s), for the plan shown before the start only:
# two cores of a server CPU, and a data-centre card of the middle. Assumed; no estimate ever uses them.
_TYPICAL_FLOPS: Mapping[Backend, float] = MappingProxyType(
    {Backend.CPU: 1.5e11, Backend.CUDA: 1.0e14, Backend.XPU: 5e13, Backend.MPS: 5e12}
)
_TYPICAL_BANDWIDTH: Mapping[Backend, float] = MappingProxyType(
    {Backend.CPU: 1.2e10, Backend.CUDA: 1.0e12, Backend.XPU: 5e11, Backend.MPS: 1e11}
)
_FP32_SLOWER: Mapping[Backend, float] = MappingProxyType({Backend.CUDA: 8.0, Backend.XPU: 8.0, Backend.MPS: 2.0})
_SETTLE_SECONDS = 0.15  # per visit: warm-up and repeats of a bench whose single execution is short
_SETUP_SECONDS = 0.25  # per visit: making the data and checking a small case
_NUM_EXECUTIONS = 8  # per visit: executions of a bench whose single execution is long: warm-up and repeats

# How many times longer than a plain training step's, by its own theory, such work took on two CPU cores (2026-11-21):
# small pieces, work done twice, and waiting after each token.
_SLOWER: Mapping[Operation, float] = MappingProxyType(
    {
        Operation.MOE_STEP: 2.5,
        Operation.RECOMPUTE_STEP: 1.8,
        Operation.ENCODER_STEP: 1.8,
        Operation.VIT_STEP: 2.1,
        Operation.VIT_FORWARD: 1.5,
        Operation.SERVE: 3.8,
    }
)


def bench_of(backend: Backend, operation: Operation, dtype: Dtype, parameters: Mapping[str, int]) -> Bench:
    """A bench of these parameters, with the time it takes on a typical device of the kind. Raises ValueError."""
    version = BENCH_VERSIONS.get(operation, BENCH_VERSION)
    bench = Bench(operation, version, dtype, dict(parameters), 0.0)
    theory = bench_theory(bench)
    longer = _SLOWER.get(operation, 1.0)
    slower = longer * (_FP32_SLOWER.get(backend, 1.0) if dtype is Dtype.FP32 else 1.0)
    arithmetic = slower * theory.flops / _TYPICAL_FLOPS[backend]
    once = max(arithmetic, longer * theory.num_bytes / _TYPICAL_BANDWIDTH[backend])
    seconds = NUM_VISITS * (_SETUP_SECONDS + max(_SETTLE_SECONDS, _NUM_EXECUTIONS * once))
    return Bench(operation, version, dtype, dict(parameters), round(seconds, 3))
