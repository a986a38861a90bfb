"""One job on many placements: options ranked by the goal, and rejections with their reasons."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from planner import units
from planner.calibration.fit import Fit
from planner.errors import FieldProblem, InvalidInput
from planner.estimates.carbon import Site, emissions
from planner.estimates.cost import cost_of
from planner.estimates.estimate import Answer, Bottleneck, Option, Placement, Rejection
from planner.estimates.interruptions import Resilience
from planner.estimates.memory import usable_bytes
from planner.estimates.outcome import Outcome
from planner.estimates.own_step import OwnStep, with_own_step
from planner.estimates.profile import Lack, Profile, profile_from_fit, profile_from_priors, whole_gpus
from planner.estimates.reasons import measure, why_not
from planner.estimates.serving import serve
from planner.estimates.serving_profile import serving_profile
from planner.estimates.single_passes import answer_passes
from planner.estimates.surroundings import Surroundings, fed_and_evaluated, lead_seconds, with_waits
from planner.estimates.survival import risk, with_interruptions
from planner.estimates.training import Nodes, evaluated_share, layout_faults, train
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype, Gpu, GpuKind
from planner.jobs.architecture import Transformer
from planner.jobs.job import InferenceJob, Job, TrainingJob

GOALS = ("cost", "time")
TRAINABLE = (Dtype.FP32, Dtype.TF32, Dtype.FP16, Dtype.BF16, Dtype.FP8, Dtype.FP4)
NOTHING_KNOWN = Resilience()
STEPS_ALONE = Surroundings()
NO_SITE = Site()
Fits = Mapping[str, tuple[str, Fit]]


def answer(
    job: Job,
    placements: Sequence[Placement],
    fits: Fits,
    goal: str = "cost",
    resilience: Resilience = NOTHING_KNOWN,
    site: Site = NO_SITE,
    own_step: OwnStep | None = None,
    surroundings: Surroundings = STEPS_ALONE,
) -> Answer:
    """All options, best first by the goal, and all rejections.

    `fits` holds (fit id, fit) by device id: a device is estimated from its own fit, a GPU of the same model from the
    newest fit of one, any other from published figures. Placements that differ in price alone are worked out once.
    A training job's time counts its checkpoints, failures and, on spot, interruptions, by `resilience`, and what
    `surroundings` say of its data, evaluations and waits. Where the user measured a step of it (`own_step`), that one
    moves all.
    Raises InvalidInput for a job that no hardware could do.
    """
    if goal not in GOALS:
        raise InvalidInput.of("goal", f"{goal!r} is not a goal; give one of {', '.join(GOALS)}")
    check(job)
    by_model = _newest_by_model(fits)
    worked_out: dict[Hashable, Outcome | Lack] = {}
    interrupted: dict[Hashable, Outcome | Lack] = {}
    options, rejections = [], []
    for placement in placements:
        chosen = _fit_for(placement, fits, by_model)
        key = _hardware(placement, chosen)
        if key not in worked_out:
            worked_out[key] = _moved(job, work_out(job, placement, chosen), placement, own_step)
        outcome = worked_out[key]
        if isinstance(job, TrainingJob) and isinstance(outcome, Outcome):
            fate = (key, placement.num_nodes, lead_seconds(placement), *risk(placement))
            if fate not in interrupted:
                share = _forward_share(job, outcome, placement, chosen, surroundings)
                fed = fed_and_evaluated(job, outcome, placement, surroundings, share)
                lasting = with_interruptions(job, fed, placement, resilience)
                interrupted[fate] = (
                    lasting if isinstance(lasting, Lack) else with_waits(lasting, placement, surroundings)
                )
            outcome = interrupted[fate]
        if isinstance(outcome, Lack):
            rejections.append(Rejection(placement, outcome.bottleneck, outcome.reason))
        else:
            options.append(_option(outcome, placement, site))
    return Answer(_ranked(options, goal, job.dtype), tuple(rejections))


def _moved(job: Job, outcome: Outcome | Lack, placement: Placement, own: OwnStep | None) -> Outcome | Lack:
    """The outcome as the user's own measurement moves it."""
    if own is None or isinstance(outcome, Lack):
        return outcome
    gpu = load_catalogue().gpus.get(own.gpu_key)
    if gpu is None:
        raise InvalidInput.of("measured_gpu", f"{own.gpu_key!r} is not in the catalogue")
    there = work_out(job, Placement(gpu, Decimal(own.num_gpus), num_nodes=own.num_nodes), None)
    if isinstance(there, Lack):
        raise InvalidInput.of("measured_gpu", f"by our model this job cannot run there: {there.reason}")
    is_here = own.is_here(placement.gpu.key, int(placement.num_gpus))
    return with_own_step(outcome, own, there.step_seconds.mid, is_here=is_here)


def _forward_share(
    job: TrainingJob,
    outcome: Outcome,
    placement: Placement,
    chosen: tuple[str, Fit, bool] | None,
    surroundings: Surroundings,
) -> float | None:
    """The part of a step that is its forward pass, where anything is evaluated."""
    profile = _profile(job, placement, chosen) if surroundings.evaluates else None
    if not isinstance(profile, Profile):
        return None
    nodes = Nodes(int(placement.num_gpus), placement.gpus_per_node, placement.network_bytes_per_s)
    return evaluated_share(job, profile, nodes, outcome.layout)


def check(job: Job) -> None:
    """Raise InvalidInput naming every field of a job that no hardware could do."""
    problems = [FieldProblem(name, message) for name, message in _faults(job)]
    if problems:
        raise InvalidInput(problems)


def profiles(job: Job, placements: Sequence[Placement], fits: Fits) -> tuple[tuple[Hashable, Profile | Lack], ...]:
    """Per placement what its GPUs reach, or why that is not known; equal keys mean equal GPUs, measured alike."""
    by_model = _newest_by_model(fits)
    known: dict[Hashable, Profile | Lack] = {}
    found = []
    for placement in placements:
        chosen = _fit_for(placement, fits, by_model)
        memory = placement.gpu.memory_bytes and placement.gpu.memory_bytes.value
        fit = None if chosen is None else (chosen[0], chosen[2])
        key = placement.gpu.key, memory, placement.device_memory_bytes, fit
        if key not in known:
            known[key] = _profile(job, placement, chosen)
        found.append((key, known[key]))
    return tuple(found)


def work_out(
    job: Job, placement: Placement, chosen: tuple[str, Fit, bool] | None, usable: float | None = None
) -> Outcome | Lack:
    """The job on the hardware of a placement; `chosen` is the fit's id, the fit, and whether it is the device's own.

    `usable` is the memory of a GPU that may be filled, where it is not to follow from the placement.
    """
    of_node = placement.num_gpus / placement.num_nodes
    if whole_gpus(of_node) is None:
        part = units.plain_decimal(of_node)
        return Lack(
            Bottleneck.FRACTION,
            f"the offer is {part} of one {placement.gpu.key}; what a part of a GPU reaches is not known",
        )
    num_gpus = int(placement.num_gpus)
    if placement.gpu.kind is GpuKind.CPU and num_gpus > 1:
        return Lack(Bottleneck.UNKNOWN_FIGURE, f"{num_gpus} CPUs working on one job are not estimated")
    profile = _profile(job, placement, chosen)
    if isinstance(profile, Lack):
        return profile
    usable = usable_bytes(placement.gpu, placement.device_memory_bytes) if usable is None else usable
    if usable is None:
        return Lack(Bottleneck.UNKNOWN_FIGURE, f"the memory size of {placement.gpu.key} is not known")
    if isinstance(job, TrainingJob):
        nodes = Nodes(num_gpus, placement.gpus_per_node, placement.network_bytes_per_s)
        return train(job, profile, nodes, usable)
    if job.is_pass:
        return answer_passes(job, profile, num_gpus, usable, placement.gpus_per_node)
    return serve(job, profile, num_gpus, usable, placement.gpus_per_node)


def _profile(job: Job, placement: Placement, chosen: tuple[str, Fit, bool] | None) -> Profile | Lack:
    if chosen is None:
        return _published(job, placement.gpu)
    fit_id, fit, is_own_device = chosen
    profile = profile_from_fit(placement.gpu, job.dtype, fit, fit_id, is_own_device=is_own_device)
    if isinstance(profile, Lack):
        published = _published(job, placement.gpu)
        if isinstance(published, Profile):
            note = f"The calibration could not be used: {profile.reason}."
            return replace(published, notes=(note, *published.notes))
    return profile


def _published(job: Job, gpu: Gpu) -> Profile | Lack:
    """The profile from published figures and the priors of what trains or serves."""
    if isinstance(job, TrainingJob):
        return profile_from_priors(gpu, job.dtype, job.stack)
    return serving_profile(gpu, job)


def _faults(job: Job) -> list[tuple[str, str]]:
    architecture = job.architecture
    faults = []
    if isinstance(job, TrainingJob):
        least = {"num_tokens": job.num_tokens, "sequence_length": job.sequence_length, "global_batch": job.global_batch}
        least |= {} if job.micro_batch is None else {"micro_batch": job.micro_batch}
        splits = ("data", "tensor", "pipeline", "context", "expert")
        asked = {f"{kind}_parallel": getattr(job, f"{kind}_parallel") for kind in splits}
        asked["virtual_stages"] = job.virtual_stages
        least |= {"lora_rank": job.lora_rank, **{name: value for name, value in asked.items() if value is not None}}
        faults += layout_faults(job)
        length, field = job.sequence_length, "sequence_length"
        if job.dtype not in TRAINABLE:
            faults.append(("dtype", f"{job.dtype.value} is for inference; train in one of {_names(TRAINABLE)}"))
    else:
        least = {"prompt_tokens": job.prompt_tokens}
        least |= {} if job.concurrency is None else {"concurrency": job.concurrency}
        served = ("tensor_parallel", "pipeline_parallel", "expert_parallel")
        splits_asked = {name: getattr(job, name) for name in served}
        least |= {name: value for name, value in splits_asked.items() if value is not None}
        faults += _inference_faults(job)
        least |= {} if job.num_requests is None else {"num_requests": job.num_requests}
        is_pair = isinstance(architecture, Transformer) and architecture.encoder_layers > 0  # positions of each half
        longest = max(job.prompt_tokens, job.output_tokens) if is_pair else job.prompt_tokens + job.output_tokens
        length, field = longest, "prompt_tokens"
    faults += [(name, f"must be at least 1, not {value}") for name, value in least.items() if not value >= 1]
    if architecture.max_positions is not None and length > architecture.max_positions:
        faults.append((field, f"{length:,} tokens are more than the {architecture.max_positions:,} positions it has"))
    return faults


def _inference_faults(job: InferenceJob) -> list[tuple[str, str]]:
    """What generates tokens is a decoder; what is packed has fewer bits than the arithmetic."""
    found = []
    generates = isinstance(job.architecture, Transformer) and job.architecture.causal
    if job.output_tokens < 0:
        found.append(("output_tokens", f"must be at least 0, not {job.output_tokens}"))
    if job.output_tokens and not generates:
        kind = "an encoder" if isinstance(job.architecture, Transformer) else "a network for pictures"
        found.append(("architecture", f"{job.architecture.name} is {kind}: it generates no tokens"))
    if job.weight_bits is not None and not 1.0 <= job.weight_bits <= 8.0 * job.dtype.num_bytes:
        most = 8.0 * job.dtype.num_bytes
        found.append(
            ("weight_bits", f"must lie between 1 and the {most:g} of {job.dtype.value}, not {job.weight_bits:g}")
        )
    if not 0.0 <= job.head_share <= 1.0:
        found.append(("head_share", f"must lie between 0 and 1, not {job.head_share:g}"))
    found += [
        (name, f"must be at least 1, not {getattr(job, name)}") for name in ("passes", "rows") if getattr(job, name) < 1
    ]
    limits = {"answer_seconds": job.answer_seconds, "frame_rate": job.frame_rate}
    for name, value in limits.items():
        if value is not None and not value > 0:
            found.append((name, f"must be above 0, not {value:g}"))
        if value is not None and not job.is_pass:
            found.append((name, "belongs to items of a single pass; size a service for a level of tokens"))
    return found


def _names(dtypes: Sequence[Dtype]) -> str:
    return ", ".join(dtype.value for dtype in dtypes)


def _newest_by_model(fits: Fits) -> dict[str, tuple[str, Fit]]:
    """The fit with the largest id (ids grow with time) of each model."""
    newest: dict[str, tuple[str, Fit]] = {}
    for fit_id, fit in sorted(fits.values(), key=lambda pair: pair[0]):
        newest[fit.gpu_key] = (fit_id, fit)
    return newest


def fit_for(placement: Placement, fits: Fits) -> tuple[str, Fit, bool] | None:
    """(Fit id, fit, whether it is the device's own) by which a placement is estimated; None: by published figures."""
    return _fit_for(placement, fits, _newest_by_model(fits))


def _fit_for(placement: Placement, fits: Fits, by_model: Mapping[str, tuple[str, Fit]]) -> tuple[str, Fit, bool] | None:
    """The device's own fit, else one of the same catalogue model; CPUs of one model differ too much by host."""
    if placement.device_id is not None and placement.device_id in fits:
        return (*fits[placement.device_id], True)
    if placement.gpu.kind is GpuKind.GPU and placement.gpu.key in by_model:
        return (*by_model[placement.gpu.key], False)
    return None


def _hardware(placement: Placement, chosen: tuple[str, Fit, bool] | None) -> Hashable:
    """What two placements must share to take the same time, memory and energy."""
    gpu = placement.gpu
    memory = gpu.memory_bytes and gpu.memory_bytes.value
    fit = None if chosen is None else (chosen[0], chosen[2])
    nodes = placement.gpus_per_node, placement.network_bytes_per_s
    return gpu.key, gpu.kind, memory, placement.num_gpus, placement.device_memory_bytes, nodes, fit


def _option(outcome: Outcome, placement: Placement, site: Site) -> Option:
    cost = cost_of(outcome, placement)
    emitted = emissions(outcome.energy_joules, placement, site)
    unknown = dict(outcome.unknown)
    if emitted.reason and outcome.seconds is not None:
        unknown["carbon_kg"] = emitted.reason
    if cost.reason:
        unknown |= dict.fromkeys(("cost", "cost_per_hour", "cost_per_million_tokens"), cost.reason)
        if "requests_per_second" in outcome.extras:
            unknown["cost_per_thousand_requests"] = cost.reason
    return Option(
        placement=placement,
        layout=outcome.layout,
        seconds=outcome.seconds,
        step_seconds=outcome.step_seconds,
        tokens_per_second=outcome.tokens_per_second,
        memory_bytes=outcome.memory_bytes,
        memory_items=outcome.memory_items,
        usable_memory_bytes=outcome.usable_memory_bytes,
        energy_joules=outcome.energy_joules,
        average_power_watts=outcome.average_power_watts,
        cost=cost.total,
        cost_per_hour=cost.per_hour,
        cost_per_million_tokens=cost.per_million_tokens,
        cost_per_thousand_requests=cost.per_thousand_requests,
        bottleneck=outcome.bottleneck,
        basis=outcome.basis,
        fit_id=outcome.fit_id,
        extras=outcome.extras,
        carbon_kg=emitted.kilograms,
        notes=(*outcome.notes, *cost.notes),
        unknown=unknown,
    )


def _ranked(options: Sequence[Option], goal: str, dtype: Dtype) -> tuple[Option, ...]:
    """Best first, the unknown last; under the goal cost the most common currency before the others."""
    if not options:
        return ()
    priced = [option.placement.currency for option in options if option.cost_per_hour is not None]
    common = max(sorted(set(priced)), key=priced.count, default="")

    def order(option: Option) -> tuple[float, ...]:
        value = measure(option, goal)
        foreign = goal == "cost" and value is not None and option.placement.currency != common
        other = measure(option, "time" if goal == "cost" else "cost")
        return (
            value is None,
            foreign,
            value if value is not None else 0.0,
            other is None,
            other if other is not None else 0.0,
        )

    ranked = sorted(options, key=lambda option: (order(option), option.placement.title))
    best = ranked[0]
    return (best, *(replace(option, why_not=why_not(option, best, goal, dtype)) for option in ranked[1:]))
