"""gpuhunt's published catalogue of one provider (CSV): USD per hour for the whole machine, per region, spot or not.

The provider is not in the file; the context says it. A catalogue has no dates, so they are those of its receipt.
"""

from __future__ import annotations

from typing import BinaryIO

from planner.offers.offer import UNSTATED_REGION, Offer, OfferKind
from planner.readers import fields
from planner.readers.reader import Found, Reader, Said, find_gpu, is_no_gpu
from planner.readers.source import Quote, ReadContext, Refused, midnight
from planner.readers.tables import Row, read_table, row_text
from planner.readers.unpack import FileFault

NAME = "gpuhunt"
NEEDED = ("instance_name", "location", "price", "cpu", "memory", "gpu_count", "gpu_name", "gpu_memory", "spot")
_OUR_NAMES = {"lambdalabs": "lambda", "vastai": "vast"}
_KINDS = {"true": OfferKind.SPOT, "false": OfferKind.ON_DEMAND}
_BYTES_PER_GB = 10**9


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    if not context.provider:
        raise FileFault(1, "the file does not name its provider; say which one it is")
    said = Said()
    for found in read_table(stream, NEEDED):
        if isinstance(found, Refused):
            yield found
            continue
        line, row = found
        if row["gpu_count"].strip() in ("", "0"):
            context.left_out["machines without a GPU"] += 1
        elif is_no_gpu(row["gpu_name"]) or row.get("gpu_vendor", "").casefold() == "google":
            context.left_out["accelerators that are no GPUs"] += 1
        else:
            try:
                quote = _quote(line, row, context)
                if said.is_new(quote):
                    yield quote
            except ValueError as error:
                yield Refused(line, str(error), row_text(row))


READER = Reader(NAME, "gpuhunt catalogue of one provider (CSV)", _parse)


def _quote(line: int, row: Row, context: ReadContext) -> Quote:
    provider = fields.provider(_OUR_NAMES.get(context.provider, context.provider))
    name = fields.text(row, "gpu_name", "gpu_name")
    instance_type = fields.text(row, "instance_name", "instance_type")
    if row["spot"].casefold() not in _KINDS:
        raise ValueError(f"spot: {row['spot']!r} is neither True nor False")
    gigabytes = fields.optional_count(row["gpu_memory"], "gpu_memory")
    memory_bytes = None if gigabytes is None else float(gigabytes * _BYTES_PER_GB)
    offer = Offer(
        provider=provider,
        region=fields.optional_text(row, "location", "region") or UNSTATED_REGION,
        zone="",
        instance_type=instance_type,
        kind=_KINDS[row["spot"].casefold()],
        currency="USD",
        gpu_name=name,
        gpu_key=find_gpu(context, (provider,), instance_type, name, memory_bytes=memory_bytes),
        num_gpus=fields.count(row["gpu_count"], "gpu_count"),
        vcpus=fields.optional_count(row["cpu"], "cpu"),
        memory_bytes=fields.gibibytes(row["memory"], "memory"),
    )
    day = context.source_date
    source = context.source or f"gpuhunt catalogue of {context.provider}"
    return Quote(line, offer, fields.amount(row["price"], "price"), midnight(day), day, source)
