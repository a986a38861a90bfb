"""Lambda's instance types (the answer of its API, JSON): one price each, and the regions that have some to give now.

A type with capacity is an offer in each of those regions; one without is an offer of no region, not available.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO

from planner.offers.offer import UNSTATED_REGION, Offer, OfferKind
from planner.readers import fields
from planner.readers.json_stream import members
from planner.readers.reader import Found, Reader, find_gpu, object_of
from planner.readers.source import Quote, ReadContext, Refused, midnight
from planner.readers.tables import shortened

PROVIDER = "lambda"
_CENTS = 100


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    for path, key, value in members(stream, [("data",)]):
        if not path:
            continue
        try:
            yield from _quotes(key, object_of(value), context)
        except ValueError as error:
            yield Refused(key, str(error), shortened(str(value)))


READER = Reader("lambda", "Lambda instance types (JSON)", _parse)


def _quotes(key: str, entry: Mapping[str, Any], context: ReadContext) -> Iterator[Quote]:
    instance = object_of(entry.get("instance_type"))
    specs = object_of(instance.get("specs"))
    if fields.number(specs.get("gpus"), "gpus") == 0:
        context.left_out["machines without a GPU"] += 1
        return
    name = fields.text(instance, "name", "instance_type")
    described = fields.optional_text(instance, "gpu_description", "gpu_name")
    cents = fields.number(instance.get("price_cents_per_hour"), "price_cents_per_hour")
    amount = fields.checked_amount(cents / _CENTS, "price_cents_per_hour")
    regions = entry.get("regions_with_capacity_available")
    if not isinstance(regions, list):
        raise ValueError("regions_with_capacity_available is no list")
    offer = Offer(
        provider=PROVIDER,
        region=UNSTATED_REGION,
        zone="",
        instance_type=name,
        kind=OfferKind.ON_DEMAND,
        currency="USD",
        gpu_name=described or name,
        gpu_key=find_gpu(context, (PROVIDER,), name, described),
        num_gpus=fields.count(specs.get("gpus"), "gpus"),
        vcpus=fields.optional_count(specs.get("vcpus"), "vcpus"),
        memory_bytes=fields.gibibytes(specs.get("memory_gib"), "memory_gib"),
        is_available=bool(regions),
    )
    names = [fields.text(object_of(region), "name", "region") for region in regions]
    day = context.source_date
    for region in dict.fromkeys(names or [UNSTATED_REGION]):
        kept = replace(offer, region=region)
        yield Quote(key, kept, amount, midnight(day), day, context.source or "Lambda instance types")
