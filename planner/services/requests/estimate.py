"""What can be asked of the estimator: a training or inference job, the places to consider and the goal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from planner.errors import FieldProblem, InvalidInput
from planner.estimates.carbon import Site
from planner.estimates.interruptions import Resilience
from planner.estimates.limits import Limits
from planner.estimates.own_step import OwnStep
from planner.estimates.surroundings import Surroundings
from planner.estimates.training import layout_faults
from planner.hardware.gpu import Dtype, Vendor
from planner.jobs.architecture import Transformer
from planner.jobs.job import (
    InferenceJob,
    Job,
    LoraTargets,
    Recompute,
    Sharding,
    Stack,
    TrainingJob,
    TrainingMethod,
)
from planner.jobs.known.pictures import Picture
from planner.jobs.presets import JOBS
from planner.offers.offer import OfferKind
from planner.services.requests.base import (
    Key,
    Keys,
    Moment,
    Money,
    count,
    duration,
    field_problem,
    whole,
)
from planner.services.requests.networks import require
from planner.services.requests.served import ANSWERED, SERVED_LAYOUT, ServedRequest, check_context, pick

LAYOUT = (
    *("data_parallel", "tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel"),
    *("virtual_stages", "sharding"),
)
TAUGHT = ("method", "lora_rank", "lora_targets", "recompute", "stack")
LORA_RANK = 16

MEASURED = ("measured_step", "measured_gpu", "measured_num_gpus", "measured_nodes")
SURVIVAL = ("checkpoint_stall", "restart_time", "gpu_hours_between_failures", "spot_interruptions_per_hour")
AROUND = ("feed_rate", "evaluate_every", "evaluation_samples", "startup_time", "queue_time")


def _vendor(given: Any) -> Any:
    """A vendor by its name in small or capital letters."""
    if not isinstance(given, str):
        return given
    return next((vendor for vendor in Vendor if vendor.value.casefold() == given.strip().casefold()), given)


class EstimateRequest(ServedRequest):
    """Ask what a job takes and costs, on the attached devices and on the offers that pass the filters.

    `preset` fills every field that is not given; `architecture` names a known one whose shape the fields
    `layers` … `experts_per_token` may change, or is "custom" with all of `layers`, `hidden`, `heads`, `ffn`, `vocab`.
    `config` is the text of a Hugging Face config.json instead. A network for pictures is named, trains on so many
    `pictures` and may be given another `image_size`; an encoder–decoder (`encoder_layers`) reads `sequence_length`
    tokens of each sequence and writes `target_length`, and `tokens` counts those that it reads. `nodes` is how many of
    each offer work together. `feed_rate` is what data loading delivers to one node, in sequences a second.
    `power_limit` is what the GPUs may draw together on average, in watts.

    Inference on pictures, on texts that an encoder reads (or a decoder with `output_tokens` 0) and drawings (in so many
    `steps`) takes one pass each: `requests` counts the items, `concurrency` those at a time (left out: the batch that
    answers most), `answer_within` is the longest that one may take. With `frame_rate` items are the frames of
    `concurrency` cameras, or of as many as GPUs keep up with.
    """

    preset: Key | None = None
    kind: Literal["training", "inference"] | None = None

    tokens: Annotated[float, *count(1, 1e17)] | None = None
    pictures: Annotated[float, *count(1, 1e15)] | None = None
    sequence_length: Annotated[int, *whole(1, 100_000_000)] | None = None
    target_length: Annotated[int, *whole(1, 100_000_000)] | None = None
    global_batch: Annotated[int, *whole(1, 10_000_000)] | None = None
    micro_batch: Annotated[int, *whole(1, 1_000_000)] | None = None
    method: TrainingMethod | None = None
    lora_rank: Annotated[int, *whole(1, 65_536)] | None = None
    lora_targets: LoraTargets | None = None
    recompute: Recompute | None = None
    data_parallel: Annotated[int, *whole(1, 1_000_000)] | None = None
    context_parallel: Annotated[int, *whole(1, 1_000)] | None = None
    virtual_stages: Annotated[int, *whole(1, 1_000)] | None = None
    sharding: Sharding | None = None
    stack: Stack | None = None
    nodes: Annotated[int, *whole(1, 10_000)] = 1

    checkpoint_stall: Annotated[float, *duration(1e-3, 1e6)] | None = None
    restart_time: Annotated[float, *duration(1, 1e6)] | None = None
    gpu_hours_between_failures: Annotated[float, *count(0.01, 1e9)] | None = None
    spot_interruptions_per_hour: Annotated[float, *count(1e-6, 1e3)] | None = None

    feed_rate: Annotated[float, *count(1e-6, 1e12)] | None = None
    evaluate_every: Annotated[int, *whole(1, 1_000_000_000)] | None = None
    evaluation_samples: Annotated[int, *whole(1, 1_000_000_000_000)] | None = None
    startup_time: Annotated[float, *duration(1e-3, 1e8)] | None = None
    queue_time: Annotated[float, *duration(1e-3, 1e9)] | None = None

    measured_step: Annotated[float, *duration(1e-6, 1e7)] | None = None
    measured_gpu: Key | None = None
    measured_num_gpus: Annotated[int, *whole(1, 1_000_000)] | None = None
    measured_nodes: Annotated[int, *whole(1, 100_000)] | None = None

    carbon_intensity: Annotated[float, *count(0.001, 5000)] | None = None
    pue: Annotated[float, *count(1, 10)] | None = None

    goal: Literal["cost", "time"] = "cost"
    deadline: Annotated[float, *duration(1e-3, 1e10)] | None = None
    budget: Money | None = None
    power_limit: Annotated[float, *count(1, 1e12)] | None = None
    price_age_days: Annotated[int, *whole(0, 36_500)] | None = None
    vendors: Annotated[tuple[Annotated[Vendor, BeforeValidator(_vendor)], ...], Field(max_length=10)] = ()
    gpus: Keys = ()
    providers: Keys = ()
    regions: Keys = ()
    offer_kinds: Annotated[tuple[OfferKind, ...], Field(max_length=10)] = ()
    as_of: Moment | None = None

    @model_validator(mode="after")
    def _known_preset(self) -> EstimateRequest:
        if self.preset is not None and self.preset not in JOBS:
            raise field_problem("preset", f"{self.preset!r} is not known; give one of {', '.join(sorted(JOBS))}")
        return self

    def job(self) -> Job:
        """The job that is meant: the preset's, with every given field put over it. Raises InvalidInput."""
        base = JOBS[self.preset].job if self.preset else None
        kind = self.kind or ("training" if isinstance(base, TrainingJob) else "inference" if base else None)
        if kind is None:
            raise InvalidInput.of("kind", 'say "training" or "inference", or name a preset')
        network = self.network(base.architecture if base else None)
        if kind == "training":
            return self._training_job(network, base if isinstance(base, TrainingJob) else None)
        return self._inference_job(network, base if isinstance(base, InferenceJob) else None)

    def limits(self, moment: datetime) -> Limits:
        """The deadline, the budget, the power and the age of prices that were given, as seen from that moment."""
        today = moment.astimezone(UTC).date()
        return Limits(self.deadline, self.budget, self.price_age_days, today, self.power_limit)

    def resilience(self) -> Resilience:
        """What is known of checkpoints and failures; what is left out is assumed and told."""
        return Resilience(
            stall_seconds=self.checkpoint_stall,
            restart_seconds=self.restart_time,
            gpu_hours_between_failures=self.gpu_hours_between_failures,
            spot_interruptions_per_hour=self.spot_interruptions_per_hour,
        )

    def surroundings(self) -> Surroundings:
        """What is known of data, evaluations and waits. Raises InvalidInput for half of an evaluation."""
        if (self.evaluate_every is None) != (self.evaluation_samples is None):
            missing = "evaluate_every" if self.evaluate_every is None else "evaluation_samples"
            raise InvalidInput.of(missing, "how often is evaluated and on how many samples go together")
        return Surroundings(
            samples_per_second=self.feed_rate,
            evaluate_every=self.evaluate_every,
            evaluation_samples=self.evaluation_samples,
            startup_seconds=self.startup_time,
            queue_seconds=self.queue_time,
        )

    def own_step(self) -> OwnStep | None:
        """The step that the user measured, if any. Raises InvalidInput for half of one."""
        given = (self.measured_step, self.measured_gpu)
        if all(value is None for value in (*given, self.measured_num_gpus, self.measured_nodes)):
            return None
        if self.measured_step is None or self.measured_gpu is None:
            raise InvalidInput.of("measured_step", "a step time and the GPU that it was measured on go together")
        return OwnStep(self.measured_step, self.measured_gpu, self.measured_num_gpus or 1, self.measured_nodes or 1)

    def site(self) -> Site:
        """What is known of the place that the energy is drawn at."""
        return Site(self.carbon_intensity, self.pue)

    def _training_job(self, network: Transformer | Picture, base: TrainingJob | None) -> TrainingJob:
        self.refuse(ANSWERED, "training")
        is_picture = isinstance(network, Picture)
        architecture = network.architecture if isinstance(network, Picture) else network
        if base is None:
            wanted = ("pictures",) if is_picture else ("tokens", "sequence_length")
            require(self, (*wanted, "global_batch"), "a training job needs it")
        job = TrainingJob(
            name=self.name or (base.name if base else f"Train {architecture.name}"),
            architecture=architecture,
            **(self._of_pictures(network, base) if isinstance(network, Picture) else self._of_text(network, base)),
            global_batch=pick(self.global_batch, base and base.global_batch),
            dtype=pick(self.dtype, base and base.dtype, Dtype.BF16),
            method=pick(self.method, base and base.method, TrainingMethod.FULL),
            micro_batch=self.micro_batch or (base.micro_batch if base else None),
            lora_rank=pick(self.lora_rank, base and base.lora_rank, LORA_RANK),
            lora_targets=pick(self.lora_targets, base and base.lora_targets, LoraTargets.ALL),
            recompute=pick(self.recompute, base and base.recompute, Recompute.NONE),
            stack=pick(self.stack, base and base.stack, Stack.EAGER),
            **{name: getattr(self, name) for name in LAYOUT},
        )
        problems = [FieldProblem(name, message) for name, message in layout_faults(job)]
        check_context(problems, "sequence_length", job.sequence_length, architecture)
        check_context(problems, "target_length", job.target_length or 0, architecture)
        if job.micro_batch is not None and job.micro_batch > job.global_batch:
            problems.append(
                FieldProblem("micro_batch", f"{job.micro_batch} is more than the global batch of {job.global_batch}")
            )
        if job.num_tokens < job.sequence_length * job.global_batch:
            problems.append(_less_than_a_step(job, is_picture))
        if problems:
            raise InvalidInput(problems)
        return job

    def _of_text(self, architecture: Transformer, base: TrainingJob | None) -> dict[str, Any]:
        """How much of which length. Raises InvalidInput for what belongs to pictures or other architectures."""
        self.refuse(("pictures",), f"{architecture.name}, which reads text")
        if not architecture.encoder_layers:
            self.refuse(("target_length",), f"{architecture.name}, which has no encoder")
        is_pair = base is not None and architecture.encoder_layers
        return {
            "num_tokens": pick(self.tokens, base and base.num_tokens),
            "sequence_length": pick(self.sequence_length, base and base.sequence_length),
            "target_length": self.target_length or (base.target_length if base and is_pair else None),
            "head_share": base.head_share if base and base.architecture == architecture else 1.0,
        }

    def _of_pictures(self, picture: Picture, base: TrainingJob | None) -> dict[str, Any]:
        """So many pictures, each of so many positions, of which one is classified."""
        self.refuse(("tokens", "sequence_length", "target_length"), "networks for pictures, which count `pictures`")
        seen = self.pictures
        if seen is None and base is not None:
            seen = base.num_tokens / base.sequence_length
        return {
            "num_tokens": float(seen or 0.0) * picture.positions,
            "sequence_length": picture.positions,
            "head_share": 1.0 / picture.positions,
        }

    def _inference_job(self, network: Transformer | Picture, base: InferenceJob | None) -> InferenceJob:
        own = (*("tokens", "sequence_length", "target_length", "global_batch", "micro_batch"), *TAUGHT)
        self.refuse(
            (*own, *(name for name in LAYOUT if name not in SERVED_LAYOUT), *SURVIVAL, *AROUND, *MEASURED), "inference"
        )
        if self.pictures is not None:
            raise InvalidInput.of("pictures", "does not belong to inference; say how many as requests")
        return self.served_job(network, base)


def _less_than_a_step(job: TrainingJob, is_picture: bool) -> FieldProblem:
    if is_picture:
        seen = job.num_tokens / job.sequence_length
        return FieldProblem("pictures", f"{seen:,.0f} is less than one step of {job.global_batch:,}")
    step = job.sequence_length * job.global_batch
    return FieldProblem("tokens", f"{job.num_tokens:,.0f} is less than one step of {step:,} (sequence × batch)")
