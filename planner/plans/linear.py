"""A linear or mixed-integer program built row by row and solved by HiGHS, with progress, a stop and its own seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import highspy
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
INFINITY = highspy.kHighsInf


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is: the best cost found (None: none yet), the proven bound, seconds of solving so far."""

    cost: float | None
    bound: float | None
    seconds: float
    stage: str = ""

    @property
    def gap(self) -> float | None:
        """How far the cost may lie above the least one, as a share of the cost."""
        if self.cost is None or self.bound is None:
            return None
        return gap_of(self.cost, self.bound)


OnProgress = Callable[[Progress], None]
ShouldStop = Callable[[], bool]


class Status(StrEnum):
    """How a solve ended."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    NOTHING = "nothing"  # stopped before anything was found


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solve found: values by column, the objective, a proven bound; for an LP the duals by row and column."""

    status: Status
    values: Array | None
    objective: float | None
    bound: float | None
    seconds: float
    row_duals: Array | None = None
    column_duals: Array | None = None


def gap_of(cost: float, bound: float) -> float:
    """How far a cost may be above the least one, as a share of it."""
    return 0.0 if cost <= bound or cost == 0 else (cost - bound) / abs(cost)


@dataclass
class Model:
    """Columns and rows as they are added; `minimise` is over columns' costs. Indices are the places of addition."""

    costs: list[float] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    integers: list[int] = field(default_factory=list)
    row_lower: list[float] = field(default_factory=list)
    row_upper: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    columns: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    @property
    def num_columns(self) -> int:
        return len(self.costs)

    @property
    def num_rows(self) -> int:
        return len(self.row_lower)

    @property
    def is_absurd(self) -> bool:
        """Whether a row without columns asks for something: the solver takes an empty program for solved."""
        empty = np.flatnonzero(np.diff(np.array(self.starts)) == 0)
        return any(self.row_lower[row] > 0 or self.row_upper[row] < 0 for row in empty)

    def column(self, cost: float = 0.0, upper: float = INFINITY, lower: float = 0.0, whole: bool = False) -> int:
        """A new column; its place."""
        place = len(self.costs)
        self.costs.append(cost)
        self.lower.append(lower)
        self.upper.append(upper)
        if whole:
            self.integers.append(place)
        return place

    def row(self, terms: Sequence[tuple[int, float]], lower: float = -INFINITY, upper: float = INFINITY) -> int:
        """A new row lower <= Σ weight · column <= upper; its place. A column may come twice: its weights add up."""
        merged = dict(terms)
        if len(merged) < len(terms):
            merged = {}
            for place, weight in terms:
                merged[place] = merged.get(place, 0.0) + weight
        self.columns.extend(merged)
        self.weights.extend(merged.values())
        self.starts.append(len(self.columns))
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        return len(self.row_lower) - 1

    def to_highs(self, relaxed: bool) -> highspy.Highs:
        """A solver that holds the program; relaxed: whole numbers may be fractions."""
        program = highspy.HighsLp()
        program.num_col_ = self.num_columns
        program.num_row_ = self.num_rows
        program.col_cost_ = np.array(self.costs)
        program.col_lower_ = np.array(self.lower)
        program.col_upper_ = np.array(self.upper)
        program.row_lower_ = np.array(self.row_lower)
        program.row_upper_ = np.array(self.row_upper)
        matrix = program.a_matrix_
        matrix.format_ = highspy.MatrixFormat.kRowwise
        matrix.start_ = np.array(self.starts, dtype=np.int32)
        matrix.index_ = np.array(self.columns, dtype=np.int32)
        matrix.value_ = np.array(self.weights)
        if not relaxed and self.integers:
            kinds = np.full(self.num_columns, highspy.HighsVarType.kContinuous, dtype=object)
            kinds[self.integers] = highspy.HighsVarType.kInteger
            program.integrality_ = list(kinds)
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        solver.silent()
        solver.setOptionValue("random_seed", 0)
        solver.passModel(program)
        return solver


def solve_lp(
    model: Model,
    seconds: float = math.inf,
    should_stop: ShouldStop | None = None,
    fixed: Mapping[int, float] | None = None,
    most: Mapping[int, float] | None = None,
) -> Answer:
    """The relaxed program's optimum with its duals; `fixed` pins columns, `most` lowers how large they may be.

    By dual simplex: on plans of 80,000 columns it took a sixth of interior point's time.
    """
    if model.is_absurd:
        return Answer(Status.INFEASIBLE, None, None, None, 0.0)
    solver = model.to_highs(relaxed=True)
    solver.setOptionValue("solver", "simplex")
    _limit(solver, seconds, should_stop)
    if fixed:
        places = np.array(list(fixed), dtype=np.int32)
        values = np.array(list(fixed.values()))
        solver.changeColsBounds(len(places), places, values, values)
    if most:
        places = np.array(list(most), dtype=np.int32)
        solver.changeColsBounds(len(places), places, np.zeros(len(places)), np.array(list(most.values())))
    solver.run()
    status = _status(solver)
    found = solver.getSolution()
    took = solver.getRunTime()
    if status is not Status.OPTIMAL:
        return Answer(status if status is not Status.FEASIBLE else Status.NOTHING, None, None, None, took)
    objective = solver.getInfo().objective_function_value
    rows = np.array(found.row_dual) if found.dual_valid else None
    columns = np.array(found.col_dual) if found.dual_valid else None
    return Answer(status, np.array(found.col_value), objective, objective, took, rows, columns)


def solve_mip(
    model: Model,
    gap: float,
    seconds: float,
    start: Array | None = None,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
    seconds_before: float = 0.0,
    bound_before: float = -math.inf,
    on_values: Callable[[Answer], None] | None = None,
) -> Answer:
    """The best whole-numbered answer within `gap` or `seconds`, begun from `start` where one is known.

    Stops once `should_stop` says so, after at most a few seconds (the solver asks between its steps), and then gives
    the best so far with its bound; `on_values` gets each better answer as it is found.
    """
    solver = model.to_highs(relaxed=False)
    solver.setOptionValue("mip_rel_gap", gap)
    _limit(solver, seconds, should_stop)
    if start is not None:
        found = highspy.HighsSolution()
        found.col_value = list(start)
        solver.setSolution(found)
    best: list[float] = []

    def report(event: highspy.HighsCallbackEvent) -> None:
        out = event.data_out
        bound = max(out.mip_dual_bound, bound_before)
        cost = out.mip_primal_bound
        if on_progress is not None:
            on_progress(
                Progress(
                    cost if math.isfinite(cost) and abs(cost) < 1e30 else None,
                    bound if math.isfinite(bound) else None,
                    seconds_before + out.running_time,
                    "search",
                )
            )
        if math.isfinite(cost) and abs(cost) < 1e30 and math.isfinite(bound) and gap_of(cost, bound) <= gap:
            best.append(cost)

    def improved(event: highspy.HighsCallbackEvent) -> None:
        out = event.data_out
        if on_values is None or not len(out.mip_solution):
            return
        bound = max(out.mip_dual_bound, bound_before)
        known = bound if math.isfinite(bound) else None
        values, cost = np.array(out.mip_solution), out.objective_function_value
        on_values(Answer(Status.FEASIBLE, values, cost, known, seconds_before + out.running_time))

    def enough(event: highspy.HighsCallbackEvent) -> None:
        if best:
            event.interrupt()

    solver.cbMipLogging += report
    solver.cbMipImprovingSolution += report
    solver.cbMipImprovingSolution += improved
    solver.cbMipInterrupt += enough
    solver.run()
    info = solver.getInfo()
    status = _status(solver)
    found = solver.getSolution()
    bound = max(info.mip_dual_bound, bound_before)
    if not found.value_valid or abs(info.objective_function_value) >= 1e30:
        kept = status if status in (Status.INFEASIBLE, Status.UNBOUNDED) else Status.NOTHING
        return Answer(kept, None, None, bound if math.isfinite(bound) else None, solver.getRunTime())
    objective = info.objective_function_value
    return Answer(
        status if status is Status.OPTIMAL else Status.FEASIBLE,
        np.array(found.col_value),
        objective,
        min(bound, objective) if math.isfinite(bound) else None,
        solver.getRunTime(),
    )


def _limit(solver: highspy.Highs, seconds: float, should_stop: ShouldStop | None) -> None:
    if math.isfinite(seconds):
        solver.setOptionValue("time_limit", max(seconds, 0.0))
    if should_stop is None:
        return

    def ask(event: highspy.HighsCallbackEvent) -> None:
        if should_stop():
            event.interrupt()

    solver.cbMipInterrupt += ask
    solver.cbSimplexInterrupt += ask
    solver.cbIpmInterrupt += ask


def _status(solver: highspy.Highs) -> Status:
    kind = highspy.HighsModelStatus
    found = solver.getModelStatus()
    if found == kind.kOptimal:
        return Status.OPTIMAL
    if found in (kind.kInfeasible, kind.kUnboundedOrInfeasible):
        return Status.INFEASIBLE
    if found == kind.kUnbounded:
        return Status.UNBOUNDED
    return Status.FEASIBLE
