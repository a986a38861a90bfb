"""How wide an estimate of serving without any calibration is: by the class of what is asked, from published runs."""

from __future__ import annotations

from enum import StrEnum

from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.profile import Profile
from planner.jobs.convnet import ConvNet
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob
from planner.quantity import Cause

# Families of GPUs on which no published run of any class was seen.
SEEN = (
    "NVIDIA Blackwell (data centre)",
    "NVIDIA Hopper",
    "NVIDIA Ampere with GDDR memory",
    "NVIDIA Ampere",
    "NVIDIA Ada",
    "NVIDIA Volta",
    "NVIDIA, other generations",
    "AMD CDNA3 and CDNA4",
    "Intel Gaudi",
    "CPUs",
)


class ServingClass(StrEnum):
    """Kinds of figures whose published runs miss the estimate alike."""

    SINGLE = "single"  # tokens of one request at a time
    SERVED = "served"  # of several, as many as asked
    SATURATED = "saturated"  # of as many as memory holds
    EXPERTS = "experts"  # of networks with experts
    PACKED = "packed"  # of weights that are unpacked
    FIRST_TOKEN = "first_token"  # noqa: S105  (a name, no secret)
    FIRST_TOKEN_LOADED = "first_token_loaded"  # noqa: S105
    ENCODER = "encoder"  # one pass of a transformer
    PICTURE = "picture"  # one pass of a convolutional network
    POWER = "power"


def token_class(job: InferenceJob) -> ServingClass:
    """The class of a job's throughput and time per token, or of its pass."""
    if isinstance(job.architecture, ConvNet):
        return ServingClass.PICTURE
    if not job.output_tokens:
        return ServingClass.ENCODER
    if job.architecture.num_experts > 1:
        return ServingClass.EXPERTS
    if job.weight_bits is not None:
        return ServingClass.PACKED
    if job.concurrency is None:
        return ServingClass.SATURATED
    return ServingClass.SINGLE if job.concurrency == 1 else ServingClass.SERVED


def published_causes(job: InferenceJob, profile: Profile, kind: ServingClass) -> tuple[Cause, ...]:
    """The class's own half-width, and what an unnamed engine or a family that no published run told about adds."""
    ranges = load_serving_priors().ranges
    found = [Cause("published runs of this kind", ranges[kind.value])]
    if job.engine is Engine.UNSTATED:
        found.append(Cause("serving engine not named", ranges["engine"]))
    if profile.prior.name not in SEEN:
        found.append(Cause("no published run on this family", ranges["unseen"]))
    return tuple(found)
