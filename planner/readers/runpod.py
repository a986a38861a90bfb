"""RunPod's GPU types (the answer of its GraphQL API): USD per GPU-hour in the secure and the community cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, BinaryIO

from planner.offers.offer import UNSTATED_REGION, Offer, OfferKind
from planner.readers import fields
from planner.readers.json_stream import members
from planner.readers.reader import Found, Reader, find_gpu, object_of, object_or_empty
from planner.readers.source import Quote, ReadContext, Refused, midnight
from planner.readers.tables import shortened

PROVIDER = "runpod"
_PRICES = {
    "securePrice": ("secure cloud", OfferKind.ON_DEMAND),
    "communityPrice": ("community cloud", OfferKind.ON_DEMAND),
    "secureSpotPrice": ("secure cloud", OfferKind.SPOT),
    "communitySpotPrice": ("community cloud", OfferKind.SPOT),
}
_BYTES_PER_GB = 10**9
QUERY = (
    "query { gpuTypes { id displayName memoryInGb secureCloud communityCloud securePrice communityPrice"
    " secureSpotPrice communitySpotPrice lowestPrice(input: {gpuCount: 1}) { stockStatus } } }"
)


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    for path, key, value in members(stream, [("data", "gpuTypes")]):
        if path:
            yield from _gpu(key, value, context)


READER = Reader("runpod", "RunPod GPU types (GraphQL, JSON)", _parse)


def _gpu(key: str, value: Any, context: ReadContext) -> Iterator[Quote | Refused]:
    """Its price in each cloud that offers it; a price of 0 or null says that a cloud does not."""
    row = f"gpuTypes {key}"
    try:
        gpu = object_of(value)
        name = fields.text(gpu, "id", "gpu_name")
        if name.casefold() == "unknown":
            context.left_out["GPUs that the list itself calls unknown"] += 1
            return
    except ValueError as error:
        yield Refused(row, str(error), shortened(str(value)))
        return
    for column, (cloud, kind) in _PRICES.items():
        try:
            if gpu.get(column) is None or fields.number(gpu[column], column) == 0:
                context.left_out["clouds and kinds in which a GPU is not offered"] += 1
                continue
            amount = fields.amount(gpu[column], column)
            offer = _offer(gpu, name, cloud, kind, context)
            day = context.source_date
            yield Quote(f"{row} {name}", offer, amount, midnight(day), day, context.source or "RunPod GPU types")
        except ValueError as error:
            yield Refused(f"{row} {name}", str(error), shortened(str(value)))


def _offer(gpu: Mapping[str, Any], name: str, cloud: str, kind: OfferKind, context: ReadContext) -> Offer:
    gigabytes = fields.optional_count(gpu.get("memoryInGb"), "memoryInGb")
    memory_bytes = None if gigabytes is None else float(gigabytes * _BYTES_PER_GB)
    shown = fields.optional_text(gpu, "displayName", "gpu_name")
    stock = fields.optional_text(object_or_empty(gpu.get("lowestPrice")), "stockStatus")
    return Offer(
        provider=PROVIDER,
        region=UNSTATED_REGION,
        zone="",
        instance_type=f"1 x {name} ({cloud})",
        kind=kind,
        currency="USD",
        gpu_name=name,
        gpu_key=find_gpu(context, (PROVIDER,), name, shown, memory_bytes=memory_bytes),
        num_gpus=Decimal(1),
        is_available=True if stock else None,
    )
