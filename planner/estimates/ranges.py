"""How wide a training estimate without any calibration is: by the class of what is asked, from published runs.

The half-widths are conformal: 85 % of published runs of the class, each predicted from priors fitted without its
source, lie within them and the causes that a layout adds of its own, and about 93 % of those of sources that the priors
have seen. The class follows from the query alone.
"""

from __future__ import annotations

from enum import StrEnum

from planner.calibration.sample import Operation
from planner.estimates.priors import load_priors
from planner.estimates.profile import MIXED_8BIT, Profile
from planner.jobs.convnet import ConvNet
from planner.jobs.job import TrainingJob, TrainingMethod
from planner.quantity import Cause


class RangeClass(StrEnum):
    """Kinds of training whose published runs miss the estimate alike."""

    DECODER = "decoder"
    DECODER_8BIT = "decoder_8bit"
    ADAPTERS = "adapters"
    EXPERTS = "experts"
    ENCODER = "encoder"
    CONVOLUTIONAL = "convolutional"


def range_class(job: TrainingJob) -> RangeClass:
    """The class of a job."""
    if isinstance(job.architecture, ConvNet):
        return RangeClass.CONVOLUTIONAL
    if job.architecture.num_experts > 1:
        return RangeClass.EXPERTS
    if job.method is not TrainingMethod.FULL:
        return RangeClass.ADAPTERS
    if not job.architecture.causal:
        return RangeClass.ENCODER
    return RangeClass.DECODER_8BIT if job.dtype in MIXED_8BIT else RangeClass.DECODER


def published_cause(job: TrainingJob, profile: Profile) -> Cause:
    """The cause that stands for everything published figures leave open: the class's half-width, or that of a family of
    GPUs that no published run told about, whichever is larger."""
    told = load_priors().ranges[range_class(job).value]
    return Cause("published efficiency", max(told, profile.prior.spreads[Operation.TRAIN_STEP]))
