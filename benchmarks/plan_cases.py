"""Instances of other planners read into requests of ours, solved, and set beside what they found: a reader per peer."""

from __future__ import annotations

import csv
import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.melange import read_rows
from planner.plans.demand import Job, Work
from planner.plans.horizon import Horizon
from planner.plans.mix import Mix, solve_mix
from planner.plans.plan import plan
from planner.plans.replay.queues import Policy
from planner.plans.replay.replay import replay
from planner.plans.replay.trace import read_trace
from planner.plans.request import Goal, PlanRequest
from planner.plans.schedule import Schedule, schedule
from planner.plans.spot_policy import (
    SpotJob,
    SpotPolicy,
    greedy_spot,
    hindsight_cost,
    run_policy,
    uniform_progress,
)
from planner.plans.supply import NEVER_INTERRUPTED, Kind, SpotTimes, Supply

CENT = 0.005
WITHIN = 1.01  # of the bound, where the peer's own figure is further off
SECONDS_PER_MIX = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """One instance: our figure, the peer's, a proven bound (None: none is stated), seconds, and whether ours holds."""

    case: str
    ours: float | None
    peer: float | None
    bound: float | None
    seconds: float
    ok: bool
    note: str = ""


@dataclass(frozen=True)
class Folder:
    """Where instances lie: flat, or in the subfolders peer and traces."""

    root: Path

    def find(self, name: str) -> Path | None:
        for place in (self.root, self.root / "peer", self.root / "traces"):
            for file in (name, f"{name}.gz"):
                if (place / file).is_file():
                    return place / file
        return None

    def missing(self, *names: str) -> str:
        """The first of these files that is not there."""
        return next((name for name in names if self.find(name) is None), "")

    def json(self, name: str) -> Any:
        found = self.find(name)
        return json.loads(found.read_text(encoding="utf-8")) if found else None


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file, packed or not."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from file
    else:
        with path.open(encoding="utf-8") as file:
            yield from file


# Gavel: divisible jobs of fixed gangs on three kinds of GPU that are there


def gavel(folder: Folder) -> list[Case]:
    """The least makespan, and the least cost at each deadline of the results, each with its timetable written out."""
    results = folder.json("gavel_results.json")
    trace, table = folder.find("gavel_minimize_makespan.trace"), folder.find("gavel_throughputs.csv")
    if results is None or trace is None or table is None:
        wanted = ("gavel_results.json", "gavel_minimize_makespan.trace", "gavel_throughputs.csv")
        raise FileNotFoundError(folder.missing(*wanted))
    supplies = gavel_supplies(results["instance"])
    jobs = gavel_jobs(trace, table, "physical", tuple(supply.gpu for supply in supplies))
    policies = results["gavel_simulator_commit_c4fa4009_ECOS_round_360s"]
    peer_time = min(row["makespan_h"] for row in policies)
    longest = sum(max(work.hours for work in job.options) for job in jobs)
    asked = PlanRequest(Horizon((0.0, longest)), supplies, jobs, goal=Goal.TIME)
    found, seconds = timed(lambda: schedule(asked))
    cases = [_gavel_case("gavel makespan h", found, peer_time, seconds, is_time=True)]
    for deadline in results["lower_bound"]["cost_at_deadline"]:
        if deadline == "unbounded":
            hours = longest
        else:
            hours = float(deadline)
            if not isinstance(found, Schedule) or found.finish_hours > hours:
                continue  # sooner than any timetable of these gangs that was found
        due = PlanRequest(Horizon((0.0, hours)), supplies, jobs)
        answer, took = timed(lambda due=due: schedule(due))
        costs = [row["cost"] for row in policies if row["cost"] is not None and row["makespan_h"] <= hours]
        case = _gavel_case(f"gavel $ by {deadline} h", answer, min(costs, default=None), took, is_time=False)
        near = case.ours is not None and case.bound is not None and case.ours <= case.bound * WITHIN
        cases.append(replace(case, ok=case.ok and near))
    return cases


def _gavel_case(name: str, found: Any, peer: float | None, seconds: float, is_time: bool) -> Case:
    if not isinstance(found, Schedule):
        return Case(name, None, peer, None, seconds, False, found.reason)
    ours = found.finish_hours if is_time else found.cost
    bound = (found.finish_bound_hours if is_time else found.cost_bound) or 0.0
    ok = not found.late and ours >= bound * (1 - 1e-9) and (peer is None or ours <= peer)
    note = f"ends at {found.finish_hours:.2f} h, {len(found.stretches)} stretches, ${found.cost:.2f}"
    return Case(name, ours, peer, bound, seconds, ok, note)


def gavel_supplies(instance: str) -> tuple[Supply, ...]:
    """The cluster of a sentence such as "8 V100 + 16 P100 + 24 K80, prices … v100 2.48, p100 1.46, k80 0.45"."""
    counts = {gpu.lower(): int(count) for count, gpu in re.findall(r"(\d+) ([VPK]\d+)\b", instance)}
    prices = {gpu.lower(): float(price) for gpu, price in re.findall(r"\b([vpk]\d+) (\d+(?:\.\d+)?)", instance)}
    if not counts or set(counts) != set(prices):
        raise ValueError(f"no cluster with prices is stated in {instance!r}")
    return tuple(Supply(gpu, gpu, Kind.OWNED, prices[gpu], num_gpus=count) for gpu, count in counts.items())


def gavel_jobs(trace: Path, table: Path, kind: str, gpus: tuple[str, ...]) -> tuple[Job, ...]:
    """Jobs of a trace (tab separated: type, …, steps, GPUs, …, arrival s) with hours from steps/s; 0: does not run."""
    rates = {
        (row["job_type"], int(row["num_gpus"])): row for row in csv.DictReader(lines(table)) if row["table"] == kind
    }
    jobs = []
    for number, line in enumerate(lines(trace)):
        fields = line.rstrip("\n").split("\t")
        steps, num_gpus, arrival = float(fields[5]), int(fields[6]), float(fields[9])
        row = rates[fields[0], num_gpus]
        speeds = {gpu: float(row[gpu] or 0.0) for gpu in gpus}
        options = tuple(Work(gpu, num_gpus, steps / speed / 3600) for gpu, speed in speeds.items() if speed > 0)
        jobs.append(Job(f"{number} {fields[0]}", options, release_hours=arrival / 3600))
    return tuple(jobs)


# Mélange: requests by size on groups of GPUs


def melange(folder: Folder) -> list[Case]:
    """The cheapest mix of each row, proven."""
    instance, results = folder.find("melange_instance.json"), folder.find("melange_results.json")
    if instance is None or results is None:
        raise FileNotFoundError(folder.missing("melange_instance.json", "melange_results.json"))
    cases = []
    for row in read_rows(instance, results):
        found, seconds = timed(lambda row=row: solve_mix(row.rates, row.groups))
        if not isinstance(found, Mix):
            cases.append(Case(f"melange {row.title}", None, row.peer_cost, None, seconds, False, found.reason))
            continue
        ours, bound = found.cost_per_hour, found.bound_per_hour
        ok = found.is_optimal and ours <= row.peer_cost + CENT and seconds < SECONDS_PER_MIX
        ok = ok and abs(ours - row.exact_cost) <= max(CENT, 1e-4 * row.exact_cost)
        note = ", ".join(f"{count} {name}" for name, count in found.counts.items())
        cases.append(Case(f"melange {row.title}", ours, row.peer_cost, bound, seconds, ok, note))
    return cases


# SkyPilot: tasks that run whole on the cheapest or the fastest instance, in chains and diamonds


def skypilot(folder: Folder) -> list[Case]:
    """The peer's six answers, and the one with a deadline that it cannot be asked for."""
    given = folder.json("skypilot_instance_and_results.json")
    if given is None:
        raise FileNotFoundError("skypilot_instance_and_results.json")
    hours = given["task_hours_per_accelerator"]
    on_demand, spot = sky_supplies(given["offers"], "price"), sky_supplies(given["offers"], "spot_price")
    cases = []
    for result in given["results"]:
        name = result["case"]
        supplies = spot if re.search(r"\bspot\b", name) else on_demand
        goal = Goal.TIME if "min time" in name else Goal.COST
        jobs = sky_jobs(name, hours)
        length = sum(max(work.hours for work in job.options) for job in jobs)
        asked = PlanRequest(Horizon((0.0, length)), supplies, jobs, goal=goal)
        found, seconds = timed(lambda asked=asked: plan(asked, gap=0.0))
        peer = float(result["cost"])
        ok = found.cost is not None and found.cost <= peer + CENT / 5
        if goal is Goal.TIME:
            ok = ok and found.finish_hours is not None and found.finish_hours <= result["hours"] + 1e-6
        picks = ", ".join(dict.fromkeys(use.supply for use in found.uses))
        cases.append(Case(f"skypilot {name}", found.cost, peer, found.bound, seconds, ok, picks))
    for text in given.get("what_the_peer_cannot_express", ()):
        stated = re.search(r"(\w+) alone with deadline (\d+(?:\.\d+)?) h has optimum .* = (\d+\.\d+)", text)
        if stated:
            cases.append(_sky_deadline(stated, hours, on_demand))
    return cases


def _sky_deadline(stated: re.Match[str], hours: dict[str, dict[str, float]], supplies: tuple[Supply, ...]) -> Case:
    task, deadline, optimum = stated[1], float(stated[2]), float(stated[3])
    job = replace(sky_job(task, hours[task]), deadline_hours=deadline)
    asked = PlanRequest(Horizon((0.0, deadline)), supplies, (job,))
    found, seconds = timed(lambda: plan(asked, gap=0.0))
    ok = found.cost is not None and abs(found.cost - optimum) <= CENT / 5
    picks = ", ".join(dict.fromkeys(use.supply for use in found.uses))
    return Case(f"skypilot {task} by {deadline:g} h", found.cost, None, found.bound, seconds, ok, picks)


def sky_supplies(offers: list[dict[str, Any]], field: str) -> tuple[Supply, ...]:
    """Offers with a price as whole instances; the peer takes spot to be never interrupted, so this comparison does."""
    kind = Kind.SPOT if field == "spot_price" else Kind.ON_DEMAND
    return tuple(
        Supply(
            name=f"{number} {offer['cloud']} {offer['instance']} {offer['region']}",
            gpu=offer["accelerator"],
            kind=kind,
            price_per_hour=float(offer[field]) / float(offer["count"]),
            gpus_per_instance=int(offer["count"]),
            provider=offer["cloud"],
            region=offer["region"],
            spot=NEVER_INTERRUPTED if kind is Kind.SPOT else None,
        )
        for number, offer in enumerate(offers)
        if offer[field]
    )


def sky_job(name: str, hours: dict[str, float], after: tuple[str, ...] = (), task: str = "") -> Job:
    options = tuple(Work(gpu, 1, float(length)) for gpu, length in hours.items())
    return Job(task or name, options, is_divisible=False, after=after)


def sky_jobs(case: str, hours: dict[str, dict[str, float]]) -> tuple[Job, ...]:
    """The tasks of a case's words: one alone, a chain a->b->c, or a diamond a->(b,c)->d."""
    chain = re.match(r"chain ([\w>-]+)", case)
    if chain:
        names = chain[1].split("->")
        return tuple(sky_job(name, hours[name], tuple(names[place - 1 : place])) for place, name in enumerate(names))
    if case.startswith("diamond"):
        middle = re.search(r"b and c are (\w+)", case)
        inner = middle[1] if middle else "train"
        ends = [name for name in hours if name != inner]
        return (
            sky_job(ends[0], hours[ends[0]], task="a"),
            sky_job(inner, hours[inner], ("a",), "b"),
            sky_job(inner, hours[inner], ("a",), "c"),
            sky_job(ends[-1], hours[ends[-1]], ("b", "c"), "d"),
        )
    alone = re.match(r"(\w+) alone", case)
    if not alone:
        raise ValueError(f"no task is named in {case!r}")
    limited = re.search(r"\(([\w,]+) only\)", case)
    wanted = limited[1].split(",") if limited else None
    options = hours[alone[1]]
    kept = {g: h for g, h in options.items() if wanted is None or any(g.startswith(name) for name in wanted)}
    return (sky_job(alone[1], kept),)


# Spot with a deadline


def spot(folder: Folder) -> list[Case]:
    """Our policy on made traces that have each zone's mean times up and down; the measured traces are not at hand.

    The peer's column is the better of its published figure and its policy run on the very same made traces.
    """
    given = folder.json("spot_policy_results.json")
    stats = folder.find("spot_availability_stats.csv")
    if given is None or stats is None:
        raise FileNotFoundError(folder.missing("spot_policy_results.json", "spot_availability_stats.csv"))
    number = re.search(r"(\d+(?:\.\d+)?) h job, spot at (\d+\.\d+) of on-demand, (\d+\.\d+) h lost", given["what"])
    runs = re.search(r"(\d+) random starts each", given["what"])
    if not number or not runs:
        raise ValueError("spot_policy_results.json does not state its job")
    work, price, lost = (float(text) for text in number.groups())
    rows = [row for row in csv.DictReader(lines(stats)) if row["kind"] == "availability" and row["nodes"] == "1"]
    first = next(row["set"] for row in rows if row["device"].endswith("_1"))
    zones = [row for row in rows if row["set"] == first]
    return [
        _spot_case(row, SpotJob(work, float(row["deadline_h"]), price, lost), zones, int(runs[1]))
        for row in given["rows"]
    ]


def _spot_case(row: dict[str, float], job: SpotJob, zones: list[dict[str, str]], runs: int) -> Case:
    start = time.perf_counter()
    random = np.random.default_rng(1)
    costs: dict[str, list[float]] = {"ours": [], "uniform": [], "greedy": [], "hindsight": []}
    late = 0
    for zone in zones:
        tick = float(zone["gap_s"]) / 3600
        times = SpotTimes(float(zone["mean_up_h"]), float(zone["mean_down_h"]), job.lost_hours)
        ours = SpotPolicy(job, times, tick)
        for _ in range(runs):
            there = made_trace(times, job.deadline_hours + 2 * tick, tick, random)
            run = run_policy(job, there, tick, ours.decide)
            late += run.is_late(job)
            costs["ours"].append(run.relative_cost)
            costs["uniform"].append(run_policy(job, there, tick, uniform_progress(job, tick)).relative_cost)
            costs["greedy"].append(run_policy(job, there, tick, greedy_spot(job, tick)).relative_cost)
            costs["hindsight"].append(hindsight_cost(job, there, tick))
    mean = {name: float(np.mean(values)) for name, values in costs.items()}
    published = min(row["uniform_progress"], row["greedy_spot"])
    peer = min(published, mean["uniform"], mean["greedy"])
    slack = job.deadline_hours / job.work_hours - 1
    note = (
        f"{len(costs['ours'])} runs, {late} late; on these traces uniform {mean['uniform']:.3f}, "
        f"greedy {mean['greedy']:.3f}; published {published:.3f}"
    )
    ok = late == 0 and mean["ours"] < peer and mean["ours"] >= mean["hindsight"] - 1e-9
    seconds = time.perf_counter() - start
    return Case(f"spot slack {slack:.0%}", mean["ours"], peer, mean["hindsight"], seconds, ok, note)


def made_trace(times: SpotTimes, hours: float, tick: float, random: np.random.Generator) -> list[bool]:
    """Whether spot is there, tick by tick: exponential times up and down with these means."""
    is_there = bool(random.random() < times.paid_share)
    there: list[bool] = []
    while len(there) * tick < hours:
        mean = times.mean_up_hours if is_there else times.mean_down_hours
        there.extend([is_there] * max(1, round(random.exponential(mean) / tick)))
        is_there = not is_there
    return there


# Philly: replays that must be exact

PHILLY_FROM = datetime(2017, 10, 1, tzinfo=UTC).timestamp()
PHILLY_UNTIL = datetime(2017, 11, 30, 23, 59, tzinfo=UTC).timestamp()


def philly(folder: Folder) -> list[Case]:
    """Each stated cell to 0.01 s, and the whole trace on one cluster for its seconds."""
    given, path = folder.json("philly_replay_expected.json"), folder.find("philly_subset_2017.csv")
    if given is None or path is None:
        raise FileNotFoundError(folder.missing("philly_replay_expected.json", "philly_subset_2017.csv"))
    jobs = read_trace(lines(path), whole_seconds=True)
    cases = []
    for cell in given["cells"]:
        mine = [j for j in jobs if j.cluster == cell["vc"] and PHILLY_FROM <= j.submit_seconds < PHILLY_UNTIL]
        for policy in (Policy.FIFO, Policy.SJF):
            found, seconds = timed(lambda cell=cell, policy=policy, mine=mine: replay(mine, cell["nodes"], 8, policy))
            for name, ours in (("jct", found.completion_seconds), ("queue", found.wait_seconds)):
                peer = cell[policy.value][name]
                ok = ours is not None and abs(ours - peer) <= 0.01 and len(mine) == cell["jobs"]
                title = f"philly {cell['vc']} {policy.value} {name} s"
                cases.append(Case(title, ours, peer, None, seconds, ok, f"{len(mine)} jobs on {cell['nodes']} nodes"))
    found, seconds = timed(lambda: replay(jobs, 60, 8, Policy.FIFO))
    note = f"{found.num_jobs} jobs on 60 nodes; ours is the mean wait; refused {len(found.refused)}"
    cases.append(Case("philly all jobs fifo", found.wait_seconds, None, None, seconds, seconds < 10, note))
    return cases


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What a piece of work gives, and its seconds."""
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start


CASES: dict[str, Callable[[Folder], list[Case]]] = {
    "gavel": gavel,
    "melange": melange,
    "skypilot": skypilot,
    "spot": spot,
    "philly": philly,
}
