"""Billing files in the FOCUS form (1.2 to 1.4, CSV): what GPU machines really cost per hour, by billing period.

Every period gives one price per machine, region and way of paying: the sum of EffectiveCost over the hours used, so
that the fee of a commitment is in it and discounts are off. They are offers of the kind "negotiated", beside the
public list and never in its place. Taxes, credits, purchases and corrections are no use of a machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO

from planner.offers.offer import UNSTATED_REGION, Offer, OfferKind
from planner.readers import fields
from planner.readers.json_stream import Number
from planner.readers.machines import find_machine
from planner.readers.reader import Found, Reader, find_gpu
from planner.readers.source import Quote, ReadContext, Refused
from planner.readers.tables import Row, read_table, row_text
from planner.readers.unpack import FileFault

NEEDED = (
    *("BillingCurrency", "BillingPeriodStart", "ChargeCategory", "ChargePeriodEnd", "EffectiveCost"),
    *("PricingQuantity", "PricingUnit", "ServiceName"),
)
_PROVIDER_COLUMNS = ("ServiceProviderName", "ProviderName")  # the second one until FOCUS 1.3
_PROVIDERS = {
    "aws": "aws",
    "amazon web services": "aws",
    "amazon web services, inc.": "aws",
    "microsoft": "azure",
    "microsoft azure": "azure",
    "azure": "azure",
    "google": "gcp",
    "google cloud": "gcp",
    "google cloud platform": "gcp",
    "oracle": "oci",
    "oracle cloud infrastructure": "oci",
    "oci": "oci",
}
_HOURS = ("hours", "hour", "hrs", "hr", "h")
_WAYS = {
    "Standard": "list or negotiated",
    "Dynamic": "spot",
    "Committed": "commitment",
    "Other": "other",
    "": "unstated",
}
_INSTANCE_KEYS = ("InstanceType", "x_InstanceType", "x_instance_type")
_GPU_NAME_KEYS = ("x_GpuName", "x_GpuModel", "x_GpuType", "x_gpu_name")
_NULLS = ("", "NULL", "null")
_MOST_SUMS = 200_000


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    sums: dict[tuple[tuple[str, ...], datetime], _Sum] = {}
    for found in read_table(stream, NEEDED):
        if isinstance(found, Refused):
            yield found
            continue
        line, row = found
        if not any(column in row for column in _PROVIDER_COLUMNS):
            raise FileFault(line, f"there is no column {' or '.join(_PROVIDER_COLUMNS)}")
        try:
            _add(line, row, context, sums)
        except ValueError as error:
            yield Refused(line, str(error), row_text(row))
        if len(sums) > _MOST_SUMS:
            raise FileFault(line, f"more than {_MOST_SUMS:,} machines and periods are no bill")
    for found_sum in sums.values():
        try:
            yield found_sum.quote(context)
        except ValueError as error:
            yield Refused(found_sum.line, str(error), found_sum.offer.instance_type)


READER = Reader("focus", "Billing file (FOCUS 1.2 to 1.4, CSV)", _parse)


@dataclass
class _Sum:
    """Cost and hours of one machine in one billing period."""

    line: int
    offer: Offer
    period: datetime
    last_use: datetime
    cost: Decimal = Decimal(0)
    hours: Decimal = Decimal(0)

    def quote(self, context: ReadContext) -> Quote:
        amount = fields.checked_amount(self.cost / self.hours, "EffectiveCost")
        source = context.source or "billing file (FOCUS)"
        return Quote(self.line, self.offer, amount, self.period, self.last_use.date(), source)


def _add(line: int, row: Row, context: ReadContext, sums: dict[tuple[tuple[str, ...], datetime], _Sum]) -> None:
    """Add the row to the sum that it belongs to, or count why it belongs to none. Raises ValueError."""
    if row["ChargeCategory"] != "Usage" or row.get("ChargeClass", "") not in _NULLS:
        context.left_out["charges that are no use: taxes, credits, purchases, corrections"] += 1
        return
    details = _details(row)
    offer = _offer(row, details, context)
    if offer is None:
        context.left_out["uses of no machine with a known number of GPUs"] += 1
        return
    cost = fields.number(row["EffectiveCost"], "EffectiveCost")
    if cost < 0:
        raise ValueError(f"EffectiveCost: {cost} is below 0 for a use")
    if cost == 0:
        context.left_out["uses without a cost"] += 1
        return
    hours = _hours(row)
    period = fields.moment(row["BillingPeriodStart"], "BillingPeriodStart")
    last_use = fields.moment(row["ChargePeriodEnd"], "ChargePeriodEnd")
    key = (offer.identity, period)
    found = sums.setdefault(key, _Sum(line, offer, period, last_use))
    found.cost += cost
    found.hours += hours
    found.last_use = max(found.last_use, last_use)


def _details(row: Row) -> Mapping[str, Any]:
    """The properties of the SKU, {} where the column says nothing."""
    text = row.get("SkuPriceDetails", "")
    if text in _NULLS:
        return {}
    try:
        found = json.loads(text, parse_float=Number, parse_int=Number, parse_constant=Number)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("SkuPriceDetails is no JSON") from None
    if not isinstance(found, dict):
        raise ValueError("SkuPriceDetails is no object of JSON")
    return found


def _offer(row: Row, details: Mapping[str, Any], context: ReadContext) -> Offer | None:
    """The machine that was used, from the SKU's properties and the list of machines; None where it has no GPUs."""
    instance_type = _first(details, _INSTANCE_KEYS) or _first(row, _INSTANCE_KEYS)
    provider = _provider(row)
    machine = find_machine(provider, instance_type) if instance_type else None
    stated = fields.optional_count(details.get("GpuCount"), "GpuCount")
    num_gpus = stated or (machine.num_gpus if machine else None)
    if num_gpus is None:
        return None
    name = _first(details, _GPU_NAME_KEYS) or _first(row, _GPU_NAME_KEYS) or (machine.gpu_name if machine else "")
    instance_type = instance_type or _first(row, ("SkuMeter", "SkuId")) or fields.text(row, "ServiceName")
    cores = fields.optional_count(details.get("CoreCount"), "CoreCount")
    return Offer(
        provider=provider,
        region=_first(row, ("RegionId", "RegionName")) or UNSTATED_REGION,
        zone="",
        instance_type=f"{instance_type} (paid: {_way(row)})",
        kind=OfferKind.NEGOTIATED,
        currency=fields.currency(row, "BillingCurrency"),
        gpu_name=name or instance_type,
        gpu_key=find_gpu(context, (provider,), instance_type, name),
        num_gpus=num_gpus,
        vcpus=machine.vcpus if machine else cores,
        memory_bytes=machine.memory_bytes if machine else fields.gibibytes(details.get("MemorySize"), "MemorySize"),
    )


def _provider(row: Row) -> str:
    for column in _PROVIDER_COLUMNS:
        name = row.get(column, "")
        if name not in _NULLS:
            slug = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")
            return fields.provider(_PROVIDERS.get(name.casefold(), slug))
    raise fields.Blank(f"{_PROVIDER_COLUMNS[0]} is blank")


def _way(row: Row) -> str:
    category = row.get("PricingCategory", "")
    category = "" if category in _NULLS else category
    if category not in _WAYS:
        raise ValueError(f"PricingCategory: {category!r} is not one of {', '.join(filter(None, _WAYS))}")
    return _WAYS[category]


def _hours(row: Row) -> Decimal:
    """The hours of the machine that the row charges for."""
    for quantity, unit in (("PricingQuantity", "PricingUnit"), ("ConsumedQuantity", "ConsumedUnit")):
        if row.get(unit, "").casefold() in _HOURS:
            found = fields.number(row[quantity], quantity)
            if found <= 0:
                raise ValueError(f"{quantity}: {found} hours are not above 0")
            return found
    raise ValueError(f"PricingUnit: {row['PricingUnit']!r} is not Hours")


def _first(row: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    """The text of the first of these fields that says something."""
    for column in columns:
        if row.get(column) not in (None, *_NULLS):
            return fields.text(row, column)
    return ""
