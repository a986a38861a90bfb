"""For how long each line-up is kept: a linear program over line-ups that are thought of only as they are needed.

    minimise    Σ cost of a line-up · hours               (or the hours of the last stretch of time)
    subject to  Σ speed · hours ≥ 1 for each job,  Σ hours of a stretch's line-ups ≤ its length

There are more line-ups than can be written down. From few, the program's prices of work tell which one would help
most (`best_lineup`); it is added, until none helps. What the best one is worth bounds the optimum at every step:
Σ_j w_j − Σ_i length_i · max(0, worth of the best line-up of i). Jobs may stop and move at no cost, so that within a
stretch of time line-ups may follow each other in any order, and the program's optimum is the timetable's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

import highspy
import numpy as np

from planner.plans.linear import INFINITY, ShouldStop, gap_of
from planner.plans.lineups.best import Choice, Runs, best_lineup
from planner.plans.lineups.shop import Array, Shop

CLOSE = 1e-6  # a gap as wide as the solver's own tolerance
HELPS = 1e-9
SMOOTH = 0.5  # of the prices asked with: those of the best bound so far
MOST_ROUNDS = 3000
MOST_WORK = 4_000_000_000  # cells of choices, in all: some twenty seconds

Lineup = tuple[int, Runs]  # stretch of time, gangs


class Aim(Enum):
    """What is made least."""

    UNDONE = "undone"
    TIME = "time"
    COST = "cost"


@dataclass(frozen=True, slots=True)
class Kept:
    """Line-ups with the hours that each is kept, what they come to, and what none can come below."""

    hours: tuple[tuple[Lineup, float], ...]
    value: float
    bound: float

    @property
    def gap(self) -> float:
        """How far the value may lie above the least one, as a share of it."""
        return gap_of(self.value, self.bound)


def least_cost(shop: Shop, known: Iterable[Lineup], should_stop: ShouldStop | None = None) -> Kept | None:
    """The cheapest line-ups that do all jobs in time; None: proved that none do, or none were found."""
    search = _Search(shop, should_stop)
    search.learn(known)
    return search.least(Aim.COST) if search.is_feasible() else None


def least_time(shop: Shop, known: Iterable[Lineup], should_stop: ShouldStop | None = None) -> Kept | None:
    """The line-ups by which the last job ends soonest; `value` and `bound` are hours from the start."""
    lineups = tuple(known)
    first = max(int(np.argmax(shop.may_run[:, j])) for j in range(len(shop.jobs)))
    for last in range(first, shop.num_stretches):
        search = _Search(shop.until(last + 1), should_stop)
        search.learn(lineups)
        if search.is_feasible():
            found = search.least(Aim.TIME)
            start = shop.edges[last]
            return None if found is None else Kept(found.hours, start + found.value, start + found.bound)
        lineups = tuple(search.lineups)
        if not search.is_proved:
            return None
    return None


@dataclass
class _Search:
    """The program over the line-ups thought of so far. Rows: stretches of time, then jobs; columns: what of each job
    is left undone, then line-ups."""

    shop: Shop
    should_stop: ShouldStop | None
    lineups: list[Lineup] = field(default_factory=list)
    seen: set[Lineup] = field(default_factory=set)
    work: int = 0
    is_proved: bool = True  # whether what was said not to be there is proved not to be
    solver: highspy.Highs = field(init=False)

    def __post_init__(self) -> None:
        self.solver = highspy.Highs()  # type: ignore[no-untyped-call]
        self.solver.silent()
        self.solver.setOptionValue("random_seed", 0)
        self.solver.setOptionValue("threads", 1)
        none, nothing = np.array([], dtype=np.int32), np.array([])
        for hours in self.shop.hours:
            self.solver.addRow(-INFINITY, float(hours), 0, none, nothing)
        for number in range(len(self.shop.jobs)):
            self.solver.addRow(1.0, INFINITY, 0, none, nothing)
            row = np.array([self.shop.num_stretches + number], dtype=np.int32)
            self.solver.addCol(1.0, 0.0, 1.0, 1, row, np.array([1.0]))

    def learn(self, known: Iterable[Lineup]) -> None:
        """Take line-ups that are thought of elsewhere, as far as they fit here."""
        for stretch, runs in known:
            if stretch < self.shop.num_stretches:
                self.add((stretch, runs))

    def add(self, lineup: Lineup) -> bool:
        """A line-up more; whether it is new."""
        stretch, runs = lineup
        if not runs or lineup in self.seen:
            return False
        self.seen.add(lineup)
        self.lineups.append(lineup)
        rows = [stretch, *(self.shop.num_stretches + j for j, _ in runs)]
        weights = [1.0, *(float(self.shop.speeds[run]) for run in runs)]
        self.solver.addCol(0.0, 0.0, INFINITY, len(rows), np.array(rows, dtype=np.int32), np.array(weights))
        return True

    def is_feasible(self) -> bool:
        """Whether line-ups that do all jobs are known, once those that help are thought of."""
        found = self.least(Aim.UNDONE)
        return found is not None and found.value <= CLOSE

    def least(self, aim: Aim) -> Kept | None:
        """The least of what is aimed at, proved to within CLOSE unless the work gets too much or it is stopped."""
        self._aim(aim)
        bound, best_prices = -math.inf, None
        value = math.inf
        for _ in range(MOST_ROUNDS):
            self.solver.run()
            if self.solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                return None
            value = self.solver.getInfo().objective_function_value
            if self._is_done(aim, value, bound):
                break
            prices, rents = self._duals()
            asked = prices if best_prices is None else SMOOTH * best_prices + (1 - SMOOTH) * prices
            helped = False
            for these in (asked, prices):
                choices, limit = self._choices(aim, these)
                if limit > bound:
                    bound, best_prices = limit, these
                helped = self._helped(aim, choices, prices, rents)
                if helped or these is prices or best_prices is None:
                    break
            if not helped:
                bound = max(bound, min(value, limit))
                break
            if self._is_late():
                self.is_proved = False
                break
        return Kept(self._hours(), value, min(bound, value))

    def _aim(self, aim: Aim) -> None:
        """Make the aim the program's; what was done before stays done."""
        num_jobs = len(self.shop.jobs)
        last = self.shop.num_stretches - 1
        for place in range(num_jobs):
            self.solver.changeColCost(place, 1.0 if aim is Aim.UNDONE else 0.0)
            self.solver.changeColBounds(place, 0.0, 1.0 if aim is Aim.UNDONE else 0.0)
        for place, (stretch, runs) in enumerate(self.lineups, start=num_jobs):
            self.solver.changeColCost(place, self._cost(aim, stretch, runs, last))

    def _cost(self, aim: Aim, stretch: int, runs: Runs, last: int) -> float:
        if aim is Aim.COST:
            return math.fsum(float(self.shop.prices[run]) for run in runs)
        return 1.0 if aim is Aim.TIME and stretch == last else 0.0

    def _is_done(self, aim: Aim, value: float, bound: float) -> bool:
        if aim is Aim.UNDONE:
            return value <= HELPS or bound > CLOSE
        return gap_of(value, bound) <= CLOSE

    def _is_late(self) -> bool:
        return self.work > MOST_WORK or (self.should_stop is not None and self.should_stop())

    def _duals(self) -> tuple[Array, Array]:
        """What a share of each job is worth, and an hour of each stretch of time."""
        duals = np.array(self.solver.getSolution().row_dual)
        split = self.shop.num_stretches
        return np.clip(duals[split:], 0.0, None), np.clip(-duals[:split], 0.0, None)

    def _choices(self, aim: Aim, prices: Array) -> tuple[list[Choice], float]:
        """The best line-up of each stretch of time at these prices of work, and the bound that follows."""
        if aim is Aim.UNDONE:
            prices = np.minimum(prices, 1.0)
        worths = prices[:, None] * self.shop.speeds
        if aim is Aim.COST:
            worths = worths - self.shop.prices
        choices = [best_lineup(self.shop, stretch, worths) for stretch in range(self.shop.num_stretches)]
        self.work += sum(choice.work for choice in choices)
        most = np.array([choice.worth for choice in choices])
        hours = self.shop.hours
        if aim is not Aim.TIME:
            return choices, float(prices.sum() - most @ hours)
        scale = 1.0 / max(float(most[-1]), 1.0)  # an hour of the last stretch costs one: prices beyond are cut down
        return choices, scale * float(prices.sum() - most[:-1] @ hours[:-1])

    def _helped(self, aim: Aim, choices: list[Choice], prices: Array, rents: Array) -> bool:
        """Take the line-ups that are worth more than their hour at the program's own prices; whether there is one."""
        found = False
        last = self.shop.num_stretches - 1
        for stretch, choice in enumerate(choices):
            worth = math.fsum(float(prices[j] * self.shop.speeds[j, k]) for j, k in choice.runs)
            cost = self._cost(aim, stretch, choice.runs, last)
            if worth - cost - rents[stretch] <= HELPS * max(1.0, worth) or not self.add((stretch, choice.runs)):
                continue
            self.solver.changeColCost(len(self.shop.jobs) + len(self.lineups) - 1, cost)
            found = True
        return found

    def _hours(self) -> tuple[tuple[Lineup, float], ...]:
        values = np.array(self.solver.getSolution().col_value)[len(self.shop.jobs) :]
        return tuple((lineup, float(hours)) for lineup, hours in zip(self.lineups, values, strict=True) if hours > 0)
