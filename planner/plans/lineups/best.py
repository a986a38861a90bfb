"""The line-up of most worth: an exact choice of gangs that fit beside each other, by dynamic programming."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.plans.lineups.shop import Array, Shop, Whole

Runs = tuple[tuple[int, int], ...]  # (job, kind), by job
MOST_STATES = 120_000  # rooms that are told apart; more of them, and a choice takes more than about a second
NONE = -1


@dataclass(frozen=True, slots=True)
class Choice:
    """The gangs chosen, what they are worth together, and how many cells it took to find them."""

    runs: Runs
    worth: float
    work: int


def num_states(shop: Shop) -> int:
    """How many rooms the choice has to tell apart at most; a kind that holds all gangs at once counts as one."""
    most = 1
    for stretch in range(shop.num_stretches):
        here = 1
        for k in range(len(shop.kinds)):
            gangs = shop.gangs[shop.may_run[stretch], k]
            here *= _rooms(gangs[gangs > 0], shop.room[stretch, k])
        most = max(most, here)
    return most


def best_lineup(shop: Shop, stretch: int, worths: Array) -> Choice:
    """The gangs of most worth that fit in a stretch of time, each job on one kind at the most.

    `worths` (J, K) is what a gang adds; one that adds nothing is left out. f(room) over the jobs one after the other:
    f_j(r) = max(f_{j-1}(r), max_k f_{j-1}(r - gang_jk on k) + worth_jk).
    """
    usable = (worths > 0) & (shop.gangs > 0) & shop.may_run[stretch][:, None]
    usable &= shop.gangs <= shop.room[stretch][None, :]
    jobs = np.flatnonzero(usable.any(axis=1))
    if not jobs.size:
        return Choice((), 0.0, 0)
    tight, sizes, steps = _tight(shop, stretch, usable)
    best = np.zeros(sizes)
    picks = np.full((jobs.size, *sizes), NONE, dtype=np.int8)
    for number, j in enumerate(jobs):
        grown = best
        for k in np.flatnonzero(usable[j] & ~np.isin(np.arange(len(shop.kinds)), tight)).tolist():
            grown = _take(best, grown, picks[number], worths[j, k], k, None, 0)
        for axis, k in enumerate(tight):
            if usable[j, k]:
                gang = int(shop.gangs[j, k]) // steps[axis]
                grown = _take(best, grown, picks[number], worths[j, k], k, axis, gang)
        best = grown
    runs = _traced(shop, jobs, picks, tight, sizes, steps)
    return Choice(runs, float(best.flat[-1]), jobs.size * best.size)


def _take(
    before: Array, now: Array, picks: NDArray[np.int8], worth: float, kind: int, axis: int | None, gang: int
) -> Array:
    """The best with a gang on one kind where that beats what is known."""
    if axis is None:
        found = before + worth
        better = found > now
        picks[better] = kind
        return np.where(better, found, now)
    there = [slice(None)] * before.ndim
    behind = [slice(None)] * before.ndim
    there[axis] = slice(gang, None)
    behind[axis] = slice(0, before.shape[axis] - gang)
    found = before[tuple(behind)] + worth
    known = now[tuple(there)]
    better = found > known
    grown = now.copy()
    grown[tuple(there)] = np.where(better, found, known)
    picks[tuple(there)][better] = kind
    return grown


def _tight(shop: Shop, stretch: int, usable: NDArray[np.bool_]) -> tuple[list[int], tuple[int, ...], list[int]]:
    """The kinds that cannot hold all gangs at once; how many rooms of each are told apart, and in steps of what."""
    tight, sizes, steps = [], [], []
    for k in range(len(shop.kinds)):
        gangs = shop.gangs[usable[:, k], k]
        rooms = _rooms(gangs, shop.room[stretch, k])
        if rooms > 1:
            tight.append(k)
            sizes.append(rooms)
            steps.append(_step(gangs))
    return tight, tuple(sizes) or (1,), steps


def _rooms(gangs: Whole, room: float) -> int:
    if not gangs.size or gangs.sum() <= room:
        return 1
    return int(room) // _step(gangs) + 1


def _step(gangs: Whole) -> int:
    """GPUs are told apart in multiples of the gangs' common divisor."""
    return math.gcd(*(int(gang) for gang in gangs))


def _traced(
    shop: Shop, jobs: Whole, picks: NDArray[np.int8], tight: list[int], sizes: tuple[int, ...], steps: list[int]
) -> Runs:
    """The gangs that led to the best with all of the room."""
    place = [size - 1 for size in sizes]
    runs = []
    for number in range(jobs.size - 1, -1, -1):
        kind = int(picks[(number, *place)])
        if kind == NONE:
            continue
        runs.append((int(jobs[number]), kind))
        if kind in tight:
            axis = tight.index(kind)
            place[axis] -= int(shop.gangs[jobs[number], kind]) // steps[axis]
    return tuple(reversed(runs))
