"""Google's Cloud Billing catalogue (JSON pages): GPUs, cores and memory are SKUs of their own, joined to machines here.

A machine costs cores · core price + GiB · memory price + GPUs · GPU price; local SSD, priced per month, is not
counted. GPUs that any N1 machine can have are offers without their machine. SKUs are told by the whole of their
description after the region, the term and the words for spot are taken off.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from io import StringIO
from typing import Any, BinaryIO

from planner.offers.offer import Offer, OfferKind, Upfront
from planner.readers import fields
from planner.readers.json_stream import members
from planner.readers.machines import Machine, load_machines
from planner.readers.reader import Found, Reader, find_gpu, object_of
from planner.readers.source import Quote, ReadContext, Refused, midnight
from planner.readers.tables import shortened
from planner.readers.unpack import FileFault

PROVIDER = "gcp"
HOURS_PER_YEAR = 8760
_MOST_RATES = 500_000
_NANO = Decimal(10) ** -9
# smaller machines of this kind are sold on spot only
_NOT_ON_DEMAND = ("a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g")
_COMMITMENT = re.compile(r"Commitment v1: (.*) for ([13]) Years?")
_TERMS = {"1": OfferKind.RESERVED_1Y, "3": OfferKind.RESERVED_3Y}
_YEARS = {OfferKind.RESERVED_1Y: 1, OfferKind.RESERVED_3Y: 3}
_USAGE = {"Commit1Yr": OfferKind.RESERVED_1Y, "Commit3Yr": OfferKind.RESERVED_3Y}
_SPOT_PREFIXES = ("Spot Preemptible ", "Preemptible ")
_SPOT_WORDS = re.compile(r" attached to (?:Spot )?Preemptible VMs")
_PLACE = re.compile(r" (?:running )?in [^()]+")
_OTHER_USES = ("sole tenancy", "reserved", "custom", "premium", "dws", "calendar", "virtual workstation", "vm state")


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    rates = _Rates()
    for path, key, value in members(stream, [("skus",)]):
        if not path:
            continue
        try:
            sku = object_of(value)
            part = _part(fields.text(sku, "description", "source"), sku)
            if part is None:
                context.left_out["SKUs that are no part of a GPU machine"] += 1
            else:
                rates.add(part, _rate(sku), _regions(sku))
        except ValueError as error:
            yield Refused(_place(key, value), str(error), shortened(str(value)))
    yield from _joined(rates, context)


READER = Reader("gcp", "Google Cloud Billing catalogue (JSON)", _parse)


@dataclass(frozen=True, slots=True)
class _Gpu:
    """What one of Google's GPU SKUs is: its accelerator type, and the family of machines that it is part of."""

    accelerator: str
    family: str  # "" for those that any N1 machine can have
    is_whole_machine: bool
    is_on_demand: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """What a SKU is a part of: its name without place and term, and the kind of offer."""

    name: str
    kind: OfferKind


@dataclass(frozen=True, slots=True)
class _Rate:
    sku: str
    amount: Decimal
    currency: str
    effective: datetime | None


@dataclass
class _Rates:
    """Rates by kind, region and currency, then by name."""

    by_place: dict[tuple[OfferKind, str, str], dict[str, _Rate]] = field(default_factory=dict)
    number: int = 0

    def add(self, part: _Part, rate: _Rate, regions: Sequence[str]) -> None:
        for region in regions:
            here = self.by_place.setdefault((part.kind, region, rate.currency), {})
            known = here.setdefault(part.name, rate)
            if known.amount != rate.amount:
                raise ValueError(f"{part.name} in {region} has two prices: {known.amount} ({known.sku}) and this")
        self.number += len(regions)
        if self.number > _MOST_RATES:
            raise FileFault("document", f"more than {_MOST_RATES:,} rates of GPU machines are no catalogue")


@cache
def _gpus() -> Mapping[str, _Gpu]:
    text = (files("planner.readers") / "facts" / "gcp_gpus.csv").read_text(encoding="utf-8")
    return {
        row["sku_name"]: _Gpu(
            row["accelerator"], row["family"], row["is_whole_machine"] == "yes", row["is_on_demand"] == "yes"
        )
        for row in csv.DictReader(StringIO(text), strict=True)
    }


@cache
def _components() -> Mapping[str, str]:
    """The names of core and memory SKUs, on demand and committed, to how they are kept."""
    families = {gpu.family for gpu in _gpus().values() if gpu.family and not gpu.is_whole_machine}
    found: dict[str, str] = {}
    for family in families:
        found |= {f"{family} Instance Core": _core(family), f"{family} Cpu": _core(family)}
        found |= {f"{family} Instance Ram": _memory(family), f"{family} Ram": _memory(family)}
    return found


def _core(family: str) -> str:
    return f"{family} core"


def _memory(family: str) -> str:
    return f"{family} memory"


def _place(key: str, sku: object) -> str:
    name = sku.get("skuId") if isinstance(sku, dict) else None
    return f"sku {name}" if isinstance(name, str) else f"sku number {key}"


def _part(description: str, sku: Mapping[str, Any]) -> _Part | None:
    """What the SKU is a part of; None where it is none of a GPU machine as it is meant here."""
    category = sku.get("category")
    usage = category.get("usageType") if isinstance(category, dict) else None
    if any(word in description.casefold() for word in _OTHER_USES):
        return None
    kind, name = OfferKind.ON_DEMAND, description
    if commitment := _COMMITMENT.fullmatch(description):
        kind, name = _TERMS[commitment[2]], commitment[1]
    elif usage in _USAGE:
        kind = _USAGE[usage]
    elif usage == "Preemptible" or description.startswith(_SPOT_PREFIXES) or _SPOT_WORDS.search(description):
        kind = OfferKind.SPOT  # some spot SKUs are marked OnDemand
    for prefix in _SPOT_PREFIXES:
        name = name.removeprefix(prefix)
    name = _PLACE.sub("", _SPOT_WORDS.sub("", name)).strip()
    if name in _gpus():
        return _Part(name, kind)
    return _Part(_components()[name], kind) if name in _components() else None


def _rate(sku: Mapping[str, Any]) -> _Rate:
    infos = sku.get("pricingInfo")
    if not isinstance(infos, list) or not infos:
        raise ValueError("pricingInfo is no list of prices")
    info = object_of(infos[-1])  # the newest one is the last
    expression = object_of(info.get("pricingExpression"))
    unit = fields.text(expression, "usageUnit")
    if unit not in ("h", "GiBy.h"):
        raise ValueError(f"usageUnit: {unit!r} is neither h nor GiBy.h")
    tiers = expression.get("tieredRates")
    if not isinstance(tiers, list) or len(tiers) != 1:
        raise ValueError("tieredRates is not a list of one rate")
    price = object_of(object_of(tiers[0]).get("unitPrice"))
    units = fields.number(price.get("units") or "0", "units")
    nanos = fields.number(price.get("nanos") or "0", "nanos")
    return _Rate(
        sku=fields.text(sku, "skuId"),
        amount=fields.checked_amount(units + nanos * _NANO, "unitPrice"),
        currency=fields.currency(price, "currencyCode"),
        effective=fields.moment(info["effectiveTime"], "effectiveTime") if info.get("effectiveTime") else None,
    )


def _regions(sku: Mapping[str, Any]) -> list[str]:
    regions = sku.get("serviceRegions")
    if not isinstance(regions, list) or not regions:
        raise ValueError("serviceRegions is no list of regions")
    return [fields.text({"region": region}, "region") for region in regions]


def _joined(rates: _Rates, context: ReadContext) -> Iterator[Quote | Refused]:
    """The offers of every kind and region: machines, and GPUs alone where no machine is known for them."""
    for (kind, region, currency), here in rates.by_place.items():
        for name, rate in here.items():
            gpu = _gpus().get(name)
            if gpu is None:
                continue
            if kind is OfferKind.ON_DEMAND and not gpu.is_on_demand:
                context.left_out["machines that are not sold on demand"] += 1
                continue
            place = _Place(kind, region, currency, here)
            machines = [] if gpu.is_whole_machine else _machines(gpu)
            if not machines:
                yield _quote(_alone(place, name, gpu, context), [(Decimal(1), rate)], context)
            for machine in machines:
                if kind is OfferKind.ON_DEMAND and machine.instance_type in _NOT_ON_DEMAND:
                    context.left_out["machines that are not sold on demand"] += 1
                else:
                    yield _machine_quote(place, machine, gpu, rate, context)


@dataclass(frozen=True, slots=True)
class _Place:
    kind: OfferKind
    region: str
    currency: str
    rates: Mapping[str, _Rate]


def _machines(gpu: _Gpu) -> list[Machine]:
    """Google's machines of this family around whole GPUs of this type."""
    return [
        machine
        for machine in load_machines().values()
        if machine.provider == PROVIDER
        and gpu.family
        and machine.gpu_name == gpu.accelerator
        and machine.num_gpus == machine.num_gpus.to_integral_value()
        and machine.vcpus
        and machine.memory_bytes
    ]


def _alone(place: _Place, name: str, gpu: _Gpu, context: ReadContext) -> Offer:
    return Offer(
        provider=PROVIDER,
        region=place.region,
        zone="",
        instance_type=f"1 x {name}",
        kind=place.kind,
        currency=place.currency,
        gpu_name=gpu.accelerator,
        gpu_key=find_gpu(context, (PROVIDER,), gpu.accelerator),
        num_gpus=Decimal(1),
        host_included=gpu.is_whole_machine,
        upfront=_upfront(place.kind),
        minimum_term_seconds=_term_seconds(place.kind),
    )


def _machine_quote(place: _Place, machine: Machine, gpu: _Gpu, rate: _Rate, context: ReadContext) -> Quote | Refused:
    core, memory = place.rates.get(_core(gpu.family)), place.rates.get(_memory(gpu.family))
    if core is None or memory is None:
        missing = _core(gpu.family) if core is None else _memory(gpu.family)
        reason = f"{machine.instance_type}, {place.kind}: the price of its {missing} in {place.region} is not there"
        return Refused(f"sku {rate.sku}", reason)
    gibibytes = Decimal(machine.memory_bytes or 0) / fields.BYTES_PER_GIB
    offer = Offer(
        provider=PROVIDER,
        region=place.region,
        zone="",
        instance_type=machine.instance_type,
        kind=place.kind,
        currency=place.currency,
        gpu_name=machine.gpu_name,
        gpu_key=find_gpu(context, (PROVIDER,), machine.instance_type, machine.gpu_name),
        num_gpus=machine.num_gpus,
        vcpus=machine.vcpus,
        memory_bytes=machine.memory_bytes,
        upfront=_upfront(place.kind),
        minimum_term_seconds=_term_seconds(place.kind),
    )
    return _quote(offer, [(machine.num_gpus, rate), (machine.vcpus or Decimal(0), core), (gibibytes, memory)], context)


def _quote(offer: Offer, parts: Sequence[tuple[Decimal, _Rate]], context: ReadContext) -> Quote:
    day = context.source_date
    moments = [rate.effective for _, rate in parts if rate.effective is not None]
    return Quote(
        row=f"sku {parts[0][1].sku}",
        offer=offer,
        amount=fields.checked_amount(sum((number * rate.amount for number, rate in parts), Decimal(0)), "unitPrice"),
        valid_from=max(moments, default=midnight(day)),
        source_date=day,
        source=context.source or "Google Cloud Billing catalogue, without local SSD",
    )


def _upfront(kind: OfferKind) -> Upfront:
    return Upfront.NO if kind in _YEARS else Upfront.UNSTATED  # commitments are paid by the month


def _term_seconds(kind: OfferKind) -> int | None:
    return _YEARS[kind] * HOURS_PER_YEAR * fields.SECONDS_PER_HOUR if kind in _YEARS else None
