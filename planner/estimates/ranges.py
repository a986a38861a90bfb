"""How wide a training estimate without any calibration is: causes that add up, each with what published runs showed.

The half-widths are fitted so that nine in ten published runs, each predicted from priors fitted without its source, lie
within the sum of the causes that hold for them. Every cause follows from the query alone, and from how many sources
told about such hardware: a family that few sources measured is known worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from planner.calibration.sample import Operation
from planner.estimates.priors import load_priors
from planner.estimates.profile import Profile
from planner.jobs.architecture import Transformer
from planner.jobs.convnet import ConvNet
from planner.jobs.job import TrainingJob, TrainingMethod
from planner.quantity import Cause


class RangeCause(StrEnum):
    """What makes published runs miss the estimate; the values are the sections of the facts file."""

    PUBLISHED = "published"
    ADAPTERS = "adapters"
    EXPERTS = "experts"
    CONVOLUTIONAL = "convolutional"
    SEVERAL_NODES = "several_nodes"
    FAMILY = "family"
    HOST = "host"
    ASSUMED = "assumed"


TITLES = {
    RangeCause.PUBLISHED: "published efficiency",
    RangeCause.ADAPTERS: "adapters on a frozen base",
    RangeCause.EXPERTS: "experts",
    RangeCause.CONVOLUTIONAL: "convolutions",
    RangeCause.SEVERAL_NODES: "several nodes",
    RangeCause.FAMILY: "few published runs of its family of GPUs",
    RangeCause.HOST: "time between kernels",
    RangeCause.ASSUMED: "assumed where nothing is stated",
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a job runs, as far as it tells how well such runs are known. `overhead_share` is the part of the step that
    neither products nor memory bound."""

    num_nodes: int
    overhead_share: float


def unfamiliar(num_sources: float) -> float:
    """How much is left to learn of what so many sources told about: 1 of none, 1 ÷ √(1 + n) of n that agree as sources
    do (the spread of a mean over n whose members lie as far apart as it lay from what was expected)."""
    return 1.0 / math.sqrt(1.0 + num_sources)


def applying(job: TrainingJob, profile: Profile, how: Circumstances) -> dict[RangeCause, float]:
    """The causes that hold, and how much of each: 1, a share of the step, or how unfamiliar the family of GPUs is."""
    network = job.architecture
    found = {
        RangeCause.PUBLISHED: True,
        RangeCause.ADAPTERS: job.method is not TrainingMethod.FULL,
        RangeCause.EXPERTS: isinstance(network, Transformer) and network.num_experts > 1,
        RangeCause.CONVOLUTIONAL: isinstance(network, ConvNet),
        RangeCause.SEVERAL_NODES: how.num_nodes > 1,
    }
    told = load_priors().told.get(profile.prior.name, 0.0)
    shares = {RangeCause.FAMILY: unfamiliar(told), RangeCause.HOST: how.overhead_share}
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
