"""When exactly divisible jobs run within a slot: hours by job and kind of GPU made into stretches that do not collide.

The program says for how many hours of a slot each job holds its gang on each kind of GPU. A job is on one kind at a
time and a kind holds only so many GPUs: a preemptive open shop with gangs. At each step the jobs and the kinds with the
least slack go first, for as long as nobody else runs out of slack.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TINY = 1e-9
MAX_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Task:
    """So many hours of one gang on one kind of GPU."""

    demand: str
    gpu: str
    num_gpus: int
    hours: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """A gang that runs without a break."""

    demand: str
    gpu: str
    num_gpus: int
    from_hours: float
    until_hours: float


def open_shop(tasks: Sequence[Task], num_gpus: Mapping[str, float], hours: float) -> tuple[Stretch, ...]:
    """Stretches from 0 on that do all tasks within the GPUs of each kind; they may end a little after `hours`.

    Raises ValueError where a gang is larger than its kind.
    """
    for task in tasks:
        if task.num_gpus > num_gpus[task.gpu]:
            raise ValueError(f"{task.demand} takes {task.num_gpus} of {num_gpus[task.gpu]:g} {task.gpu}")
    left = [task.hours for task in tasks]
    live = [place for place, task in enumerate(tasks) if task.hours > TINY]
    now = 0.0
    runs: list[tuple[int, float, float]] = []
    for _ in range(MAX_STEPS):
        if not live:
            break
        chosen, step = _step(tasks, num_gpus, left, live, hours - now)
        for place in chosen:
            left[place] = max(left[place] - step, 0.0)
            runs.append((place, now, now + step))
        now += step
        live = [place for place in live if left[place] > TINY]
    if live:
        raise ValueError("the timetable did not come to an end")
    return _joined(tasks, runs)


def _step(
    tasks: Sequence[Task], num_gpus: Mapping[str, float], left: Sequence[float], live: Sequence[int], ahead: float
) -> tuple[list[int], float]:
    """Who runs next and for how long: until one of them is done, or one left out has no slack any more."""
    by_job: dict[str, float] = {}
    by_kind: dict[str, float] = {}
    for place in live:
        task = tasks[place]
        by_job[task.demand] = by_job.get(task.demand, 0.0) + left[place]
        by_kind[task.gpu] = by_kind.get(task.gpu, 0.0) + left[place] * task.num_gpus
    load = {kind: work / num_gpus[kind] if math.isfinite(num_gpus[kind]) else 0.0 for kind, work in by_kind.items()}

    def urgency(place: int) -> tuple[float, float, float, float]:
        task = tasks[place]
        return (-max(by_job[task.demand], 0.0), -load[task.gpu], -task.num_gpus, -left[place])

    kinds = sorted(by_kind, key=lambda kind: -load[kind])
    order = sorted(live, key=urgency)
    room = dict(num_gpus)
    busy: set[str] = set()
    chosen: list[int] = []
    for place in order:  # jobs without slack first, each on the kind that needs it most
        task = tasks[place]
        if by_job[task.demand] < ahead - TINY or task.demand in busy:
            continue
        mine = [p for p in order if tasks[p].demand == task.demand and tasks[p].num_gpus <= room[tasks[p].gpu]]
        if mine:
            best = max(mine, key=lambda p: load[tasks[p].gpu])
            _take(tasks[best], room, busy)
            chosen.append(best)
    for kind in kinds:  # then the kinds with the most work, filled with large gangs and long jobs
        for place in sorted((p for p in order if tasks[p].gpu == kind), key=lambda p: _weight(tasks[p], by_job)):
            task = tasks[place]
            if task.demand not in busy and task.num_gpus <= room[kind]:
                _take(task, room, busy)
                chosen.append(place)
    done_first = min(left[place] for place in chosen)
    slack = [ahead - by_job[tasks[p].demand] for p in live if tasks[p].demand not in busy]
    waits = [value for value in slack if value > TINY]
    step = min([done_first, *waits]) if ahead > TINY else done_first
    return chosen, max(step, min(done_first, 1e-4))


def _weight(task: Task, by_job: Mapping[str, float]) -> tuple[float, float]:
    return (-task.num_gpus, -by_job[task.demand])


def _take(task: Task, room: dict[str, float], busy: set[str]) -> None:
    room[task.gpu] -= task.num_gpus
    busy.add(task.demand)


def _joined(tasks: Sequence[Task], runs: Sequence[tuple[int, float, float]]) -> tuple[Stretch, ...]:
    """Runs of one task that follow each other as one stretch."""
    last: dict[int, tuple[float, float]] = {}
    found: list[tuple[int, float, float]] = []
    for place, start, end in runs:
        before = last.get(place)
        if before is not None and start - before[1] <= TINY:
            last[place] = (before[0], end)
            continue
        if before is not None:
            found.append((place, *before))
        last[place] = (start, end)
    found.extend((place, *span) for place, span in last.items())
    stretches = [
        Stretch(tasks[place].demand, tasks[place].gpu, tasks[place].num_gpus, start, end) for place, start, end in found
    ]
    return tuple(sorted(stretches, key=lambda each: (each.from_hours, each.demand)))
