"""What goes wrong in the middle of a plan: supplies that are gone, work that is lost; the rest anew, and its price."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from planner.errors import InvalidInput
from planner.plans.plan import plan
from planner.plans.replan import remaining
from planner.plans.request import PlanRequest
from planner.plans.solution import Plan


@dataclass(frozen=True, slots=True)
class Setback:
    """The rest of a plan from a moment on: as things stand, and as it would have been had nothing happened."""

    rest: Plan
    undisturbed: Plan

    @property
    def difference(self) -> float | None:
        """What the rest costs beyond the undisturbed one, in the plan's currency; None where either was not found."""
        if self.rest.cost is None or self.undisturbed.cost is None:
            return None
        return self.rest.cost - self.undisturbed.cost


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


def after_setback(
    request: PlanRequest,
    found: Plan,
    elapsed_hours: float,
    done: Mapping[str, float] | None = None,
    gone: Collection[str] = (),
    until_hours: Mapping[str, float] | None = None,
) -> Setback:
    """Plan again from `elapsed_hours` on: `done` says what of each job is left standing, `gone` and `until_hours` which
    supplies cannot be had any more or for how many hours from then. Both rests are solved alike, so that their
    difference is what the setback costs. Raises InvalidInput as `remaining` does."""
    undisturbed = plan(remaining(request, found, elapsed_hours))
    rest = plan(without(remaining(request, found, elapsed_hours, done), gone, until_hours))
    return Setback(rest, undisturbed)
