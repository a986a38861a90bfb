"""An oracle: which reservations to take over on demand alone, exact by a linear program whose answer is whole.

minimise    Σ_k Σ_s cost_k · x_ks + Σ_t price · hours_t · y_t
subject to  Σ_k Σ_{s: t in [s, s+length_k)} x_ks + y_t >= demand_t,   x, y >= 0

Each reservation covers slots in a row, so the columns have their ones in a row: an interval matrix, which is totally
unimodular. With whole demand each vertex is whole, so the relaxed program's optimum is the true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planner.plans.linear import INFINITY, Model, solve_lp


@dataclass(frozen=True, slots=True)
class Term:
    """A reservation of one GPU for `num_slots` slots in a row at `cost` in all."""

    name: str
    num_slots: int
    cost: float


@dataclass(frozen=True, slots=True)
class Taken:
    """So many of a term begun at a slot."""

    term: str
    slot: int
    num_gpus: int


@dataclass(frozen=True, slots=True)
class Cover:
    """The least cost, the reservations taken, and what is rented on demand in each slot."""

    cost: float
    taken: tuple[Taken, ...]
    rented: tuple[int, ...]


def cheapest_cover(demand: Sequence[int], terms: Sequence[Term], prices: Sequence[float]) -> Cover:
    """The cheapest cover of a whole demand per slot; `prices`: one GPU on demand for the slot.

    Terms that outlast the last slot cost in full. Raises ValueError for a demand that is not whole or of other length.
    """
    if len(prices) != len(demand) or any(level != int(level) or level < 0 for level in demand):
        raise ValueError("demand must be whole and not negative, with one price per slot")
    model = Model()
    taken: dict[tuple[int, int], int] = {}
    for number, term in enumerate(terms):
        for slot in range(len(demand)):
            taken[number, slot] = model.column(term.cost)
    rented = [model.column(price) for price in prices]
    for slot, level in enumerate(demand):
        covers = [
            (taken[number, start], 1.0)
            for number, term in enumerate(terms)
            for start in range(max(slot - term.num_slots + 1, 0), slot + 1)
        ]
        model.row([*covers, (rented[slot], 1.0)], lower=float(level), upper=INFINITY)
    answer = solve_lp(model)
    if answer.values is None or answer.objective is None:
        raise ValueError("no cover was found")
    values = answer.values
    if any(abs(value - round(value)) > 1e-6 for value in values):
        raise ValueError("the program's vertex is not whole: its columns are not intervals")
    return Cover(
        cost=answer.objective,
        taken=tuple(
            Taken(terms[number].name, slot, round(float(values[column])))
            for (number, slot), column in taken.items()
            if values[column] > 0.5
        ),
        rented=tuple(round(float(values[column])) for column in rented),
    )
