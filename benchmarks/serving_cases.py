"""Published serving runs prepared for fitting: each on the layout that it was found to run on, timed by many sets of
priors at once."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import planner.estimates.priors.serving as serving_room
from benchmarks.serving_parameters import Parameter
from planner.estimates.answer import work_out
from planner.estimates.communication import Links, node_links
from planner.estimates.estimate import Bottleneck
from planner.estimates.layout import inference_layouts
from planner.estimates.outcome import Outcome
from planner.estimates.priors import load_priors
from planner.estimates.profile import Lack, power_ratio
from planner.estimates.serving import meets_at_once
from planner.estimates.serving_outcome import power_share
from planner.estimates.serving_profile import multiplies_by_warps, serving_profile, sums_at_half_rate
from planner.estimates.serving_steps import Deployment
from planner.estimates.serving_times import ServingTimes, serving_times
from planner.estimates.validation.inference import InferenceTrial, inference_range, inference_trial
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row, read_table
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.jobs.convnet import ConvNet
from planner.jobs.engine import Batching, Engine
from planner.jobs.job import InferenceJob
from planner.jobs.operations import side_dtype
from planner.quantity import Quantity

FEWEST_OF_CLASS = 48  # rows of a class that few sources told about
SHARES = {
    Dtype.FP32: "matmul_fp32",
    Dtype.TF32: "matmul_tf32",
    Dtype.FP8: "matmul_8bit",
    Dtype.INT8: "matmul_8bit",
    Dtype.FP4: "matmul_4bit",
}
LOADED = ("front_ms",)  # numbers of an engine that a first token among others' requests depends on
DECODING = ("decode", "step_ms", "request_us")
PICTURES = ("convolution", "depthwise", "layout", "normalisation")
Seconds = Callable[[ServingTimes], np.ndarray]
# What each metric is proportional to, or (as a rate) inversely so.
TIMES: Mapping[str, Seconds] = {
    "tpot_ms": lambda times: times.per_token,
    "prefill_tokens_per_s": lambda times: times.first_token,
    "latency_ms_p99": lambda times: times.request,
    "latency_ms_p50": lambda times: times.request,
    "latency_ms_avg": lambda times: times.request,
    "latency_ms_per_sample": lambda times: times.request,
    "iterations_per_s": lambda times: times.request,
}


@dataclass(frozen=True)
class VaryingLinks(Links):
    """Links of the same GPUs under several sets of priors: a factor of the bandwidth for each."""

    factor: np.ndarray | float = 1.0

    def bandwidth(self, num_ranks: np.ndarray) -> np.ndarray:
        return Links.bandwidth(self, num_ranks) * self.factor


@dataclass(frozen=True)
class Case:
    """A row with its trial, its family of GPUs, and the job (as it must have run) with the memory that it may fill.

    `offset` is the residual that is left when the logarithm of the seconds behind the metric is taken off."""

    row: Row
    trial: InferenceTrial
    family: str
    job: InferenceJob
    usable: float | None
    sequences: float
    in_flight: float
    offset: float = 0.0

    @property
    def engine(self) -> str:
        return self.job.engine.value

    @property
    def is_rate(self) -> bool:
        return "_per_s" in self.row.metric

    def quantity(self) -> Quantity:
        """The row's metric with the priors of the moment. Raises ValueError where it cannot be told."""
        outcome = work_out(self.job, self.trial.placement, None, self.usable)
        found = outcome if isinstance(outcome, Lack) else self.trial.quantity_of(outcome)
        if not isinstance(found, Quantity):
            raise ValueError(f"{self.row.id} was answered before and is not now: {found.reason}")
        return found

    def width(self) -> float:
        """The log half-width of the range."""
        found = inference_range(self.trial, self.quantity())
        return math.log(found.high / found.low) / 2.0

    def residuals(self, facts: Facts, parameters: Sequence[Parameter], logs: np.ndarray) -> np.ndarray:
        """ln(predicted ÷ published) for each set of the parameters' logarithms (P, K)."""
        with facts.at(parameters, logs):
            found = np.log(self._seconds(logs.shape[1]))
        return self.offset + (-found if self.is_rate else found)

    def _seconds(self, num_sets: int) -> np.ndarray:
        """Seconds that the metric follows from, with each of the sets of priors of the moment."""
        num_gpus, gpu = int(self.trial.placement.num_gpus), self.trial.placement.gpu
        layouts = inference_layouts(self.job, num_gpus).only(np.zeros(num_sets, dtype=int))
        profile = serving_profile(gpu, self.job)
        if isinstance(profile, Lack):
            raise ValueError(f"{self.row.id} was answered before and is not now: {profile.reason}")
        deployment = Deployment(self.job, profile, layouts, self._links(num_gpus))
        ones = np.ones(num_sets)
        times = serving_times(deployment, self.sequences * ones, self.in_flight * ones)
        return self._behind(times)

    def _links(self, num_gpus: int) -> Links | None:
        placement, figures = self.trial.placement, serving_room.load_serving_priors().figures
        found = node_links(placement.gpu, num_gpus, placement.gpus_per_node) if num_gpus > 1 else None
        if found is None:
            return None
        latency = figures["collective_us"] * 1e-6
        rounds, factor = not meets_at_once(placement.gpu, found.domain), figures["link_factor"]
        return VaryingLinks(found.by_size, latency, found.network, found.network_latency, rounds=rounds, factor=factor)

    def _behind(self, times: ServingTimes) -> np.ndarray:
        metric = self.row.metric
        if self.trial.kind.value in ("power", "energy"):
            return power_share(times) / (times.requests_per_second if metric.startswith("energy") else 1.0)
        if metric == "ttft_ms":
            is_loaded = self.job.batching is Batching.CONTINUOUS and self.sequences > 1
            queued = max((self.trial.job.concurrency or 0) - self.in_flight, 0.0) / times.requests_per_second
            return (times.loaded_first_token if is_loaded else times.first_token) + queued
        if metric == "decode_tokens_per_s":
            return times.decode_step if self.job.output_tokens else times.request
        return TIMES[metric](times) if metric in TIMES else 1.0 / times.requests_per_second

    def depends_on(self, parameter: Parameter) -> bool:
        """Whether its time can move with a parameter."""
        network, key = self.job.architecture, parameter.key
        if parameter.kind == "family":
            formats = {SHARES.get(dtype, "matmul") for dtype in (self.job.dtype, side_dtype(self.job.dtype))}
            if key.startswith("matmul"):
                return parameter.owner == self.family and key in formats
            return parameter.owner == self.family and not (key == "attention" and isinstance(network, ConvNet))
        if parameter.kind == "engine":
            if parameter.owner != self.engine or (key.startswith("packed") and self.job.weight_bits is None):
                return False
            if key in LOADED:
                return self.trial.kind.value == "first_token_loaded"
            return not (key in DECODING and not self.job.output_tokens)
        if parameter.kind == "class":
            if isinstance(network, ConvNet):
                return parameter.owner in PICTURES
            return parameter.owner in ("expert", "dispatch") and network.num_experts > 1
        return self._depends_on_figure(parameter.owner)

    def _depends_on_figure(self, name: str) -> bool:
        kind = self.trial.kind.value
        if name.endswith("_power"):
            return kind in ("power", "energy")
        if name in ("burst", "frontend_request_ms"):
            return kind == "first_token_loaded"
        if name == "convolution_calls":
            return isinstance(self.job.architecture, ConvNet) and self.job.engine is Engine.PYTORCH
        if name == "warp_products":
            return multiplies_by_warps(self.trial.placement.gpu, self.job.engine)
        if name == "clock_exponent":
            return power_ratio(self.trial.placement.gpu, load_priors().of(self.trial.placement.gpu)) != 1.0
        if name == "unit_fill":
            return True
        if name in ("expert_tile", "routing_kernels"):
            network = self.job.architecture
            return not isinstance(network, ConvNet) and network.num_experts > 1
        if name == "half_rate":
            return sums_at_half_rate(self.trial.placement.gpu)
        return self.trial.placement.num_gpus > 1


def cases_of(path: Path, most: int) -> list[Case]:
    """The rows of a table that are answered, at most so many of each class of a source (more of a class that few told
    about), evenly spaced."""
    catalogue = load_catalogue()
    found: dict[tuple[str, str], list[tuple[Row, InferenceTrial]]] = {}
    for row in read_table(path.read_text(encoding="utf-8")).rows:
        trial = inference_trial(row, catalogue)
        if not isinstance(trial, Declined):
            found.setdefault((row.source, trial.kind.value), []).append((row, trial))
    kept = []
    kinds = Counter(kind for _, kind in found)
    for (_, kind), pairs in found.items():
        wanted = min(len(pairs), max(most, FEWEST_OF_CLASS // kinds[kind]))
        places = np.unique(np.linspace(0, len(pairs) - 1, wanted).astype(int))
        kept += [case for place in places if (case := prepared(*pairs[place])) is not None]
    return kept


def prepared(row: Row, trial: InferenceTrial) -> Case | None:
    """The case of a row that is answered (as validate.run_inference answers it), on the layout that serves most."""
    for concurrency, usable in ((trial.job.concurrency, None), (None, None), (trial.job.concurrency or 1, math.inf)):
        job = replace(trial.job, concurrency=concurrency)
        outcome = work_out(job, trial.placement, None, usable)
        if isinstance(outcome, Outcome):
            return _pinned(row, trial, job, usable, outcome)
        if outcome.bottleneck is not Bottleneck.MEMORY:
            return None
    return None


def _pinned(row: Row, trial: InferenceTrial, job: InferenceJob, usable: float | None, outcome: Outcome) -> Case | None:
    found, layout = trial.quantity_of(outcome), outcome.layout
    if isinstance(found, Declined):
        return None
    job = replace(job, tensor_parallel=layout.tensor_parallel, pipeline_parallel=layout.pipeline_parallel)
    in_flight = outcome.extras["concurrency"].mid
    per_replica = in_flight / layout.data_parallel if job.concurrency is None else -(-in_flight // layout.data_parallel)
    family = load_priors().of(trial.placement.gpu).name
    case = Case(row, trial, family, job, usable, per_replica, in_flight)
    error = math.log(found.mid / row.value)
    log = math.log(case._seconds(1)[0])
    return replace(case, offset=error + (log if case.is_rate else -log))


class Facts:
    """The facts file, parsed once, under values that change."""

    def __init__(self, text: str) -> None:
        self.document: dict[str, Any] = tomllib.loads(text)

    @contextmanager
    def at(self, parameters: Sequence[Parameter], logs: np.ndarray) -> Iterator[None]:
        """The estimator with parameters of these logarithms (P, K), at most at their limits."""
        values = np.minimum(np.exp(logs), np.array([[parameter.limit] for parameter in parameters]))
        varies = (values != values[:, :1]).any(axis=1).tolist()
        for parameter, row, several in zip(parameters, values, varies, strict=True):
            parameter.put(self.document, row if several else float(row[0]))
        with using(self.document):
            yield


@contextmanager
def using(document: Mapping[str, Any]) -> Iterator[None]:
    """The estimator with these facts instead of the packaged ones."""
    priors, original = serving_room.serving_priors(document), serving_room.read_serving_priors
    serving_room.load_serving_priors.cache_clear()
    setattr(serving_room, "read_serving_priors", lambda _text: priors)  # noqa: B010
    try:
        serving_room.load_serving_priors()
        yield
    finally:
        setattr(serving_room, "read_serving_priors", original)  # noqa: B010
        serving_room.load_serving_priors.cache_clear()
