"""Line-ups as a timetable, and a timetable as line-ups: in which order they follow each other within their time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from planner.plans.lineups.best import Runs
from planner.plans.lineups.search import Lineup
from planner.plans.lineups.shop import Shop
from planner.plans.timetable import Stretch

SHORT = 1e-9  # hours


def stretches_of(shop: Shop, kept: Sequence[tuple[Lineup, float]]) -> tuple[Stretch, ...]:
    """The timetable: within each stretch of time the line-ups that share most gangs follow each other, so that few
    jobs move; what of a job is done more than once is left out."""
    left = dict.fromkeys(range(len(shop.jobs)), 1.0)
    found: list[Stretch] = []
    before: frozenset[tuple[int, int]] = frozenset()
    for place in range(shop.num_stretches):
        now = shop.edges[place]
        todo = [(frozenset(runs), hours) for (at, runs), hours in kept if at == place and hours > SHORT]
        while todo:
            chosen = max(todo, key=lambda item: (len(item[0] & before) - len(item[0] ^ before), sorted(item[0])))
            todo.remove(chosen)
            before, hours = chosen
            for job, kind in sorted(before):
                speed = float(shop.speeds[job, kind])
                ran = min(hours, left[job] / speed)
                left[job] -= ran * speed
                if ran > SHORT:
                    gpus = int(shop.gangs[job, kind])
                    found.append(Stretch(shop.jobs[job], shop.kinds[kind], gpus, now, now + ran))
            now += hours
    return tuple(found)


def lineups_of(shop: Shop, stretches: Iterable[Stretch]) -> tuple[Lineup, ...]:
    """Who runs beside whom in a timetable, each line-up once."""
    jobs = {name: place for place, name in enumerate(shop.jobs)}
    kinds = {name: place for place, name in enumerate(shop.kinds)}
    events: dict[float, list[tuple[bool, tuple[int, int]]]] = defaultdict(list)
    for each in stretches:
        run = jobs[each.demand], kinds[each.gpu]
        events[each.from_hours].append((True, run))
        events[each.until_hours].append((False, run))
    found: dict[Lineup, None] = {}
    running: set[tuple[int, int]] = set()
    for moment, following in pairwise(sorted({*events, *shop.edges})):
        for starts, run in sorted(events.get(moment, ())):  # ends first
            if starts:
                running.add(run)
            else:
                running.discard(run)
        middle = (moment + following) / 2
        if following - moment <= SHORT or not running or not shop.edges[0] <= middle < shop.edges[-1]:
            continue
        place = max(at for at, edge in enumerate(shop.edges[:-1]) if edge <= middle)
        runs: Runs = tuple(sorted(running))
        if _fits(shop, place, runs):
            found[place, runs] = None
    return tuple(found)


def _fits(shop: Shop, place: int, runs: Runs) -> bool:
    """Whether a line-up may be kept in a stretch of time: a timetable that is late runs jobs past their time."""
    if len({job for job, _ in runs}) < len(runs):
        return False
    taken: dict[int, int] = defaultdict(int)
    for job, kind in runs:
        if not shop.may_run[place, job]:
            return False
        taken[kind] += int(shop.gangs[job, kind])
    return all(gpus <= shop.room[place, kind] for kind, gpus in taken.items())
