"""Equal devices beside each other: which of them is below the others, by how much, and what that costs a month."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from planner.calibration.drift import History
from planner.calibration.run_states import RunState
from planner.calibration.siblings import MIN_SIBLINGS, Laggard, Sibling, laggards
from planner.calibration.suites import FULL, is_about_several
from planner.offers.offer import OfferKind
from planner.services.devices import DeviceView, list_devices
from planner.services.offers import PriceFilter, find_prices
from planner.services.owned_offers import owned_hours
from planner.store import runs as store
from planner.store.engine import Session
from planner.store.tables import RunRow

CURRENCY = "USD"  # of list prices: the one that most are in; a price in another is left aside, not converted
PLACES = Decimal("0.01")
NUM_LOOKED_AT = 12  # newest runs, for one of a suite that tells all


@dataclass(frozen=True, slots=True)
class HourlyWorth:
    """What an hour of such a device is worth, where from; None and a reason where no price is known."""

    amount: Decimal | None
    currency: str | None
    source: str


@dataclass(frozen=True, slots=True)
class SiblingView:
    """One of equal devices. `behind` 0.08 is eight per cent more time than the others', None where it is not behind or
    not known; `reason` says which. `loss_per_month` is in the currency of the group's worth, None where that is."""

    device_id: str
    name: str
    hostname: str
    index: int
    run_id: str | None
    measured_at: datetime | None
    behind: float | None
    usual: float | None
    loss_per_month: Decimal | None
    reason: str


@dataclass(frozen=True, slots=True)
class SiblingGroup:
    """Devices of one kind, their newest succeeded runs compared."""

    name: str
    gpu_key: str | None
    worth: HourlyWorth
    devices: tuple[SiblingView, ...]
    sentence: str


def sibling_groups(session: Session, now: datetime) -> list[SiblingGroup]:
    """All kinds of which there are two devices or more, the largest group first."""

    def kind(device: DeviceView) -> tuple[str, str, int]:
        return device.gpu_key or "", device.name, device.memory_bytes or 0

    groups = [list(same) for _, same in groupby(sorted(list_devices(session), key=kind), key=kind)]
    return [_group(session, same, now) for same in sorted(groups, key=len, reverse=True) if len(same) > 1]


def _group(session: Session, devices: list[DeviceView], now: datetime) -> SiblingGroup:
    runs = {device.id: run for device in devices if (run := _newest_run(session, device.id)) is not None}
    samples = store.samples_by_run(session, [run.id for run in runs.values()])
    measured = [
        Sibling(device_id, run.conditions, History.of(run.created_at, run.conditions, samples[run.id]).seconds)
        for device_id, run in runs.items()
    ]
    worth = _worth(session, devices, now)
    found = {one.device_id: one for one in laggards(measured, worth.amount)}
    views = []
    for device in devices:
        run, behind = runs.get(device.id), found.get(device.id)
        views.append(
            SiblingView(
                device_id=device.id,
                name=device.name,
                hostname=device.hostname,
                index=device.index,
                run_id=None if run is None else run.id,
                measured_at=None if run is None else run.created_at,
                behind=None if behind is None else behind.behind,
                usual=None if behind is None else behind.spread,
                loss_per_month=None
                if behind is None or behind.loss_per_month is None
                else behind.loss_per_month.quantize(PLACES),
                reason=_reason(run is not None, behind, len(measured)),
            )
        )
    views.sort(key=lambda view: -(view.behind if view.behind is not None else -math.inf))
    first = devices[0]
    return SiblingGroup(first.name, first.gpu_key, worth, tuple(views), _sentence(found.values(), len(measured), worth))


def _newest_run(session: Session, device_id: str) -> RunRow | None:
    """The newest one of a suite that tells all, else of any that tells of the device by itself."""
    newest = store.newest_runs(session, NUM_LOOKED_AT, device_id, RunState.SUCCEEDED.value)
    alone = [run for run, _ in newest if not is_about_several(run.suite)]
    return next((run for run in alone if run.suite in FULL), next(iter(alone), None))


def _reason(is_measured: bool, behind: Laggard | None, num_measured: int) -> str:
    if not is_measured:
        return "not measured yet"
    if behind is not None:
        return (
            f"{behind.behind:.1%} more time than its {behind.num_siblings} siblings over {behind.num_benches} benches "
            f"(usual ±{behind.spread:.1%})"
        )
    if num_measured < MIN_SIBLINGS:
        return f"{num_measured} of them measured; of fewer than {MIN_SIBLINGS} nobody can say which is off"
    return "not behind the others measured under its own conditions"


def _sentence(behind: Iterable[Laggard], num_measured: int, worth: HourlyWorth) -> str:
    laggards_found = list(behind)
    if num_measured < MIN_SIBLINGS:
        return f"{num_measured} of these were measured; {MIN_SIBLINGS} are needed to say which is off."
    if not laggards_found:
        return "None of them is behind the others."
    lost = [one.loss_per_month for one in laggards_found if one.loss_per_month is not None]
    what = "1 of them is" if len(laggards_found) == 1 else f"{len(laggards_found)} of them are"
    if not lost:
        return f"{what} behind the others; what that costs is unknown: {worth.source}."
    total = sum(lost, Decimal(0)).quantize(PLACES)
    return f"{what} behind the others, which loses {total} {worth.currency} a month at full use."


def _worth(session: Session, devices: list[DeviceView], now: datetime) -> HourlyWorth:
    """What an hour of one costs its owner; else the lowest list price on demand of its model; else unknown."""
    owned = owned_hours(session)
    hours = [owned[device.id] for device in devices if device.id in owned]
    if hours and len({hour.currency for hour in hours}) == 1:
        amount = sum((hour.amount for hour in hours), Decimal(0)) / len(hours)
        return HourlyWorth(amount, hours[0].currency, "from what they cost their owner")
    gpu_key = devices[0].gpu_key
    if gpu_key is None:
        return HourlyWorth(None, None, "no owner's cost was entered and the catalogue does not know the model")
    wanted = PriceFilter(gpu_key=gpu_key, kind=OfferKind.ON_DEMAND)
    priced = [
        (item.per_gpu_hour, item)
        for item in find_prices(session, wanted, now, now, limit=None)
        if item.per_gpu_hour is not None and item.offer.currency == CURRENCY
    ]
    if not priced:
        return HourlyWorth(None, None, "no owner's cost was entered and no list price on demand is known")
    amount, item = min(priced, key=lambda pair: pair[0])
    offer = item.offer
    return HourlyWorth(amount, CURRENCY, f"the lowest list price on demand, {offer.provider} {offer.instance_type}")
