"""How fast a GPU that nobody measured serves under an engine: published peaks times what serving reaches of them."""

from __future__ import annotations

from planner.calibration.efficiency import MatmulRate, PassRate, Rates
from planner.calibration.sample import Operation
from planner.estimates.estimate import Bottleneck
from planner.estimates.priors import load_priors
from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.profile import Lack, Profile, missing_figures
from planner.hardware.gpu import Dtype, Gpu, GpuKind
from planner.jobs.job import InferenceJob
from planner.jobs.operations import side_dtype
from planner.quantity import Basis

SERVING = (Operation.PREFILL, Operation.DECODE)


def serving_profile(gpu: Gpu, job: InferenceJob) -> Profile | Lack:
    """The profile of a job's engine on a GPU that was not measured, or which published figure is missing."""
    lack = missing_figures(gpu, job.dtype)
    peaks = {dtype: peak_of(gpu, dtype) for dtype in (job.dtype, side_dtype(job.dtype))}
    if gpu.memory_bandwidth is None or None in peaks.values():
        return lack or Lack(Bottleneck.DTYPE, f"{gpu.key} has no {job.dtype.value} rate (not supported, or not known)")
    priors, prior = load_serving_priors(), load_priors().of(gpu)
    shares = priors.families.get(prior.name) or priors.families["other GPUs"]
    engine = priors.engines[job.engine]
    bandwidth = gpu.memory_bandwidth.value * shares.bandwidth
    is_packed = job.weight_bits is not None
    matmul = {
        dtype: MatmulRate(
            (peak or 0.0) * shares.of(dtype) / (engine.packed_product if is_packed else 1.0),
            bandwidth,
            prior.floor_seconds,
            inner_fill=prior.inner_fill,
        )
        for dtype, peak in peaks.items()
    }
    rates = Rates(
        matmul=matmul,
        bandwidth=bandwidth,
        in_pass=PassRate(shares.attention, gpu.memory_bandwidth.value * engine.cache, engine.launch_us * 1e-6),
        is_synchronous=gpu.kind is GpuKind.CPU,
        kernel_share=engine.kernels,
        elementwise_share=engine.elementwise,
        class_factors=priors.class_factors,
    )
    return Profile(
        gpu=gpu,
        dtype=job.dtype,
        rates=dict.fromkeys(SERVING, rates),
        prior=prior,
        basis=Basis.DERIVED,
        notes=(
            f"No {gpu.key} was measured here: published peaks, and what {job.engine.value} engines reach of them "
            f"on the family {prior.name}.",
        ),
    )


def peak_of(gpu: Gpu, dtype: Dtype) -> float | None:
    """The dense peak; that of fp16 stands for bf16 where a GPU lacks it, as serving then uses fp16."""
    found = gpu.peak(dtype)
    return gpu.peak(Dtype.FP16) if found is None and dtype is Dtype.BF16 else found
