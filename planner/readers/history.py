"""Histories and snapshots of one price per machine, region and day, as kept from public price lists.

A row holds until the next one of the same machine, region and zone. `event` is new, change or gone; a snapshot has
none. Columns: `as_of` or `date`, `instance_type`, `region`, `on_demand_usd_per_hour`; where there are such things
`provider`, `availability_zone_id`, `accelerator_name`, `accelerator_count`, `vcpus`, `memory_mib`,
`spot_usd_per_hour`. Without `instance_type` the price is that of the GPUs alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple

from planner.offers.offer import Offer, OfferKind
from planner.readers import fields
from planner.readers.machines import find_machine
from planner.readers.reader import Found, Reader, find_gpu, is_no_gpu
from planner.readers.source import Quote, ReadContext, Refused, midnight
from planner.readers.tables import Row, read_table, row_text
from planner.readers.unpack import FileFault
from planner.units import plain_decimal

ON_DEMAND, SPOT = "on_demand_usd_per_hour", "spot_usd_per_hour"
GONE = "the source lists it no longer"
NO_PRICE = "the source gives no price from this day on"
_ZONES = ("availability_zone_id", "availability_zone")
_EVENTS = ("new", "change", "gone")
_PLACE_COLUMNS = (
    *("provider", "instance_type", "region", *_ZONES),
    *("accelerator_name", "accelerator_count", "vcpus", "memory_mib"),
)
_amount = lru_cache(maxsize=16_384)(fields.amount)  # a price stands in many rows, and so does a day
_read_day = lru_cache(maxsize=64)(fields.day)
_NO_GPU_FAMILIES = {"aws": ("dl", "inf", "trn", "vt", "f1"), "azure": ("standard_np", "standard_nm")}


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    state = _State(context)
    for found in read_table(stream, ("region", ON_DEMAND)):
        if isinstance(found, Refused):
            yield found
            continue
        line, row = found
        state.require_columns(line, row)
        for said in _row(line, row, state):
            yield from state.withdrawals.before(said)
    yield from state.withdrawals.left()


READER = Reader("history", "Price histories and snapshots by machine and day (CSV)", _parse)


@dataclass
class _Place:
    """What has been said of one machine in one region so far."""

    on_demand: Decimal | None = None
    zones: set[str] = field(default_factory=set)  # in which it is listed
    spot_zones: set[str] = field(default_factory=set)  # of these, those with a spot price


@dataclass
class _Withdrawals:
    """Holds withdrawals back until their day is over: a machine gone and listed anew on one day is not withdrawn."""

    day: datetime | None = None
    priced: list[Offer] = field(default_factory=list)
    held: dict[tuple[str, ...], Quote] = field(default_factory=dict)

    def before(self, said: Quote | Refused) -> list[Quote | Refused]:
        """What can be said by now: `said`, unless it is held, after the withdrawals of the day before."""
        if isinstance(said, Refused):
            return [said]
        over: list[Quote | Refused] = []
        if said.valid_from != self.day:
            over += self.left()
            self.day, self.priced, self.held = said.valid_from, [], {}
        if said.amount is None:
            self.held[said.offer.identity] = said
            return over
        self.priced.append(said.offer)
        return [*over, said]

    def left(self) -> list[Quote]:
        """The withdrawals of the day whose offers got no price on it."""
        priced = {offer.identity for offer in self.priced} if self.held else set()
        return [quote for identity, quote in self.held.items() if identity not in priced]


class _Offers(NamedTuple):
    on_demand: Offer  # of all zones
    spot: Offer


@dataclass
class _State:
    context: ReadContext
    withdrawals: _Withdrawals = field(default_factory=_Withdrawals)
    places: dict[tuple[str, str, str], _Place] = field(default_factory=dict)
    offers: dict[tuple[str, ...], _Offers] = field(default_factory=dict)
    known: dict[Any, tuple[_Offers, _Place]] = field(default_factory=dict)
    is_checked: bool = False
    place_of: Callable[[Row], Any] = str  # the fields that say what and where, once the columns are known

    def require_columns(self, line: int, row: Row) -> None:
        if self.is_checked:
            return
        self.is_checked = True
        self.place_of = itemgetter(*(column for column in _PLACE_COLUMNS if column in row))
        if "provider" not in row and not self.context.provider:
            raise FileFault(line, "the file does not name its provider; say which one it is")
        if "instance_type" not in row and "accelerator_name" not in row:
            raise FileFault(line, "there is no column instance_type or accelerator_name")
        if "as_of" not in row and "date" not in row and self.context.stated_date is None:
            raise FileFault(line, "there is no column as_of or date; say the day that the prices are of")


def _row(line: int, row: Row, state: _State) -> list[Quote | Refused]:
    """The quotes of one row. What the row says of one kind stands although the other is refused."""
    raw = state.place_of(row)
    known = state.known.get(raw)
    if known is not None:  # the fields that say what and where were found sound before
        return _known_row(line, row, known, state)
    try:
        provider = fields.provider(row.get("provider") or state.context.provider)
        instance_type = _instance_type(row)
        region = fields.text(row, "region")
        if instance_type.casefold().startswith(_NO_GPU_FAMILIES.get(provider, ())):
            state.context.left_out["machines without a GPU"] += 1
            return []
        day = _day(row, state.context)
        event = row.get("event", "new")
        if event not in _EVENTS:
            raise ValueError(f"event: {event!r} is not one of {', '.join(_EVENTS)}")
        if is_no_gpu(row.get("accelerator_name", "")):
            state.context.left_out["accelerators that are no GPUs"] += 1
            return []
        zone = next((fields.optional_text(row, column, "zone") for column in _ZONES if column in row), "")
        offers = _offers(row, state, (provider, region, zone, instance_type))
    except ValueError as error:
        return [Refused(line, str(error), row_text(row))]
    place = state.places.setdefault((provider, region, instance_type), _Place())
    state.known[raw] = (offers, place)
    return _said(_Row(line, row, offers, day, _source(day, state), event == "gone"), place)


def _known_row(line: int, row: Row, known: tuple[_Offers, _Place], state: _State) -> list[Quote | Refused]:
    """The quotes of one more row of the same machine and place."""
    try:
        day = _day(row, state.context)
        event = row.get("event", "new")
        if event not in _EVENTS:
            raise ValueError(f"event: {event!r} is not one of {', '.join(_EVENTS)}")
    except ValueError as error:
        return [Refused(line, str(error), row_text(row))]
    offers, place = known
    return _said(_Row(line, row, offers, day, _source(day, state), event == "gone"), place)


def _said(said: _Row, place: _Place) -> list[Quote | Refused]:
    found = [_on_demand(said, place), _spot(said, place) if SPOT in said.row else None]
    return [each for each in found if each is not None]


def _source(day: date, state: _State) -> str:
    return state.context.source or _words_of(day)


@lru_cache(maxsize=64)
def _words_of(day: date) -> str:
    return f"price history, stated for {day.isoformat()}"


class _Row(NamedTuple):
    line: int
    row: Row
    offers: _Offers
    day: date
    source: str
    is_gone: bool

    def quote(self, offer: Offer, amount: Decimal | None, reason: str = "") -> Quote:
        return Quote(self.line, offer, amount, midnight(self.day), self.day, self.source, reason)

    def refused(self, reason: str) -> Refused:
        return Refused(self.line, reason, row_text(self.row))


def _on_demand(said: _Row, place: _Place) -> Quote | Refused | None:
    """Its on-demand price, once for all zones; withdrawn when the last zone is gone."""
    zone = said.offers.spot.zone
    if said.is_gone:
        place.zones.discard(zone)
        if not place.zones and place.on_demand is not None:
            place.on_demand = None
            return said.quote(said.offers.on_demand, None, GONE)
        return None
    place.zones.add(zone)
    try:
        amount = _amount(said.row[ON_DEMAND], ON_DEMAND)
    except ValueError as error:
        return said.refused(str(error))
    if amount == place.on_demand:
        return None
    place.on_demand = amount
    return said.quote(said.offers.on_demand, amount)


def _spot(said: _Row, place: _Place) -> Quote | Refused | None:
    """Its spot price in its zone; a blank one after a price says that there is none any more."""
    zone = said.offers.spot.zone
    had_price = zone in place.spot_zones
    try:
        amount = None if said.is_gone else _amount(said.row[SPOT], SPOT)
    except fields.Blank:
        amount = None
    except ValueError as error:
        return said.refused(str(error))
    if amount is not None:
        place.spot_zones.add(zone)
        return said.quote(said.offers.spot, amount)
    if had_price:
        place.spot_zones.discard(zone)
        return said.quote(said.offers.spot, None, GONE if said.is_gone else NO_PRICE)
    return None


def _day(row: Row, context: ReadContext) -> date:
    for column in ("as_of", "date"):
        if column in row:
            return _read_day(row[column], column)
    return context.source_date


def _instance_type(row: Row) -> str:
    """The machine's name; a table of GPUs without their machines says how many of which."""
    if "instance_type" in row:
        return fields.text(row, "instance_type")
    num_gpus = fields.count(row.get("accelerator_count"), "accelerator_count")
    return f"{plain_decimal(num_gpus)} x {fields.text(row, 'accelerator_name', 'gpu_name')}"


def _offers(row: Row, state: _State, place: tuple[str, str, str, str]) -> _Offers:
    """The offers of a row by kind, made once per machine and zone; one on-demand price holds in the whole region."""
    key = (*place, row.get("accelerator_name", ""), row.get("accelerator_count", ""))
    if key not in state.offers:
        offer = _new_offer(row, state.context, place)
        state.offers[key] = _Offers(replace(offer, zone=""), replace(offer, kind=OfferKind.SPOT))
    return state.offers[key]


def _new_offer(row: Row, context: ReadContext, place: tuple[str, str, str, str]) -> Offer:
    provider, region, zone, instance_type = place
    machine = find_machine(provider, instance_type)
    stated = fields.optional_count(row.get("accelerator_count"), "accelerator_count")
    num_gpus = stated if machine is None else machine.num_gpus  # the sources round fractions of a GPU to 0
    if num_gpus is None:
        raise ValueError(f"how many GPUs a {instance_type} of {provider} has is not known")
    name = fields.optional_text(row, "accelerator_name", "gpu_name") or (machine.gpu_name if machine else "")
    mebibytes = fields.optional_number(row.get("memory_mib"), "memory_mib")
    stated_memory = None if mebibytes is None else int(mebibytes * 2**20)
    return Offer(
        provider=provider,
        region=region,
        zone=zone,
        instance_type=instance_type,
        kind=OfferKind.ON_DEMAND,
        currency="USD",
        gpu_name=name or instance_type,
        gpu_key=find_gpu(context, (provider,), instance_type, name, machine.gpu_name if machine else ""),
        num_gpus=num_gpus,
        vcpus=machine.vcpus if machine else fields.optional_count(row.get("vcpus"), "vcpus"),
        memory_bytes=machine.memory_bytes if machine else stated_memory,
        host_included="instance_type" in row,
    )
