"""What goes wrong with the supplies of a plan: gone for good, or until they are back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from planner.errors import InvalidInput
from planner.plans.request import PlanRequest


def without(request: PlanRequest, gone: Collection[str], until_hours: Mapping[str, float] | None = None) -> PlanRequest:
    """The question with these supplies gone: for good, or until they are back (supply → hours from its start).

    What was committed of one that is gone is committed no more. Raises InvalidInput for a supply that there is not.
    """
    back = dict(until_hours or {})
    lost = {*gone, *back}
    unknown = sorted(lost - {supply.name for supply in request.supplies})
    if unknown:
        raise InvalidInput.of("gone", f"there is no supply {unknown[0]!r}")
    supplies = []
    for supply in request.supplies:
        if supply.name in back:
            supply = replace(supply, from_hours=max(supply.from_hours, back[supply.name]))
        elif supply.name in lost:
            supply = replace(supply, num_gpus=0)
        supplies.append(supply)
    kept = {name: number for name, number in (request.fixed or {}).items() if name not in set(gone) - set(back)}
    return replace(request, supplies=tuple(supplies), fixed=kept)
