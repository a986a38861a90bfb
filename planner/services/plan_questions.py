"""A question about capacity as the program's input: demands from stored estimates, supplies from what there is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from planner import units
from planner.errors import FieldProblem, InvalidInput, NotFound
from planner.estimates.estimate import Option
from planner.offers.offer import OfferKind
from planner.plans import codec, curves
from planner.plans.demand import Job, Replica, Service, Work
from planner.plans.horizon import Horizon
from planner.plans.request import Goal, PlanRequest
from planner.plans.second_choice import without
from planner.plans.supply import Limits, Supply
from planner.services.documents import document
from planner.services.estimates import EstimateView, get_estimate
from planner.services.plan_supplies import Gathered, LeftOut, SupplySource, gather_supplies
from planner.services.requests.plans import DemandAsk, JobAsk, PlanQuestion, ServiceAsk
from planner.store.engine import Session

CURRENCY = "USD"
MOST_SUPPLIES = 400


@dataclass(frozen=True, slots=True)
class DemandSource:
    """Where a demand's figures come from: the estimate, and per GPU the option taken with its range."""

    name: str
    estimate_id: str | None
    options: tuple[OptionSource, ...]
    num_rejections: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OptionSource:
    """One option of an estimate as the plan takes it: hours (a job) or tokens per second of a replica (a service)."""

    gpu: str
    num_gpus: int
    title: str
    rank: int
    low: float
    mid: float
    high: float
    basis: str


@dataclass(frozen=True, slots=True)
class Built:
    """The program's input with all that it was made from."""

    request: PlanRequest
    demands: tuple[DemandSource, ...]
    supplies: tuple[SupplySource, ...]
    left_out: tuple[LeftOut, ...]

    def sources(self) -> dict[str, Any]:
        """What is stored beside the request, as JSON values."""
        return {
            "demands": document(list(self.demands)),
            "supplies": document(list(self.supplies)),
            "left_out": document(list(self.left_out)),
        }


def build_request(session: Session, question: PlanQuestion, now: datetime) -> Built:
    """The program's input. Raises InvalidInput naming every field that cannot be used, NotFound for an estimate."""
    if question.request is not None:
        whole = PlanRequest.from_document(question.request)
        if question.starts_at is not None:
            whole = replace(whole, starts_at=question.starts_at)
        if question.leave_least_urgent:
            whole = replace(whole, leave_least_urgent=True)
        return Built(_without(question, whole), (), (), ())
    horizon = Horizon.uniform(math.ceil(question.span / question.slot - 1e-9), question.slot / units.HOUR)
    begin = question.starts_at or now
    jobs = [_job(session, _counted(ask, begin, place), place) for place, ask in enumerate(question.jobs)]
    services = [_service(session, ask, horizon, place) for place, ask in enumerate(question.services)]
    sizes = _sizes([job for job, _, _ in jobs], [service for service, _, _ in services])
    for _, _, taken in (*jobs, *services):
        for gpu, size in taken.items():
            sizes[gpu] = sizes.get(gpu, frozenset()) | {size}
    gathered = gather_supplies(session, question.supply, sizes, CURRENCY, now)
    supplies = [*gathered.supplies, *_extra(question, gathered)]
    if not supplies:
        wanted = ", ".join(sorted(sizes))
        raise InvalidInput.of("supply", f"nothing is left that has one of {wanted}; widen what may be used")
    if len(supplies) > MOST_SUPPLIES:
        raise InvalidInput.of("supply", f"{len(supplies)} supplies are more than the {MOST_SUPPLIES} of a plan")
    limits = Limits() if question.limits is None else _within("limits", Limits, question.limits)
    request = PlanRequest(
        horizon=horizon,
        supplies=tuple(supplies),
        jobs=tuple(job for job, _, _ in jobs),
        services=tuple(service for service, _, _ in services),
        limits=limits,
        goal=Goal(question.goal),
        currency=CURRENCY,
        starts_at=begin,
        leave_least_urgent=question.leave_least_urgent,
    )
    demands = tuple(source for _, source, _ in (*jobs, *services))
    return Built(_without(question, request), demands, tuple(gathered.sources), tuple(gathered.left_out))


def _without(question: PlanQuestion, request: PlanRequest) -> PlanRequest:
    """The request with none to be had of the supplies that the question names."""
    try:
        return without(request, question.without) if question.without else request
    except ValueError as error:
        raise InvalidInput.of("without", str(error)) from None


def _counted(ask: JobAsk, begin: datetime, place: int) -> JobAsk:
    """The job with moments that it names counted from the plan's start. Raises InvalidInput for one before that."""
    if ask.release_at is None and ask.due_at is None:
        return ask
    release, deadline = ask.release, ask.deadline
    if ask.release_at is not None:
        release = max((ask.release_at - begin).total_seconds(), 0.0)
    if ask.due_at is not None:
        deadline = (ask.due_at - begin).total_seconds()
        if deadline <= release:
            raise InvalidInput.of(f"jobs.{place}.due_at", "must come after the plan's start and the job's own")
    return ask.model_copy(update={"release": release, "deadline": deadline, "release_at": None, "due_at": None})


def _job(session: Session, ask: JobAsk, place: int) -> tuple[Job, DemandSource, dict[str, int]]:
    """The job, where it comes from, and the instance sizes that its options run on."""
    field = f"jobs.{place}"
    sizes: dict[str, int] = {}
    if ask.estimate_id is not None:
        view = _estimate(session, ask.estimate_id, field)
        if view.answer.options and view.answer.options[0].seconds is None:
            raise InvalidInput.of(f"{field}.estimate_id", "is of a service, which has no end: put it under services")
        most = None if ask.deadline is None else ask.deadline - ask.release
        chosen = _best_per_gpu(view.answer.options, lambda option: _gpu_hours(option, most))
        works = []
        for option in chosen.values():
            hours = _seconds(option) / units.HOUR
            works.append(Work(option.placement.gpu.key, int(option.placement.num_gpus), hours))
            sizes[option.placement.gpu.key] = option.placement.gpus_per_node
        name = ask.name or view.job_name
        source = DemandSource(name, view.id, _job_sources(view, chosen), len(view.answer.rejections))
        if not works:
            raise InvalidInput.of(f"{field}.estimate_id", "has no option that could run; its rejections say why")
        options = tuple(works)
    else:
        name = ask.name or ""
        options = tuple(Work(item.gpu, item.num_gpus, item.time / units.HOUR) for item in ask.options)
        source = DemandSource(name, None, (), 0, ("entered by hand",))
    values = {
        "release_hours": ask.release / units.HOUR,
        "deadline_hours": None if ask.deadline is None else ask.deadline / units.HOUR,
        "is_divisible": ask.divisible,
        "copies": ask.copies,
        "priority": ask.priority,
        "after": ask.after,
        "providers": ask.providers,
        "regions": ask.regions,
        "may_use_spot": ask.may_use_spot,
        "drop_cost": None if ask.drop_cost is None else float(ask.drop_cost),
    }
    return _made(field, Job, name=name, options=options, **values), source, sizes


def _service(
    session: Session, ask: ServiceAsk, horizon: Horizon, place: int
) -> tuple[Service, DemandSource, dict[str, int]]:
    field = f"services.{place}"
    sizes: dict[str, int] = {}
    if ask.estimate_id is not None:
        view = _estimate(session, ask.estimate_id, field)
        if not view.answer.options or view.job_kind != "inference":
            raise InvalidInput.of(f"{field}.estimate_id", "has no option that serves; take an estimate of a service")
        chosen = _best_per_gpu(view.answer.options, _per_token)
        replicas = []
        for option in chosen.values():
            replicas.append(
                Replica(option.placement.gpu.key, int(option.placement.num_gpus), option.tokens_per_second.mid)
            )
            sizes[option.placement.gpu.key] = option.placement.gpus_per_node
        name = ask.name or view.job_name
        notes = ("the demand is in tokens written per second, a replica's rate that of the steady state",)
        source = DemandSource(name, view.id, _service_sources(view, chosen), len(view.answer.rejections), notes)
        found = tuple(replicas)
    else:
        name = ask.name or ""
        found = tuple(Replica(item.gpu, item.num_gpus, item.rate) for item in ask.replicas)
        source = DemandSource(name, None, (), 0, ("entered by hand",))
    values = {
        "headroom": ask.headroom,
        "priority": ask.priority,
        "providers": ask.providers,
        "regions": ask.regions,
        "may_use_spot": ask.may_use_spot,
        "drop_cost": None if ask.drop_cost is None else float(ask.drop_cost),
    }
    demand = demand_curve(ask.demand, horizon)
    return _made(field, Service, name=name, replicas=found, demand=demand, **values), source, sizes


def demand_curve(ask: DemandAsk, horizon: Horizon) -> tuple[float, ...]:
    """The demand of each slot."""
    if ask.level is not None:
        found = curves.constant(horizon, ask.level)
    elif ask.low is not None and ask.high is not None:
        found = curves.diurnal(horizon, ask.low, ask.high, ask.peak_hour)
    elif ask.week is not None:
        found = curves.weekly(horizon, ask.week)
    else:
        found = curves.trace(horizon, ask.levels or (), ask.step / units.HOUR)
    return curves.growing(horizon, found, ask.growth) if ask.growth else found


def _estimate(session: Session, estimate_id: str, field: str) -> EstimateView:
    try:
        return get_estimate(session, estimate_id)
    except NotFound as error:
        raise InvalidInput.of(f"{field}.estimate_id", str(error)) from None


def _best_per_gpu(options: Sequence[Option], measure: Any) -> dict[str, Option]:
    """The option of least measure for each GPU; spot and parts of a GPU left out: the plan counts spot by itself."""
    best: dict[str, tuple[float, Option]] = {}
    for option in options:
        placement = option.placement
        if placement.offer is not None and placement.offer.kind is OfferKind.SPOT:
            continue
        if placement.num_gpus != int(placement.num_gpus):
            continue
        value = measure(option)
        key = placement.gpu.key
        if key not in best or value < best[key][0]:
            best[key] = (value, option)
    return {key: option for key, (_, option) in best.items()}


def _gpu_hours(option: Option, most_seconds: float | None) -> float:
    """GPU-hours; an option too slow for the deadline counts only where all are, the fastest first."""
    seconds = _seconds(option)
    late = most_seconds is not None and seconds > most_seconds
    return (1e15 + seconds) if late else float(option.placement.num_gpus) * seconds


def _per_token(option: Option) -> float:
    return float(option.placement.num_gpus) / option.tokens_per_second.mid


def _seconds(option: Option) -> float:
    if option.seconds is None:
        raise ValueError("a service has no end")
    return option.seconds.mid


def _job_sources(view: EstimateView, chosen: Mapping[str, Option]) -> tuple[OptionSource, ...]:
    return tuple(
        _source(
            view,
            option,
            *(value / units.HOUR for value in (option.seconds.low, option.seconds.mid, option.seconds.high)),
        )
        for option in chosen.values()
        if option.seconds is not None
    )


def _service_sources(view: EstimateView, chosen: Mapping[str, Option]) -> tuple[OptionSource, ...]:
    return tuple(
        _source(view, option, option.tokens_per_second.low, option.tokens_per_second.mid, option.tokens_per_second.high)
        for option in chosen.values()
    )


def _source(view: EstimateView, option: Option, low: float, mid: float, high: float) -> OptionSource:
    return OptionSource(
        gpu=option.placement.gpu.key,
        num_gpus=int(option.placement.num_gpus),
        title=option.placement.title,
        rank=view.answer.options.index(option),
        low=low,
        mid=mid,
        high=high,
        basis=option.basis.value,
    )


def _sizes(jobs: Sequence[Job], services: Sequence[Service]) -> dict[str, frozenset[int]]:
    """Every GPU that a demand names; instance sizes only where an estimate tells them."""
    keys = {work.gpu for job in jobs for work in job.options}
    keys |= {replica.gpu for service in services for replica in service.replicas}
    return {key: frozenset() for key in keys}


def _extra(question: PlanQuestion, gathered: Gathered) -> list[Supply]:
    found = []
    for place, given in enumerate(question.supply.extra):
        supply = _within(f"supply.extra.{place}", Supply, given)
        found.append(supply)
        gathered.sources.append(SupplySource(supply.name, assumed=("entered by hand",)))
    return found


def _within(field: str, kind: Any, given: Any) -> Any:
    """The program's own dataclass, its faults named under `field`."""
    try:
        return codec.from_document(kind, given)
    except InvalidInput as error:
        raise InvalidInput([FieldProblem(f"{field}.{item.field}", item.message) for item in error.problems]) from None


def _made(field: str, kind: Any, **values: Any) -> Any:
    try:
        return kind(**values)
    except ValueError as error:
        raise InvalidInput.of(field, str(error)) from None
