"""Oracle's public price list (JSON): pay-as-you-go per GPU-hour, the machine included, one price for all regions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, BinaryIO

from planner.offers.offer import UNSTATED_REGION, Offer, OfferKind
from planner.readers import fields
from planner.readers.json_stream import members
from planner.readers.reader import Found, Reader, Said, find_gpu, object_of
from planner.readers.source import Quote, ReadContext, Refused, midnight
from planner.readers.tables import shortened

PROVIDER = "oci"
_PER_GPU = "GPU Per Hour"
_LIST_PRICE = "PAY_AS_YOU_GO"
_PREFIX = re.compile(r"(?:(?:Oracle Cloud Infrastructure|OCI) - )?Compute\s+-\s+(?:GPU\s+-\s+)?")


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    said = Said()
    for path, key, value in members(stream, [("items",)]):
        if not path:
            continue
        try:
            item = object_of(value)
            if item.get("metricName") != _PER_GPU:
                context.left_out["items that are not priced per GPU-hour"] += 1
                continue
            for quote in _quotes(key, item, context):
                if said.is_new(quote):
                    yield quote
        except ValueError as error:
            yield Refused(f"item {key}", str(error), shortened(str(value)))


READER = Reader("oci", "Oracle Cloud price list (JSON)", _parse)


def _quotes(key: str, item: Mapping[str, Any], context: ReadContext) -> Iterator[Quote]:
    """One per currency that the item is priced in."""
    part = fields.text(item, "partNumber")
    name = " ".join(_PREFIX.sub("", fields.text(item, "displayName", "gpu_name")).split())
    localizations = item.get("currencyCodeLocalizations")
    if not isinstance(localizations, list) or not localizations:
        raise ValueError("currencyCodeLocalizations is no list of prices")
    day = context.source_date
    for localization in map(object_of, localizations):
        offer = Offer(
            provider=PROVIDER,
            region=UNSTATED_REGION,
            zone="",
            instance_type=f"1 x {name} ({part})",
            kind=OfferKind.ON_DEMAND,
            currency=fields.currency(localization, "currencyCode"),
            gpu_name=name,
            gpu_key=find_gpu(context, (PROVIDER,), name),
            num_gpus=Decimal(1),
        )
        amount = fields.amount(_list_price(localization), "value")
        yield Quote(
            f"item {key} {part}", offer, amount, midnight(day), day, context.source or "Oracle Cloud price list"
        )


def _list_price(localization: Mapping[str, Any]) -> object:
    prices = localization.get("prices")
    if not isinstance(prices, list):
        raise ValueError("prices is no list")
    found = [price.get("value") for price in map(object_of, prices) if price.get("model") == _LIST_PRICE]
    if len(found) != 1:
        raise ValueError(f"{len(found)} prices of the model {_LIST_PRICE}, not 1")
    return found[0]
