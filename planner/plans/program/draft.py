"""The program as it is written: its columns by what they mean, and the rows that hold all parts together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.plans.linear import INFINITY, Model
from planner.plans.program.pools import Pool
from planner.plans.request import PlanRequest

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Likeness:
    """Which slot a row is about, the family of rows that say the same of others, and its weight in a sum of them."""

    slot: int
    family: tuple[object, ...]
    weight: float


@dataclass
class Draft:
    """Columns by meaning. Places are those of request.jobs, request.services, `pools` and slots.

    `uses` collects what columns take of a pool in a slot, in GPU-hours of one happening of it; `peaks` what whole
    jobs hold in it at once, in GPUs, were it for a part of the slot.
    """

    request: PlanRequest
    pools: tuple[Pool, ...]
    model: Model = field(default_factory=Model)
    runs: dict[tuple[int, int, int], int] = field(default_factory=dict)  # job, pool, slot: hours that its gangs run
    starts: dict[tuple[int, int, int], int] = field(default_factory=dict)  # job, pool, slot: starts there (whole jobs)
    instances: dict[tuple[int, int, int], int] = field(
        default_factory=dict
    )  # service, pool, slot: instances or replicas
    used: dict[tuple[int, int, int], int] = field(default_factory=dict)  # pool, source, slot: GPU-hours
    rented: dict[tuple[int, int, int], int] = field(default_factory=dict)  # pool, source, slot: shared instances paid
    patterns: dict[tuple[int, int, int], int] = field(default_factory=dict)  # pool, pattern, slot: instances filled so
    committed: dict[tuple[int, int, int], int] = field(default_factory=dict)  # pool, source, start slot: instances
    at_once: dict[tuple[int, int], tuple[tuple[tuple[int, float], ...], float]] = field(
        default_factory=dict
    )  # pool, slot
    gangs: dict[tuple[int, int, int], int] = field(default_factory=dict)  # pool, gang, first slot: so many are held
    dropped: dict[int, int] = field(default_factory=dict)  # job: the share left undone
    unserved: dict[tuple[int, int], int] = field(default_factory=dict)  # service, slot: demand unserved
    ends: dict[int, list[tuple[int, float]]] = field(default_factory=dict)  # whole job: when it ends, as terms
    begins: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    waits: dict[int, int] = field(default_factory=dict)  # whole job: start where it is free to choose it
    uses: dict[tuple[int, int], list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    peaks: dict[tuple[int, int], list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    may_begin: dict[str, list[int]] = field(default_factory=dict)  # commitments: start slots by supply
    forces: dict[tuple[str, int], Array] = field(default_factory=dict)  # supply, start slot: hours in force
    spends: dict[int, list[tuple[int, float]]] = field(default_factory=dict)  # column: money by slot
    capacity_rows: dict[tuple[int, int], int] = field(default_factory=dict)
    quota_rows: dict[tuple[int, int], int] = field(default_factory=dict)
    power_rows: dict[int, int] = field(default_factory=dict)
    budget_rows: dict[int, int] = field(default_factory=dict)
    work_rows: dict[int, int] = field(default_factory=dict)
    demand_rows: dict[tuple[int, int], int] = field(default_factory=dict)
    alike: dict[int, Likeness] = field(default_factory=dict)  # rows that say of their slot what others say of theirs
    finish: int | None = None  # the column of the time when the last job ends
    last_slot: int | None = None  # the column of how much of the last slot is used, where that is open

    def pools_of(self, name: str) -> list[Pool]:
        """The pools that a demand may use."""
        return [pool for pool in self.pools if name in pool.users]

    def row_of(
        self,
        slot: int,
        family: tuple[object, ...],
        terms: Sequence[tuple[int, float]],
        *,
        lower: float = -INFINITY,
        upper: float = INFINITY,
        is_moment: bool = False,
    ) -> int:
        """A row about one slot; those of a family say the same of other slots. `is_moment`: in GPUs, replicas or a
        level at any moment of it, not in hours of the slot as a whole."""
        place = self.model.row(terms, lower, upper)
        hours = float(self.request.horizon.slot_hours[slot]) if is_moment else 1.0
        self.alike[place] = Likeness(slot, family, hours)
        return place

    def paid(self, hours: float, slot: int) -> float:
        """Hours in one happening of a slot, times how often it happens."""
        return float(hours * self.request.horizon.weights[slot])

    def take(self, pool: Pool, slot: int, column: int, gpu_hours: float) -> None:
        """A column takes so many GPU-hours of a pool in a slot; where its price is flat, it is charged at once."""
        if pool.flat_price is None:
            self.uses[pool.place, slot].append((column, gpu_hours))
        else:
            self.charge(column, slot, self.paid(gpu_hours, slot) * pool.flat_price)

    def charge(self, column: int, slot: int, money: float, is_spent: bool = True) -> None:
        """A unit of a column costs so much in a slot; what is not spent (a shortage's price) is in no budget."""
        self.model.costs[column] += money
        if is_spent and self.request.limits.budgets and money:
            self.spends.setdefault(column, []).append((slot, money))
