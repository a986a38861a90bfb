"""Make an estimate from what is known now, keep it with all it was made from, and read it back unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from itertools import groupby
from typing import Any

from planner.errors import FieldProblem, InvalidInput, NotFound
from planner.estimates.answer import answer
from planner.estimates.document import answer_from_document, answer_to_document
from planner.estimates.estimate import Answer, Option, Placement
from planner.estimates.ledger import TrackRecord
from planner.estimates.limits import apply_limits
from planner.hardware.catalogue import Catalogue, load_catalogue, unlisted_gpu
from planner.hardware.gpu import Gpu, GpuKind
from planner.jobs.document import job_from_document, job_kind, job_sentence, job_to_document
from planner.jobs.job import InferenceJob, Job
from planner.offers.offer import OfferKind
from planner.quantity import Basis, Quantity
from planner.services.actuals import (
    KindRecord,
    kind_of,
    records_from_document,
    records_to_document,
    track_records,
)
from planner.services.devices import DeviceView, list_devices
from planner.services.documents import document
from planner.services.fits import named_gpu, newest_fits
from planner.services.offers import PricedOffer, PriceFilter, find_prices
from planner.services.owned_offers import OwnedHour, PlannedOffer, owned_hours, owned_offer, owned_price, planned_offers
from planner.services.price_books import NO_ROLES, negotiated_offers
from planner.services.requests import EstimateRequest
from planner.store import estimates as store
from planner.store.engine import Session
from planner.store.estimates import ListedEstimate, StoredEstimate
from planner.store.span import EVER, Span


@dataclass(frozen=True, slots=True)
class EstimateView:
    """A stored estimate: the request, the job it meant, the answer, and the pins that make it reproducible."""

    id: str
    created_at: datetime
    as_of: datetime
    known_at: datetime
    job_id: str
    job_name: str
    job_kind: str
    job_sentence: str
    job: Job
    request: dict[str, Any]
    answer: Answer
    price_ids: tuple[int, ...]
    fit_ids: tuple[str, ...]
    catalogue_version: str
    code_version: str
    num_unpriced: int  # options without a known price: ranked last under the goal cost, left out of every sum
    track_records: tuple[KindRecord, ...]  # how estimates of these kinds had come true when this one was made

    def record_of(self, option: Option) -> TrackRecord | None:
        """The measured error of jobs comparable to this option, as it stood then; None: there were none."""
        place = (option.placement.gpu.key, option.basis)
        return next((kind.record for kind in self.track_records if (kind.gpu_key, kind.basis) == place), None)


@dataclass(frozen=True, slots=True)
class EstimateSummary:
    """A stored estimate in a line, for lists: what was asked, how many options there are, and the best one."""

    id: str
    created_at: datetime
    as_of: datetime
    job_name: str
    job_kind: str
    job_sentence: str
    num_options: int
    num_rejections: int
    best: BestOption | None


@dataclass(frozen=True, slots=True)
class BestOption:
    """The first option: where it runs, its middle figures in SI units (None: unknown) and its basis.

    What stands behind `basis` is None in estimates that were listed before it was kept; `unknown` says for what reason
    a figure is not known.
    """

    title: str
    seconds: float | None
    tokens_per_second: float
    cost: float | None
    cost_per_hour: float | None
    currency: str
    basis: Basis
    gpu_key: str | None = None
    num_gpus: Decimal | None = None
    provider: str | None = None
    region: str | None = None
    offer_kind: str | None = None
    seconds_low: float | None = None
    seconds_high: float | None = None
    cost_low: float | None = None
    cost_high: float | None = None
    cost_per_hour_low: float | None = None
    cost_per_hour_high: float | None = None
    unknown: Mapping[str, str] | None = None
    item: str | None = None  # what it answers in a pass each
    items_per_second: float | None = None


def make_estimate(
    session: Session, request: EstimateRequest, now: datetime, code_version: str, roles: Set[str] = NO_ROLES
) -> EstimateView:
    """Estimate the job on every attached device and every offer that passes the filters, and store the answer.

    Negotiated prices that these roles may see stand beside the list prices, as offers of the kind negotiated.
    """
    job = request.job()
    as_of = request.as_of or now
    found = apply_limits(answered(session, request, now, roles), request.limits(as_of))
    price_ids = {option.placement.price_id for option in found.options if option.placement.price_id is not None}
    fit_ids = {option.fit_id for option in found.options if option.fit_id is not None}
    records = track_records(session, job_kind(job), [kind_of(job, job_kind(job), option) for option in found.options])
    row = store.add(
        session,
        job_kind=job_kind(job),
        job_name=job.name,
        job_spec=job_to_document(job),
        created_at=now,
        as_of=as_of,
        known_at=now,
        request=document(request.model_dump(exclude_defaults=True)),
        summary=document(_summary(job, found)),
        result=answer_to_document(found),
        price_ids=sorted(price_ids),
        fit_ids=sorted(fit_ids),
        catalogue_version=load_catalogue().version,
        code_version=code_version,
        track_records=records_to_document(records),
    )
    return _view(row)


def answered(session: Session, request: EstimateRequest, now: datetime, roles: Set[str] = NO_ROLES) -> Answer:
    """The job on every place that passes the filters, by the newest measurements and before any limit; not stored."""
    known = (request.resilience(), request.site(), request.own_step(), request.surroundings())
    placements = find_placements(session, request, now, roles)
    return answer(request.job(), placements, newest_fits(session), request.goal, *known)


def find_placements(
    session: Session, request: EstimateRequest, now: datetime, roles: Set[str] = NO_ROLES
) -> list[Placement]:
    """Attached devices, planned purchases and offers that pass the filters. Raises InvalidInput for one of nothing."""
    as_of = request.as_of or now
    catalogue = load_catalogue()
    priced = find_prices(session, PriceFilter(), as_of, now, limit=None)
    _check_filters(request, catalogue, priced)
    found = [
        *_attached(list_devices(session), request, owned_hours(session)),
        *_planned(planned_offers(session), catalogue, request),
        *(_offer_placement(item, catalogue, request.nodes) for item in priced if _passes(item, request)),
        *(
            _offer_placement(item, catalogue)
            for item in (each.priced for each in negotiated_offers(session, priced, as_of, now, roles))
            if _passes(item, request)
        ),
    ]
    return [one for one in found if not request.vendors or one.gpu.vendor in request.vendors]


def get_estimate(session: Session, estimate_id: str) -> EstimateView:
    """The stored estimate; raises NotFound."""
    row = store.get(session, estimate_id)
    if row is None:
        raise NotFound(f"there is no estimate {estimate_id!r}")
    return _view(row)


def list_estimates(
    session: Session, limit: int | None = 50, after: str | None = None, span: Span = EVER, kind: str | None = None
) -> list[EstimateSummary]:
    """The newest first, all where `limit` is None; `after` is the id of the last one already seen."""
    return [_listed(row) for row in store.newest(session, limit, after, span, kind)]


def stream_estimates(
    session: Session, before: datetime | None = None, known_at: datetime | None = None
) -> Iterator[EstimateSummary]:
    """The oldest first, a chunk at a time; `before` leaves out what was asked as of then or later, `known_at` what was
    made after it.
    """
    return map(_listed, store.oldest(session, before, known_at))


def _summary(job: Job, found: Answer) -> dict[str, Any]:
    return {
        "job_sentence": job_sentence(job),
        "num_options": len(found.options),
        "num_rejections": len(found.rejections),
        "best": _best(job, found.options[0]) if found.options else None,
    }


def _best(job: Job, option: Option) -> BestOption:
    item = job.item if isinstance(job, InferenceJob) and job.is_pass else None
    place, offer = option.placement, option.placement.offer
    low, mid, high = (
        {name: _end(getattr(option, name), end) for name in ("seconds", "cost", "cost_per_hour")}
        for end in ("low", "mid", "high")
    )
    return BestOption(
        title=place.title,
        seconds=mid["seconds"],
        tokens_per_second=option.tokens_per_second.mid,
        cost=mid["cost"],
        cost_per_hour=mid["cost_per_hour"],
        currency=place.currency,
        basis=option.basis,
        gpu_key=place.gpu.key,
        num_gpus=place.num_gpus,
        provider=None if offer is None else offer.provider,
        region=None if offer is None else offer.region,
        offer_kind=None if offer is None else offer.kind.value,
        unknown=option.unknown,
        item=None if item is None else item.value,
        items_per_second=None if item is None else _end(option.extras.get("requests_per_second"), "mid"),
        **{f"{name}_low": value for name, value in low.items()},
        **{f"{name}_high": value for name, value in high.items()},
    )


def _end(quantity: Quantity | None, end: str) -> float | None:
    return None if quantity is None else float(getattr(quantity, end))


def _listed(row: ListedEstimate) -> EstimateSummary:
    best = row.summary["best"]
    return EstimateSummary(
        id=row.id,
        created_at=row.created_at,
        as_of=row.as_of,
        job_name=row.job_name,
        job_kind=row.job_kind,
        job_sentence=row.summary["job_sentence"],
        num_options=row.summary["num_options"],
        num_rejections=row.summary["num_rejections"],
        best=None if best is None else _listed_best(best),
    )


def _listed_best(kept: Mapping[str, Any]) -> BestOption:
    num_gpus = kept.get("num_gpus")
    read = {"basis": Basis(kept["basis"]), "num_gpus": None if num_gpus is None else Decimal(num_gpus)}
    return BestOption(**{**kept, **read})


def _attached(devices: list[DeviceView], request: EstimateRequest, owned: Mapping[str, OwnedHour]) -> list[Placement]:
    """Each attached device alone, and all equal ones of a node together; none where the filters name providers."""
    if request.nodes > 1:
        return []
    if not _wants_own(request):
        return []
    usable = [d for d in devices if d.state == "ok" and (not request.gpus or d.gpu_key in request.gpus)]
    alone = [_device_placement([device], owned) for device in usable]

    def kind(device: DeviceView) -> tuple[str, str, str]:
        return device.node_id, device.gpu_key or "", device.name

    together = []
    for _, group in groupby(sorted(usable, key=kind), key=kind):
        equal = list(group)
        if len(equal) > 1:
            together.append(_device_placement(equal, owned))
    return alone + together


def _device_placement(devices: list[DeviceView], owned: Mapping[str, OwnedHour]) -> Placement:
    """Equal devices of a node; with what an hour of them costs, where all of them belong to assets."""
    device, count = devices[0], len(devices)
    hours = [owned[each.id] for each in devices if each.id in owned]
    price = owned_price(hours) if len(hours) == count else None
    return Placement(
        gpu=device_gpu(device),
        num_gpus=Decimal(count),
        offer=None if price is None else owned_offer(device.name, device.gpu_key, count, hours[0].currency),
        price=price,
        device_id=device.id,
        device_name=device.name if count == 1 else f"{count} × {device.name}",
        device_memory_bytes=device.memory_bytes,
        is_cost_assumed=price is not None and any(hour.is_assumed for hour in hours),
    )


def device_gpu(device: DeviceView) -> Gpu:
    """The device's catalogue entry, or one without figures where the catalogue does not know its name."""
    return named_gpu(device.name, device.vendor, device.backend, device.gpu_key, device.memory_bytes)


def _listed_gpu(key: str | None, catalogue: Catalogue) -> Gpu | None:
    """The catalogue's entry; None where there is none, be it that the key was retired since it was stored."""
    return None if key is None else catalogue.gpus.get(key)


def _wants_own(request: EstimateRequest) -> bool:
    """Whether GPUs of one's own pass the filters: they have no provider and no region to be named by."""
    is_of_kind = not request.offer_kinds or OfferKind.OWNED in request.offer_kinds
    return is_of_kind and not request.providers and not request.regions


def _planned(found: list[PlannedOffer], catalogue: Catalogue, request: EstimateRequest) -> list[Placement]:
    """Planned purchases of GPUs that the catalogue knows and the filters let pass."""
    if not _wants_own(request):
        return []
    return [
        Placement(
            gpu=gpu,
            num_gpus=item.offer.num_gpus * request.nodes,
            num_nodes=request.nodes,
            offer=item.offer,
            price=item.price,
            is_cost_assumed=item.is_assumed,
        )
        for item in found
        if (gpu := _listed_gpu(item.offer.gpu_key, catalogue)) and (not request.gpus or gpu.key in request.gpus)
    ]


def _check_filters(request: EstimateRequest, catalogue: Catalogue, priced: list[PricedOffer]) -> None:
    """Refuse a filter value that nothing has, by its field, so that a slip of the pen is no empty answer."""
    problems = []
    for key in request.gpus:
        try:
            catalogue.get(key)
        except NotFound as error:
            problems.append(FieldProblem("gpus", str(error)))
    for field, known in (
        ("providers", {item.offer.provider for item in priced}),
        ("regions", {item.offer.region for item in priced}),
    ):
        for asked in set(getattr(request, field)) - known:
            near = get_close_matches(asked, known, n=5, cutoff=0.4) or sorted(known)[:8]
            problems.append(FieldProblem(field, f"{asked!r} is not known; near it: {', '.join(near)}"))
    if problems:
        raise InvalidInput(problems)


def _passes(item: PricedOffer, request: EstimateRequest) -> bool:
    offer = item.offer
    return (
        (not request.gpus or offer.gpu_key in request.gpus)
        and (not request.providers or offer.provider in request.providers)
        and (not request.regions or offer.region in request.regions)
        and (not request.offer_kinds or offer.kind in request.offer_kinds)
    )


def _offer_placement(item: PricedOffer, catalogue: Catalogue, num_nodes: int = 1) -> Placement:
    offer = item.offer
    gpu = _listed_gpu(offer.gpu_key, catalogue) or unlisted_gpu(offer.gpu_name, "", GpuKind.GPU, None)
    return Placement(
        gpu=gpu,
        num_gpus=offer.num_gpus * num_nodes,
        num_nodes=num_nodes,
        offer_id=item.offer_id,
        offer=offer,
        price_id=item.price_id,
        price=item.price,
    )


def _view(row: StoredEstimate) -> EstimateView:
    found = answer_from_document(row.result)
    job = job_from_document(row.job_spec)
    return EstimateView(
        id=row.id,
        created_at=row.created_at,
        as_of=row.as_of,
        known_at=row.known_at,
        job_id=row.job_id,
        job_name=row.job_name,
        job_kind=row.job_kind,
        job_sentence=job_sentence(job),
        job=job,
        request=row.request,
        answer=found,
        price_ids=row.price_ids,
        fit_ids=row.fit_ids,
        catalogue_version=row.catalogue_version,
        code_version=row.code_version,
        num_unpriced=sum(option.cost_per_hour is None for option in found.options),
        track_records=records_from_document(row.track_records),
    )
