"""Amazon's spot prices as DescribeSpotPriceHistory answers (JSON pages): one price per machine, zone and moment.

The history of days kept from such pages is a CSV, which the history reader reads.
"""

from __future__ import annotations

import re
from typing import Any, BinaryIO

from planner.offers.offer import Offer, OfferKind
from planner.readers import fields
from planner.readers.aws_price_list import PROVIDER, is_gpu_machine
from planner.readers.json_stream import members
from planner.readers.machines import find_machine
from planner.readers.reader import Found, Reader, Said, find_gpu, object_of
from planner.readers.source import Quote, ReadContext, Refused
from planner.readers.tables import shortened

_LINUX = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+?-[0-9]+")


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    """The list is newest first, and a moment may be there twice, once per form of network."""
    said = Said()
    for path, key, value in members(stream, [("SpotPriceHistory",)]):
        if not path:
            continue
        try:
            quote = _quote(key, object_of(value), context)
            if quote is not None and said.is_new(quote):
                yield quote
        except ValueError as error:
            yield Refused(f"SpotPriceHistory {key}", str(error), shortened(str(value)))


READER = Reader("aws-spot", "AWS spot prices (DescribeSpotPriceHistory, JSON)", _parse)


def _quote(key: str, row: dict[str, Any], context: ReadContext) -> Quote | None:
    instance_type = fields.text(row, "InstanceType", "instance_type")
    if not is_gpu_machine(instance_type):
        context.left_out["machines without a GPU"] += 1
        return None
    if fields.text(row, "ProductDescription") not in _LINUX:
        context.left_out["other systems than Linux"] += 1
        return None
    machine = find_machine(PROVIDER, instance_type)
    if machine is None:
        raise ValueError(f"how many GPUs a {instance_type} has is not known")
    name = fields.text(row, "AvailabilityZone", "zone")
    region = _REGION.match(name)
    if region is None:
        raise ValueError(f"AvailabilityZone: {name!r} names no region")
    offer = Offer(
        provider=PROVIDER,
        region=region[0],
        # a zone's name means another zone in another account; its id does not
        zone=fields.optional_text(row, "AvailabilityZoneId", "zone") or name,
        instance_type=instance_type,
        kind=OfferKind.SPOT,
        currency="USD",
        gpu_name=machine.gpu_name,
        gpu_key=find_gpu(context, (PROVIDER,), instance_type, machine.gpu_name),
        num_gpus=machine.num_gpus,
        vcpus=machine.vcpus,
        memory_bytes=machine.memory_bytes,
    )
    return Quote(
        row=f"SpotPriceHistory {key}",
        offer=offer,
        amount=fields.amount(row.get("SpotPrice"), "SpotPrice"),
        valid_from=fields.moment(row.get("Timestamp"), "Timestamp"),
        source_date=context.source_date,
        source=context.source or "EC2 DescribeSpotPriceHistory",
    )
