"""How wide a training estimate without any calibration is: causes that add up, each with what published runs showed.

The half-widths are fitted so that nine in ten published runs, each predicted from priors fitted without its source, lie
within the sum of the causes that hold for them. Every cause follows from the query alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from planner.calibration.sample import Operation
from planner.estimates.priors import load_priors
from planner.estimates.profile import MIXED_8BIT, Profile
from planner.hardware.gpu import Dtype, Vendor
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.job import Stack, TrainingJob, TrainingMethod
from planner.quantity import Cause


class RangeCause(StrEnum):
    """What makes published runs miss the estimate; the values are the sections of the facts file."""

    PUBLISHED = "published"
    EIGHT_BIT = "eight_bit"
    PLAIN = "plain"
    ADAPTERS = "adapters"
    EXPERTS = "experts"
    ENCODER = "encoder"
    CONVOLUTIONAL = "convolutional"
    OLD_ATTENTION = "old_attention"
    EAGER = "eager"
    COMPILED = "compiled"
    IDLE = "idle"
    SEVERAL_NODES = "several_nodes"
    OTHER_VENDOR = "other_vendor"
    CONSUMER = "consumer"
    HOST = "host"
    ASSUMED = "assumed"


TITLES = {
    RangeCause.PUBLISHED: "published efficiency",
    RangeCause.EIGHT_BIT: "products of 8 or 4 bits",
    RangeCause.PLAIN: "products of fp32 or tf32",
    RangeCause.ADAPTERS: "adapters on a frozen base",
    RangeCause.EXPERTS: "experts",
    RangeCause.ENCODER: "attention both ways",
    RangeCause.CONVOLUTIONAL: "convolutions",
    RangeCause.OLD_ATTENTION: "attention that is not fused",
    RangeCause.EAGER: "plain software",
    RangeCause.COMPILED: "what a compiler makes of it",
    RangeCause.IDLE: "idle stages and exchanges that lie bare",
    RangeCause.SEVERAL_NODES: "several nodes",
    RangeCause.OTHER_VENDOR: "few published runs of the vendor",
    RangeCause.CONSUMER: "few published runs of cards with GDDR memory",
    RangeCause.HOST: "time between kernels",
    RangeCause.ASSUMED: "assumed where nothing is stated",
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a job runs, as far as it tells how well such runs are known. `overhead_share` is the part of the step that
    neither products nor memory bound, `idle_share` that of idle stages of a pipeline and of bare exchanges."""

    num_nodes: int
    overhead_share: float
    idle_share: float


def applying(job: TrainingJob, profile: Profile, how: Circumstances) -> dict[RangeCause, float]:
    """The causes that hold, and how much of each: 1, or the share of the step that it is about."""
    network = job.architecture
    is_transformer = isinstance(network, Transformer)
    found = {
        RangeCause.PUBLISHED: True,
        RangeCause.EIGHT_BIT: job.dtype in MIXED_8BIT,
        RangeCause.PLAIN: job.dtype in (Dtype.FP32, Dtype.TF32),
        RangeCause.ADAPTERS: job.method is not TrainingMethod.FULL,
        RangeCause.EXPERTS: isinstance(network, Transformer) and network.num_experts > 1,
        RangeCause.ENCODER: isinstance(network, Transformer) and not network.causal,
        RangeCause.CONVOLUTIONAL: isinstance(network, ConvNet),
        RangeCause.OLD_ATTENTION: is_transformer and not job.fused_attention,
        RangeCause.EAGER: job.stack is Stack.EAGER,
        RangeCause.COMPILED: job.stack is Stack.COMPILED,
        RangeCause.SEVERAL_NODES: how.num_nodes > 1,
        RangeCause.OTHER_VENDOR: profile.gpu.vendor is not Vendor.NVIDIA,
        RangeCause.CONSUMER: profile.gpu.vendor is Vendor.NVIDIA and profile.gpu.memory_type.startswith("GDDR"),
    }
    shares = {RangeCause.HOST: how.overhead_share, RangeCause.IDLE: how.idle_share}
    return {cause: 1.0 for cause, holds in found.items() if holds} | shares


def assumed_cause() -> Cause:
    """What a published run misses the estimate by where its table leaves something to be assumed."""
    return Cause(TITLES[RangeCause.ASSUMED], load_priors().ranges[RangeCause.ASSUMED.value])


def published_causes(job: TrainingJob, profile: Profile, how: Circumstances) -> tuple[Cause, ...]:
    """What published figures leave open, cause by cause; for a family of GPUs that no published run told about its own
    half-width where that is larger than the common one."""
    widths = load_priors().ranges
    causes = []
    for cause, share in applying(job, profile, how).items():
        width = share * widths[cause.value]
        if cause is RangeCause.PUBLISHED:
            width = max(width, profile.prior.spreads[Operation.TRAIN_STEP])
        if width > 0.0:
            causes.append(Cause(TITLES[cause], width))
    return tuple(causes)
