"""How fast a GPU that nobody measured serves under an engine: published peaks times what serving reaches of them."""

from __future__ import annotations

import numpy as np

from planner.calibration.efficiency import MatmulRate, PassRate, Rates
from planner.calibration.sample import Operation
from planner.estimates.estimate import Bottleneck
from planner.estimates.priors import load_priors
from planner.estimates.priors.serving import EnginePrior, ServingPriors, ServingShares, load_serving_priors
from planner.estimates.profile import HIGHEST_CLOCK, Lack, Profile, missing_figures, power_ratio
from planner.hardware.gpu import Dtype, Gpu, GpuKind, Vendor
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob
from planner.jobs.operations import Amount, side_dtype
from planner.quantity import Basis

SERVING = (Operation.PREFILL, Operation.DECODE)
# GeForce cards multiply 16-bit numbers at half rate where the sums are of 32 bits: 71 and 142 TFLOP/s of an RTX 3090
# (NVIDIA GA102 white paper, appendix A); integer products of 8 bits, which have no such limit, are then four times as
# fast, not twice.
HALF_RATE = 3.5
# Engines with kernels of their own for consumer GPUs, written with the instructions that all generations have.
BY_WARPS = (Engine.LLAMA_CPP, Engine.MLC, Engine.EXLLAMA)
WIDE_INSTRUCTIONS = ("9.0", "10.0", "10.3")
DEALT = (Vendor.NVIDIA, Vendor.AMD)  # tiles of a product are dealt to many units of their GPUs
MOST = 0.97  # of a published peak


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
    is_packed = job.weight_bits is not None and not multiplies_packed(gpu, job)
    clock = np.minimum(HIGHEST_CLOCK, power_ratio(gpu, prior) ** priors.figures["clock_exponent"])
    matmul = {
        dtype: MatmulRate(
            (peak or 0.0)
            * clock
            * _reached(gpu, dtype, priors, shares, engine)
            * (priors.figures["warp_products"] if multiplies_by_warps(gpu, job.engine) else 1.0)
            / (engine.packed_product if is_packed else 1.0),
            bandwidth,
            prior.floor_seconds,
            inner_fill=prior.inner_fill,
            num_units=float(gpu.num_units or 0) if gpu.vendor in DEALT else 0.0,
            unit_fill=priors.figures["unit_fill"],
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


def _reached(gpu: Gpu, dtype: Dtype, priors: ServingPriors, shares: ServingShares, engine: EnginePrior) -> Amount:
    """The share of the published peak. What feeds units that run at half rate does not, so that they reach more of
    their peak; engines that sum in 16 bits run them at the full rate."""
    share = shares.of(dtype)
    if dtype not in (Dtype.FP16, Dtype.BF16) or not sums_at_half_rate(gpu):
        return share
    return 2.0 * share if engine.half_sums else np.minimum(share * priors.figures["half_rate"], MOST)


def multiplies_by_warps(gpu: Gpu, engine: Engine) -> bool:
    """Whether an engine's own kernels keep to the matrix instructions of single warps where a GPU's full rate takes
    those of four together (Hopper) or of a whole unit (Blackwell of data centres)."""
    return engine in BY_WARPS and gpu.compute_capability in WIDE_INSTRUCTIONS


def multiplies_packed(gpu: Gpu, job: InferenceJob) -> bool:
    """Whether weights of 4 bits go into products as they lie, beside numbers of 8 bits: Blackwell's units take block
    formats of 4, 6 and 8 bits together (PTX ISA, tcgen05.mma of kind mxf8f6f4)."""
    return job.weight_bits is not None and job.dtype is Dtype.FP8 and gpu.peak(Dtype.FP4) is not None


def sums_at_half_rate(gpu: Gpu) -> bool:
    """Whether the published 16-bit peak, which is that with 32-bit sums, is half of what the units can do."""
    eight, sixteen = gpu.peak(Dtype.INT8), gpu.peak(Dtype.FP16)
    return gpu.vendor is Vendor.NVIDIA and bool(eight and sixteen) and (eight or 0.0) > HALF_RATE * (sixteen or 1.0)


def peak_of(gpu: Gpu, dtype: Dtype) -> float | None:
    """The dense peak; that of fp16 stands for bf16 where a GPU lacks it, as serving then uses fp16."""
    found = gpu.peak(dtype)
    return gpu.peak(Dtype.FP16) if found is None and dtype is Dtype.BF16 else found
