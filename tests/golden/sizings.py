"""`python -m tests.golden.sizings`: write the golden sizings anew. The difference is reviewed and explained.

Steps have fixed, simple times here, so that a change of the estimator's priors moves nothing: what is held is the
simulation of requests and the search for replicas.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from planner.estimates.load.apart import SizedApart, size_apart
from planner.estimates.load.arrivals import Sizes, daily_requests
from planner.estimates.load.batching import BatchTimes
from planner.estimates.load.curve import load_curve
from planner.estimates.load.demand import Demand, RandomDemand, TraceDemand
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.hours import over_hours
from planner.estimates.load.items import Frames, Items, RandomItems
from planner.estimates.load.level import ServiceLevel
from planner.estimates.load.pass_sizing import Batching, Deadline, PassWay, SizedPasses, size_pass_way
from planner.estimates.load.requests import Requests
from planner.estimates.load.sizing import Sized, Terms, Way, size_one
from tests.estimates.load.engines import linear_table

SIZINGS = Path(__file__).with_name("sizings.json")
MIXED = Sizes((100, 800, 3_000), (20, 150, 400), (0.4, 0.4, 0.2))
CHAT = Sizes.fixed(1_024, 256)
LEVEL = ServiceLevel(95, first_token_seconds=0.6, per_token_seconds=0.03)
PLAIN = EnginePolicy()
WAY = Way("A", "TP 2", 2, linear_table(), cost_per_unit_hour=2.0, unit_gpus=2)
DAY = (1, 1, 1, 1, 1, 2, 3, 5, 8, 9, 10, 10, 9, 10, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
PASS_WAY = PassWay("A", BatchTimes(tuple(0.004 + 0.002 * batch for batch in range(1, 65))), cost_per_unit_hour=2.0)


def golden_sizings() -> dict[str, dict[str, Any]]:
    """Services of tokens, apart, over a day and of passes, by what each is about."""
    found = {name: _tokens(*case) for name, case in _TOKENS.items()}
    found |= {name: _passes(*case) for name, case in _PASSES.items()}
    return found | {"apart": _apart(), "over a day": _day(), "the curve": _curve()}


def _prefixed() -> TraceDemand:
    number = 600
    blocks = tuple((0, 1, place % 7 + 2) for place in range(number))
    tokens = np.full(number, 1_600)
    return TraceDemand(Requests(np.arange(number) * 0.12, tokens, np.full(number, 80), blocks, 512))


def _day_trace() -> TraceDemand:
    return TraceDemand(daily_requests([share * 0.05 for share in DAY], MIXED, np.random.default_rng(3)))


_TOKENS: dict[str, tuple[Demand, Terms, EnginePolicy]] = {
    "chat, a level": (RandomDemand(40.0, CHAT), Terms(LEVEL), PLAIN),
    "chat, no level": (RandomDemand(40.0, CHAT), Terms(ServiceLevel()), PLAIN),
    "chat, p99": (RandomDemand(40.0, CHAT), Terms(ServiceLevel(99, 0.4, 0.03)), PLAIN),
    "mixed, spare and head-room": (RandomDemand(60.0, MIXED), Terms(LEVEL, spare=1, headroom=0.3), PLAIN),
    "bursty": (RandomDemand(60.0, MIXED, variation=4.0), Terms(LEVEL), PLAIN),
    "evenly spaced": (RandomDemand(60.0, MIXED, variation=0.0), Terms(LEVEL), PLAIN),
    "whole prompts": (RandomDemand(60.0, MIXED), Terms(LEVEL), EnginePolicy(is_chunked=False)),
    "speculation": (RandomDemand(60.0, MIXED), Terms(LEVEL), EnginePolicy(tokens_per_step=2.0, speculation_cost=1.3)),
    "a trace of a day": (_day_trace(), Terms(LEVEL), PLAIN),
    "prefixes kept": (_prefixed(), Terms(LEVEL), PLAIN),
    "prefixes not kept": (_prefixed(), Terms(LEVEL), EnginePolicy(reuses_prefixes=False)),
    "below the floor": (RandomDemand(1.0, CHAT), Terms(ServiceLevel(95, 0.02)), PLAIN),
}
_PASSES: dict[str, tuple[Items, Deadline, Batching]] = {
    "cameras at one moment": (Frames(200, 30.0), Deadline(0.05), Batching()),
    "cameras spread, late by jitter": (Frames(200, 30.0, True, 0.01), Deadline(0.05, spare=1), Batching()),
    "pictures at random": (RandomItems(3_000.0), Deadline(0.1, 95), Batching()),
    "pictures in bursts": (RandomItems(3_000.0, 4.0), Deadline(0.1, 95), Batching()),
    "batches that wait": (RandomItems(3_000.0), Deadline(0.2), Batching(32, 0.02)),
    "a pass above the deadline": (Frames(8, 30.0), Deadline(0.005), Batching()),
}


def _tokens(demand: Demand, terms: Terms, policy: EnginePolicy) -> dict[str, Any]:
    found = size_one(WAY, demand, terms, policy)
    if not isinstance(found, Sized):
        return {"refused": found.reason}
    per_token = found.found.per_token
    return {
        "sentence": found.sentence,
        "first_token": _three(found.found.first_token),
        "per_token": None if per_token is None else _three(per_token),
        "whole": _three(found.found.whole),
        "load_share": _digits(found.load_share),
        "reused_share": _digits(found.reused_share),
    }


def _passes(items: Items, deadline: Deadline, batching: Batching) -> dict[str, Any]:
    found = size_pass_way(PASS_WAY, items, deadline, batching)
    if not isinstance(found, SizedPasses):
        return {"refused": found.reason}
    return {
        "sentence": found.sentence,
        "waited": _three(found.waited),
        "late_share": None if found.late_share is None else _digits(found.late_share),
        "largest_batch": found.largest_batch,
    }


def _apart() -> dict[str, Any]:
    found = size_apart(WAY, RandomDemand(30.0, MIXED), Terms(LEVEL, spare=1), PLAIN, 50e9)
    if not isinstance(found, SizedApart):
        return {"refused": found}
    return {"sentence": found.sentence, "whole": _three(found.found.whole)}


def _day() -> dict[str, Any]:
    demand = RandomDemand(60.0, MIXED)
    option = size_one(WAY, demand, Terms(LEVEL), PLAIN)
    if not isinstance(option, Sized):
        return {"refused": option.reason}
    hours = over_hours(option, [6.0 * share for share in DAY], demand, LEVEL, PLAIN)
    return {
        "replicas": [hour.replicas for hour in hours.hours],
        "gpu_hours": [hours.fixed_gpu_hours, hours.followed_gpu_hours],
    }


def _curve() -> dict[str, Any]:
    found = load_curve(WAY.table, RandomDemand(1.0, MIXED), PLAIN, LEVEL)
    return {
        "most": _digits(found.most_per_second),
        "knee": _digits(found.knee_per_second),
        "level": None if found.level_per_second is None else _digits(found.level_per_second),
        "p95": [_digits(point.found.whole.p95) for point in found.points],
    }


def _three(percentiles: Any) -> list[float]:
    return [_digits(percentiles.p50), _digits(percentiles.p95), _digits(percentiles.p99)]


def _digits(value: float) -> float:
    return float(f"{value:.5g}")


def main() -> None:
    SIZINGS.write_text(json.dumps(golden_sizings(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
