"""What the API answers with where that is not a service's own view: lists with a way on, and leaner estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from planner.estimates.choices import Choice, choices, common_lacks
from planner.estimates.contests import Contest, contests
from planner.estimates.estimate import Answer, Bottleneck, Layout, MemoryItem, Option, Placement, Rejection
from planner.estimates.frontier import frontier
from planner.hardware.gpu import Gpu, GpuKind, Vendor
from planner.jobs.job import InferenceJob, TrainingJob
from planner.offers.offer import Offer, Price
from planner.quantity import Basis, Quantity
from planner.services.actuals import KindRecord
from planner.services.devices import DeviceView
from planner.services.estimates import EstimateSummary, EstimateView
from planner.services.offers import BookAge, PricedOffer, PriceFacets
from planner.services.runs import RunView
from planner.services.schedules import ScheduleView
from planner.services.suites import SuiteView
from planner.web.lack_words import LACK_WORDS


@dataclass(frozen=True, slots=True)
class Health:
    status: Literal["ok"]


@dataclass(frozen=True, slots=True)
class DeviceList:
    devices: list[DeviceView]


@dataclass(frozen=True, slots=True)
class GpuSummary:
    key: str
    vendor: Vendor
    kind: GpuKind
    generation: str
    form_factor: str
    release_year: int | None
    memory_bytes: float | None
    memory_bandwidth: float | None
    power_watts: float | None
    peak_flops: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GpuList:
    catalogue_version: str
    gpus: list[GpuSummary]


@dataclass(frozen=True, slots=True)
class OfferPrice:
    """An offer with the price that holds. `per_gpu_hour` and `age_days` are null where no price is known.

    `age_days` is how old what the source states was at `known_at`.
    """

    offer_id: int
    offer: Offer
    price_id: int | None
    price: Price | None
    per_gpu_hour: Decimal | None
    age_days: int | None


@dataclass(frozen=True, slots=True)
class PriceList:
    as_of: datetime
    known_at: datetime
    prices: list[OfferPrice]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class OfferEntry:
    """An offer under its id: what is on offer and how it can be had. Its prices are at `/prices/{offer_id}`."""

    offer_id: int
    offer: Offer


@dataclass(frozen=True, slots=True)
class OfferList:
    offers: list[OfferEntry]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class PriceSummary:
    facets: PriceFacets
    ages: list[BookAge]


@dataclass(frozen=True, slots=True)
class PastPrice:
    price_id: int
    amount: Decimal | None
    valid_from: datetime
    recorded_at: datetime
    source: str
    source_date: date
    reason: str


@dataclass(frozen=True, slots=True)
class PriceHistory:
    offer: Offer
    prices: list[PastPrice]


@dataclass(frozen=True, slots=True)
class RunList:
    calibrations: list[RunView]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class SuiteList:
    suites: list[SuiteView]


@dataclass(frozen=True, slots=True)
class ScheduleList:
    schedules: list[ScheduleView]


@dataclass(frozen=True, slots=True)
class RunsQueued:
    queued: list[RunView]
    refused: list[str]


@dataclass(frozen=True, slots=True)
class PlaceView:
    """Where an option runs: an offer with its price, or an attached device."""

    title: str
    gpu_key: str
    num_gpus: Decimal
    offer_id: int | None
    offer: Offer | None
    price_id: int | None
    price: Price | None
    device_id: str | None
    device_name: str | None
    currency: str


@dataclass(frozen=True, slots=True)
class OptionView:
    placement: PlaceView
    layout: Layout
    seconds: Quantity | None
    step_seconds: Quantity
    tokens_per_second: Quantity
    memory_bytes: Quantity
    memory_items: tuple[MemoryItem, ...]
    usable_memory_bytes: float
    energy_joules: Quantity | None
    average_power_watts: Quantity | None
    cost: Quantity | None
    cost_per_hour: Quantity | None
    cost_per_million_tokens: Quantity | None
    cost_per_thousand_requests: Quantity | None
    carbon_kg: Quantity | None
    bottleneck: Bottleneck
    basis: Basis
    fit_id: str | None
    extras: Mapping[str, Quantity]
    notes: tuple[str, ...]
    unknown: Mapping[str, str]
    why_not: str


@dataclass(frozen=True, slots=True)
class RejectionView:
    placement: PlaceView
    bottleneck: Bottleneck
    reason: str


@dataclass(frozen=True, slots=True)
class LackView:
    """Rejections that lack the same: how many, what that is, what would help, and the one nearest to fitting."""

    bottleneck: Bottleneck
    num_rejected: int
    lacks: str
    way_out: str
    first: RejectionView


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """An option that none beats in both time and cost; `rank` counts the options from 0."""

    rank: int
    title: str
    seconds: Quantity
    cost: Quantity


@dataclass(frozen=True, slots=True)
class EstimateAnswer:
    """A stored estimate. `options` and `rejections` are the first of `num_options` and `num_rejections`, best first.

    `choices` are the few that a decision is usually between: the cheapest, the fastest, the cheapest that nobody
    interrupts and the best device at hand, one that wins several of these once. `common_lacks` count all rejections by
    what they lack, the commonest first. `contests` rank the best of each vendor, way to get it and provider. A rank
    counts `options` from 0.
    """

    id: str
    created_at: datetime
    as_of: datetime
    known_at: datetime
    job_id: str
    job_name: str
    job_kind: Literal["training", "inference"]
    job_sentence: str
    job: TrainingJob | InferenceJob
    request: Mapping[str, Any]
    num_options: int
    num_rejections: int
    num_unpriced: int
    frontier: list[FrontierPoint]
    choices: tuple[Choice, ...]
    common_lacks: list[LackView]
    contests: tuple[Contest, ...]
    options: list[OptionView]
    rejections: list[RejectionView]
    price_ids: tuple[int, ...]
    fit_ids: tuple[str, ...]
    catalogue_version: str
    code_version: str
    track_records: tuple[KindRecord, ...]


@dataclass(frozen=True, slots=True)
class EstimateList:
    estimates: list[EstimateSummary]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class PresetView:
    key: str
    title: str
    kind: Literal["training", "inference"]
    job: TrainingJob | InferenceJob


@dataclass(frozen=True, slots=True)
class ArchitectureView:
    """`was_read` is false where the shape was written down from memory of `source`."""

    key: str
    title: str
    num_parameters: float
    published_parameters: float
    source: str
    as_of: date
    was_read: bool


@dataclass(frozen=True, slots=True)
class PictureView:
    """A network for pictures; `pixels` is the side that it is published for (null: its pictures are not square)."""

    key: str
    title: str
    pixels: int | None
    num_parameters: float
    published_parameters: float
    source: str


@dataclass(frozen=True, slots=True)
class PresetList:
    presets: list[PresetView]
    architectures: list[ArchitectureView]
    pictures: list[PictureView]


def gpu_summary(gpu: Gpu) -> GpuSummary:
    def value(name: str) -> float | None:
        figure = getattr(gpu, name)
        return None if figure is None else float(figure.value)

    return GpuSummary(
        key=gpu.key,
        vendor=gpu.vendor,
        kind=gpu.kind,
        generation=gpu.generation,
        form_factor=gpu.form_factor,
        release_year=gpu.release_year,
        memory_bytes=value("memory_bytes"),
        memory_bandwidth=value("memory_bandwidth"),
        power_watts=value("power_watts"),
        peak_flops={dtype.value: figure.value for dtype, figure in gpu.peak_flops.items()},
    )


def offer_price(item: PricedOffer, known_at: datetime) -> OfferPrice:
    return OfferPrice(item.offer_id, item.offer, item.price_id, item.price, item.per_gpu_hour, item.age_days(known_at))


def estimate_answer(view: EstimateView, num_options: int, num_rejections: int) -> EstimateAnswer:
    """The estimate with the first so many options and rejections."""
    same = {field.name: getattr(view, field.name) for field in fields(EstimateView) if field.name != "answer"}
    return EstimateAnswer(
        **same,
        num_options=len(view.answer.options),
        num_rejections=len(view.answer.rejections),
        frontier=_frontier(view.answer.options),
        choices=choices(view.answer),
        common_lacks=_lacks(view.answer),
        contests=contests(view.answer),
        options=[_option(option) for option in view.answer.options[:num_options]],
        rejections=[_rejection(rejection) for rejection in view.answer.rejections[:num_rejections]],
    )


def _frontier(options: Sequence[Option]) -> list[FrontierPoint]:
    points = []
    for rank in frontier(options):
        option = options[rank]
        if option.seconds is not None and option.cost is not None:
            points.append(FrontierPoint(rank, option.placement.title, option.seconds, option.cost))
    return points


def _lacks(answer: Answer) -> list[LackView]:
    found = []
    for lack in common_lacks(answer):
        words = LACK_WORDS[lack.bottleneck]
        first = _rejection(lack.first)
        found.append(LackView(lack.bottleneck, lack.num_rejected, words.lacks, words.way_out, first))
    return found


def _option(option: Option) -> OptionView:
    same = {field.name: getattr(option, field.name) for field in fields(Option) if field.name != "placement"}
    return OptionView(placement=_place(option.placement), **same)


def _rejection(rejection: Rejection) -> RejectionView:
    return RejectionView(_place(rejection.placement), rejection.bottleneck, rejection.reason)


def _place(placement: Placement) -> PlaceView:
    return PlaceView(
        title=placement.title,
        gpu_key=placement.gpu.key,
        num_gpus=placement.num_gpus,
        offer_id=placement.offer_id,
        offer=placement.offer,
        price_id=placement.price_id,
        price=placement.price,
        device_id=placement.device_id,
        device_name=placement.device_name,
        currency=placement.currency,
    )
