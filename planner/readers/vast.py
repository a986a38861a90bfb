"""Vast's market (the answer of its search, JSON): what each host asks for its GPUs, and the least bid for them.

Storage and traffic are priced apart and not part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO

from planner.offers.offer import UNSTATED_REGION, Offer, OfferKind
from planner.readers import fields
from planner.readers.json_stream import members
from planner.readers.reader import Found, Reader, Said, find_gpu, object_of
from planner.readers.source import Quote, ReadContext, Refused, midnight
from planner.readers.tables import shortened
from planner.units import plain_decimal

PROVIDER = "vast"
_PRICES = {"dph_base": OfferKind.ON_DEMAND, "min_bid": OfferKind.SPOT}
_BYTES_PER_MIB = 2**20


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    """Of the bundles of one host with the same GPUs and number the first counts; another price is refused."""
    said = Said()
    for path, key, value in members(stream, [("offers",)]):
        if path:
            yield from _host(key, value, context, said)


READER = Reader("vast", "Vast market (search bundles, JSON)", _parse)


def _host(key: str, value: Any, context: ReadContext, said: Said) -> Iterator[Quote | Refused]:
    row = f"offers {key}"
    try:
        host = object_of(value)
        offer = _offer(host, context)
    except ValueError as error:
        yield Refused(row, str(error), shortened(str(value)))
        return
    day = context.source_date
    for column, kind in _PRICES.items():
        try:
            amount = fields.amount(host.get(column), column)
            kept = replace(offer, kind=kind)
            quote = Quote(row, kept, amount, midnight(day), day, context.source or "Vast market")
            if said.is_new(quote):
                yield quote
        except fields.Blank as blank:
            if kind is OfferKind.ON_DEMAND:
                yield Refused(row, f"{blank}, which is unknown", shortened(str(value)))
            else:
                context.left_out["hosts that take no bids"] += 1
        except ValueError as error:
            yield Refused(row, str(error), shortened(str(value)))


def _offer(host: Mapping[str, Any], context: ReadContext) -> Offer:
    name = fields.text(host, "gpu_name", "gpu_name")
    num_gpus = fields.count(host.get("num_gpus"), "num_gpus")
    machine = fields.number(host.get("machine_id"), "machine_id")
    mebibytes = fields.optional_number(host.get("gpu_ram"), "gpu_ram")
    host_mebibytes = fields.optional_number(host.get("cpu_ram"), "cpu_ram")
    rentable = host.get("rentable")
    return Offer(
        provider=PROVIDER,
        region=fields.optional_text(host, "geolocation", "region").removeprefix(", ") or UNSTATED_REGION,
        zone="",
        instance_type=f"{plain_decimal(num_gpus)} x {name}, machine {plain_decimal(machine)}",
        kind=OfferKind.ON_DEMAND,
        currency="USD",
        gpu_name=name,
        gpu_key=find_gpu(
            context, (PROVIDER,), name, memory_bytes=float(mebibytes * _BYTES_PER_MIB) if mebibytes else None
        ),
        num_gpus=num_gpus,
        vcpus=fields.optional_count(host.get("cpu_cores_effective"), "cpu_cores_effective"),
        memory_bytes=int(host_mebibytes * _BYTES_PER_MIB) if host_mebibytes else None,
        is_available=rentable if isinstance(rentable, bool) else None,
    )
