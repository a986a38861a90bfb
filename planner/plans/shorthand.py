"""Short forms in a request's document: a uniform horizon by its length, a demand by its curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from planner.errors import FieldProblem, InvalidInput
from planner.plans import codec
from planner.plans.curves import constant, diurnal, growing, trace, weekly
from planner.plans.horizon import Horizon

MOST_SLOTS = 20_000


@dataclass(frozen=True, slots=True)
class Slots:
    """A uniform horizon."""

    num_slots: int
    slot_hours: float = 1.0


@dataclass(frozen=True, slots=True)
class ConstantCurve:
    level: float


@dataclass(frozen=True, slots=True)
class DiurnalCurve:
    low: float
    high: float
    peak_hour: float = 15.0
    first_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class WeeklyCurve:
    by_hour: tuple[float, ...]
    first_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class TraceCurve:
    levels: tuple[float, ...]
    step_hours: float


CURVES: Mapping[str, tuple[type, Callable[[Horizon, Any], tuple[float, ...]]]] = {
    "constant": (ConstantCurve, lambda horizon, each: constant(horizon, each.level)),
    "diurnal": (DiurnalCurve, lambda h, each: diurnal(h, each.low, each.high, each.peak_hour, each.first_hour)),
    "weekly": (WeeklyCurve, lambda horizon, each: weekly(horizon, each.by_hour, each.first_hour)),
    "trace": (TraceCurve, lambda horizon, each: trace(horizon, each.levels, each.step_hours)),
}


def expand(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with its short forms written out; what is not a short form is left as it is.

    `horizon`: {"num_slots", "slot_hours"}. A service's `demand`: {"diurnal": {...}} or another of `CURVES`, with
    "yearly_growth" beside it. Raises InvalidInput naming what cannot be used.
    """
    whole = dict(document)
    horizon = whole.get("horizon")
    if isinstance(horizon, Mapping) and "num_slots" in horizon:
        slots = _read(Slots, horizon, "horizon")
        if not 1 <= slots.num_slots <= MOST_SLOTS or slots.slot_hours <= 0:
            raise InvalidInput.of("horizon", f"needs 1 to {MOST_SLOTS:,} slots of a positive length")
        whole["horizon"] = {"edges": list(Horizon.uniform(slots.num_slots, slots.slot_hours).edges)}
    services = whole.get("services")
    if isinstance(services, list) and any(isinstance(_demand(each), Mapping) for each in services):
        time = _read(Horizon, whole.get("horizon"), "horizon")
        whole["services"] = [_service(each, time, f"services.{place}") for place, each in enumerate(services)]
    return whole


def _demand(service: Any) -> Any:
    return service.get("demand") if isinstance(service, Mapping) else None


def _service(service: Any, horizon: Horizon, place: str) -> Any:
    demand = _demand(service)
    if not isinstance(demand, Mapping):
        return service
    names = [name for name in demand if name != "yearly_growth"]
    if len(names) != 1 or names[0] not in CURVES:
        raise InvalidInput.of(f"{place}.demand", f"must be a list or one of {', '.join(CURVES)}")
    kind, write = CURVES[names[0]]
    curve = _read(kind, demand[names[0]], f"{place}.demand.{names[0]}")
    try:
        levels = write(horizon, curve)
        growth = demand.get("yearly_growth", 0)
        if growth:
            levels = growing(horizon, levels, float(growth))
    except (TypeError, ValueError) as error:
        raise InvalidInput.of(f"{place}.demand", str(error)) from None
    return {**service, "demand": list(levels)}


def _read(kind: type, value: Any, place: str) -> Any:
    try:
        return codec.from_document(kind, value)
    except InvalidInput as error:
        raise InvalidInput(
            [FieldProblem(place if p.field == "request" else f"{place}.{p.field}", p.message) for p in error.problems]
        ) from None
