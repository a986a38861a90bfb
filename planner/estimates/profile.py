"""How fast a GPU is for a job's number format and how that is known: from its own fit, a twin's fit, or priors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from planner.calibration.correction import Widths
from planner.calibration.efficiency import MatmulRate, PassRate, Rates, Seconds, work_seconds
from planner.calibration.fit import Fit
from planner.calibration.links import MeasuredLinks
from planner.calibration.sample import Operation
from planner.estimates.estimate import Bottleneck
from planner.estimates.priors import Prior, StackPrior, load_priors
from planner.hardware.gpu import Dtype, Gpu, GpuKind
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.job import Stack
from planner.jobs.operations import Amount, Work, side_dtype
from planner.quantity import Basis, Cause

# Assumed log half-widths (nine in ten), until the ledger of actuals replaces them.
SINGLE_SAMPLE = 0.15  # one measured pass tells no error of its own
# Blocks of another shape than the measured ones. Three other shapes run on two CPU cores beside other work on
# 2026-11-21 were off by up to 20 % (training), 30 % (prefill) and 50 % (decode), but for bf16 decoding with eight query
# heads per key-value head, which took ten times as long: no range covers that, a suite with that shape would.
OTHER_SHAPE = {Operation.TRAIN_STEP: 0.20, Operation.PREFILL: 0.30, Operation.DECODE: 0.40}
TWIN = 0.06  # another card of the same model: two honest measurements differ by 4 to 5 % (our design notes)
OTHER_FORMAT = 0.30  # a format that was not measured, scaled by the ratio of the published peaks
UNMEASURED_PHASE = 0.70  # a phase that was not measured, from the sum of its operations alone
PHASES = (Operation.TRAIN_STEP, Operation.PREFILL, Operation.DECODE)
KEEPS_FREED_MEMORY = 3  # the version of the benches since which a CPU's measuring process keeps freed memory
KEPT_MEMORY_NOTE = (
    "The job is taken to keep the memory that tensors give back, as the calibration does (jemalloc, tcmalloc or "
    "glibc's MALLOC_MMAP_MAX_=0 and a high MALLOC_TRIM_THRESHOLD_); without that a step of 2 × 1,024 tokens took a "
    "third longer."
)
HIGHEST_CLOCK = 1.1  # assumed: boost clocks lie so far above those of a card at its power limit
MIXED_8BIT = (Dtype.FP8, Dtype.INT8, Dtype.FP4)


@dataclass(frozen=True, slots=True)
class Lack:
    """What keeps a GPU from being estimated."""

    bottleneck: Bottleneck
    reason: str


@dataclass(frozen=True, slots=True)
class Profile:
    """What is needed to time passes of one number format on one GPU.

    `fit` is None where priors alone speak; `fit_id` names the fit that was used.
    """

    gpu: Gpu
    dtype: Dtype
    rates: Mapping[Operation, Rates]
    prior: Prior
    basis: Basis
    training: StackPrior | None = None  # of the program that trains, where priors alone speak
    fit: Fit | None = None
    fit_id: str | None = None
    causes: tuple[Cause, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def links(self) -> MeasuredLinks | None:
        """What was measured of the links to other GPUs of a node; None where nothing was."""
        return None if self.fit is None else self.fit.links

    def seconds(
        self,
        operation: Operation,
        works: tuple[Work, ...],
        rows: Amount,
        length: Amount,
        network: Transformer | ConvNet,
    ) -> Seconds:
        """Seconds of a whole pass: the sum of its operations times what passes take beyond it here. `length` is how
        many positions a row may attend to."""
        parts = self.composed(operation, works)
        return scaled(parts, self.factor(operation, rows, length, parts.total, network))

    def composed(self, operation: Operation, works: tuple[Work, ...]) -> Seconds:
        """The sum of operations alone."""
        return work_seconds(works, self.rates[operation])

    def phase_causes(
        self,
        operation: Operation,
        architecture: Transformer | ConvNet,
        rows: float,
        seconds: float,
        length: float | None = None,
    ) -> tuple[Cause, ...]:
        """Why a pass of that size through that architecture may take longer or shorter."""
        if self.fit is None:
            return (Cause("published efficiency", self.prior.spreads[operation]), *self.causes)
        correction = self.fit.corrections.get((operation, self.dtype))
        if correction is None:
            return (*self.causes, Cause(f"{operation.value} not measured", UNMEASURED_PHASE))
        widths = correction.widths(architecture, rows, correction.usual_length if length is None else length, seconds)
        is_single = correction.quality.held_out is None
        causes = (*self.causes, *_measured_causes(widths, is_single=is_single))
        if correction.has_run(architecture) or correction.has_run_several(architecture):
            return causes
        return (*causes, Cause("blocks of another shape than measured", OTHER_SHAPE[operation]))

    def phase_notes(self, operations: tuple[Operation, ...]) -> tuple[str, ...]:
        """What was not measured, and what a measured CPU is taken to do, in words."""
        if self.fit is None:
            return self.notes
        keeps = self.fit.is_cpu and self.fit.bench_versions.get(Operation.TRAIN_STEP, 0) >= KEEPS_FREED_MEMORY
        missing = [name for name in operations if (name, self.dtype) not in self.fit.corrections]
        kept = (KEPT_MEMORY_NOTE,) if keeps and Operation.TRAIN_STEP in operations else ()
        unmeasured = (
            f"No {name.value.replace('_', ' ')} in {self.dtype.value} was measured here: "
            "it follows from its operations alone, with a wider range."
            for name in missing
        )
        return (*self.notes, *kept, *unmeasured)

    def factor(
        self,
        operation: Operation,
        rows: Amount,
        length: Amount,
        seconds: Amount,
        network: Transformer | ConvNet,
    ) -> Amount:
        """What a pass takes beyond its operations, `seconds` by themselves."""
        if self.fit is None:
            factor = self.prior.factors[operation]
            is_training = operation is Operation.TRAIN_STEP and self.training is not None
            return factor * self.training.factor if is_training and self.training else factor
        correction = self.fit.corrections.get((operation, self.dtype))
        return 1.0 if correction is None else correction.factor(network, rows, length, seconds)


def scaled(parts: Seconds, factor: Amount) -> Seconds:
    """A pass that takes so many times as long; what compute and memory need by themselves stays."""
    return Seconds(parts.total * factor, parts.compute, parts.memory, parts.overhead * factor)


def _measured_causes(widths: Widths, *, is_single: bool) -> tuple[Cause, ...]:
    error = Cause("error of held-out samples", widths.held_out)
    if is_single:
        error = Cause("only one sample", max(SINGLE_SAMPLE, widths.held_out))
    return Cause("measurement noise", widths.noise), error, Cause("distance from what was measured", widths.distance)


def profile_from_fit(gpu: Gpu, dtype: Dtype, fit: Fit, fit_id: str, *, is_own_device: bool) -> Profile | Lack:
    """The profile of a device that was measured, or of a GPU of the same model as one."""
    measured = {phase: fit.rates(dtype, phase) for phase in PHASES}
    rates = measured[Operation.TRAIN_STEP]
    if rates is None:
        return Lack(Bottleneck.UNKNOWN_FIGURE, "its calibration measured no products or no memory bandwidth; repeat it")
    causes: tuple[Cause, ...] = () if is_own_device else (Cause("another card of the same model", TWIN),)
    notes: tuple[str, ...] = ()
    for needed in (dtype, side_dtype(dtype)):
        if needed not in rates.matmul:
            other = _scaled_rate(gpu, rates, needed)
            if isinstance(other, Lack):
                return other
            rates = replace(rates, matmul={**rates.matmul, needed: other})
            causes += (Cause(f"{needed.value} products not measured", OTHER_FORMAT),)
            notes += (f"Products in {needed.value} were not measured; they are scaled by the published peaks.",)
    return Profile(
        gpu=gpu,
        dtype=dtype,
        rates={phase: replace(known, matmul=rates.matmul) for phase, known in measured.items() if known is not None},
        prior=load_priors().of(gpu),
        basis=Basis.INTERPOLATED if is_own_device else Basis.TRANSFERRED,
        fit=fit,
        fit_id=fit_id,
        causes=causes,
        notes=notes,
    )


def _scaled_rate(gpu: Gpu, rates: Rates, dtype: Dtype) -> MatmulRate | Lack:
    wanted = gpu.peak(dtype)
    known = [measured for measured in rates.matmul if gpu.peak(measured) is not None]
    if wanted is None or not known:
        have = ", ".join(sorted(measured.value for measured in rates.matmul))
        return Lack(
            Bottleneck.DTYPE, f"{dtype.value} was not measured here and its rate is not known; measured: {have}"
        )
    nearest = min(known, key=lambda measured: abs(np.log((gpu.peak(measured) or 1.0) / wanted)))
    rate = rates.matmul[nearest]
    return MatmulRate(
        peak=rate.peak * wanted / (gpu.peak(nearest) or 1.0),
        bandwidth=rate.bandwidth,
        floor_seconds=rate.floor_seconds,
        sharpness=rate.sharpness,
        inner_fill=rate.inner_fill,
        points=rate.points,
    )


def profile_from_priors(gpu: Gpu, dtype: Dtype, stack: Stack = Stack.EAGER) -> Profile | Lack:
    """The profile of a GPU that nobody measured here: its published peaks times what its family reaches of them.

    `stack` is the kind of program that trains; serving engines fuse as engines do."""
    lack = missing_figures(gpu, dtype)
    if lack is not None:
        return lack
    prior, figures = load_priors().of(gpu), load_priors().figures
    nominal = gpu.memory_bandwidth.value if gpu.memory_bandwidth else 0.0
    training = load_priors().stacks[stack]

    def rates(operation: Operation) -> Rates:
        is_training = operation is Operation.TRAIN_STEP
        clock = _clock(gpu, prior) if is_training else 1.0
        bandwidth = nominal * (prior.training_bandwidth if is_training else prior.bandwidth)
        return Rates(
            matmul={
                needed: MatmulRate(
                    (gpu.peak(needed) or 0.0) * _matmul_share(prior, needed, is_training) * clock,
                    bandwidth,
                    prior.floor_seconds,
                    inner_fill=prior.inner_fill,
                    edge_fill=prior.edge_fill if is_training else 0.0,  # serving has tiles for few rows
                )
                for needed in sorted({dtype, side_dtype(dtype)})
            },
            bandwidth=bandwidth,
            in_pass=PassRate(
                prior.training_attention if is_training else prior.attention,
                bandwidth,
                prior.launch_seconds[operation],
            ),
            is_synchronous=gpu.kind is GpuKind.CPU,
            kernel_share=training.kernels if is_training else figures["serving_kernel_share"],
            elementwise_share=training.elementwise if is_training else 1.0,
            class_factors=load_priors().class_factors if is_training else {},
            vector=_vector_rate(gpu) if is_training else math.inf,
        )

    return Profile(
        gpu=gpu,
        dtype=dtype,
        rates={operation: rates(operation) for operation in prior.launch_seconds},
        prior=prior,
        training=training,
        basis=Basis.DERIVED,
        notes=(f"No {gpu.key} was measured here: published peaks, and what the family {prior.name} reaches of them.",),
    )


def _vector_rate(gpu: Gpu) -> float:
    """FLOP/s that arithmetic beside products reaches; infinite where the fp32 peak is not known."""
    peak = gpu.peak(Dtype.FP32)
    return math.inf if peak is None else peak * load_priors().figures["vector_share"]


def _clock(gpu: Gpu, prior: Prior) -> float:
    """How fast a card runs under its power limit against the one that its family was measured on: dynamic power grows
    with the 2.5th power of the clock (our design notes), at most HIGHEST_CLOCK."""
    return float(min(HIGHEST_CLOCK, power_ratio(gpu, prior) ** load_priors().figures["clock_exponent"]))


def power_ratio(gpu: Gpu, prior: Prior) -> float:
    """Watts per FLOP/s of the 16-bit peak ÷ those of the card that its family was measured on; 1 where one is not
    known."""
    peak = gpu.peak(Dtype.BF16) or gpu.peak(Dtype.FP16)
    if prior.full_clock_joules is None or gpu.power_watts is None or not peak:
        return 1.0
    return float(gpu.power_watts.value / peak / prior.full_clock_joules)


def _matmul_share(prior: Prior, dtype: Dtype, is_training: bool) -> float:
    """The part of the dense peak that products reach."""
    if dtype in (Dtype.FP32, Dtype.TF32):
        return prior.matmul_fp32 if dtype is Dtype.FP32 else prior.matmul_tf32
    if is_training and dtype is Dtype.FP4:
        return prior.training_matmul_4bit
    if dtype in MIXED_8BIT:
        return prior.training_matmul_8bit if is_training else prior.matmul_8bit
    return prior.training_matmul if is_training else prior.matmul


def missing_figures(gpu: Gpu, dtype: Dtype) -> Lack | None:
    """What the catalogue lacks for an estimate without a fit."""
    if not gpu.peak_flops and gpu.memory_bandwidth is None:
        what = "device" if gpu.kind is GpuKind.CPU else "GPU"
        return Lack(
            Bottleneck.UNKNOWN_GPU,
            f"the catalogue does not list the {what} {gpu.key.removesuffix(' (unlisted)')!r}, and no calibration of it "
            "counts yet: calibrate it, or map its name to an entry",
        )
    if gpu.memory_bandwidth is None:
        return Lack(Bottleneck.UNKNOWN_FIGURE, f"the memory bandwidth of {gpu.key} is not known")
    for needed in (dtype, side_dtype(dtype)):
        if gpu.peak(needed) is None:
            have = ", ".join(sorted(known.value for known in gpu.peak_flops)) or "none"
            return Lack(
                Bottleneck.DTYPE,
                f"{gpu.key} has no {needed.value} rate (not supported, or not known); it has: {have}",
            )
    return None


def whole_gpus(num_gpus: Decimal) -> int | None:
    """The number of GPUs, None where the offer is a part of one."""
    return int(num_gpus) if num_gpus == num_gpus.to_integral_value() and num_gpus >= 1 else None
