"""A locked plan tracked: its demands planned against happened, prices then against now, runs on its own devices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from planner import units
from planner.errors import Conflict, NotFound
from planner.plans.supply import RENTED
from planner.plans.tracking import Totals, Tracked, track
from planner.services.offers import get_offer
from planner.services.plan_actuals import happened_of
from planner.services.plans import PlanView, get_plan, unpriced_supplies
from planner.services.runs import list_runs
from planner.store.engine import Session

MOST_RUNS = 500  # of a device, the newest


@dataclass(frozen=True, slots=True)
class PriceChange:
    """A supply's price per GPU and hour when the plan was made and now; `now` null: unknown, for `reason`.

    `use_to_come` is what the plan has yet to spend on its use at the price it was made with.
    """

    supply: str
    offer_id: int | None
    then: float
    now: float | None
    change: float | None
    use_to_come: float
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """Calibration runs on one of the plan's own devices since the plan began: time that it did not reckon with."""

    supply: str
    device_id: str
    num_runs: int
    hours: float


@dataclass(frozen=True, slots=True)
class Tracking:
    """A plan at a moment. Money in the plan's currency.

    `unpriced` are the supplies in use whose cost of use is unknown and in no sum.
    `to_come_at_todays_prices` is what is yet to be spent on use at today's prices; null: the price of one is unknown.
    """

    plan_id: str
    stage: str
    at: datetime
    elapsed_hours: float
    is_over: bool
    currency: str
    demands: tuple[Tracked, ...]
    totals: Totals
    prices: tuple[PriceChange, ...]
    num_prices_unknown: int
    to_come: float
    to_come_at_todays_prices: float | None
    devices: tuple[DeviceUse, ...]
    unpriced: tuple[str, ...]


def track_plan(session: Session, plan_id: str, now: datetime) -> Tracking:
    """What became of a plan so far. Raises NotFound; Conflict for a plan that was never locked or has no answer."""
    view = get_plan(session, plan_id)
    if view.plan is None or not view.plan.is_found:
        raise Conflict(f"there is nothing to track: the search is {view.state}")
    if not any(step.stage == "locked" for step in view.stages):
        raise Conflict(f"a plan is tracked once it is locked; its stage is {view.stage}")
    started = view.request.starts_at or view.created_at
    elapsed = (now - started).total_seconds() / units.HOUR
    happened, reasons = happened_of(session, view.sources, started, now)
    unpriced = unpriced_supplies(view)
    rows, totals = track(view.request, view.plan, elapsed, happened, reasons, unpriced)
    prices = _prices(session, view, elapsed, now)
    unknown = [price for price in prices if price.now is None]
    to_come = sum(price.use_to_come for price in prices)
    today = None if unknown else sum(_at_today(price) for price in prices)
    return Tracking(
        plan_id=view.id,
        stage=view.stage,
        at=now,
        elapsed_hours=elapsed,
        is_over=elapsed >= view.request.horizon.hours,
        currency=view.request.currency,
        demands=rows,
        totals=totals,
        prices=prices,
        num_prices_unknown=len(unknown),
        to_come=to_come,
        to_come_at_todays_prices=today,
        devices=_devices(session, view, started),
        unpriced=unpriced,
    )


def _prices(session: Session, view: PlanView, elapsed: float, now: datetime) -> tuple[PriceChange, ...]:
    """Of every rented supply that the plan uses."""
    if view.plan is None:
        return ()
    offers = {source["name"]: source["offer_id"] for source in view.sources.get("supplies", ())}
    edges = view.plan.edges
    used: dict[str, float] = {}
    for use in view.plan.uses:
        start, end = edges[use.slot], edges[use.slot + 1]
        ahead = min(max(end - elapsed, 0.0) / (end - start), 1.0)
        used[use.supply] = used.get(use.supply, 0.0) + use.cost * ahead
    found = []
    for supply in view.request.supplies:
        if supply.kind not in RENTED or supply.name not in used:
            continue
        offer_id = offers.get(supply.name)
        today, reason = _price_now(session, offer_id, view.request.currency, now)
        change = None if today is None or not supply.price_per_hour else today / supply.price_per_hour - 1
        found.append(
            PriceChange(supply.name, offer_id, supply.price_per_hour, today, change, used[supply.name], reason)
        )
    return tuple(found)


def _price_now(session: Session, offer_id: int | None, currency: str, now: datetime) -> tuple[float | None, str]:
    if offer_id is None:
        return None, "entered by hand: it is no offer of the price book"
    try:
        item = get_offer(session, offer_id, now, now)
    except NotFound as error:
        return None, str(error)
    if item.per_gpu_hour is None:
        return None, "its price is unknown now"
    if item.offer.currency != currency:
        return None, f"it is priced in {item.offer.currency} now"
    return float(item.per_gpu_hour), ""


def _at_today(price: PriceChange) -> float:
    if price.now is None or not price.then:
        return price.use_to_come
    return price.use_to_come * price.now / price.then


def _devices(session: Session, view: PlanView, started: datetime) -> tuple[DeviceUse, ...]:
    found = []
    for source in view.sources.get("supplies", ()):
        for device_id in source.get("device_ids", ()):
            runs = [
                run
                for run in list_runs(session, MOST_RUNS, device_id)
                if run.started_at is not None and run.started_at >= started and run.seconds is not None
            ]
            hours = sum(run.seconds or 0.0 for run in runs) / units.HOUR
            found.append(DeviceUse(source["name"], device_id, len(runs), hours))
    return tuple(found)
