"""One replica of a service: tensor × pipeline parallel GPUs of one kind, the steps it takes and the cache it holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.calibration.sample import Operation
from planner.estimates import memory
from planner.estimates.layout import inference_layouts
from planner.estimates.outcome import shared
from planner.estimates.priors import load_priors
from planner.estimates.profile import Profile
from planner.estimates.serving import serving_links
from planner.estimates.serving_ranges import ServingClass, published_causes, token_class
from planner.estimates.serving_steps import Deployment, ReplicaSteps, replica_steps, serving_items
from planner.jobs.architecture import Transformer
from planner.jobs.job import InferenceJob
from planner.quantity import Cause

Array = NDArray[np.float64]
SEVERAL = 2  # requests at a time: the class of ranges is that of several


@dataclass(frozen=True, slots=True)
class Replica:
    """`tensor` × `pipeline` GPUs with the weights, and the seconds of their steps."""

    steps: ReplicaSteps
    architecture: Transformer
    tensor: int
    pipeline: int
    weight_bytes: float  # on one GPU

    @property
    def job(self) -> InferenceJob:
        return self.steps.deployment.job

    @property
    def profile(self) -> Profile:
        return self.steps.deployment.profile

    @property
    def num_gpus(self) -> int:
        return self.tensor * self.pipeline

    @property
    def layout(self) -> str:
        """ "TP 4", "TP 4, PP 2"."""
        return f"TP {self.tensor}" + (f", PP {self.pipeline}" if self.pipeline > 1 else "")

    def phase_causes(self, operation: Operation, rows: float, seconds: float) -> tuple[Cause, ...]:
        """Why such a pass may take longer or shorter: half-widths in log space."""
        if self.profile.fit is None:
            several = replace(self.job, concurrency=SEVERAL)
            kind = token_class(several) if operation is Operation.DECODE else ServingClass.FIRST_TOKEN
            return published_causes(several, self.profile, kind)
        figures = load_priors().figures
        exchange = min(1.0, float(np.max(self.steps.deployment.exchange(np.array([rows])))) / seconds)
        found = shared(self.profile.phase_causes(operation, self.architecture, rows, seconds), 1.0 - exchange)
        found += shared((Cause("communication", figures["communication_spread"]),), exchange)
        if self.architecture.num_experts > 1:
            found += (Cause("uneven experts", figures["expert_imbalance_spread"]),)
        return found


def replica(
    job: InferenceJob, profile: Profile, tensor: int, pipeline: int, usable: float, batch_tokens: int
) -> Replica | str:
    """The replica, or why there is none: links that are not known, or weights that do not fit.

    `usable` is memory of one GPU, `batch_tokens` the most tokens of a pass, whose activations stay free.
    """
    network = job.architecture
    if not isinstance(network, Transformer):
        return f"{network.name} answers in no tokens"
    num_gpus = tensor * pipeline
    alike = replace(
        job, tensor_parallel=tensor, pipeline_parallel=pipeline, prompt_tokens=batch_tokens, num_requests=None
    )
    layouts = inference_layouts(alike, num_gpus)
    if layouts.size != 1:
        return f"the model does not divide into {tensor} tensor × {pipeline} pipeline parallel"
    links = serving_links(profile.gpu, num_gpus) if num_gpus > 1 else None
    if num_gpus > 1 and (links is None or links.bandwidth(np.array([float(num_gpus)]))[0] <= 0):
        return f"what joins {num_gpus} {profile.gpu.key} is not known"
    items = serving_items(alike, profile, layouts, np.zeros(1))
    if float(np.sum(memory.total(items))) >= usable:
        return f"{memory.shortfall(memory.bill(items, 0), usable)}, before any request"
    return Replica(
        steps=replica_steps(Deployment(alike, profile, layouts, links), usable),
        architecture=network,
        tensor=tensor,
        pipeline=pipeline,
        weight_bytes=memory.pick(items["weights"], 0),
    )
