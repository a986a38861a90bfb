"""Size a service: how many GPUs of which kind keep a level, what that costs, and what every other way lost on."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from planner import units
from planner.calibration.sample import Operation
from planner.estimates.answer import profiles
from planner.estimates.energy import average_power
from planner.estimates.load.apart import size_apart
from planner.estimates.load.bill import AgainstApi, ServiceBill, against_api, bill
from planner.estimates.load.curve import LoadCurve, load_curve
from planner.estimates.load.demand import Demand, RandomDemand, TraceDemand
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.hours import Hours, over_hours
from planner.estimates.load.latencies import Latencies
from planner.estimates.load.level import floor
from planner.estimates.load.push import Push, push
from planner.estimates.load.replica import Replica
from planner.estimates.load.sizing import MAX_SIMULATED, Sized, Terms, Unfit, size, size_one
from planner.estimates.load.ways import Refused, Ways, find_ways, is_taken_away, why_unpriced
from planner.estimates.serving_steps import BUSIEST_EXPERTS
from planner.jobs.job import InferenceJob
from planner.quantity import Basis, Cause, Quantity
from planner.services.estimates import find_placements
from planner.services.fits import newest_fits
from planner.services.price_books import NO_ROLES
from planner.services.requests.sizing import SizingRequest
from planner.services.service_mixes import MixView, mix_of
from planner.store.engine import Session

MAX_REPLAYED = 5  # layouts on which a whole trace is replayed


@dataclass(frozen=True, slots=True)
class DemandView:
    """The requests that come: their number (of the sample, or of the trace), rate, burstiness and mean sizes."""

    source: str  # "random" or "trace"
    num_requests: int
    rate: float
    mean_rate: float
    gap_variation: float | None
    most_in_a_minute: int | None  # of a trace
    mean_prompt_tokens: float
    mean_output_tokens: float
    longest_tokens: int
    reusable_share: float | None  # of prompts, by their prefixes; None: nothing is known of them


@dataclass(frozen=True, slots=True)
class OptionView:
    """One way that keeps the level: `sentence` says it, `found` holds what requests wait (middle figures)."""

    title: str
    sentence: str
    layout: str
    num_gpus: int
    replicas: int
    spare: int
    gpus_per_replica: int
    paid_units: int  # whole offers
    unit_gpus: int
    found: Latencies
    concurrent: float
    busy_share: float
    rate_per_replica: float
    most_per_second: float
    load_share: float
    num_preempted: int
    reused_share: float
    cost_per_hour: float | None
    currency: str
    bill: ServiceBill
    basis: Basis
    fit_id: str | None
    offer_id: int | None
    price_id: int | None
    device_id: str | None
    kv_capacity_tokens: float
    why_not: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """How many replicas the best way needs if every step is faster or slower by its range; None: no number does."""

    low: int
    mid: int
    high: int | None
    causes: tuple[Cause, ...]


@dataclass(frozen=True, slots=True)
class ApartView:
    """The best way with prefill and decode apart; the sentence says why not where the rest is None."""

    sentence: str
    num_gpus: int | None = None
    num_prefill: int | None = None
    num_decode: int | None = None
    found: Latencies | None = None
    transfer_seconds: float | None = None
    cost_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class OtherView:
    """A way that cannot serve, or did not win, and why. `num_gpus` of a replica; None: whatever their number."""

    title: str
    gpus_per_replica: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class SizingView:
    """The answer: the cheapest way first; `num_options` and `num_others` count what the lists may be cut to."""

    sentence: str
    job_sentence: str
    demand: DemandView
    options: tuple[OptionView, ...]
    others: tuple[OtherView, ...]
    num_options: int
    num_others: int
    num_simulated: int
    replica_range: Reach | None
    floor: Latencies | None  # of the best way: a request that has a replica to itself
    curve: LoadCurve | None
    hours: Hours | None  # of the best way, where the hours of a day or a week were given
    api: AgainstApi | None
    push: Push | None
    apart: ApartView | None  # prefill and decode on replicas of their own, where a link was given
    mix: MixView | None  # of a trace: the cheapest kinds for its sizes
    policy: EnginePolicy
    notes: tuple[str, ...]
    request: dict[str, Any] = field(default_factory=dict)


def size_service(session: Session, request: SizingRequest, now: datetime, roles: Set[str] = NO_ROLES) -> SizingView:
    """Size the service on every attached device and offer that passes the filters. Nothing is stored.

    Raises InvalidInput for a question that no hardware could answer.
    """
    demand = request.demand()
    job, policy, terms = request.job(demand), request.policy(), request.terms()
    placements = find_placements(session, request.estimate(demand), now, roles)
    reached = profiles(job, placements, newest_fits(session))
    prompt = demand.sizes.mean_prompt
    ways = find_ways(job, placements, reached, policy, request.currency, request.tensor_parallel, prompt)
    most = MAX_REPLAYED if isinstance(demand, TraceDemand) else MAX_SIMULATED
    found = size(ways.ways, demand, terms, policy, most)
    options = tuple(_option(option, ways, demand, request.currency) for option in found.options)
    best = found.options[0] if found.options else None
    own = policy if best is None else policy.for_groups(best.way.groups)
    others = _others(found.others, ways.refused)
    return SizingView(
        sentence=options[0].sentence if options else _nothing(found.others, others),
        job_sentence=_job_sentence(job, request, demand),
        demand=_demand(demand),
        options=options,
        others=others,
        num_options=len(options),
        num_others=len(others),
        num_simulated=found.num_simulated,
        replica_range=None if best is None else _reach(best, ways, demand, terms, policy),
        floor=None if best is None else floor(demand.sample(), best.way.table, own),
        curve=None if best is None else load_curve(best.way.table, _steady(demand, best), own, terms.level),
        hours=None if best is None else _hours(best, request, demand, policy),
        api=_api(best, demand, request),
        apart=None if best is None else _apart(best, demand, terms, request),
        mix=mix_of(ways.ways, demand, terms, policy, request.currency),
        push=None if best is None else _push(best, ways, demand),
        policy=policy,
        notes=_notes(request, demand, best),
        request=request.model_dump(mode="json", exclude_defaults=True, exclude={"trace", "config"}),
    )


def cut(view: SizingView, num_options: int, num_others: int) -> SizingView:
    """The view with the first so many options and others."""
    return replace(view, options=view.options[:num_options], others=view.others[:num_others])


def _option(option: Sized, ways: Ways, demand: Demand, currency: str) -> OptionView:
    place = ways.at(option.way)
    placement, replica = ways.placements[place], ways.replicas[place]
    why_not = option.why_not
    if option.cost_per_hour is None and why_not:
        why_not = why_unpriced(placement, currency)
    notes = ["Spot: the provider may take it away; keep spare replicas."] if is_taken_away(placement) else []
    return OptionView(
        title=placement.title,
        sentence=option.sentence,
        layout=option.way.layout,
        num_gpus=option.num_gpus,
        replicas=option.replicas,
        spare=option.spare,
        gpus_per_replica=option.way.gpus_per_replica,
        paid_units=option.way.units_for(option.num_gpus),
        unit_gpus=option.way.unit_gpus,
        found=option.found,
        concurrent=option.concurrent,
        busy_share=option.busy_share,
        rate_per_replica=option.rate_per_replica,
        most_per_second=option.most_per_second,
        load_share=option.load_share,
        num_preempted=option.num_preempted,
        reused_share=option.reused_share,
        cost_per_hour=option.cost_per_hour,
        currency=option.way.currency,
        bill=bill(option, demand, _watts(replica)),
        basis=replica.profile.basis,
        fit_id=replica.profile.fit_id,
        offer_id=placement.offer_id,
        price_id=placement.price_id,
        device_id=placement.device_id,
        kv_capacity_tokens=replica.steps.kv_capacity_tokens,
        why_not=why_not,
        notes=tuple(notes),
    )


def _watts(replica: Replica) -> Quantity | None:
    """Of the GPUs of one replica while it decodes, which is most of its time."""
    return average_power(replica.profile, Operation.DECODE, replica.num_gpus)


def _reach(best: Sized, ways: Ways, demand: Demand, terms: Terms, policy: EnginePolicy) -> Reach:
    """The best way sized again with every step at either end of its range."""
    replica = ways.replicas[ways.at(best.way)]
    table = best.way.table
    batch = max(1, min(table.max_batch, round(best.concurrent)))
    context = demand.sizes.mean_prompt + 0.5 * demand.sizes.mean_output
    by_phase = (
        replica.phase_causes(Operation.DECODE, float(batch), table.decode(batch, batch * context)),
        replica.phase_causes(Operation.PREFILL, demand.sizes.mean_prompt, table.prefill(demand.sizes.mean_prompt, 0.0)),
    )
    causes = max(by_phase, key=_width)
    fewer, more = (
        size_one(replace(best.way, table=table.scaled(math.exp(sign * _width(causes)))), demand, terms, policy)
        for sign in (-1.0, 1.0)
    )
    return Reach(
        low=fewer.replicas if isinstance(fewer, Sized) else best.replicas,
        mid=best.replicas,
        high=more.replicas if isinstance(more, Sized) else None,
        causes=causes,
    )


def _width(causes: Sequence[Cause]) -> float:
    return math.sqrt(sum(cause.spread**2 for cause in causes))


def _others(unfit: Sequence[Unfit], refused: Sequence[Refused]) -> tuple[OtherView, ...]:
    rows = [OtherView(each.way.title, each.way.gpus_per_replica, each.reason) for each in unfit]
    rows += [OtherView(each.placement.title, each.num_gpus, each.reason) for each in refused]
    return tuple(rows)


def _nothing(unfit: Sequence[Unfit], others: Sequence[OtherView]) -> str:
    """Why there is no way at all: the floor of the fastest one, where floors are above the level."""
    tight = [each for each in unfit if each.too_tight is not None]
    if tight:
        best = min(tight, key=lambda each: each.too_tight or math.inf)
        return f"Nothing keeps this level. The nearest, {best.way.title} ({best.way.layout}): {best.reason}."
    if not others:
        return "There is nothing to size: no device and no offer passes the filters."
    return f"Nothing keeps this level. {others[0].title}: {others[0].reason}."


def _demand(demand: Demand) -> DemandView:
    is_trace = isinstance(demand, TraceDemand)
    requests = demand.requests if isinstance(demand, TraceDemand) else demand.sample()
    return DemandView(
        source="trace" if is_trace else "random",
        num_requests=requests.size,
        rate=demand.rate,
        mean_rate=demand.mean_rate,
        gap_variation=requests.gap_variation,
        most_in_a_minute=requests.most_in_a_minute if is_trace else None,
        mean_prompt_tokens=float(requests.prompt_tokens.mean()),
        mean_output_tokens=float(requests.output_tokens.mean()),
        longest_tokens=demand.longest,
        reusable_share=requests.block_reuse,
    )


def _steady(demand: Demand, best: Sized) -> RandomDemand:
    """Random requests of the same sizes, for the curve over load: as bursty as they reach a replica, of a trace
    Poisson."""
    if isinstance(demand, RandomDemand):
        return demand.one_of(best.replicas)
    return RandomDemand(demand.rate, demand.sizes)


def _hours(best: Sized, request: SizingRequest, demand: Demand, policy: EnginePolicy) -> Hours | None:
    rates = request.hourly_rates
    if not rates or not isinstance(demand, RandomDemand):
        return None
    return over_hours(best, rates, demand, request.terms().level, policy)


def _api(best: Sized | None, demand: Demand, request: SizingRequest) -> AgainstApi | None:
    if best is None or request.api_input_price is None or request.api_output_price is None:
        return None
    return against_api(best, demand, float(request.api_input_price), float(request.api_output_price))


def _apart(best: Sized, demand: Demand, terms: Terms, request: SizingRequest) -> ApartView | None:
    if request.apart_link is None:
        return None
    found = size_apart(best.way, demand, terms, request.policy(), request.apart_link)
    if isinstance(found, str):
        return ApartView(f"Apart, no number of replicas keeps the level: {found}.")
    fewer = best.num_gpus - found.num_gpus
    against = f"{abs(fewer)} GPUs {'fewer' if fewer > 0 else 'more'} than together" if fewer else "as many as together"
    return ApartView(
        f"{found.sentence}: {against}.",
        found.num_gpus,
        found.num_prefill,
        found.num_decode,
        found.found,
        found.transfer_seconds,
        found.cost_per_hour,
    )


def _push(best: Sized, ways: Ways, demand: Demand) -> Push:
    place = ways.at(best.way)
    return push(best, ways.replicas[place], ways.placements[place], demand)


def _job_sentence(job: InferenceJob, request: SizingRequest, demand: Demand) -> str:
    level = request.terms().level
    limits = [
        f"{words} at most {units.format_seconds(limit)}"
        for words, limit in (
            ("first token", level.first_token_seconds),
            ("per token", level.per_token_seconds),
            ("whole request", level.whole_seconds),
        )
        if limit is not None
    ]
    kept = f", p{level.percentile}: {', '.join(limits)}" if limits else ", no level"
    return f"Serve {job.architecture.name} in {job.dtype.value} at {demand.rate:.4g} requests/s{kept}"


def _notes(request: SizingRequest, demand: Demand, best: Sized | None) -> tuple[str, ...]:
    policy = request.policy()
    notes = [
        "Percentiles are of a simulation, request by request, of continuous batching with the step times of the model; "
        + (
            "requests are dealt to replicas in turn."
            if isinstance(demand, TraceDemand) or request.balancing == "in_turn"
            else "each request goes to one of the replicas at random, which takes more of them than dealing in turn."
        ),
        f"The engine takes up to {policy.max_sequences} requests at a time and {policy.batch_tokens:,} tokens per step"
        f"{'' if request.max_sequences and request.batch_tokens else ' (assumed where not given)'}.",
    ]
    if isinstance(demand, TraceDemand):
        notes.append("The curve over load is of random requests of the trace's sizes; the sizing is of the trace.")
    if demand.mean_rate < demand.rate:
        notes.append(f"GPUs stand ready for the busiest time; requests come at {demand.mean_rate:.4g}/s on average.")
    if best is not None and best.way.groups > 1:
        notes.append(
            "The experts are spread over groups that attend to requests of their own and step together; the busiest "
            f"group of experts is taken to get {BUSIEST_EXPERTS:g} times the mean."
        )
    if best is not None and best.way.gpus_per_replica > best.way.unit_gpus:
        notes.append("Its replicas lie on several nodes: the network between them is the usual one of its family.")
    if best is not None and policy.front_seconds is None:
        front = best.way.table.front
        notes.append(
            f"Each request takes {units.format_seconds(float(front.seconds(1.0)))} in the server in front of the "
            f"engine, and {units.format_seconds(front.request_seconds)} more for each other one that the replica has: "
            "assumed, as published runs behind a server show. No calibration measures it; give yours where it is known."
        )
    if best is not None and best.num_preempted:
        notes.append(f"The cache overflows at times: {best.num_preempted} requests of the sample were computed again.")
    notes.append("Energy is that of the steps; what GPUs draw while they wait is not known, and the host is not in it.")
    return tuple(notes)
