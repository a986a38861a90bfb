"""SkyPilot's catalogue of one cloud (`vms.csv`, schemas 5 to 8): USD per hour for the whole machine.

Columns are found by name, because their order differs by cloud. `GpuInfo` is not read: its meaning differs too. The
cloud is not in the file; the context says it. Google's GPUs and machines are rows of their own, joined here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import BinaryIO

from planner.offers.offer import UNSTATED_REGION, Offer, OfferKind
from planner.readers import fields
from planner.readers.machines import Machine, load_machines
from planner.readers.reader import Found, Reader, Said, find_gpu, is_no_gpu
from planner.readers.source import Quote, ReadContext, Refused, midnight
from planner.readers.tables import Row, read_table, row_text
from planner.readers.unpack import FileFault
from planner.units import plain_decimal

NAME = "skypilot"
_NEEDED = ("InstanceType", "AcceleratorName", "AcceleratorCount", "vCPUs", "MemoryGiB", "Price", "SpotPrice", "Region")
_PRICES = {OfferKind.ON_DEMAND: "Price", OfferKind.SPOT: "SpotPrice"}
_WHOLE_IN_GPU_ROW = ("a4-",)  # Google states the price of these machines in the row of their GPUs
_MOST_PARTS = 500_000
# What the catalogue's plain names mean; the larger cards are A100-80GB and V100-32GB. Vast's hosts do not keep to it.
_MEMORY_BYTES = {"A100": 40e9, "V100": 16e9}


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    if not context.provider:
        raise FileFault(1, "the file does not name its cloud; say which one it is")
    said, parts = Said(), _Parts()
    for found in read_table(stream, _NEEDED):
        if isinstance(found, Refused):
            yield found
            continue
        line, row = found
        if context.provider == "gcp":
            yield from _keep_part(line, row, parts, context)
        elif not row["AcceleratorName"] or not _has_gpus(row):
            context.left_out["machines without a GPU"] += 1
        elif is_no_gpu(row["AcceleratorName"]):
            context.left_out["accelerators that are no GPUs"] += 1
        else:
            yield from _machine(_Line(line, row, context, said))
    yield from _joined(parts, context, said)


READER = Reader(NAME, "SkyPilot catalogue of one cloud (CSV)", _parse)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    row: Row
    context: ReadContext
    said: Said

    def refused(self, reason: str) -> Refused:
        return Refused(self.number, reason, row_text(self.row))

    def quote(self, offer: Offer, amount: Decimal) -> Quote:
        day = self.context.source_date
        return Quote(self.number, offer, amount, midnight(day), day, source(self.context))


def source(context: ReadContext) -> str:
    return context.source or f"SkyPilot catalogue of {context.provider}"


def _has_gpus(row: Row) -> bool:
    return row["AcceleratorCount"].strip() not in ("", "0", "0.0")


def _machine(line: _Line) -> Iterator[Quote | Refused]:
    """The on-demand and the spot price of one machine; one of them stands although the other is refused."""
    try:
        offer = _offer(line.row, line.context)
    except ValueError as error:
        yield line.refused(str(error))
        return
    for kind, column in _PRICES.items():
        try:
            amount = fields.amount(line.row[column], column)
            quote = line.quote(_of_kind(offer, kind), amount)
            if line.said.is_new(quote):
                yield quote
        except fields.Blank as blank:
            if kind is OfferKind.ON_DEMAND:
                yield line.refused(f"{blank}, which is unknown")
            else:
                line.context.left_out["machines without a spot price"] += 1
        except ValueError as error:
            yield line.refused(str(error))


def _of_kind(offer: Offer, kind: OfferKind) -> Offer:
    """The offer on spot, or on demand, where one price holds in all zones of a region."""
    if kind is OfferKind.SPOT:
        return replace(offer, kind=kind)
    return replace(offer, zone="") if offer.zone else offer


def _offer(row: Row, context: ReadContext) -> Offer:
    name = fields.text(row, "AcceleratorName", "gpu_name")
    instance_type = fields.text(row, "InstanceType", "instance_type")
    return Offer(
        provider=fields.provider(context.provider),
        region=fields.optional_text(row, "Region", "region").removeprefix(", ") or UNSTATED_REGION,
        zone=fields.optional_text(row, "AvailabilityZone", "zone"),
        instance_type=instance_type,
        kind=OfferKind.ON_DEMAND,
        currency="USD",
        gpu_name=name,
        gpu_key=_gpu_key(context, instance_type, name),
        num_gpus=fields.count(row["AcceleratorCount"], "AcceleratorCount"),
        vcpus=fields.optional_count(row["vCPUs"], "vCPUs"),
        memory_bytes=fields.gibibytes(row["MemoryGiB"], "MemoryGiB"),
    )


def _gpu_key(context: ReadContext, *names: str) -> str | None:
    memory_bytes = None if context.provider == "vast" else _MEMORY_BYTES.get(names[-1])
    return find_gpu(context, (context.provider, NAME), *names, memory_bytes=memory_bytes)


@dataclass(frozen=True, slots=True)
class _Part:
    """A price of Google's list, of GPUs or of the machine around them."""

    line: int
    price: Decimal | None  # None: 0 or blank
    spot: Decimal | None


@dataclass
class _Parts:
    """Google's rows by zone: GPUs by their name and number, machines by their name."""

    gpus: dict[tuple[str, str, str, Decimal], _Part] = field(default_factory=dict)
    machines: dict[tuple[str, str, str], _Part] = field(default_factory=dict)


def _keep_part(line: int, row: Row, parts: _Parts, context: ReadContext) -> Iterator[Refused]:
    if len(parts.gpus) + len(parts.machines) > _MOST_PARTS:
        raise FileFault(line, f"more than {_MOST_PARTS:,} rows of GPU machines are no catalogue")
    try:
        region = fields.text(row, "Region", "region")
        zone = fields.optional_text(row, "AvailabilityZone", "zone")
        if not row["AcceleratorName"]:
            machine = load_machines().get((context.provider, row["InstanceType"].casefold()))
            if machine is None:
                context.left_out["machines without a GPU"] += 1
            else:
                parts.machines[region, zone, machine.instance_type] = _part(line, row)
            return
        num_gpus = fields.count(row["AcceleratorCount"], "AcceleratorCount")
        name = fields.text(row, "AcceleratorName", "gpu_name")
        if is_no_gpu(name):
            context.left_out["accelerators that are no GPUs"] += 1
        elif row["InstanceType"]:
            raise ValueError("a row of Google with a machine and its GPUs; they are rows of their own")
        else:
            parts.gpus[region, zone, name, num_gpus] = _part(line, row)
    except ValueError as error:
        yield Refused(line, str(error), row_text(row))


def _part(line: int, row: Row) -> _Part:
    return _Part(line, _known(row["Price"], "Price"), _known(row["SpotPrice"], "SpotPrice"))


def _known(text: str, column: str) -> Decimal | None:
    try:
        return fields.amount(text, column) if fields.number(text, column) else None
    except fields.Blank:
        return None


def _joined(parts: _Parts, context: ReadContext, said: Said) -> Iterator[Quote | Refused]:
    """Google's offers: the GPUs with the machine that they belong to, or alone where any machine can have them."""
    around: dict[tuple[str | None, Decimal], list[Machine]] = {}
    for machine in load_machines().values():
        if machine.provider == "gcp" and "+" not in machine.instance_type:  # GPUs that any N1 machine can have
            key = find_gpu(context, ("gcp",), machine.instance_type, machine.gpu_name)
            around.setdefault((key, machine.num_gpus), []).append(machine)
    for (region, zone, name, num_gpus), gpus in parts.gpus.items():
        key = _gpu_key(context, name)
        alone = _alone(region, zone, name, key, num_gpus)
        machines = [machine for machine in around.get((key, num_gpus), []) if key is not None]
        listed = [machine for machine in machines if (region, zone, machine.instance_type) in parts.machines]
        if not machines:
            yield from _total(gpus, None, alone, context, said)
        elif not listed:
            names = " or ".join(sorted(machine.instance_type for machine in machines))
            yield Refused(gpus.line, f"{name}: the row of its machine ({names}) is not there for {zone or region}")
        for machine in listed:
            offer = replace(
                alone,
                instance_type=machine.instance_type,
                vcpus=machine.vcpus,
                memory_bytes=machine.memory_bytes,
                host_included=True,
            )
            yield from _total(gpus, parts.machines[region, zone, machine.instance_type], offer, context, said)


def _alone(region: str, zone: str, name: str, key: str | None, num_gpus: Decimal) -> Offer:
    return Offer(
        provider="gcp",
        region=region,
        zone=zone,
        instance_type=f"{plain_decimal(num_gpus)} x {name}",
        kind=OfferKind.ON_DEMAND,
        currency="USD",
        gpu_name=name,
        gpu_key=key,
        num_gpus=num_gpus,
        host_included=False,
    )


def _total(
    gpus: _Part, machine: _Part | None, offer: Offer, context: ReadContext, said: Said
) -> Iterator[Quote | Refused]:
    is_whole = machine is None or offer.instance_type.startswith(_WHOLE_IN_GPU_ROW)
    for kind in _PRICES:
        own, around = (gpus.price, machine and machine.price)
        if kind is OfferKind.SPOT:
            own, around = (gpus.spot, machine and machine.spot)
        if own is None or (around is None and not is_whole):
            part = "of the GPUs" if own is None else f"of the machine {offer.instance_type} around them"
            if kind is OfferKind.ON_DEMAND:
                yield Refused(gpus.line, f"{offer.gpu_name}: the price {part} is blank or 0, which is unknown")
            else:
                context.left_out["machines without a spot price"] += 1
            continue
        amount = own if is_whole else own + (around or 0)
        day = context.source_date
        quote = Quote(gpus.line, _of_kind(offer, kind), amount, midnight(day), day, source(context))
        try:
            if said.is_new(quote):
                yield quote
        except ValueError as error:
            yield Refused(gpus.line, str(error))
