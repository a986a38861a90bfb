"""The cheapest plan of a program: a bound, a first plan, then better ones until gap, time or the user ends it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from planner.plans.clash import find_clash
from planner.plans.explain import assumptions, refusals, shadow_prices
from planner.plans.linear import Answer, OnProgress, Progress, ShouldStop, Status, gap_of, solve_lp, solve_mip
from planner.plans.program.build import build
from planner.plans.program.draft import Draft
from planner.plans.program.grouped import solve_grouped
from planner.plans.program.parts import parts_of
from planner.plans.program.pools import Left
from planner.plans.program.reading import read
from planner.plans.program.rounding import NEAR, first_plan, polish
from planner.plans.program.windows import improved
from planner.plans.request import PlanRequest
from planner.plans.solution import Outcome, Plan, Refusal, SearchStep, total

SAME = 1e-9
LARGE = 60_000  # columns: relaxing a larger program may take longer than anyone waits for a first plan
SMALL = 15_000  # columns of the program that is relaxed in its stead at first: about a second
FEW = 5_000  # columns: such a program is searched whole at once
WINDOWS_SHARE = 0.7  # of the time that is left, at most
LEAST_SECONDS = 1.0
SMALL_STEP = 1e-3  # of the cost: a search that moved less is not noted
MOST_STEPS = 40  # that are kept of a search, about evenly
OnBest = Callable[[Callable[[], Plan]], None]


@dataclass(frozen=True, slots=True)
class Watch:
    """How good a plan must be, how long it may take, and who follows the search or may end it."""

    gap: float
    seconds: float
    on_progress: OnProgress | None = None
    should_stop: ShouldStop | None = None
    on_best: OnBest | None = None

    @property
    def is_stopped(self) -> bool:
        return self.should_stop is not None and self.should_stop()

    def tell(self, cost: float | None, bound: float, seconds: float, stage: str) -> None:
        """Say how far the search is."""
        if self.on_progress is not None:
            self.on_progress(Progress(cost, bound, seconds, stage))


def cheapest(request: PlanRequest, watch: Watch) -> Plan:
    """The cheapest plan of a refined request, or the demands that clash.

    A large program is first taken coarsely: its bound and its plan are worse, and there within seconds.
    """
    draft, left = build(request)
    search = _Search(draft, left, watch)
    is_whole = bool(draft.model.integers)
    if is_whole and draft.model.num_columns > LARGE:
        coarse = solve_grouped(draft, SMALL, watch.seconds, watch.should_stop)
        if search.begin(coarse, is_quick=True) is Status.INFEASIBLE:
            return clashing(request, left, search.seconds, watch.should_stop)
        search.look_through_windows()
        if search.is_over:
            return search.written()
    relaxed = solve_lp(draft.model, max(watch.seconds - search.seconds, LEAST_SECONDS), watch.should_stop)
    if not is_whole and relaxed.objective is not None:
        return _written(draft, left, relaxed, relaxed.objective, relaxed.seconds, watch)
    if search.begin(relaxed) is Status.INFEASIBLE:
        return clashing(request, left, search.seconds, watch.should_stop)
    search.look_through_windows()
    if relaxed.objective is None or search.is_over:
        return search.written()
    if search.go_on() is Status.INFEASIBLE and search.best is None:
        return clashing(request, left, search.seconds, watch.should_stop)
    return search.written()


def clashing(request: PlanRequest, left: tuple[Left, ...], spent: float, should_stop: ShouldStop | None) -> Plan:
    """That there is no plan, and the fewest demands that clash, unless the least urgent are to give way anyway."""
    found = no_plan(request, left, Outcome.INFEASIBLE, spent)
    return found if request.leave_least_urgent else replace(found, clash=find_clash(request, should_stop))


def no_plan(request: PlanRequest, left: tuple[Left, ...], outcome: Outcome, spent: float) -> Plan:
    """That there is none, or none yet."""
    reasons = tuple(Refusal(item.supply, item.reason) for item in left)
    edges = request.horizon.edges
    return Plan(outcome, None, None, spent, edges, {}, refusals=reasons, currency=request.currency)


@dataclass
class _Search:
    """The best plan so far with the newest bound; also for who cannot wait until the search heeds a wish to stop."""

    draft: Draft
    left: tuple[Left, ...]
    watch: Watch
    best: Answer | None = None
    bound: float = -math.inf
    seconds: float = 0.0
    steps: list[SearchStep] = field(default_factory=list)
    relaxed_costs: dict[str, float] = field(default_factory=dict)

    @property
    def cost(self) -> float | None:
        """What the best plan so far costs; None: there is none."""
        return None if self.best is None else self.best.objective

    @property
    def is_good(self) -> bool:
        """Whether the best plan is within the gap asked for."""
        return self.cost is not None and gap_of(self.cost, self.bound) <= self.watch.gap

    @property
    def is_over(self) -> bool:
        """Whether gap, time or the user end the search."""
        return self.is_good or self.seconds >= self.watch.seconds or self.watch.is_stopped

    def begin(self, relaxed: Answer, is_quick: bool = False) -> Status:
        """Take the bound of a relaxed program and a plan rounded from it."""
        self.seconds += relaxed.seconds
        if relaxed.objective is None:
            return relaxed.status
        self.bound = max(self.bound, relaxed.objective)
        if relaxed.values is not None:
            self.relaxed_costs = parts_of(self.draft, relaxed.values)
        self.note()
        self.watch.tell(self.cost, self.bound, self.seconds, "bound")
        if self.is_good:
            return relaxed.status
        left = max(self.watch.seconds - self.seconds, LEAST_SECONDS)
        found = first_plan(self.draft, relaxed, left, self.watch.should_stop, is_quick)
        if found is not None:
            self.seconds += found.seconds
            self.improve(found)
            self.watch.tell(self.cost, self.bound, self.seconds, "first plan")
        return relaxed.status

    def look_through_windows(self) -> None:
        """Make a plan that is far from its bound better, a stretch of time after the other."""
        is_far = self.cost is not None and gap_of(self.cost, self.bound) > max(self.watch.gap, NEAR)
        if self.best is None or not is_far or self.draft.model.num_columns <= FEW or self.is_over:
            return
        spent = self.seconds

        def on_better(answer: Answer) -> None:
            self.seconds = spent + answer.seconds
            self.improve(answer)
            self.watch.tell(self.cost, self.bound, self.seconds, "windows")

        most = (self.watch.seconds - spent) * WINDOWS_SHARE
        found = improved(self.draft, self.best, self.bound, self.watch.gap, most, self.watch.should_stop, on_better)
        self.seconds = spent + found.seconds

    def go_on(self) -> Status:
        """Search for better plans."""
        spent, start = self.seconds, None if self.best is None else self.best.values

        def progress(told: Progress) -> None:
            self.bound, self.seconds = max(self.bound, told.bound or -math.inf), told.seconds
            self.note()
            if self.watch.on_progress is not None:
                self.watch.on_progress(told)

        found = solve_mip(
            self.draft.model,
            self.watch.gap,
            self.watch.seconds - spent,
            start,
            progress,
            self.watch.should_stop,
            spent,
            self.bound,
            self.improve,
        )
        self.seconds = spent + found.seconds
        self.bound = max(self.bound, -math.inf if found.bound is None else found.bound)
        self.improve(found)
        return found.status

    def improve(self, answer: Answer) -> None:
        """Take an answer if it is a better one, and pass on how its plan is written."""
        if answer.values is None or answer.objective is None:
            return
        if self.cost is not None and answer.objective >= self.cost:
            return
        self.best = answer
        self.note()
        if self.watch.on_best is not None:
            self.watch.on_best(self.write)

    def note(self) -> None:
        """Keep where the search is, if cost or bound moved by more than next to nothing."""
        if not math.isfinite(self.bound):
            return
        before = self.steps[-1] if self.steps else None
        least = SMALL_STEP * max(abs(self.bound), abs(self.cost or 0.0))
        if before is not None and (before.cost is None) == (self.cost is None):
            moved = abs(self.bound - before.bound), abs((self.cost or 0.0) - (before.cost or 0.0))
            if max(moved) <= least:
                return
        self.steps.append(SearchStep(self.seconds, self.cost, self.bound))
        if len(self.steps) > 2 * MOST_STEPS:
            del self.steps[1:-1:2]

    def write(self) -> Plan:
        """The plan as it is, nothing solved any more."""
        return self.written(is_polished=False)

    def written(self, is_polished: bool = True) -> Plan:
        """The plan so far, or that there is none, with the bound that is known."""
        known = self.bound if math.isfinite(self.bound) else None
        if self.best is None or known is None:
            return replace(no_plan(self.draft.request, self.left, Outcome.STOPPED, self.seconds), bound=known)
        found = _written(self.draft, self.left, self.best, known, self.seconds, self.watch, is_polished)
        last = SearchStep(self.seconds, found.cost, known)
        return replace(found, steps=(*self.steps, last), relaxed_costs=self.relaxed_costs)


def _written(
    draft: Draft,
    left: tuple[Left, ...],
    best: Answer,
    bound: float,
    spent: float,
    watch: Watch,
    is_polished: bool = True,
) -> Plan:
    """The plan of a program's values, made tight: with its whole numbers kept, all else is solved to its optimum."""
    if best.values is None:
        raise ValueError("there is nothing to write")
    is_tight = best.row_duals is not None or not is_polished or watch.is_stopped
    polished = best if is_tight else polish(draft, best.values, watch.should_stop)
    reading = read(draft, best.values if polished.values is None else polished.values)
    cost = total(reading.costs)
    within = gap_of(cost, bound) <= max(watch.gap, SAME)
    return Plan(
        outcome=Outcome.OPTIMAL if within else Outcome.FEASIBLE,
        cost=cost,
        bound=min(bound, cost),
        seconds=spent,
        edges=draft.request.horizon.edges,
        costs=reading.costs,
        commitments=tuple(reading.commitments),
        assignments=tuple(reading.assignments),
        uses=tuple(reading.uses),
        dropped=tuple(reading.dropped),
        finish_hours=reading.finish_hours,
        refusals=(*refusals(draft, reading.assignments), *(Refusal(item.supply, item.reason) for item in left)),
        shadow_prices=shadow_prices(draft, polished),
        currency=draft.request.currency,
        assumptions=assumptions(draft.request, {use.supply for use in reading.uses}),
    )
