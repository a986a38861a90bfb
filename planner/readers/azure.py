"""Microsoft's Azure Retail Prices (JSON pages): pay-as-you-go, spot and reserved prices of machines with GPUs.

An item names the machine and not its GPUs: those come from the list of machines. A reservation's `retailPrice` is
that of its whole term although its unit reads "1 Hour" (a three-year D8 v4 was 4,594 USD beside 0.46 an hour), so it
is divided by the hours of the term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, BinaryIO

from planner.offers.offer import Offer, OfferKind, Upfront
from planner.readers import fields
from planner.readers.json_stream import members
from planner.readers.machines import find_machine
from planner.readers.reader import Found, Reader, Said, find_gpu, object_of
from planner.readers.source import Quote, ReadContext, Refused
from planner.readers.tables import shortened

PROVIDER = "azure"
HOURS_PER_YEAR = 8760
_TERMS = {"1 Year": (OfferKind.RESERVED_1Y, 1), "3 Years": (OfferKind.RESERVED_3Y, 3)}
_OTHER_PRODUCTS = ("windows", " win", "cloud services", "cloudservices", "dedicated")
_GPU_FAMILY = "standard_n"
_NO_GPUS = ("standard_np", "standard_nm")  # FPGAs, video cards
_MOST_PENDING = 200_000


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    """Prices of a primary meter; of another one only where there is no primary."""
    said = Said()
    others: dict[tuple[str, ...], Quote] = {}
    for path, key, value in members(stream, [("Items",)]):
        if not path:
            continue
        try:
            item = object_of(value)
            if reason := _why_not(item):
                context.left_out[reason] += 1
                continue
            quote = _quote(key, item, context)
            if item.get("isPrimaryMeterRegion") is False and len(others) < _MOST_PENDING:
                others.setdefault(quote.offer.identity, quote)
            elif said.is_new(quote):
                yield quote
        except ValueError as error:
            yield Refused(_place(key, value), str(error), shortened(str(value)))
    for quote in others.values():
        if said.is_unsaid(quote.offer):
            yield quote


READER = Reader("azure", "Azure Retail Prices (JSON)", _parse)


def _place(key: str, item: object) -> str:
    sku = item.get("skuId") if isinstance(item, dict) else None
    return f"item {key} {sku}" if isinstance(sku, str) else f"item {key}"


def _why_not(item: Mapping[str, Any]) -> str:
    """Why the item is no price of a machine with GPUs as it is meant here; "" where it is one."""
    name = str(item.get("armSkuName", "")).casefold()
    product, meter = str(item.get("productName", "")).casefold(), str(item.get("meterName", "")).casefold()
    if not name.startswith(_GPU_FAMILY) or name.startswith(_NO_GPUS):
        return "items that are no GPU machines"
    if item.get("serviceName", "Virtual Machines") != "Virtual Machines":
        return "other services than virtual machines"
    if any(word in product for word in _OTHER_PRODUCTS):
        return "Windows, cloud services and dedicated hosts"
    if "low priority" in meter:
        return "low priority, the retired form of spot"
    if item.get("type") == "DevTestConsumption":
        return "prices for development and test only"
    return ""


def _quote(key: str, item: Mapping[str, Any], context: ReadContext) -> Quote:
    instance_type = fields.text(item, "armSkuName", "instance_type")
    machine = find_machine(PROVIDER, instance_type)
    if machine is None:
        raise ValueError(f"how many GPUs a {instance_type} has is not known")
    offer = Offer(
        provider=PROVIDER,
        region=fields.text(item, "armRegionName", "region"),
        zone="",
        instance_type=machine.instance_type,
        kind=OfferKind.ON_DEMAND,
        currency=fields.currency(item, "currencyCode"),
        gpu_name=machine.gpu_name,
        gpu_key=find_gpu(context, (PROVIDER,), instance_type, machine.gpu_name),
        num_gpus=machine.num_gpus,
        vcpus=machine.vcpus,
        memory_bytes=machine.memory_bytes,
    )
    offer, amount = _priced(offer, item)
    return Quote(
        row=_place(key, item),
        offer=offer,
        amount=amount,
        valid_from=fields.moment(item.get("effectiveStartDate"), "effectiveStartDate"),
        source_date=context.source_date,
        source=context.source or "Azure Retail Prices",
    )


def _priced(offer: Offer, item: Mapping[str, Any]) -> tuple[Offer, Decimal]:
    """The offer as the kind that the item is of, and its price per hour."""
    unit = fields.text(item, "unitOfMeasure")
    if unit != "1 Hour":
        raise ValueError(f"unitOfMeasure: {unit!r} is not 1 Hour")
    price = fields.number(item.get("retailPrice"), "retailPrice")
    kind = fields.text(item, "type")
    if kind == "Reservation":
        term = fields.text(item, "reservationTerm")
        if term not in _TERMS:
            raise ValueError(f"reservationTerm: {term!r} is not one of {', '.join(_TERMS)}")
        reserved, years = _TERMS[term]
        hours = HOURS_PER_YEAR * years
        seconds = hours * fields.SECONDS_PER_HOUR
        kept = replace(offer, kind=reserved, upfront=Upfront.UNSTATED, minimum_term_seconds=seconds)
        return kept, fields.checked_amount(price / hours, "retailPrice")
    if kind != "Consumption":
        raise ValueError(f"type: {kind!r} is neither Consumption nor Reservation")
    is_spot = any("spot" in str(item.get(name, "")).casefold() for name in ("meterName", "skuName"))
    return replace(offer, kind=OfferKind.SPOT) if is_spot else offer, fields.checked_amount(price, "retailPrice")
