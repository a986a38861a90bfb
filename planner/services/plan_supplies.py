"""Where a plan's GPU time may come from: attached devices, planned purchases and offers, as the program's supplies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from planner import units
from planner.offers.offer import UNSTATED_REGION, OfferKind
from planner.offers.ownership import wall_hour_cost
from planner.plans.supply import HOURS_PER_YEAR, RENTED, Kind, SpotTimes, Supply, spot_times
from planner.services.assets import AssetView, list_assets
from planner.services.devices import DeviceView, list_devices
from planner.services.offers import PricedOffer, PriceFilter, find_prices
from planner.services.requests.plans import SupplyAsk
from planner.store.engine import Session

CHEAPEST = 6  # offers of a GPU, size and kind that are kept where as many as wanted can be had
CHEAPEST_LIMITED = 40
TERMS = {OfferKind.RESERVED_1Y: HOURS_PER_YEAR, OfferKind.RESERVED_3Y: 3 * HOURS_PER_YEAR}


@dataclass(frozen=True, slots=True)
class SupplySource:
    """Where a supply of a plan comes from, and what of it is assumed."""

    name: str
    offer_id: int | None = None
    price_id: int | None = None
    asset_id: str | None = None
    device_ids: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    is_priced: bool = True  # false: what its use costs is unknown and left out of the plan's cost


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Options that the plan was not given, how many, and why."""

    what: str
    count: int
    reason: str


@dataclass
class Gathered:
    """The supplies with their sources, and what was left out."""

    supplies: list[Supply] = field(default_factory=list)
    sources: list[SupplySource] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def add(self, supply: Supply, source: SupplySource) -> None:
        self.supplies.append(supply)
        self.sources.append(source)


def gather_supplies(
    session: Session, ask: SupplyAsk, sizes: Mapping[str, frozenset[int]], currency: str, now: datetime
) -> Gathered:
    """Every supply that the question allows, of the GPUs that its demands can use.

    `sizes` says per GPU in instances of how many its demands run; empty: any. All money in `currency`; what is priced
    in another is left out with that reason.
    """
    found = Gathered()
    assets = list_assets(session)
    if ask.own:
        _add_own(found, list_devices(session), assets, sizes, currency)
    if ask.purchases:
        _add_purchases(found, assets, sizes, currency)
    if ask.offers:
        priced = find_prices(session, PriceFilter(), ask.as_of or now, now, limit=None)
        _add_offers(found, ask, priced, sizes, currency)
    return found


def _add_own(
    found: Gathered,
    devices: Iterable[DeviceView],
    assets: Sequence[AssetView],
    sizes: Mapping[str, frozenset[int]],
    currency: str,
) -> None:
    by_device = {device.id: view for view in assets for device in view.devices}
    groups: dict[tuple[str, str, str], list[DeviceView]] = {}
    for device in devices:
        key = device.gpu_key
        if key is not None and key in sizes and device.state == "ok":
            asset = by_device.get(device.id)
            groups.setdefault((device.node_id, key, asset.id if asset else ""), []).append(device)
    for (_, key, asset_id), group in sorted(groups.items()):
        asset = by_device[group[0].id] if asset_id else None
        assumed: tuple[str, ...] = ()
        hourly, is_priced = 0.0, True
        if asset is not None and asset.currency == currency:
            hourly = _running(asset)
        else:
            is_priced = False
            why = "no asset is entered" if asset is None else f"it is entered in {asset.currency}"
            assumed = (f"what an hour of use adds is unknown ({why}): it is left out of the plan's cost",)
        name = _unique(found, f"{len(group)} × {key} on {group[0].hostname}, owned")
        supply = Supply(
            name=name,
            gpu=key,
            kind=Kind.OWNED,
            price_per_hour=hourly,
            num_gpus=len(group),
            provider="owned",
            availability=1.0 if asset is None else float(asset.asset.availability),
            kw=0.0 if asset is None else float(asset.asset.busy_kw),
        )
        devices_of = tuple(item.id for item in group)
        found.add(supply, SupplySource(name, None, None, asset_id or None, devices_of, assumed, is_priced))


def _add_purchases(
    found: Gathered, assets: Iterable[AssetView], sizes: Mapping[str, frozenset[int]], currency: str
) -> None:
    for view in assets:
        if not view.is_planned or view.gpu_key not in sizes or view.gpu_key is None:
            continue
        if view.currency != currency:
            found.left_out.append(LeftOut(f"purchase {view.name}", 1, f"it is entered in {view.currency}"))
            continue
        idle = wall_hour_cost(view.asset, Decimal(0))
        name = _unique(found, f"{view.name}, to be bought")
        assumed = [f"{item.field} = {units.plain_decimal(item.value)} ({item.words})" for item in view.assumptions]
        if view.lead_time_days is None:
            assumed.append("its lead time is unknown: taken as none")
        supply = Supply(
            name=name,
            gpu=view.gpu_key,
            kind=Kind.PURCHASE,
            price_per_hour=_running(view),
            num_gpus=view.num_gpus,
            provider="owned",
            capex=float(view.asset.price),
            residual=float(view.asset.residual),
            life_hours=float(view.asset.years) * HOURS_PER_YEAR,
            cost_of_capital=float(view.asset.cost_of_capital),
            fixed_per_hour=float(idle.total - idle.capital),
            lead_time_hours=24.0 * (view.lead_time_days or 0),
            availability=float(view.asset.availability),
            kw=float(view.asset.busy_kw),
        )
        found.add(supply, SupplySource(name, asset_id=view.id, assumed=tuple(assumed)))


def _add_offers(
    found: Gathered,
    ask: SupplyAsk,
    priced: Iterable[PricedOffer],
    sizes: Mapping[str, frozenset[int]],
    currency: str,
) -> None:
    reasons: Counter[tuple[str, str]] = Counter()
    groups: dict[tuple[str, int, OfferKind], list[tuple[float, PricedOffer]]] = {}
    for item in priced:
        reason = _unfit(item, ask, sizes, currency)
        offer = item.offer
        if reason:
            if offer.gpu_key in sizes:
                reasons[(str(offer.gpu_key), reason)] += 1
            continue
        group = groups.setdefault((str(offer.gpu_key), int(offer.num_gpus), offer.kind), [])
        group.append((float(item.per_gpu_hour or 0), item))
    most = CHEAPEST if ask.quantity is None else CHEAPEST_LIMITED
    for (key, size, kind), several in sorted(groups.items()):
        several.sort(key=lambda entry: (entry[0], entry[1].offer_id))
        for per_gpu, item in several[:most]:
            _add_offer(found, ask, item, per_gpu)
        if len(several) > most:
            dearest = several[most - 1][0]
            words = f"{key} in instances of {size}, {kind.value.replace('_', ' ')}"
            reason = f"dearer than {units.format_money(dearest, currency)} per GPU-hour, at which there is enough"
            found.left_out.append(LeftOut(words, len(several) - most, reason))
    found.left_out += [LeftOut(key, count, reason) for (key, reason), count in sorted(reasons.items())]


def _unfit(item: PricedOffer, ask: SupplyAsk, sizes: Mapping[str, frozenset[int]], currency: str) -> str:
    """Why an offer cannot take part; empty where it can."""
    offer = item.offer
    if offer.gpu_key is None or offer.gpu_key not in sizes:
        return "no demand can use this GPU"
    if item.per_gpu_hour is None:
        return "its price is unknown"
    if offer.currency != currency:
        return f"priced in {offer.currency}, the plan is in {currency}"
    if offer.num_gpus != int(offer.num_gpus):
        return "it is a part of a GPU"
    wanted = sizes[offer.gpu_key]
    if wanted and int(offer.num_gpus) not in wanted:
        return f"instances of {int(offer.num_gpus)}; the demands run on instances of {_listed(wanted)}"
    if ask.gpus and offer.gpu_key not in ask.gpus:
        return "left out by the question's GPUs"
    if ask.providers and offer.provider not in ask.providers:
        return "left out by the question's providers"
    if ask.regions and offer.region not in ask.regions:
        return "left out by the question's regions"
    if ask.kinds and offer.kind not in ask.kinds:
        return "left out by the question's kinds"
    if offer.is_available is False:
        return "it could not be had when its source was read"
    return ""


def _add_offer(found: Gathered, ask: SupplyAsk, item: PricedOffer, per_gpu: float) -> None:
    offer = item.offer
    kind = {OfferKind.SPOT: Kind.SPOT}.get(offer.kind, Kind.RESERVED if offer.kind in TERMS else Kind.ON_DEMAND)
    words = offer.kind.value.replace("_", " ") + (f", {offer.upfront.value} upfront" if offer.upfront else "")
    place = "" if offer.region == UNSTATED_REGION else f" {offer.zone or offer.region}"
    name = _unique(found, f"{offer.provider} {offer.instance_type}{place}, {words}")
    quantity, assumed = ask.quantity, []
    if offer.quota_gpus is not None:
        quantity = int(offer.quota_gpus) if quantity is None else min(quantity, int(offer.quota_gpus))
    if quantity is None:
        assumed.append("how many can be had is unknown: taken as many as wanted")
    supply = Supply(
        name=name,
        gpu=str(offer.gpu_key),
        kind=kind,
        price_per_hour=per_gpu,
        num_gpus=quantity,
        gpus_per_instance=int(offer.num_gpus),
        provider=offer.provider,
        region=offer.region,
        term_hours=TERMS.get(offer.kind),
        lead_time_hours=(offer.lead_time_seconds or 0) / units.HOUR,
        spot=_spot(ask, item, assumed) if kind is Kind.SPOT else None,
        is_shared=True if ask.share_instances and kind in RENTED else None,
    )
    found.add(supply, SupplySource(name, item.offer_id, item.price_id, assumed=tuple(assumed)))


def _spot(ask: SupplyAsk, item: PricedOffer, assumed: list[str]) -> SpotTimes:
    """As the question says, else as the offer does, else by the one rule for what is unknown."""
    rate = item.offer.interruptions_per_hour
    known = 1 / float(rate) if rate else None
    up = known if ask.spot_up is None else ask.spot_up / units.HOUR
    down = None if ask.spot_down is None else ask.spot_down / units.HOUR
    lost = None if ask.spot_lost is None else ask.spot_lost / units.HOUR
    found, words = spot_times(up, down, lost)
    assumed.extend(words)
    return found


def _running(view: AssetView) -> float:
    """What an hour of use adds to an hour at rest: energy."""
    busy, idle = (wall_hour_cost(view.asset, Decimal(share)).energy for share in (1, 0))
    return float(busy - idle)


def _unique(found: Gathered, name: str) -> str:
    taken = {supply.name for supply in found.supplies}
    if name not in taken:
        return name
    return next(candidate for number in range(2, 10_000) if (candidate := f"{name} ({number})") not in taken)


def _listed(sizes: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(sizes)))
