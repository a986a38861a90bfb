"""Size a service of single passes: how many GPUs answer pictures, frames, texts or drawings in time, and the cost."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from planner import units
from planner.estimates.answer import profiles
from planner.estimates.load.items import Items
from planner.estimates.load.latencies import Percentiles
from planner.estimates.load.pass_networks import PassNetwork
from planner.estimates.load.pass_sizing import (
    BATCHES,
    Batching,
    Deadline,
    PassWay,
    SizedPasses,
    UnfitPasses,
    on_replicas,
    size_pass_way,
    size_passes,
)
from planner.estimates.load.pass_ways import PassGpu, PassRefused, PassWays, find_pass_ways
from planner.estimates.load.ways import is_taken_away, why_unpriced
from planner.quantity import Basis, Cause, Quantity
from planner.services.estimates import find_placements
from planner.services.fits import newest_fits
from planner.services.price_books import NO_ROLES
from planner.services.requests.pass_sizing import PassSizingRequest
from planner.services.sizing import OtherView, Reach
from planner.store.engine import Session

LOADS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.87, 0.93, 0.97)
MILLION = 1e6


@dataclass(frozen=True, slots=True)
class PassBill:
    """Unit costs in the option's currency at the mean rate, idle and spare GPUs paid; None: not known."""

    cost_per_thousand: float | None
    cost_per_million: float | None
    watts: Quantity | None  # of all serving GPUs while they work
    joules_per_item: Quantity | None  # of the time in which they work
    used_share: float  # of what the paid GPUs could answer


@dataclass(frozen=True, slots=True)
class PassOption:
    """One way that keeps the deadline: `sentence` says it, `waited` is what items wait (middle figures)."""

    title: str
    sentence: str
    num_gpus: int
    replicas: int
    spare: int
    paid_units: int
    unit_gpus: int
    waited: Percentiles
    late_share: float | None
    alone_seconds: float  # of one item with the GPU to itself
    largest_batch: int
    mean_batch: float
    busy_share: float
    rate_per_replica: float
    most_per_second: float
    cost_per_hour: float | None
    currency: str
    bill: PassBill
    basis: Basis
    fit_id: str | None
    offer_id: int | None
    price_id: int | None
    device_id: str | None
    why_not: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PassLoad:
    """What items wait at a share of the most that one GPU answers."""

    share: float
    per_second: float
    waited: Percentiles
    mean_batch: float
    keeps_deadline: bool


@dataclass(frozen=True, slots=True)
class PassBatch:
    """A pass over so many items: seconds, and items per second."""

    batch: int
    seconds: float
    per_second: float


@dataclass(frozen=True, slots=True)
class PassSizingView:
    """The answer: the cheapest way first; `num_options` and `num_others` count what the lists may be cut to.

    `curve` is one GPU of the best way under random items; `batches` its passes by their size.
    """

    sentence: str
    job_sentence: str
    item: str  # "picture", "frame", "text", "drawing"
    rate: float
    mean_rate: float
    positions: int
    options: tuple[PassOption, ...]
    others: tuple[OtherView, ...]
    num_options: int
    num_others: int
    num_simulated: int
    gpu_range: Reach | None
    curve: tuple[PassLoad, ...]
    batches: tuple[PassBatch, ...]
    notes: tuple[str, ...]
    request: dict[str, Any] = field(default_factory=dict)


def size_pass_service(
    session: Session, request: PassSizingRequest, now: datetime, roles: Set[str] = NO_ROLES
) -> PassSizingView:
    """Size the items on every attached device and offer that passes the filters. Nothing is stored.

    Raises InvalidInput for a question that no hardware could answer.
    """
    network = request.found_network()
    job, items, deadline, batching = request.job(network), request.items(), request.limits(), request.batching()
    placements = find_placements(session, request.filters(), now, roles)
    reached = profiles(job, placements, newest_fits(session))
    ways = find_pass_ways(job, network, request.passes, placements, reached, request.currency)
    found = size_passes(ways.ways, items, deadline, batching)
    options = tuple(_option(option, ways, items, request.currency) for option in found.options)
    best = found.options[0] if found.options else None
    others = _others(found.others, ways.refused)
    return PassSizingView(
        sentence=options[0].sentence if options else _nothing(found.others, others),
        job_sentence=_job_sentence(request, network, items),
        item=item_name(request),
        rate=items.rate,
        mean_rate=items.mean_rate,
        positions=network.positions,
        options=options,
        others=others,
        num_options=len(options),
        num_others=len(others),
        num_simulated=found.num_simulated,
        gpu_range=None if best is None else _reach(best, ways, items, deadline, batching),
        curve=() if best is None else _curve(best, request),
        batches=() if best is None else _batches(best.way),
        notes=_notes(request, network),
        request=request.model_dump(mode="json", exclude_defaults=True),
    )


def cut_passes(view: PassSizingView, num_options: int, num_others: int) -> PassSizingView:
    """The view with the first so many options and others."""
    return replace(view, options=view.options[:num_options], others=view.others[:num_others])


def item_name(request: PassSizingRequest) -> str:
    """What one item is called."""
    from_cameras = request.cameras is not None
    return "frame" if from_cameras else request.kind


def _option(option: SizedPasses, ways: PassWays, items: Items, currency: str) -> PassOption:
    place = ways.at(option.way)
    placement, gpu = ways.placements[place], ways.gpus[place]
    why_not = option.why_not
    if option.cost_per_hour is None and why_not:
        why_not = why_unpriced(placement, currency)
    notes = ("Spot: the provider may take it away; keep spare GPUs.",) if is_taken_away(placement) else ()
    return PassOption(
        title=placement.title,
        sentence=option.sentence,
        num_gpus=option.num_gpus,
        replicas=option.replicas,
        spare=option.spare,
        paid_units=math.ceil(option.num_gpus / option.way.unit_gpus),
        unit_gpus=option.way.unit_gpus,
        waited=option.waited,
        late_share=option.late_share,
        alone_seconds=option.way.times.seconds[0],
        largest_batch=option.largest_batch,
        mean_batch=option.mean_batch,
        busy_share=option.busy_share,
        rate_per_replica=option.rate_per_replica,
        most_per_second=option.most_per_second,
        cost_per_hour=option.cost_per_hour,
        currency=option.way.currency,
        bill=_bill(option, gpu, items),
        basis=gpu.basis,
        fit_id=gpu.fit_id,
        offer_id=placement.offer_id,
        price_id=placement.price_id,
        device_id=placement.device_id,
        why_not=why_not,
        notes=notes,
    )


def _bill(option: SizedPasses, gpu: PassGpu, items: Items) -> PassBill:
    """Energy counts the passes alone: what an idle GPU draws is not known here."""
    hourly, cost = items.mean_rate * units.HOUR, option.cost_per_hour
    one = gpu.watts_at(option.mean_batch)
    watts = joules = None
    if one is not None:
        watts = one.times(float(option.replicas))
        joules = one.times(option.busy_share / option.rate_per_replica, "J")
    return PassBill(
        cost_per_thousand=None if cost is None else cost * 1e3 / hourly,
        cost_per_million=None if cost is None else cost * MILLION / hourly,
        watts=watts,
        joules_per_item=joules,
        used_share=items.mean_rate / (option.num_gpus * option.most_per_second),
    )


def _reach(best: SizedPasses, ways: PassWays, items: Items, deadline: Deadline, batching: Batching) -> Reach:
    """The GPUs that it needs if passes are as fast or as slow as their range says."""
    causes: tuple[Cause, ...] = ways.gpus[ways.at(best.way)].causes
    width = math.sqrt(sum(cause.spread**2 for cause in causes))
    fewer, more = (
        size_pass_way(replace(best.way, times=best.way.times.scaled(math.exp(sign * width))), items, deadline, batching)
        for sign in (-1.0, 1.0)
    )
    return Reach(
        low=fewer.replicas if isinstance(fewer, SizedPasses) else best.replicas,
        mid=best.replicas,
        high=more.replicas if isinstance(more, SizedPasses) else None,
        causes=causes,
    )


def _curve(best: SizedPasses, request: PassSizingRequest) -> tuple[PassLoad, ...]:
    """Random items on one GPU at shares of the most that it answers."""
    deadline, batching = request.limits(), request.batching()
    points = []
    for share in LOADS:
        rate = share * best.most_per_second
        found = on_replicas(best.way, request.random_items(rate), deadline, batching, 1, best.largest_batch)
        kept = deadline.seconds is None or found.waited.at(deadline.percentile) <= deadline.seconds
        points.append(PassLoad(share, rate, found.waited, found.mean_batch, kept))
    return tuple(points)


def _batches(way: PassWay) -> tuple[PassBatch, ...]:
    sizes = [size for size in BATCHES if size <= way.times.most]
    return tuple(PassBatch(size, way.times.seconds[size - 1], size / way.times.seconds[size - 1]) for size in sizes)


def _others(unfit: tuple[UnfitPasses, ...], refused: list[PassRefused]) -> tuple[OtherView, ...]:
    rows = [OtherView(each.way.title, 1, each.reason) for each in unfit]
    rows += [OtherView(each.placement.title, 1, each.reason) for each in refused]
    return tuple(rows)


def _nothing(unfit: tuple[UnfitPasses, ...], others: tuple[OtherView, ...]) -> str:
    """Why there is no way at all: the floor of the fastest one, where floors are above the deadline."""
    tight = [each for each in unfit if each.ratio is not None]
    if tight:
        best = min(tight, key=lambda each: each.ratio or math.inf)
        return f"Nothing keeps this deadline. The nearest, {best.way.title}: {best.reason}."
    if not others:
        return "There is nothing to size: no device and no offer passes the filters."
    return f"Nothing keeps this deadline. {others[0].title}: {others[0].reason}."


def _job_sentence(request: PassSizingRequest, network: PassNetwork, items: Items) -> str:
    what = f"{network.name} in {request.dtype.value}"
    if request.passes > 1:
        what = f"{request.passes} × {what}"
    if request.cameras is not None and request.frame_rate is not None:
        cameras = "1 camera" if request.cameras == 1 else f"{request.cameras:,} cameras"
        come = f"{cameras} × {request.frame_rate:g} frames/s"
    else:
        come = f"{units.format_count(items.rate)} {item_name(request)}s a second"
    if request.deadline is None:
        return f"Answer {come} with {what}, no deadline"
    return f"Answer {come} with {what}, p{request.percentile} within {units.format_seconds(request.deadline)}"


def _notes(request: PassSizingRequest, network: PassNetwork) -> tuple[str, ...]:
    notes = list(network.assumed)
    notes.append(
        "A GPU that is free takes what waits as one batch; the largest batch is the one with the least wait of those "
        "that keep up. Percentiles are of a simulation, item by item."
    )
    if request.cameras is not None:
        notes.append(
            "A camera stays with one GPU, and the GPU with the most cameras is simulated. Waits count from the moment "
            "that a frame shows; a late frame is still answered."
        )
        notes.append("The curve over load is of items that come at random.")
    notes.append("Reading, decoding and resizing of pictures, and what follows the network, are not in it.")
    notes.append("Energy is that of the passes; what GPUs draw in waiting is not known, and the host is not in it.")
    return tuple(notes)
