"""How many replicas take prompts in and how many decode, where the two are apart and share a service level."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from planner.estimates.load.arrivals import random_requests
from planner.estimates.load.demand import EMPTY_START, SAMPLE_REQUESTS, SEED, Demand, RandomDemand, TraceDemand
from planner.estimates.load.engine import EnginePolicy, Served
from planner.estimates.load.latencies import Latencies
from planner.estimates.load.level import TO_FIRST, below_floor
from planner.estimates.load.replicas import Apart, ServedApart, serve_apart
from planner.estimates.load.requests import Requests
from planner.estimates.load.saturation import fullest_decoding, least_waits, mean_prompt_seconds
from planner.estimates.load.sizing import Terms, Way

MAX_REQUESTS = 20_000
TIMES_IN_FLIGHT = 20.0  # the sample is so many times as long as the requests that are in the service at a time
MAX_TRIES = 80
STEP = 0.05  # a pool grows by a twentieth at a time, by one replica at least


@dataclass(frozen=True, slots=True)
class SizedApart:
    """So many replicas of each kind keep the level, as simulated with the spare ones of both kinds down."""

    way: Way
    num_prefill: int
    num_decode: int
    spare: int
    found: Latencies
    transfer_seconds: float  # of one request's cache, on average

    @property
    def num_gpus(self) -> int:
        return (self.num_prefill + self.num_decode + 2 * self.spare) * self.way.gpus_per_replica

    @property
    def cost_per_hour(self) -> float | None:
        return self.way.cost_per_hour(self.num_gpus)

    @property
    def sentence(self) -> str:
        """ "24 GPUs = (2 that take prompts in + 4 that decode) × 4 (TP 4)"."""
        spare = f" + {self.spare} spare of each" if self.spare else ""
        pools = f"({self.num_prefill} that take prompts in + {self.num_decode} that decode{spare})"
        return f"{self.num_gpus:,} GPUs = {pools} × {self.way.gpus_per_replica} ({self.way.layout})"


def size_apart(
    way: Way, demand: Demand, terms: Terms, policy: EnginePolicy, link_bytes_per_s: float
) -> SizedApart | str:
    """The replicas of both kinds, from the formula's fewest up: the kind that a missed limit is about grows. Or why
    none do. The link carries each request's cache from one kind to the other."""
    policy = policy.for_groups(way.groups)
    slow = below_floor(terms.level, least_waits(way.table, demand, policy))
    if slow is not None:
        return slow.reason
    decoding = fullest_decoding(way.table, demand, policy, terms.level.per_token_seconds)
    if decoding is None:
        return "even one request at a time decodes slower than the level allows on average"
    free = 1.0 - terms.headroom
    num_prefill = max(1, math.ceil(demand.rate * mean_prompt_seconds(way.table, demand, policy) / free))
    num_decode = max(1, math.ceil(demand.rate / (decoding * free)))
    requests, skipped = _requests(demand, least_waits(way.table, demand, policy).whole.mean)
    for _ in range(MAX_TRIES):
        pools = Apart(way.table, way.table, num_prefill, num_decode, link_bytes_per_s)
        is_anywhere = isinstance(demand, RandomDemand) and not demand.in_turn
        random = np.random.default_rng(SEED) if is_anywhere else None
        served = serve_apart(requests, pools, policy, skipped, random)
        compared = terms.level.compared(served.latencies)
        missed = {what for what, have, limit in compared if have > limit}
        if not missed:
            return SizedApart(way, num_prefill, num_decode, terms.spare, served.latencies, served.transfer_seconds)
        if TO_FIRST in missed or (len(missed) == 1 and _is_prefill_busier(served)):
            num_prefill += max(1, round(STEP * num_prefill))
        if missed != {TO_FIRST}:
            num_decode += max(1, round(STEP * num_decode))
    why = "; ".join(terms.level.missed(served.latencies))
    return f"{num_prefill} + {num_decode} replicas do not keep the level: {why}"


def _requests(demand: Demand, alone_seconds: float) -> tuple[Requests, float]:
    """The requests of the whole service, and the share of them that meets it empty."""
    if isinstance(demand, TraceDemand):
        return demand.requests, 0.0
    number = int(min(MAX_REQUESTS, max(SAMPLE_REQUESTS, TIMES_IN_FLIGHT * demand.rate * alone_seconds)))
    variation = demand.variation if isinstance(demand, RandomDemand) else 1.0
    return random_requests(demand.rate, number, demand.sizes, np.random.default_rng(SEED), variation), EMPTY_START


def _is_prefill_busier(served: ServedApart) -> bool:
    return _busy(served.prefill) > _busy(served.decode)


def _busy(parts: tuple[Served, ...]) -> float:
    spans = sum(part.end_seconds - float(part.requests.arrival_seconds[0]) for part in parts)
    return sum(part.busy_seconds for part in parts) / spans if spans > 0 else 0.0
