"""On how many published sources an uncalibrated estimate rests: what readers may hold its range against."""

from __future__ import annotations

from dataclasses import dataclass

from planner.estimates.priors import load_priors
from planner.estimates.priors.serving import load_serving_priors
from planner.hardware.gpu import Gpu
from planner.jobs.job import Job, TrainingJob


@dataclass(frozen=True, slots=True)
class Evidence:
    """A family of GPUs, and how many independent sources published runs of this kind of job on it, as counted in the
    priors of this version of the code."""

    family: str
    num_sources: int
    is_training: bool


def evidence(job: Job, gpu: Gpu) -> Evidence:
    """The published runs behind the priors that an estimate of this job takes on a GPU that was not measured."""
    family = load_priors().of(gpu).name
    if isinstance(job, TrainingJob):
        return Evidence(family, int(load_priors().told.get(family, 0)), is_training=True)
    shares = load_serving_priors().families.get(family)
    return Evidence(family, 0 if shares is None else shares.told, is_training=False)
