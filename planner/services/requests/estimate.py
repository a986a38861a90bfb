"""What can be asked of the estimator: a training or inference job, the places to consider and the goal."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from planner.errors import FieldProblem, InvalidInput
from planner.estimates.carbon import Site
from planner.estimates.interruptions import Resilience
from planner.estimates.limits import Limits
from planner.estimates.own_step import OwnStep
from planner.estimates.surroundings import Surroundings
from planner.estimates.training import layout_faults
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.engine import Engine
from planner.jobs.huggingface import MAX_CHARACTERS, architecture_from_config
from planner.jobs.job import InferenceJob, Job, Recompute, Sharding, Stack, TrainingJob, TrainingMethod
from planner.jobs.presets import ARCHITECTURES, JOBS
from planner.offers.offer import OfferKind
from planner.services.requests.base import (
    Key,
    Keys,
    Moment,
    Money,
    Name,
    Request,
    count,
    duration,
    field_problem,
    whole,
)

LAYOUT = (
    *("data_parallel", "tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel"),
    *("virtual_stages", "sharding"),
)
SERVED_LAYOUT = ("tensor_parallel", "pipeline_parallel", "expert_parallel")  # those that serving has too

MEASURED = ("measured_step", "measured_gpu", "measured_num_gpus", "measured_nodes")
SURVIVAL = ("checkpoint_stall", "restart_time", "gpu_hours_between_failures", "spot_interruptions_per_hour")
AROUND = ("feed_rate", "evaluate_every", "evaluation_samples", "startup_time", "queue_time")


class EstimateRequest(Request):
    """Ask what a job takes and costs, on the attached devices and on the offers that pass the filters.

    `preset` fills every field that is not given; `architecture` names a known one whose shape the fields
    `layers` … `experts_per_token` may change, or is "custom" with all of `layers`, `hidden`, `heads`, `ffn`, `vocab`.
    `config` is the text of a Hugging Face config.json instead. `nodes` is how many of each offer work together.
    `feed_rate` is what data loading delivers to one node, in sequences a second.
    """

    preset: Key | None = None
    kind: Literal["training", "inference"] | None = None
    name: Name | None = None

    architecture: Key | None = None
    config: Annotated[str, Field(min_length=2, max_length=MAX_CHARACTERS)] | None = None
    layers: Annotated[int, *whole(1, 10_000)] | None = None
    hidden: Annotated[int, *whole(1, 1_000_000)] | None = None
    heads: Annotated[int, *whole(1, 10_000)] | None = None
    kv_heads: Annotated[int, *whole(1, 10_000)] | None = None
    head_width: Annotated[int, *whole(1, 10_000)] | None = None
    ffn: Annotated[int, *whole(1, 10_000_000)] | None = None
    vocab: Annotated[int, *whole(1, 100_000_000)] | None = None
    gated: bool | None = None
    tied_embeddings: bool | None = None
    max_positions: Annotated[int, *whole(1, 1_000_000_000)] | None = None
    experts: Annotated[int, *whole(1, 10_000)] | None = None
    experts_per_token: Annotated[int, *whole(1, 10_000)] | None = None
    dtype: Dtype | None = None

    tokens: Annotated[float, *count(1, 1e17)] | None = None
    sequence_length: Annotated[int, *whole(1, 100_000_000)] | None = None
    global_batch: Annotated[int, *whole(1, 10_000_000)] | None = None
    micro_batch: Annotated[int, *whole(1, 1_000_000)] | None = None
    method: TrainingMethod | None = None
    recompute: Recompute | None = None
    data_parallel: Annotated[int, *whole(1, 1_000_000)] | None = None
    tensor_parallel: Annotated[int, *whole(1, 1_000)] | None = None
    pipeline_parallel: Annotated[int, *whole(1, 1_000)] | None = None
    context_parallel: Annotated[int, *whole(1, 1_000)] | None = None
    expert_parallel: Annotated[int, *whole(1, 1_000)] | None = None
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

    prompt_tokens: Annotated[int, *whole(1, 100_000_000)] | None = None
    output_tokens: Annotated[int, *whole(1, 100_000_000)] | None = None
    requests: Annotated[float, *count(1, 1e15)] | None = None
    concurrency: Annotated[int, *whole(1, 1_000_000)] | None = None
    kv_dtype: Dtype | None = None
    engine: Engine | None = None
    weight_bits: Annotated[float, *count(1, 32)] | None = None

    measured_step: Annotated[float, *duration(1e-6, 1e7)] | None = None
    measured_gpu: Key | None = None
    measured_num_gpus: Annotated[int, *whole(1, 1_000_000)] | None = None
    measured_nodes: Annotated[int, *whole(1, 100_000)] | None = None

    carbon_intensity: Annotated[float, *count(0.001, 5000)] | None = None
    pue: Annotated[float, *count(1, 10)] | None = None

    goal: Literal["cost", "time"] = "cost"
    deadline: Annotated[float, *duration(1e-3, 1e10)] | None = None
    budget: Money | None = None
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
        known = base.architecture if base else None
        architecture = self._architecture(known if isinstance(known, Transformer) else None)
        if kind == "training":
            return self._training_job(architecture, base if isinstance(base, TrainingJob) else None)
        return self._inference_job(architecture, base if isinstance(base, InferenceJob) else None)

    def limits(self) -> Limits:
        """The deadline and the budget that were given."""
        return Limits(self.deadline, self.budget)

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

    def _architecture(self, base: Transformer | None) -> Transformer:
        if self.config is not None:
            if self.architecture is not None:
                raise InvalidInput.of("config", "give an architecture by its name or by its configuration, not both")
            try:
                base = architecture_from_config(self.config)
            except ValueError as error:
                raise InvalidInput.of("config", str(error)) from None
        if self.architecture not in (None, "custom"):
            if self.architecture not in ARCHITECTURES:
                known = ", ".join(["custom", *sorted(ARCHITECTURES)])
                raise InvalidInput.of("architecture", f"{self.architecture!r} is not known; give one of {known}")
            base = ARCHITECTURES[self.architecture].architecture
        if self.architecture == "custom":
            base = None
        given = {
            "num_layers": self.layers,
            "hidden": self.hidden,
            "num_heads": self.heads,
            "num_kv_heads": self.kv_heads,
            "head_width": self.head_width,
            "ffn": self.ffn,
            "vocab": self.vocab,
            "gated": self.gated,
            "tied_embeddings": self.tied_embeddings,
            "max_positions": self.max_positions,
            "num_experts": self.experts,
            "experts_per_token": self.experts_per_token,
        }
        changes = {name: value for name, value in given.items() if value is not None}
        if base is None:
            _require(self, ("layers", "hidden", "heads", "ffn", "vocab"), "a custom architecture needs it")
            changes.setdefault("num_kv_heads", changes["num_heads"])
            return _transformer({"name": self.name or "custom", **changes})
        if not changes:
            return base
        fields = {name: getattr(base, name) for name in Transformer.__dataclass_fields__}
        return _transformer({**fields, **changes, "name": f"{base.name}, changed"})

    def _training_job(self, architecture: Transformer, base: TrainingJob | None) -> TrainingJob:
        own = ("prompt_tokens", "output_tokens", "requests", "concurrency", "kv_dtype", "engine", "weight_bits")
        self._refuse(own, "training")
        if base is None:
            _require(self, ("tokens", "sequence_length", "global_batch"), "a training job needs it")
        job = TrainingJob(
            name=self.name or (base.name if base else f"Train {architecture.name}"),
            architecture=architecture,
            num_tokens=_pick(self.tokens, base and base.num_tokens),
            sequence_length=_pick(self.sequence_length, base and base.sequence_length),
            global_batch=_pick(self.global_batch, base and base.global_batch),
            dtype=_pick(self.dtype, base and base.dtype, Dtype.BF16),
            method=_pick(self.method, base and base.method, TrainingMethod.FULL),
            micro_batch=self.micro_batch or (base.micro_batch if base else None),
            recompute=_pick(self.recompute, base and base.recompute, Recompute.NONE),
            stack=_pick(self.stack, base and base.stack, Stack.EAGER),
            **{name: getattr(self, name) for name in LAYOUT},
        )
        problems = [FieldProblem(name, message) for name, message in layout_faults(job)]
        _check_context(problems, "sequence_length", job.sequence_length, architecture)
        if job.micro_batch is not None and job.micro_batch > job.global_batch:
            problems.append(
                FieldProblem("micro_batch", f"{job.micro_batch} is more than the global batch of {job.global_batch}")
            )
        if job.num_tokens < job.sequence_length * job.global_batch:
            step = job.sequence_length * job.global_batch
            problems.append(
                FieldProblem("tokens", f"{job.num_tokens:,.0f} is less than one step of {step:,} (sequence × batch)")
            )
        if problems:
            raise InvalidInput(problems)
        return job

    def _inference_job(self, architecture: Transformer, base: InferenceJob | None) -> InferenceJob:
        own = ("tokens", "sequence_length", "global_batch", "micro_batch", "method", "recompute", "stack")
        self._refuse(
            (*own, *(name for name in LAYOUT if name not in SERVED_LAYOUT), *SURVIVAL, *AROUND, *MEASURED), "inference"
        )
        if base is None:
            _require(self, ("prompt_tokens", "output_tokens"), "an inference job needs it")
        job = InferenceJob(
            name=self.name or (base.name if base else f"Serve {architecture.name}"),
            architecture=architecture,
            prompt_tokens=_pick(self.prompt_tokens, base and base.prompt_tokens),
            output_tokens=_pick(self.output_tokens, base and base.output_tokens),
            num_requests=self.requests or (base.num_requests if base else None),
            concurrency=self.concurrency or (base.concurrency if base else None),
            dtype=_pick(self.dtype, base and base.dtype, Dtype.BF16),
            kv_dtype=self.kv_dtype or (base.kv_dtype if base else None),
            engine=_pick(self.engine, base and base.engine, Engine.UNSTATED),
            weight_bits=self.weight_bits or (base.weight_bits if base else None),
            **{name: getattr(self, name) or (getattr(base, name) if base else None) for name in SERVED_LAYOUT},
        )
        problems: list[FieldProblem] = []
        if job.expert_parallel is not None and architecture.num_experts % job.expert_parallel:
            message = f"does not divide the {architecture.num_experts} experts of {architecture.name}"
            problems.append(FieldProblem("expert_parallel", message))
        _check_context(problems, "prompt_tokens", job.prompt_tokens + job.output_tokens, architecture)
        if problems:
            raise InvalidInput(problems)
        return job

    def _refuse(self, names: tuple[str, ...], kind: str) -> None:
        problems = [
            FieldProblem(name, f"does not belong to {kind}; leave it out")
            for name in names
            if getattr(self, name) is not None
        ]
        if problems:
            raise InvalidInput(problems)


def _require(request: EstimateRequest, names: tuple[str, ...], why: str) -> None:
    problems = [FieldProblem(name, f"is needed: {why}") for name in names if getattr(request, name) is None]
    if problems:
        raise InvalidInput(problems)


def _transformer(fields: dict[str, Any]) -> Transformer:
    try:
        return Transformer(**fields)
    except ValueError as error:
        raise InvalidInput.of("architecture", str(error)) from None


def _check_context(problems: list[FieldProblem], field: str, length: int, architecture: Transformer) -> None:
    limit = architecture.max_positions
    if limit is not None and length > limit:
        whole = "prompt and output together are" if field == "prompt_tokens" else "is"
        problems.append(
            FieldProblem(field, f"{whole} {length:,} tokens, more than the {limit:,} of {architecture.name}")
        )


def _pick(*values: Any) -> Any:
    """The first value that was given."""
    return next(value for value in values if value is not None)
