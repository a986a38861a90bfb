"""A smaller program that takes slots together: its optimum is a bound of the whole one's, and a plan is drawn from it.

Columns that mean the same in slots of a group become one, the sum of them; rows that say the same become their sum,
which any answer of the whole program meets. Where the weights of a group differ, the row is loosened to the least of
them (to the largest, where it asks for something), costs to the least. So no plan costs less than the small program's
optimum, whichever the groups; the closer slots are alike, the less it loses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.plans.linear import Answer, Model, ShouldStop, Status, solve_lp
from planner.plans.program.draft import Draft

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
SAME = 1e-9


def solve_grouped(
    draft: Draft, most_columns: int, seconds: float = math.inf, should_stop: ShouldStop | None = None
) -> Answer:
    """The relaxed program with slots taken together until it has about `most_columns`, spread over the slots again.

    The answer's objective bounds every plan's cost; its values, in a group by the hours and the demand of each slot,
    need not keep within every row; its duals are the group's in each of its slots.
    """
    groups = _groups(draft, math.ceil(draft.model.num_columns / most_columns))
    columns, rows = _columns(draft, groups), _rows(draft, groups)
    model, places = _model(draft.model, columns, rows)
    found = solve_lp(model, seconds, should_stop)
    if found.values is None or found.objective is None:
        return found
    values = found.values[columns.group] * columns.share
    duals = None if found.row_duals is None else _duals(found.row_duals, places, rows)
    return Answer(Status.OPTIMAL, values, found.objective, found.objective, found.seconds, duals)


@dataclass(frozen=True, eq=False)
class _Grouped:
    """Columns or rows: the group of each, its weight in the group's sum, and its share of it when spread again."""

    group: Whole
    weight: Array
    share: Array

    @property
    def num_groups(self) -> int:
        return int(self.group.max()) + 1 if self.group.size else 0


def _groups(draft: Draft, size: int) -> list[int]:
    """The group of each slot: `size` slots in a row that happen equally often."""
    weights = draft.request.horizon.weights
    found: list[int] = []
    number, inside = -1, size
    for slot in range(draft.request.horizon.num_slots):
        if inside == size or weights[slot] != weights[slot - 1]:
            number, inside = number + 1, 0
        found.append(number)
        inside += 1
    return found


def _columns(draft: Draft, groups: list[int]) -> _Grouped:
    """Columns of a slot by what they mean and their slot's group; all others by themselves."""
    hours = draft.request.horizon.slot_hours
    size = draft.model.num_columns
    keys: list[object] = list(range(size))
    weight, part = np.ones(size), np.ones(size)
    kinds: tuple[tuple[str, Mapping[Any, int], bool], ...] = (
        ("runs", draft.runs, False),
        ("starts", draft.starts, False),
        ("used", draft.used, False),
        ("patterns", draft.patterns, False),
        ("instances", draft.instances, True),
        ("rented", draft.rented, True),
        ("unserved", draft.unserved, True),
    )
    for kind, named, is_moment in kinds:
        for (*name, slot), column in named.items():
            keys[column] = (kind, *name, groups[slot])
            weight[column] = hours[slot] if is_moment else 1.0
            part[column] = _part(draft, kind, name[0], slot, draft.model.upper[column])
    group = _numbered(keys)
    whole = np.bincount(group, weights=weight * part)
    share = np.divide(part, whole[group], out=np.zeros(size), where=whole[group] > 0)
    return _Grouped(group, weight, share)


def _part(draft: Draft, kind: str, place: int, slot: int, upper: float) -> float:
    """How much of a group's sum a slot gets: by its demand, or by its hours."""
    if kind in ("instances", "unserved"):
        return draft.request.services[place].needed(slot)
    if kind == "runs":
        return upper
    return float(draft.request.horizon.slot_hours[slot])


def _rows(draft: Draft, groups: list[int]) -> _Grouped:
    size = draft.model.num_rows
    keys: list[object] = list(range(size))
    weight = np.ones(size)
    for row, like in draft.alike.items():
        keys[row] = (*like.family, groups[like.slot])
        weight[row] = like.weight
    return _Grouped(_numbered(keys), weight, weight)


def _numbered(keys: list[object]) -> Whole:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _model(model: Model, columns: _Grouped, rows: _Grouped) -> tuple[Model, Whole]:
    """The small program, and for each of its rows the group of rows that it sums up."""
    members = np.bincount(columns.group, minlength=columns.num_groups)
    small = Model(
        costs=_least(np.array(model.costs) / columns.weight, columns).tolist(),
        lower=[0.0] * columns.num_groups,
        upper=np.bincount(columns.group, weights=np.array(model.upper) * columns.weight).tolist(),
    )
    lowest = _summed(np.array(model.row_lower), rows)
    highest = _summed(np.array(model.row_upper), rows)
    row, column, least, most = _weights(model, columns, rows, members)
    starts = np.searchsorted(row, np.arange(rows.num_groups + 1))
    places = []
    for place in range(rows.num_groups):
        inside = slice(starts[place], starts[place + 1])
        names, low, high = column[inside].tolist(), least[inside], most[inside]
        is_exact = bool(np.allclose(low, high, rtol=SAME, atol=SAME))
        if is_exact and math.isfinite(lowest[place]) and math.isfinite(highest[place]):
            small.row(list(zip(names, low.tolist(), strict=True)), float(lowest[place]), float(highest[place]))
            places.append(place)
            continue
        if math.isfinite(highest[place]):
            small.row(list(zip(names, low.tolist(), strict=True)), upper=float(highest[place]))
            places.append(place)
        if math.isfinite(lowest[place]):
            small.row(list(zip(names, high.tolist(), strict=True)), lower=float(lowest[place]))
            places.append(place)
    return small, np.array(places, dtype=np.int64)


def _least(costs: Array, columns: _Grouped) -> Array:
    found = np.full(columns.num_groups, np.inf)
    np.minimum.at(found, columns.group, costs)
    return found


def _summed(bounds: Array, rows: _Grouped) -> Array:
    """The sum of a group's bounds; one that is open leaves the sum open."""
    return np.bincount(rows.group, weights=bounds * rows.weight, minlength=rows.num_groups).astype(np.float64)


def _weights(model: Model, columns: _Grouped, rows: _Grouped, members: Whole) -> tuple[Whole, Whole, Array, Array]:
    """Group of rows, group of columns, and the least and the largest weight of the latter's members in the former."""
    counts = np.diff(np.array(model.starts))
    row = rows.group[np.repeat(np.arange(model.num_rows), counts)]
    place = np.array(model.columns, dtype=np.int64)
    weight = np.array(model.weights) * np.repeat(rows.weight, counts) / columns.weight[place]
    row, place, weight = _added(row, place, weight, model.num_columns)
    group = columns.group[place]
    order = np.lexsort((group, row))
    row, group, weight = row[order], group[order], weight[order]
    first = np.flatnonzero(np.r_[True, (np.diff(row) != 0) | (np.diff(group) != 0)])
    present = np.diff(np.r_[first, row.size])
    least, most = np.minimum.reduceat(weight, first), np.maximum.reduceat(weight, first)
    is_partial = present < members[group[first]]  # a member that is not in the row weighs nothing there
    least = np.where(is_partial, np.minimum(least, 0.0), least)
    most = np.where(is_partial, np.maximum(most, 0.0), most)
    return row[first], group[first], least, most


def _added(row: Whole, place: Whole, weight: Array, num_columns: int) -> tuple[Whole, Whole, Array]:
    """Weights of one column in several rows of a group, added up."""
    key, at = np.unique(row * num_columns + place, return_inverse=True)
    return key // num_columns, key % num_columns, np.bincount(at, weights=weight).astype(np.float64)


def _duals(duals: Array, places: Whole, rows: _Grouped) -> Array:
    """What one more of a row is worth: its group's dual times its weight in the group's sum."""
    by_group = np.bincount(places, weights=duals, minlength=rows.num_groups)
    found: Array = by_group[rows.group] * rows.weight
    return found
