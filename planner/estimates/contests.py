"""The best option of each vendor, way to get it and provider: who is in the race, and who is not and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from planner.estimates.estimate import Answer, Option, Placement
from planner.hardware.gpu import GpuKind, Vendor
from planner.offers.offer import OfferKind

CPUS = "CPUs"
UNLISTED = "GPUs that the catalogue does not list"
NO_PLACE = "none is attached, on offer or planned among what was asked for"
VENDORS = (Vendor.NVIDIA.value, Vendor.AMD.value, Vendor.INTEL.value, CPUS)  # always answered for


class Field(StrEnum):
    """What the entrants of a contest differ in."""

    VENDOR = "vendor"
    WAY = "way"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Entrant:
    """One vendor, way or provider and the best that it has.

    `rank` is its best option's place among all (0 is the best of all; None: it has none, for `why_none`).
    `wins_below` is the price of one GPU-hour, in that option's currency, at which it would cost what the best of all
    costs; None for the best itself and where either cost is unknown or in another currency.
    """

    name: str
    rank: int | None
    num_options: int
    num_rejected: int
    why_none: str = ""
    wins_below: float | None = None


@dataclass(frozen=True, slots=True)
class Contest:
    """All entrants of one field, those with the better option first, those without one last."""

    field: Field
    entrants: tuple[Entrant, ...]


def contests(answer: Answer) -> tuple[Contest, ...]:
    """One contest for each field. Vendors always hold NVIDIA, AMD, Intel and CPUs, in the race or not."""
    return (
        _contest(Field.VENDOR, answer, _vendor, VENDORS),
        _contest(Field.WAY, answer, _way, ()),
        _contest(Field.PROVIDER, answer, _provider, ()),
    )


def _vendor(placement: Placement) -> str | None:
    if placement.gpu.kind is GpuKind.CPU:
        return CPUS
    return UNLISTED if placement.gpu.vendor is Vendor.OTHER else placement.gpu.vendor.value


def _way(placement: Placement) -> str | None:
    if placement.device_id is not None:
        return "attached"
    if placement.offer is None:
        return None
    return "planned purchase" if placement.offer.kind is OfferKind.OWNED else placement.offer.kind.value


def _provider(placement: Placement) -> str | None:
    if placement.offer is None or placement.offer.kind is OfferKind.OWNED or placement.device_id is not None:
        return None
    return placement.offer.provider


def _contest(
    field: Field, answer: Answer, name_of: Callable[[Placement], str | None], always: Sequence[str]
) -> Contest:
    ranks: dict[str, list[int]] = {name: [] for name in always}
    reasons: dict[str, Counter[str]] = {name: Counter() for name in always}
    for rank, option in enumerate(answer.options):
        if (name := name_of(option.placement)) is not None:
            ranks.setdefault(name, []).append(rank)
    for rejection in answer.rejections:
        if (name := name_of(rejection.placement)) is not None:
            reasons.setdefault(name, Counter())[rejection.reason] += 1
    entrants = [_entrant(name, ranks, reasons, answer.options) for name in {**ranks, **reasons}]
    last = len(answer.options)
    return Contest(field, tuple(sorted(entrants, key=lambda one: last if one.rank is None else one.rank)))


def _entrant(
    name: str, ranks: Mapping[str, list[int]], reasons: Mapping[str, Counter[str]], options: Sequence[Option]
) -> Entrant:
    found, lost = ranks.get(name, []), reasons.get(name, Counter())
    if found:
        below = None if found[0] == 0 else _wins_below(options[found[0]], options[0])
        return Entrant(name, found[0], len(found), lost.total(), wins_below=below)
    why = lost.most_common(1)[0][0] if lost else NO_PLACE
    return Entrant(name, None, 0, lost.total(), why)


def _wins_below(option: Option, best: Option) -> float | None:
    """Cost follows the price of an hour; the time that it takes does not."""
    here, there = (one.cost_per_million_tokens if one.seconds is None else one.cost for one in (option, best))
    if here is None or there is None or option.cost_per_hour is None:
        return None
    if here.unit != there.unit or not here.mid:
        return None
    return option.cost_per_hour.mid * there.mid / here.mid / float(option.placement.num_gpus)
