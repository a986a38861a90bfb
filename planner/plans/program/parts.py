"""What the values of a program cost by component, fractions and all: where a bound's money goes."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from planner.plans.program.draft import Draft
from planner.plans.program.reading import COMPONENTS
from planner.plans.supply import RENTED, Supply

Array = NDArray[np.float64]


def parts_of(draft: Draft, values: Array) -> dict[str, float]:
    """The objective of these values by component; unlike a plan's own costs, of a relaxed program too."""
    found: dict[str, list[float]] = defaultdict(list)
    costs = np.array(draft.model.costs) * values
    for (pool, source, _), column in (*draft.used.items(), *draft.rented.items()):
        found[_component(draft.pools[pool].sources[source].first)].append(costs[column])
    for (pool, source, _), column in draft.committed.items():
        found[draft.pools[pool].sources[source].first.kind.value].append(costs[column])
    for named in (draft.runs, draft.starts, draft.instances):
        for (_, pool, _), column in named.items():  # charged at once where a pool's price is flat
            found[_component(draft.pools[pool].sources[0].first)].append(costs[column])
    for column in (*draft.dropped.values(), *draft.unserved.values()):
        found["shortage"].append(costs[column])
    return {name: math.fsum(found.get(name, ())) for name in COMPONENTS}


def _component(supply: Supply) -> str:
    """Under which component the use of a supply counts."""
    return supply.kind.value if supply.kind in RENTED else "running"
