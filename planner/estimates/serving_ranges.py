"""How wide an estimate of serving without any calibration is: by the class of what is asked, from published runs."""

from __future__ import annotations

import math
from enum import StrEnum

from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.profile import Profile
from planner.jobs.convnet import ConvNet
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob
from planner.quantity import Cause


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
    POWER = "power"  # and the energy of single passes, beside the range of their seconds
    ENERGY = "energy"  # of tokens: seconds and watts miss against each other, so that it has one range of its own


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
    """The class's own half-width with that of an engine's releases in it, and what an unnamed engine, or an engine or a
    family of GPUs that no published run told about, adds."""
    priors = load_serving_priors()
    ranges, engine = priors.ranges, priors.engines[job.engine]
    shares = priors.families.get(profile.prior.name) or priors.families["other GPUs"]
    found = [Cause("published runs of this kind", ranges[kind.value])]
    if job.output_tokens and job.engine is not Engine.UNSTATED:
        releases = min(ranges["release"], ranges[kind.value])
        own = math.sqrt(ranges[kind.value] ** 2 - releases**2)
        found = [Cause("published runs of this kind", own), Cause("releases of one engine differ", releases)]
    if job.engine is Engine.UNSTATED:
        found.append(Cause("serving engine not named", ranges["engine"]))
    elif not engine.told:
        found.append(Cause("no published run of this engine", ranges["engine_none"]))
    if job.weight_bits is not None and job.engine is Engine.TRANSFORMERS and kind is ServingClass.PACKED:
        found.append(Cause("which library unpacks the weights is not named", ranges["unpacking"]))
    if not shares.told:
        found.append(Cause("no published run on this family", ranges["family_none"]))
    return tuple(found)
