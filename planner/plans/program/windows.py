"""A better plan from one that was found: a stretch of time after the other is solved again, all else as it is.

Rounding decides each slot for itself; where services, whole jobs and work that flows share scarce GPUs, much is lost.
A window is small enough to be solved in whole numbers together: which replicas run, what flows around them, which of
the jobs that lie within it begin when, which are done after all, and what is reserved for a time within it. No window
makes a plan dearer, and none changes what is committed to for longer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.plans.linear import Answer, Model, ShouldStop, Status, gap_of, solve_mip
from planner.plans.program.commitments import in_force
from planner.plans.program.draft import Draft
from planner.plans.program.starting import held_slots

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]
MOST_COLUMNS = 5_000  # of a window: some seconds of one core at most
WINDOW_SECONDS = 5.0
WINDOW_GAP = 1e-3  # of what a window may change
LEAST_GAIN = 2e-3  # of the cost: a round that gains less is the last one
SAME = 1e-9  # of the cost
OnBetter = Callable[[Answer], None]


def improved(
    draft: Draft,
    found: Answer,
    bound: float,
    gap: float,
    seconds: float,
    should_stop: ShouldStop | None = None,
    on_better: OnBetter | None = None,
) -> Answer:
    """The plan after rounds over all windows: until it is within `gap` of the bound, a round gains next to nothing,
    or about `seconds` of solving are over; `on_better` gets each better plan with the seconds so far.

    Raises ValueError where there is no plan to begin with.
    """
    if found.values is None:
        raise ValueError("there is no plan to improve")
    program, times, values = Pieces.of(draft.model), _Times.of(draft), found.values
    cost, spent, shift = program.cost(values), 0.0, 0
    while True:
        before = cost
        for start, end in times.windows(shift):
            if spent >= seconds or gap_of(cost, bound) <= gap or (should_stop is not None and should_stop()):
                return Answer(Status.FEASIBLE, values, cost, None, spent)
            left = min(WINDOW_SECONDS, seconds - spent)
            answer = program.solved(_free(draft, times, values, start, end), values, left, should_stop)
            spent += answer.seconds
            if answer.values is not None and program.cost(answer.values) < cost - SAME * abs(cost):
                values, cost = answer.values, program.cost(answer.values)
                if on_better is not None:
                    on_better(Answer(Status.FEASIBLE, values, cost, None, spent))
        if before - cost <= LEAST_GAIN * abs(before):
            return Answer(Status.FEASIBLE, values, cost, None, spent)
        shift = 1 - shift


@dataclass(frozen=True, eq=False)
class _Times:
    """Of each column the slot that it is about (-1: of none), and when starts and commitments hold GPUs."""

    slots: Whole
    starts: tuple[tuple[int, int, slice], ...]  # job, column, slots
    terms: tuple[tuple[int, int, int], ...]  # of commitments: column, first slot, the slot after the last

    @classmethod
    def of(cls, draft: Draft) -> _Times:
        slots = np.full(draft.model.num_columns, -1, dtype=np.int64)
        for named in (draft.runs, draft.instances, draft.used, draft.rented, draft.patterns):
            slots[list(named.values())] = [slot for _, _, slot in named]
        slots[list(draft.unserved.values())] = [slot for _, slot in draft.unserved]
        starts = ((name, column, held_slots(draft, *name)[0]) for name, column in draft.starts.items())
        terms = []
        for (pool, source, start), column in draft.committed.items():
            held = np.flatnonzero(in_force(draft.pools[pool].sources[source].first, start, draft))
            terms += [] if held.size == 0 else [(column, start, int(held[-1]) + 1)]
        return cls(slots, tuple((name[0], column, held) for name, column, held in starts), tuple(terms))

    def windows(self, shift: int) -> Iterator[tuple[int, int]]:
        """Slots from and up to which a window reaches; every other round they begin in the middle of those before."""
        num_slots = int(self.slots.max()) + 1
        by_slot = max(np.count_nonzero(self.slots >= 0) / max(num_slots, 1), 1.0)
        size = max(int(MOST_COLUMNS / by_slot), 2)
        for start in range(-(size // 2) * shift, num_slots, size):
            yield max(start, 0), min(start + size, num_slots)


def _free(draft: Draft, times: _Times, values: Array, start: int, end: int) -> Mask:
    """The columns that a window may change: those of its slots, and the commitments and whole jobs that begin and end
    in it."""
    free = (times.slots >= start) & (times.slots < end)
    free[[column for column, first, last in times.terms if start <= first and last <= end]] = True
    inside: dict[int, list[int]] = defaultdict(list)
    elsewhere: set[int] = set()
    for place, column, held in times.starts:
        if start <= held.start and held.stop <= end:
            inside[place].append(column)
        elif values[column] > 0.5:
            elsewhere.add(place)
    for place, columns in inside.items():
        if place not in elsewhere:
            free[columns] = True
    for place, column in draft.dropped.items():
        may_move = place in inside and place not in elsewhere
        free[column] = may_move or draft.request.jobs[place].is_divisible
    return free


@dataclass(frozen=True, eq=False)
class Pieces:
    """A program as arrays, to be solved in some of its columns while the others keep their values."""

    model: Model
    costs: Array
    weights: Array
    columns: Whole
    rows: Whole
    is_whole: Mask

    @classmethod
    def of(cls, model: Model) -> Pieces:
        """The arrays of a program."""
        is_whole = np.zeros(model.num_columns, dtype=bool)
        is_whole[model.integers] = True
        counts = np.diff(np.array(model.starts))
        return cls(
            model=model,
            costs=np.array(model.costs),
            weights=np.array(model.weights),
            columns=np.array(model.columns, dtype=np.int64),
            rows=np.repeat(np.arange(model.num_rows), counts),
            is_whole=is_whole,
        )

    def cost(self, values: Array) -> float:
        """What these values cost."""
        return float(self.costs @ values)

    def solved(self, free: Mask, values: Array, seconds: float, should_stop: ShouldStop | None = None) -> Answer:
        """The best values of the free columns beside the others as they are; their own are what it begins from.

        A row keeps its limits, or what the values make of it where that lies a hair beyond them.
        """
        places = np.flatnonzero(free)
        small, begun = self._part(free, places, values)
        answer = solve_mip(small, WINDOW_GAP, seconds, begun, should_stop=should_stop)
        if answer.values is None:
            return answer
        better = values.copy()
        better[places] = np.where(self.is_whole[places], np.round(answer.values), answer.values)
        return Answer(answer.status, better, self.cost(better), None, answer.seconds)

    def _part(self, free: Mask, places: Whole, values: Array) -> tuple[Model, Array]:
        is_mine = free[self.columns]
        rows, columns, weights = self.rows[is_mine], self.columns[is_mine], self.weights[is_mine]
        size = self.model.num_rows
        mine = np.bincount(rows, weights=weights * values[columns], minlength=size)
        others = np.bincount(self.rows, weights=self.weights * values[self.columns], minlength=size) - mine
        touched = np.unique(rows)
        counts = np.bincount(rows, minlength=size)[touched]
        lower = np.minimum(np.array(self.model.row_lower) - others, mine)[touched]
        upper = np.maximum(np.array(self.model.row_upper) - others, mine)[touched]
        number = np.zeros(self.model.num_columns, dtype=np.int64)
        number[places] = np.arange(places.size)
        small = Model(
            costs=self.costs[places].tolist(),
            lower=np.array(self.model.lower)[places].tolist(),
            upper=np.array(self.model.upper)[places].tolist(),
            integers=np.flatnonzero(self.is_whole[places]).tolist(),
            row_lower=lower.tolist(),
            row_upper=upper.tolist(),
            starts=[0, *np.cumsum(counts).tolist()],
            columns=number[columns].tolist(),
            weights=weights.tolist(),
        )
        return small, values[places]
