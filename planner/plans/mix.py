"""The cheapest mix of GPU groups that serves requests of several sizes: an exact mixed-integer program.

Requests come in buckets of a size each, at a rate each; a group (so many GPUs of a kind, one replica) serves a bucket
at most so fast. y whole groups of each kind are rented, and x requests per second of a bucket are routed to a kind:

    minimise    Σ_k cost_k · y_k
    subject to  Σ_k x_bk = rate_b                      every request is served
                Σ_b x_bk / throughput_bk ≤ y_k · share  no group is asked for more than its share of its time
                y_k whole, 0 ≤ y_k ≤ limit_k, x_bk ≥ 0

A bucket may be divided among kinds in any proportion, so the answer is never dearer than one that sends each bucket, or
each of a few slices of it, to one kind, as Mélange (Griggs et al. 2024) does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import highspy
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TIME_LIMIT_SECONDS = 10.0
SAME_COST = 1e-6  # relative: cheaper than this is not told apart
ROUNDING = 1e-9  # of a group: the solver's own tolerance on what is whole


@dataclass(frozen=True, slots=True)
class GroupOffer:
    """One kind of replica that may be rented: its cost per hour, and requests/s of each bucket (0: cannot serve it).

    `limit` is how many can be had; None: as many as are wanted.
    """

    name: str
    cost_per_hour: float
    requests_per_second: tuple[float, ...]
    limit: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cost_per_hour) and self.cost_per_hour >= 0):
            raise ValueError(f"the cost of {self.name} must be finite and not negative, not {self.cost_per_hour}")
        if any(not (math.isfinite(rate) and rate >= 0) for rate in self.requests_per_second):
            raise ValueError(f"the throughputs of {self.name} must be finite and not negative")
        if self.limit is not None and self.limit < 0:
            raise ValueError(f"the limit of {self.name} must not be negative, not {self.limit}")


@dataclass(frozen=True, slots=True)
class Mix:
    """How many groups of each kind, and where requests go. `bound_per_hour` is a proven least cost.

    `routed` holds requests/s by kind, one figure per bucket; `busy` the share of its kind's time that is used.
    `alone_per_hour` is what each kind would cost if it served everything (None: it cannot), and `why_not` says of every
    kind that was left out what it lost on.
    """

    counts: Mapping[str, int]
    cost_per_hour: float
    bound_per_hour: float
    is_optimal: bool
    routed: Mapping[str, tuple[float, ...]]
    busy: Mapping[str, float]
    alone_per_hour: Mapping[str, float | None]
    why_not: Mapping[str, str] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """How far the cost may be above the least one, as a share of the cost."""
        return 0.0 if self.cost_per_hour <= 0 else max(0.0, 1.0 - self.bound_per_hour / self.cost_per_hour)


@dataclass(frozen=True, slots=True)
class NoMix:
    """Why no mix serves the requests: the buckets that nothing can serve, or the limits."""

    reason: str
    buckets: tuple[int, ...] = ()


def solve_mix(
    rates: Sequence[float],
    groups: Sequence[GroupOffer],
    busy_share: float = 1.0,
    time_limit: float = TIME_LIMIT_SECONDS,
) -> Mix | NoMix:
    """The cheapest mix for `rates` requests/s per bucket; each group is asked for at most `busy_share` of its time.

    Proven optimal (`is_optimal`) unless `time_limit` seconds end the search, then the best that was found with its
    bound. Raises ValueError where rates and throughputs do not match.
    """
    wanted = _checked(rates, groups, busy_share)
    if not wanted.any():
        return Mix({}, 0.0, 0.0, True, {}, {}, _alone(wanted, groups, busy_share))
    speed = np.array([group.requests_per_second for group in groups]).reshape(len(groups), wanted.size)
    dead = np.flatnonzero((wanted > 0) & ~(speed > 0).any(axis=0))
    if dead.size:
        places = ", ".join(str(int(place)) for place in dead)
        return NoMix(f"no kind of GPU serves requests of bucket {places}", tuple(int(place) for place in dead))
    solver, pairs = _program(wanted, groups, speed, busy_share, time_limit)
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return NoMix("the numbers of groups that can be had do not suffice for these rates")
    info = solver.getInfo()
    if not math.isfinite(info.objective_function_value) or not solver.getSolution().value_valid:
        return NoMix(f"no mix was found within {time_limit:g} s")
    values = np.asarray(solver.getSolution().col_value)
    is_optimal = status == highspy.HighsModelStatus.kOptimal
    return _mix(wanted, groups, speed, busy_share, values, pairs, info.mip_dual_bound, is_optimal)


def _checked(rates: Sequence[float], groups: Sequence[GroupOffer], busy_share: float) -> Array:
    wanted = np.asarray(rates, dtype=float)
    if wanted.ndim != 1 or not np.isfinite(wanted).all() or (wanted < 0).any():
        raise ValueError("rates must be finite, not negative and one per bucket")
    if not 0 < busy_share <= 1:
        raise ValueError(f"busy_share must be above 0 and at most 1, not {busy_share}")
    if len({group.name for group in groups}) != len(groups):
        raise ValueError("two groups have the same name")
    for group in groups:
        if len(group.requests_per_second) != wanted.size:
            raise ValueError(f"{group.name} has {len(group.requests_per_second)} throughputs for {wanted.size} buckets")
    return wanted


def _program(
    wanted: Array, groups: Sequence[GroupOffer], speed: Array, busy_share: float, time_limit: float
) -> tuple[highspy.Highs, list[tuple[int, int]]]:
    """The program: first the whole numbers of groups, then the share of each bucket that goes to each kind that can
    serve it, in the order of the pairs (kind, bucket)."""
    pairs = [(int(k), int(b)) for k, b in zip(*np.nonzero((speed > 0) & (wanted > 0)), strict=True)]
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.silent()
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_abs_gap", 0.0)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("random_seed", 0)
    solver.setOptionValue("time_limit", time_limit)
    infinity = highspy.kHighsInf
    num_groups = len(groups)
    most = [infinity if group.limit is None else float(group.limit) for group in groups]
    solver.addVars(num_groups + len(pairs), np.zeros(num_groups + len(pairs)), np.array(most + [1.0] * len(pairs)))
    for place, group in enumerate(groups):
        solver.changeColCost(place, group.cost_per_hour)
        solver.changeColIntegrality(place, highspy.HighsVarType.kInteger)
    by_bucket: dict[int, list[int]] = {}
    by_kind: dict[int, list[int]] = {}
    for place, (kind, bucket) in enumerate(pairs, start=num_groups):
        by_bucket.setdefault(bucket, []).append(place)
        by_kind.setdefault(kind, []).append(place)
    for places in by_bucket.values():
        solver.addRow(1.0, 1.0, len(places), np.array(places), np.ones(len(places)))
    for kind, places in by_kind.items():
        time = [wanted[bucket] / speed[kind, bucket] for _, bucket in (pairs[p - num_groups] for p in places)]
        columns, weights = np.array([*places, kind]), np.array([*time, -busy_share])
        solver.addRow(-infinity, 0.0, len(columns), columns, weights)
    return solver, pairs


def _mix(
    wanted: Array,
    groups: Sequence[GroupOffer],
    speed: Array,
    busy_share: float,
    values: Array,
    pairs: list[tuple[int, int]],
    bound: float,
    is_optimal: bool,
) -> Mix:
    num_groups = len(groups)
    counts = {group.name: round(float(values[k])) for k, group in enumerate(groups)}
    shares = np.zeros((num_groups, wanted.size))
    for place, (kind, bucket) in enumerate(pairs):
        shares[kind, bucket] = max(0.0, float(values[num_groups + place]))
    routed = shares * wanted
    cost = math.fsum(group.cost_per_hour * counts[group.name] for group in groups)
    chosen = {name: count for name, count in counts.items() if count}
    time = np.divide(routed, speed, out=np.zeros_like(routed), where=speed > 0).sum(axis=1)
    alone = _alone(wanted, groups, busy_share)
    return Mix(
        counts=chosen,
        cost_per_hour=cost,
        bound_per_hour=min(bound, cost),
        is_optimal=is_optimal,
        routed={g.name: tuple(float(v) for v in routed[k]) for k, g in enumerate(groups) if g.name in chosen},
        busy={g.name: float(time[k]) / chosen[g.name] for k, g in enumerate(groups) if g.name in chosen},
        alone_per_hour=alone,
        why_not={
            g.name: _why_not(k, groups, wanted, speed, cost, alone) for k, g in enumerate(groups) if not counts[g.name]
        },
    )


def _alone(wanted: Array, groups: Sequence[GroupOffer], busy_share: float) -> dict[str, float | None]:
    """What each kind costs per hour where it serves every bucket; None where it cannot, or not so many can be had."""
    found: dict[str, float | None] = {}
    for group in groups:
        speed = np.asarray(group.requests_per_second, dtype=float)
        asked = wanted > 0
        if (speed[asked] <= 0).any():
            found[group.name] = None
            continue
        number = math.ceil(float((wanted[asked] / speed[asked]).sum()) / busy_share - ROUNDING)
        enough = group.limit is None or number <= group.limit
        found[group.name] = number * group.cost_per_hour if enough else None
    return found


def _why_not(
    kind: int,
    groups: Sequence[GroupOffer],
    wanted: Array,
    speed: Array,
    cost: float,
    alone: Mapping[str, float | None],
) -> str:
    """What a kind that was left out lost on: its cost alone, or per request where it cannot serve alone."""
    group = groups[kind]
    asked = wanted > 0
    if not (speed[kind][asked] > 0).any():
        return "it serves none of these requests within the level"
    if group.limit == 0:
        return "none can be had"
    per_request = group.cost_per_hour / np.where(speed[kind] > 0, speed[kind], np.nan)
    others = np.array([other.cost_per_hour for other in groups])[:, None] / np.where(speed > 0, speed, np.nan)
    others = np.delete(others, kind, axis=0)
    best = np.nanmin(np.where(np.isnan(others), np.inf, others), axis=0, initial=np.inf)
    usable = asked & np.isfinite(per_request) & np.isfinite(best)
    parts = []
    if usable.any() and (per_request[usable] > best[usable]).all():
        least = float(np.min(per_request[usable] / best[usable]))
        parts.append(
            f"for every size of request another kind is cheaper per request, by a factor of {least:.2f} or more"
        )
    apart = alone[group.name]
    if apart is None:
        lacking = int((speed[kind][asked] <= 0).sum())
        parts.append(
            f"it cannot serve {lacking} of {int(asked.sum())} sizes" if lacking else "too few can be had to serve alone"
        )
    elif apart > cost * (1.0 + SAME_COST):
        parts.append(f"alone it would cost {apart:,.2f} an hour against {cost:,.2f}")
    else:
        parts.append("a mix with it costs the same")
    return "; ".join(parts)
