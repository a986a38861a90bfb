"""One replica of a service: GPUs of one kind that hold the weights once, the steps it takes and the cache it holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.calibration.sample import Operation
from planner.estimates import memory
from planner.estimates.communication import communication_cause
from planner.estimates.layout import inference_layouts
from planner.estimates.load.front import Front
from planner.estimates.load.step_table import StepTimes
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
class Shape:
    """How a replica is made: `experts` groups of `tensor` × `pipeline` GPUs, on `nodes` nodes of `per_node` GPUs.

    Each group attends to requests of its own; the experts of the model are spread over all of them. Without experts
    there is one group. `per_node` None: all on one node.
    """

    tensor: int
    pipeline: int = 1
    experts: int = 1
    nodes: int = 1
    per_node: int | None = None

    @property
    def num_gpus(self) -> int:
        return self.tensor * self.pipeline * self.experts

    @property
    def words(self) -> str:
        """ "TP 4", "TP 8, PP 2 over 2 nodes", "TP 2, EP 8: 4 groups attend apart"."""
        found = f"TP {self.tensor}" + (f", PP {self.pipeline}" if self.pipeline > 1 else "")
        if self.experts > 1:
            found += f", EP {self.experts * self.tensor}, DP {self.experts} in attention"
        return found + (f" over {self.nodes} nodes" if self.nodes > 1 else "")


@dataclass(frozen=True, slots=True)
class Spread:
    """The steps of several groups that attend apart and share experts: all step together, so the busiest decides.

    Requests that decode are divided evenly among the groups, and so are prompts; a prompt alone lies on one group,
    `usual_prompt` tokens of it.
    """

    steps: ReplicaSteps
    groups: int
    usual_prompt: float

    @property
    def kv_bytes_per_token(self) -> float:
        return self.steps.kv_bytes_per_token

    @property
    def kv_capacity_tokens(self) -> float:
        return self.steps.kv_capacity_tokens * self.groups

    def prefill_seconds(self, num_tokens: Array, context: Array) -> Array:
        tokens = np.asarray(num_tokens, dtype=float)
        busiest = np.maximum(tokens / self.groups, np.minimum(tokens, self.usual_prompt))
        return self.steps.prefill_seconds(busiest, context)

    def decode_seconds(self, batch: Array, kv_tokens: Array) -> Array:
        """A group has at least one of the requests; its cache is what one of them has on average."""
        requests = np.asarray(batch, dtype=float)
        mine = np.maximum(requests / self.groups, 1.0)
        return self.steps.decode_seconds(mine, kv_tokens / requests * mine)


@dataclass(frozen=True, slots=True)
class Replica:
    """GPUs with the weights, and the seconds of their steps."""

    steps: StepTimes
    deployment: Deployment  # of one group
    architecture: Transformer
    shape: Shape
    weight_bytes: float  # on one GPU

    @property
    def job(self) -> InferenceJob:
        return self.deployment.job

    @property
    def profile(self) -> Profile:
        return self.deployment.profile

    @property
    def front(self) -> Front:
        """What the server in front of the engine takes."""
        return Front.of(self.job.engine)

    @property
    def reserve(self) -> float:
        """The part of an answer that the engine keeps room for when it admits a request."""
        return self.deployment.engine.reserve

    @property
    def num_gpus(self) -> int:
        return self.shape.num_gpus

    @property
    def layout(self) -> str:
        """The shape in words."""
        return self.shape.words

    def phase_causes(self, operation: Operation, rows: float, seconds: float) -> tuple[Cause, ...]:
        """Why such a pass may take longer or shorter: half-widths in log space."""
        if self.profile.fit is None:
            several = replace(self.job, concurrency=SEVERAL)
            kind = token_class(several) if operation is Operation.DECODE else ServingClass.FIRST_TOKEN
            return published_causes(several, self.profile, kind)
        figures = load_priors().figures
        exchange = min(1.0, float(np.max(self.deployment.exchange(np.array([rows])))) / seconds)
        found = shared(self.profile.phase_causes(operation, self.architecture, rows, seconds), 1.0 - exchange)
        found += shared((communication_cause(self.profile.links),), exchange)
        if self.architecture.num_experts > 1:
            found += (Cause("uneven experts", figures["expert_imbalance_spread"]),)
        return found


def replica(
    job: InferenceJob, profile: Profile, shape: Shape, usable: float, batch_tokens: int, usual_prompt: float
) -> Replica | str:
    """The replica, or why there is none: links that are not known, or weights that do not fit.

    `usable` is memory of one GPU, `batch_tokens` the most tokens of a pass, whose activations stay free.
    """
    network = job.architecture
    if not isinstance(network, Transformer):
        return f"{network.name} answers in no tokens"
    num_gpus = shape.num_gpus
    alike = replace(
        job,
        tensor_parallel=shape.tensor,
        pipeline_parallel=shape.pipeline,
        expert_parallel=shape.experts,
        prompt_tokens=batch_tokens,
        num_requests=None,
    )
    layouts = inference_layouts(alike, num_gpus)
    if layouts.size != 1:
        return f"the model does not divide into {shape.words}"
    links = serving_links(profile.gpu, num_gpus, shape.per_node, profile.links) if num_gpus > 1 else None
    if num_gpus > 1 and (links is None or links.bandwidth(np.array([float(num_gpus)]))[0] <= 0):
        return f"what joins {num_gpus} {profile.gpu.key} is not known"
    if links is not None and num_gpus > links.domain and links.network <= 0:
        return f"what joins nodes of {profile.gpu.key} is not known"
    items = serving_items(alike, profile, layouts, np.zeros(1))
    if float(np.sum(memory.total(items))) >= usable:
        return f"{memory.shortfall(memory.bill(items, 0), usable)}, before any request"
    deployment = Deployment(alike, profile, layouts, links)
    one = replica_steps(deployment, usable)
    return Replica(
        steps=one if shape.experts == 1 else Spread(one, shape.experts, usual_prompt),
        deployment=deployment,
        architecture=network,
        shape=shape,
        weight_bytes=memory.pick(items["weights"], 0),
    )
