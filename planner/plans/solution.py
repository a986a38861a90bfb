"""The answer: what is committed, what runs where and when, what each part costs, and how far that is from the least."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from planner.plans import codec
from planner.plans.linear import gap_of

ANY_GPU = "any GPU"  # the option of a demand that is refused on all


class Outcome(StrEnum):
    """What a plan is: proven best (within the gap asked for), the best so far, or none and why."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    STOPPED = "stopped"  # before any plan was found


@dataclass(frozen=True, slots=True)
class Commitment:
    """GPUs bought or reserved: held from order and arrival to the end of term or life; `cost` falls in the horizon.

    `cost_beyond` is what the commitment costs after the horizon's end: decided now, paid later.
    """

    supply: str
    num_gpus: int
    from_hours: float
    until_hours: float
    cost: float
    cost_beyond: float


@dataclass(frozen=True, slots=True)
class Assignment:
    """A job or service on one kind of GPU between two moments: `num_gpus` held while it runs, for `hours` of them.

    A divisible job may run for less than the slot: when exactly, its timetable says. A service has `num_units` replicas
    or instances. `supplies` are those that the pool of these GPUs drew on in the slot.
    """

    demand: str
    gpu: str
    supplies: tuple[str, ...]
    from_hours: float
    until_hours: float
    num_gpus: int
    hours: float
    num_units: int = 1
    pool: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """GPU-hours of a supply used in one slot (one happening of it), and what their use costs over all happenings."""

    supply: str
    slot: int
    gpu_hours: float
    cost: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """An option that the plan does not take and the reason.

    With a `demand`, `supply` is a kind of GPU that it could run on; without one, it is a supply that nobody uses.
    """

    supply: str
    reason: str
    demand: str = ""


@dataclass(frozen=True, slots=True)
class Clash:
    """Demands that cannot all be met, though any one fewer could; and what stands in their way."""

    demands: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What of a service goes unserved for want of GPUs: between which hours, and the largest share of its demand."""

    service: str
    from_hours: float
    until_hours: float
    most_share: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        return (
            f"{self.service} is short by up to {self.most_share:.0%} of its demand "
            f"from hour {self.from_hours:g} to {self.until_hours:g}"
        )


@dataclass(frozen=True, slots=True)
class ShadowPrice:
    """What one more of a limit would save between two moments, in the plan's own currency."""

    limit: str
    from_hours: float
    until_hours: float
    saving: float
    sentence: str


@dataclass(frozen=True, slots=True)
class SearchStep:
    """How far a search was after so many seconds of solving: the least cost found (None: no plan yet) and the bound."""

    seconds: float
    cost: float | None
    bound: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan and how good it is: no plan for the request can cost less than `bound`. None: not known, or no plan.

    `assumptions` are what the program itself took for unknown figures of the supplies that are used. Where not all
    demands could be met and the least urgent were to give way, `dropped` and `shortfalls` say which, and cost and bound
    are of those that are kept. `steps` are how cost and bound came nearer to each other; `relaxed_costs` are those of
    the relaxed program by component (empty: it was not needed), in which jobs and commitments may be fractions.
    """

    outcome: Outcome
    cost: float | None
    bound: float | None
    seconds: float
    edges: tuple[float, ...]
    costs: Mapping[str, float]
    commitments: tuple[Commitment, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    uses: tuple[Use, ...] = ()
    dropped: tuple[str, ...] = ()
    finish_hours: float | None = None
    finish_bound_hours: float | None = None
    refusals: tuple[Refusal, ...] = ()
    shadow_prices: tuple[ShadowPrice, ...] = ()
    clash: Clash | None = None
    currency: str = "USD"
    assumptions: tuple[str, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    steps: tuple[SearchStep, ...] = ()
    relaxed_costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def gap(self) -> float | None:
        """How far the cost may lie above the least one, as a share of it."""
        return None if self.cost is None or self.bound is None else gap_of(self.cost, self.bound)

    @property
    def is_found(self) -> bool:
        return self.cost is not None

    def to_document(self) -> dict[str, Any]:
        """The plan as JSON values, its gap beside the rest."""
        document: dict[str, Any] = codec.to_document(self)
        return document | {"gap": self.gap}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """The plan that `to_document` wrote."""
        return codec.from_document(cls, {name: value for name, value in document.items() if name != "gap"})


def total(costs: Mapping[str, float]) -> float:
    """The sum of the components."""
    return math.fsum(costs.values())
