"""Amazon's public price list of EC2 (bulk CSV or JSON): on-demand and reserved prices of machines with GPUs.

Of the several million rows only Linux on shared hardware without added software counts, and only the market option
OnDemand: Capacity Blocks are listed at 0.00. A reservation's fee at its start is spread over the hours of its term.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any, BinaryIO

from planner.offers.offer import Offer, OfferKind, Upfront
from planner.readers import fields
from planner.readers.json_stream import members
from planner.readers.machines import find_machine
from planner.readers.reader import Found, Reader, find_gpu, object_or_empty
from planner.readers.source import Quote, ReadContext, Refused
from planner.readers.tables import Row, read_table, shortened
from planner.readers.unpack import FileFault

PROVIDER = "aws"
HOURS_PER_YEAR = 8760  # as Amazon counts a term
_LINES_BEFORE_HEADER = 5
HEADER_LINE = _LINES_BEFORE_HEADER + 1
_MOST_PENDING = 500_000
_GPU_FAMILY = re.compile(r"(?:p|g|gr)[0-9][a-z0-9-]*\.[a-z0-9-]+")
_TERMS = {"1yr": (OfferKind.RESERVED_1Y, 1), "3yr": (OfferKind.RESERVED_3Y, 3)}
_UPFRONTS = {"No Upfront": Upfront.NO, "Partial Upfront": Upfront.PART, "All Upfront": Upfront.ALL}
_WANTED = {  # attribute of a product: its column in the CSV, and what it must be
    "operatingSystem": ("Operating System", ("Linux",)),
    "tenancy": ("Tenancy", ("Shared",)),
    "capacitystatus": ("CapacityStatus", ("Used",)),
    "preInstalledSw": ("Pre Installed S/W", ("NA", "")),
    "marketoption": ("MarketOption", ("OnDemand",)),
}
_ATTRIBUTES = {
    "instanceType": "Instance Type",
    "regionCode": "Region Code",
    "vcpu": "vCPU",
    "memory": "Memory",
    "gpu": "GPU",
    "networkPerformance": "Network Performance",
}
_NEEDED = (
    *("SKU", "OfferTermCode", "TermType", "PriceDescription", "EffectiveDate", "Unit", "PricePerUnit", "Currency"),
    *("LeaseContractLength", "PurchaseOption", "OfferingClass"),
    *(column for column, _ in _WANTED.values()),
    *(column for column in _ATTRIBUTES.values()),
)


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    """Either form of the list, told by its first character."""
    start = stream.peek(64)[:64].lstrip()  # type: ignore[attr-defined]  # unpacked() gives a BufferedReader
    yield from (_from_json if start.startswith(b"{") else _from_csv)(stream, context)


def is_gpu_machine(instance_type: str) -> bool:
    """Whether Amazon's naming puts the machine among those with GPUs (the families p, g and gr)."""
    return _GPU_FAMILY.fullmatch(instance_type) is not None


READER = Reader("aws-price-list", "AWS Price List of EC2 (bulk CSV or JSON)", _parse)


@dataclass(frozen=True, slots=True)
class _Price:
    """One line of the list: what a unit of one term of one product costs."""

    row: int | str
    offer: Offer
    term: str  # SKU and term code, which the lines of one reservation share
    unit: str
    amount: Decimal | None  # 0 is left to whoever knows what the line is about
    effective: datetime
    lease: str
    purchase: str
    offering_class: str
    is_reserved: bool


@dataclass
class _Reservation:
    """The lines of one reservation: the fee at its start and the price of an hour."""

    price: _Price
    fee: Decimal = Decimal(0)
    hourly: Decimal = Decimal(0)


@dataclass
class _State:
    context: ReadContext
    published: date
    reservations: dict[str, _Reservation] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        self.context.left_out[reason] += 1

    def quote(self, price: _Price, offer: Offer, amount: Decimal) -> Quote:
        stated = self.context.stated_date or self.published
        source = self.context.source or f"AWS Price List of EC2, published {self.published.isoformat()}"
        return Quote(price.row, offer, amount, price.effective, stated, source)


def _from_csv(stream: BinaryIO, context: ReadContext) -> Found:
    state = _State(context, _published(stream))
    rows = read_table(
        stream, _NEEDED, num_lines_before=_LINES_BEFORE_HEADER, wanted=lambda line: _may_be_offer(line, state)
    )
    for found in rows:
        if isinstance(found, Refused):
            yield found
            continue
        line, row = found
        attributes: dict[str, Any] = {name: row[column] for name, column in _ATTRIBUTES.items()}
        attributes |= {name: row[column] for name, (column, _) in _WANTED.items()}
        if _is_offer(attributes, state):
            try:
                yield from _stated(_price_of_row(line, row, attributes, context), state)
            except ValueError as error:
                yield Refused(line, str(error), _described(attributes, row["PriceDescription"]))
    yield from _reserved(state)


def _may_be_offer(line: bytes, state: _State) -> bool:
    """Whether it is worth parsing the line: one in a hundred or so is."""
    if b"Linux" in line and b"Shared" in line:
        return True
    state.leave_out("lines of other systems and tenancies")
    return False


def _published(stream: BinaryIO) -> date:
    """The date of the list, from the lines before the header."""
    head = b"".join(stream.readline(10_000) for _ in range(_LINES_BEFORE_HEADER))
    for found in read_table(BytesIO(b"name,value\n" + head), ("name", "value")):
        if not isinstance(found, Refused) and found[1]["name"] == "Publication Date":
            try:
                return fields.moment(found[1]["value"], "Publication Date").date()
            except ValueError as error:
                raise FileFault(1, str(error)) from None
    raise FileFault(1, "the lines before the header do not state a Publication Date")


def _price_of_row(line: int, row: Row, attributes: Mapping[str, Any], context: ReadContext) -> _Price:
    return _Price(
        row=line,
        offer=_offer(attributes, fields.currency(row, "Currency"), context),
        term=f"{row['SKU']}.{row['OfferTermCode']}",
        unit=row["Unit"],
        amount=fields.number(row["PricePerUnit"], "PricePerUnit"),
        effective=fields.moment(row["EffectiveDate"], "EffectiveDate"),
        lease=row["LeaseContractLength"],
        purchase=row["PurchaseOption"],
        offering_class=row["OfferingClass"],
        is_reserved=_is_reserved(row["TermType"]),
    )


def _from_json(stream: BinaryIO, context: ReadContext) -> Found:
    """Products come before terms in the file, so that only those with GPUs are kept."""
    state: _State | None = None
    products: dict[str, Mapping[str, Any]] = {}
    saw_products = False
    for path, key, value in members(stream, [("products",), ("terms", "OnDemand")], [("terms", "Reserved")]):
        if path == () and key == "publicationDate":
            state = _State(context, _date_of(value))
        elif path == ("products",):
            saw_products = True
            attributes = value.get("attributes") if isinstance(value, dict) else None
            if not isinstance(attributes, dict):
                yield Refused(key, "the product has no attributes")
            elif state is None:
                raise FileFault(key, "the list does not state its publicationDate before its products")
            elif _is_offer(attributes, state):
                products[key] = attributes
        elif path:
            if state is None or not saw_products:
                raise FileFault(key, "the list has terms before its products")
            if key in products:
                yield from _terms(path[1], key, value, products[key], state)
    if state is None or not saw_products:
        raise FileFault("document", "this is no AWS Price List: it has no publicationDate and products")
    yield from _reserved(state)


def _date_of(value: object) -> date:
    try:
        return fields.moment(value, "publicationDate").date()
    except ValueError as error:
        raise FileFault("publicationDate", str(error)) from None


def _terms(kind: str, sku: str, terms: Any, attributes: Mapping[str, Any], state: _State) -> Found:
    """The prices of one product under one kind of term."""
    for code, term in object_or_empty(terms).items():
        for rate, dimension in object_or_empty(object_or_empty(term).get("priceDimensions")).items():
            try:
                prices = object_or_empty(object_or_empty(dimension).get("pricePerUnit"))
                if not prices:
                    raise ValueError("pricePerUnit is missing")
                for currency in prices:
                    price = _price_of_term(kind, (sku, code, rate), (term, dimension, currency), attributes, state)
                    yield from _stated(price, state)
            except ValueError as error:
                yield Refused(rate, str(error), _described(attributes, object_or_empty(dimension).get("description")))


def _price_of_term(
    kind: str, codes: tuple[str, str, str], found: tuple[Any, Any, str], attributes: Mapping[str, Any], state: _State
) -> _Price:
    sku, code, rate = codes
    term, dimension, currency = found
    options = object_or_empty(term.get("termAttributes"))
    return _Price(
        row=rate,
        offer=_offer(attributes, fields.currency({"currency": currency}, "currency"), state.context),
        term=f"{sku}.{code}",
        unit=fields.optional_text(dimension, "unit"),
        amount=fields.number(dimension["pricePerUnit"][currency], "pricePerUnit"),
        effective=fields.moment(term.get("effectiveDate"), "effectiveDate"),
        lease=fields.optional_text(options, "LeaseContractLength"),
        purchase=fields.optional_text(options, "PurchaseOption"),
        offering_class=fields.optional_text(options, "OfferingClass"),
        is_reserved=_is_reserved(kind),
    )


def _is_reserved(term_type: str) -> bool:
    if term_type not in ("OnDemand", "Reserved"):
        raise ValueError(f"{term_type!r} is neither OnDemand nor Reserved")
    return term_type == "Reserved"


def _is_offer(attributes: Mapping[str, Any], state: _State) -> bool:
    """Whether the product is a machine with GPUs as it is meant here; what else it is is counted."""
    if not is_gpu_machine(str(attributes.get("instanceType", ""))):
        state.leave_out("products that are no GPU machines")
        return False
    for name, (_, wanted) in _WANTED.items():
        value = str(attributes.get(name, ""))
        if value not in wanted:
            state.leave_out("Capacity Blocks" if value == "CapacityBlock" else f"another {name}")
            return False
    return True


def _offer(attributes: Mapping[str, Any], currency: str, context: ReadContext) -> Offer:
    instance_type = fields.text(attributes, "instanceType", "instance_type")
    machine = find_machine(PROVIDER, instance_type)
    stated = fields.optional_count(attributes.get("gpu"), "gpu")
    num_gpus = machine.num_gpus if machine else stated  # the list has 0 for a part of a GPU
    if num_gpus is None:
        raise ValueError(f"how many GPUs a {instance_type} has is not known")
    memory = re.fullmatch(r"([0-9][0-9,.]*) GiB", fields.optional_text(attributes, "memory"))
    return Offer(
        provider=PROVIDER,
        region=fields.text(attributes, "regionCode", "region"),
        zone="",
        instance_type=instance_type,
        kind=OfferKind.ON_DEMAND,
        currency=currency,
        gpu_name=machine.gpu_name if machine else instance_type,
        gpu_key=find_gpu(context, (PROVIDER,), instance_type, machine.gpu_name if machine else ""),
        num_gpus=num_gpus,
        vcpus=fields.optional_count(attributes.get("vcpu"), "vcpu"),
        memory_bytes=fields.gibibytes(memory[1].replace(",", ""), "memory") if memory else None,
        interconnect=fields.optional_text(attributes, "networkPerformance", "interconnect"),
    )


def _stated(price: _Price, state: _State) -> Iterator[Quote]:
    """The quote of an on-demand line; a reservation's lines are kept until the end. Raises ValueError for no price."""
    if not price.is_reserved:
        if price.unit != "Hrs":
            raise ValueError(f"the unit is {price.unit!r}, not Hrs")
        yield state.quote(price, price.offer, fields.checked_amount(price.amount or Decimal(0), "PricePerUnit"))
        return
    if price.offering_class == "convertible":
        state.leave_out("convertible reservations")
        return
    if price.lease not in _TERMS or price.purchase not in _UPFRONTS:
        raise ValueError(f"a reservation for {price.lease!r} with {price.purchase!r} is not known")
    if len(state.reservations) >= _MOST_PENDING:
        raise FileFault(price.row, f"more than {_MOST_PENDING:,} reservations of GPU machines are no price list")
    kept = state.reservations.setdefault(f"{price.term} {price.offer.currency}", _Reservation(price))
    if price.amount is None or price.amount < 0:
        raise ValueError(f"PricePerUnit: {price.amount} is not a fee or price")
    if price.unit == "Quantity":
        kept.fee += price.amount
    elif price.unit == "Hrs":
        kept.hourly += price.amount
    else:
        raise ValueError(f"the unit is {price.unit!r}, neither Hrs nor Quantity")


def _reserved(state: _State) -> Found:
    """What each reservation costs per hour of its term, the fee at its start included."""
    for reservation in state.reservations.values():
        price = reservation.price
        kind, years = _TERMS[price.lease]
        upfront = _UPFRONTS[price.purchase]
        offer = _reserved_offer(price.offer, kind, upfront, years)
        try:
            if (reservation.fee > 0) != (upfront is not Upfront.NO):
                raise ValueError(f"{price.purchase} with a fee of {reservation.fee} contradicts itself")
            amount = reservation.hourly + reservation.fee / (HOURS_PER_YEAR * years)
            yield state.quote(price, offer, fields.checked_amount(amount, "PricePerUnit"))
        except ValueError as error:
            yield Refused(price.row, str(error), offer.instance_type)


def _reserved_offer(offer: Offer, kind: OfferKind, upfront: Upfront, years: int) -> Offer:
    return replace(
        offer, kind=kind, upfront=upfront, minimum_term_seconds=years * HOURS_PER_YEAR * fields.SECONDS_PER_HOUR
    )


def _described(attributes: Mapping[str, Any], description: object) -> str:
    return shortened(f"{attributes.get('instanceType')} in {attributes.get('regionCode')}: {description}")
