"""An answer as a JSON document and back, to the last digit: decimals and dates as strings, unknown as null.

GPUs, and what a job takes on a kind of hardware, stand once each in tables; options refer to them by place, because
hundreds of offers differ in their price alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from planner.estimates.estimate import Answer, Bottleneck, Layout, MemoryItem, Option, Placement, Rejection
from planner.hardware.gpu import Dtype, Figure, Gpu, GpuKind, LinkTopology, Vendor
from planner.offers.offer import Offer, OfferKind, Price, Upfront
from planner.quantity import Basis, Cause, Quantity
from planner.units import plain_decimal

ANSWER_FORM = 1
QUANTITIES = (
    "seconds",
    "step_seconds",
    "tokens_per_second",
    "memory_bytes",
    "energy_joules",
    "average_power_watts",
)
COSTS = ("cost", "cost_per_hour", "cost_per_million_tokens", "cost_per_thousand_requests", "carbon_kg")
FIGURES = tuple(field.name for field in fields(Gpu) if "Figure | None" in str(field.type))
_OFFER_DECIMALS = ("vcpus", "quota_gpus", "interruptions_per_hour")
GPU_ENUMS = {"vendor": Vendor, "kind": GpuKind, "link_topology": LinkTopology}


def answer_to_document(answer: Answer) -> dict[str, Any]:
    """The whole answer as what `json.dumps` takes."""
    gpus, works = _Table(), _Table()
    options = [_option_to_document(option, gpus, works) for option in answer.options]
    rejections = [
        {
            "placement": _placement_to_document(rejection.placement, gpus),
            "bottleneck": rejection.bottleneck.value,
            "reason": rejection.reason,
        }
        for rejection in answer.rejections
    ]
    return {
        "form": ANSWER_FORM,
        "gpus": gpus.documents,
        "works": works.documents,
        "options": options,
        "rejections": rejections,
    }


def answer_from_document(document: Mapping[str, Any]) -> Answer:
    """The answer that `answer_to_document` wrote. Raises ValueError for another form."""
    _check_form(document)
    gpus = [gpu_from_document(entry) for entry in document["gpus"]]
    works = [_work_from_document(entry) for entry in document["works"]]
    return Answer(
        tuple(_option_from_document(entry, gpus, works) for entry in document["options"]),
        tuple(
            Rejection(
                _placement_from_document(entry["placement"], gpus), Bottleneck(entry["bottleneck"]), entry["reason"]
            )
            for entry in document["rejections"]
        ),
    )


def option_from_document(document: Mapping[str, Any], position: int) -> Option:
    """One option of that answer, counted from 0, without reading the others. Raises ValueError, IndexError."""
    _check_form(document)
    entry = document["options"][position]
    gpu, work = entry["placement"]["gpu"], entry["work"]
    gpus = {gpu: gpu_from_document(document["gpus"][gpu])}
    return _option_from_document(entry, gpus, {work: _work_from_document(document["works"][work])})


def _check_form(document: Mapping[str, Any]) -> None:
    if document.get("form") != ANSWER_FORM:
        raise ValueError(f"the answer has form {document.get('form')!r}, this code reads form {ANSWER_FORM}")


class _Table:
    """Documents, equal ones once; `place` gives where one stands."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self._places: dict[str, int] = {}

    def place(self, document: dict[str, Any]) -> int:
        key = json.dumps(document, sort_keys=True)
        if key not in self._places:
            self._places[key] = len(self.documents)
            self.documents.append(document)
        return self._places[key]


def gpu_to_document(gpu: Gpu) -> dict[str, Any]:
    """Every figure of a catalogue entry."""
    plain = {field.name: getattr(gpu, field.name) for field in fields(Gpu) if field.name not in FIGURES}
    return {
        **plain,
        **{name: getattr(gpu, name).value for name in GPU_ENUMS},
        "peak_flops": {dtype.value: _figure_to_document(figure) for dtype, figure in gpu.peak_flops.items()},
        **{name: _optional(getattr(gpu, name), _figure_to_document) for name in FIGURES},
    }


def gpu_from_document(document: Mapping[str, Any]) -> Gpu:
    """The catalogue entry that `gpu_to_document` wrote."""
    values = dict(document)
    values |= {name: kind(values[name]) for name, kind in GPU_ENUMS.items()}
    values["peak_flops"] = {Dtype(name): _figure_from_document(entry) for name, entry in values["peak_flops"].items()}
    values |= {name: _optional(values[name], _figure_from_document) for name in FIGURES}
    return Gpu(**values)


def quantity_to_document(quantity: Quantity) -> dict[str, Any]:
    """Ends, middle, unit, basis and causes."""
    return {
        "low": quantity.low,
        "mid": quantity.mid,
        "high": quantity.high,
        "unit": quantity.unit,
        "basis": quantity.basis.value,
        "causes": [{"name": cause.name, "spread": cause.spread} for cause in quantity.causes],
    }


def quantity_from_document(document: Mapping[str, Any]) -> Quantity:
    """The quantity that `quantity_to_document` wrote."""
    causes = tuple(Cause(entry["name"], entry["spread"]) for entry in document["causes"])
    ends = (document["low"], document["mid"], document["high"])
    return Quantity(*ends, document["unit"], Basis(document["basis"]), causes)


def _option_to_document(option: Option, gpus: _Table, works: _Table) -> dict[str, Any]:
    return {
        "placement": _placement_to_document(option.placement, gpus),
        "work": works.place(_work_to_document(option)),
        **{name: _optional(getattr(option, name), quantity_to_document) for name in COSTS},
        "unknown": dict(option.unknown),
        "why_not": option.why_not,
    }


def _option_from_document(
    document: Mapping[str, Any],
    gpus: Sequence[Gpu] | Mapping[int, Gpu],
    works: Sequence[Mapping[str, Any]] | Mapping[int, Mapping[str, Any]],
) -> Option:
    values = dict(document)
    work = works[values.pop("work")]
    values |= {name: _optional(values.get(name), quantity_from_document) for name in COSTS}
    values |= {"placement": _placement_from_document(values["placement"], gpus)}
    return Option(**work, **values)


def _work_to_document(option: Option) -> dict[str, Any]:
    """What is the same for every offer of the same hardware."""
    return {
        "layout": asdict(option.layout),
        **{name: _optional(getattr(option, name), quantity_to_document) for name in QUANTITIES},
        "memory_items": [asdict(item) for item in option.memory_items],
        "usable_memory_bytes": option.usable_memory_bytes,
        "bottleneck": option.bottleneck.value,
        "basis": option.basis.value,
        "fit_id": option.fit_id,
        "extras": {name: quantity_to_document(quantity) for name, quantity in option.extras.items()},
        "notes": list(option.notes),
    }


def _work_from_document(document: Mapping[str, Any]) -> Mapping[str, Any]:
    values = dict(document)
    values |= {name: _optional(values[name], quantity_from_document) for name in QUANTITIES}
    return values | {
        "layout": Layout(**values["layout"]),
        "memory_items": tuple(MemoryItem(**item) for item in values["memory_items"]),
        "bottleneck": Bottleneck(values["bottleneck"]),
        "basis": Basis(values["basis"]),
        "extras": {name: quantity_from_document(entry) for name, entry in values["extras"].items()},
        "notes": tuple(values["notes"]),
    }


def _placement_to_document(placement: Placement, gpus: _Table) -> dict[str, Any]:
    return {
        "gpu": gpus.place(gpu_to_document(placement.gpu)),
        "num_gpus": plain_decimal(placement.num_gpus),
        "offer_id": placement.offer_id,
        "offer": _optional(placement.offer, _offer_to_document),
        "price_id": placement.price_id,
        "price": _optional(placement.price, _price_to_document),
        "device_id": placement.device_id,
        "device_name": placement.device_name,
        "device_memory_bytes": placement.device_memory_bytes,
        **({"num_nodes": placement.num_nodes} if placement.num_nodes > 1 else {}),
        **({"is_cost_assumed": True} if placement.is_cost_assumed else {}),
    }


def _placement_from_document(document: Mapping[str, Any], gpus: Sequence[Gpu] | Mapping[int, Gpu]) -> Placement:
    values = dict(document)
    values |= {
        "gpu": gpus[values["gpu"]],
        "num_gpus": Decimal(values["num_gpus"]),
        "offer": _optional(values["offer"], _offer_from_document),
        "price": _optional(values["price"], _price_from_document),
    }
    return Placement(**values)


def _offer_to_document(offer: Offer) -> dict[str, Any]:
    return {
        **{field.name: getattr(offer, field.name) for field in fields(Offer)},
        "kind": offer.kind.value,
        "upfront": offer.upfront.value,
        "num_gpus": plain_decimal(offer.num_gpus),
        **{name: _optional(getattr(offer, name), plain_decimal) for name in _OFFER_DECIMALS},
    }


def _offer_from_document(document: Mapping[str, Any]) -> Offer:
    values = dict(document)
    values |= {"kind": OfferKind(values["kind"]), "upfront": Upfront(values.get("upfront", ""))}
    values |= {"num_gpus": Decimal(values["num_gpus"])}
    values |= {name: _optional(values.get(name), Decimal) for name in _OFFER_DECIMALS}
    return Offer(**values)


def _price_to_document(price: Price) -> dict[str, Any]:
    return {
        "amount": _optional(price.amount, plain_decimal),
        "valid_from": price.valid_from.isoformat(),
        "recorded_at": price.recorded_at.isoformat(),
        "source": price.source,
        "source_date": price.source_date.isoformat(),
        "reason": price.reason,
    }


def _price_from_document(document: Mapping[str, Any]) -> Price:
    values = dict(document)
    values |= {
        "amount": _optional(values["amount"], Decimal),
        "valid_from": datetime.fromisoformat(values["valid_from"]),
        "recorded_at": datetime.fromisoformat(values["recorded_at"]),
        "source_date": date.fromisoformat(values["source_date"]),
    }
    return Price(**values)


def _figure_to_document(figure: Figure) -> dict[str, Any]:
    return {"value": figure.value, "source": figure.source, "as_of": figure.as_of.isoformat(), "note": figure.note}


def _figure_from_document(document: Mapping[str, Any]) -> Figure:
    return Figure(document["value"], document["source"], date.fromisoformat(document["as_of"]), document["note"])


def _optional(value: Any, convert: Callable[[Any], Any]) -> Any:
    """None stays None."""
    return None if value is None else convert(value)
