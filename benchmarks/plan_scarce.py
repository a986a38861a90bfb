"""How near its bound a plan of scarce GPUs comes: `python -m benchmarks.plan_scarce --seconds 300`.

A seeded year of a firm: 200 jobs, many of them whole and large, and six growing services on 3,000 GPUs of three kinds,
under quarterly budgets, one provider's quota and the room's power; what is not done costs, too.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from planner.plans.assessment import assessment
from planner.plans.linear import Progress
from planner.plans.plan import plan
from planner.plans.program.build import refined
from planner.plans.request import PlanRequest
from planner.plans.runs import runs_of
from planner.plans.shorthand import expand

DAYS = 364
BUDGETS = (5.5e6, 6e6, 7e6, 7e6)  # a quarter
GANGS, SHARES = (8, 16, 32, 64, 128, 256, 512), (0.2, 0.2, 0.2, 0.15, 0.15, 0.07, 0.03)


def instance(num_jobs: int = 200, num_slots: int = DAYS, seed: int = 3) -> PlanRequest:
    """The request of this size, the same for the same seed."""
    random = np.random.default_rng(seed)
    hours = 24.0 * DAYS
    quarter = hours / len(BUDGETS)
    budgets = [
        {"name": f"Q{n + 1}", "from_hours": n * quarter, "until_hours": (n + 1) * quarter, "amount": amount}
        for n, amount in enumerate(BUDGETS)
    ]
    quotas = [{"name": "provider B", "num_gpus": 450, "provider": "B"}]
    document: dict[str, Any] = {
        "horizon": {"num_slots": num_slots, "slot_hours": hours / num_slots},
        "jobs": [_job(number, random) for number in range(num_jobs)],
        "services": [_service(number, random) for number in range(6)],
        "supplies": [_nodes(*each[:4], **each[4]) for each in SUPPLIES],
        "limits": {"budgets": budgets, "quotas": quotas, "power_cap_kw": 1600.0},
    }
    return PlanRequest.from_document(expand(document))


SUPPLIES: tuple[tuple[str, str, float, int, dict[str, Any]], ...] = (
    ("A100 in the hall", "owned", 0.09, 800, {"availability": 0.97, "kw": 0.6}),
    (
        "buy H100",
        "purchase",
        0.13,
        1000,
        {"capex": 31000.0, "residual": 6000.0, "fixed_per_hour": 0.25, "lead_time_hours": 2160.0, "kw": 1.1},
    ),
    (
        "buy H200",
        "purchase",
        0.14,
        512,
        {"capex": 39000.0, "residual": 8000.0, "fixed_per_hour": 0.27, "lead_time_hours": 3360.0, "kw": 1.2},
    ),
    ("reserve H100 1 y", "reserved", 1.85, 512, {"term_hours": 8760.0}),
    ("reserve H100 month", "reserved", 2.2, 256, {"term_hours": 730.0, "starts_every_hours": 168.0}),
    ("rent H100 A", "on_demand", 2.9, 256, {"provider": "A"}),
    ("rent H100 B", "on_demand", 3.6, 400, {"provider": "B"}),
    ("rent H200 B", "on_demand", 4.2, 128, {"provider": "B", "from_hours": 1440.0}),
    ("rent A100 A", "on_demand", 1.7, 256, {"provider": "A"}),
    ("spot A100 B", "spot", 0.8, 128, {"provider": "B"}),
)


def _nodes(name: str, kind: str, price: float, num_gpus: int, **more: Any) -> dict[str, Any]:
    """A supply of nodes of eight, of the kind of GPU that its name holds; one that is bought lasts four years."""
    gpu = next(word for word in name.split() if word[0] in "AH" and word[1:].isdigit())
    life = {"life_hours": 35040.0, "cost_of_capital": 0.1} if kind == "purchase" else {}
    same = {"name": name, "gpu": gpu, "kind": kind, "price_per_hour": price, "num_gpus": num_gpus}
    return {**same, "gpus_per_instance": 8, **life, **more}


def _job(number: int, random: np.random.Generator) -> dict[str, Any]:
    gang = int(random.choice(GANGS, p=SHARES))
    hours = float(random.uniform(24, 480))
    release = float(random.integers(0, 250)) * 24
    window = hours * random.uniform(1.5, 6) + 24 * 5
    options = [{"gpu": "H100", "num_gpus": gang, "hours": hours}]
    if random.random() < 0.7:
        options.append({"gpu": "A100", "num_gpus": gang, "hours": hours * 2.3})
    if random.random() < 0.6:
        options.append({"gpu": "H200", "num_gpus": gang, "hours": hours * 0.75})
    return {
        "name": f"job {number}",
        "options": options,
        "release_hours": release,
        "deadline_hours": float(min(release + window * 2.3, DAYS * 24)),
        "is_divisible": bool(random.random() < 0.6),
        "priority": int(random.integers(0, 3)),
        "drop_cost": None if random.random() < 0.3 else float(gang * hours * random.uniform(2, 12)),
    }


def _service(number: int, random: np.random.Generator) -> dict[str, Any]:
    low = float(random.uniform(20, 80))
    replicas = [
        {"gpu": gpu, "num_gpus": gpus, "rate": rate}
        for gpu, gpus, rate in (("H100", 4, 10), ("A100", 8, 9), ("H200", 4, 14))
    ]
    demand = {"diurnal": {"low": low, "high": low * 1.01, "peak_hour": 15}, "yearly_growth": 0.6}
    return {"name": f"service {number}", "replicas": replicas, "demand": demand, "headroom": 0.1, "drop_cost": 40.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--slots", type=int, default=DAYS)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    start = time.perf_counter()

    def show(progress: Progress) -> None:
        took = time.perf_counter() - start
        print(f"{took:7.1f} s  {progress.stage:<10} {progress.cost} {progress.bound}", flush=True)

    asked = instance(given.jobs, given.slots, given.seed)
    found = plan(asked, seconds=given.seconds, on_progress=show)
    gap = "—" if found.gap is None else f"{found.gap:.2%}"
    print(f"{found.outcome.value}: {found.cost} bound {found.bound} gap {gap}; {len(found.dropped)} jobs left undone")
    for name, cost in found.costs.items():
        print(f"{name:<10} {cost:14,.0f}  in the relaxed program {found.relaxed_costs.get(name, 0.0):14,.0f}")
    for held in found.commitments:
        print(f"{held.num_gpus:5} × {held.supply} from hour {held.from_hours:g}: {held.cost:,.0f}")
    for words in assessment(found, 0.01):
        print(words)
    if found.is_found:
        for name, (gang, held) in runs_of(refined(asked), found).too_few.items():
            print(f"{name} takes {gang} GPUs at once; {held} are held")


if __name__ == "__main__":
    main()
