"""Several replicas: alike and dealt to in turn, or some that take prompts in and others that decode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.estimates.load.engine import EnginePolicy, Served, simulate
from planner.estimates.load.latencies import Latencies, of_seconds
from planner.estimates.load.requests import Requests
from planner.estimates.load.step_table import StepTable

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Apart:
    """Replicas that only take prompts in, replicas that only decode, and the link over which the cache goes between."""

    prefill: StepTable
    decode: StepTable
    num_prefill: int
    num_decode: int
    link_bytes_per_s: float

    def __post_init__(self) -> None:
        if self.num_prefill < 1 or self.num_decode < 1:
            raise ValueError("both kinds of replicas are needed")
        if not self.link_bytes_per_s > 0:
            raise ValueError(f"a link has a bandwidth, not {self.link_bytes_per_s}")


@dataclass(frozen=True, slots=True)
class ServedApart:
    """What both kinds of replicas did, and the latencies of whole requests."""

    latencies: Latencies
    prefill: tuple[Served, ...]
    decode: tuple[Served, ...]
    transfer_seconds: float  # mean, of one request


def serve(requests: Requests, table: StepTable, policy: EnginePolicy, num_replicas: int) -> list[Served]:
    """What each of the replicas does where requests are dealt out in turn; replicas without a request are left out."""
    return [simulate(part, table, policy) for part in requests.dealt(num_replicas) if part.size]


def serve_apart(
    requests: Requests,
    pools: Apart,
    policy: EnginePolicy,
    skipped_share: float = 0.0,
    random: np.random.Generator | None = None,
) -> ServedApart:
    """Prompts to the replicas that take them in, then their caches over the link to those that decode: in turn, or
    each to any of them where a generator is given.

    The first token comes from the former, so the transfer delays the second one. The first `skipped_share` of the
    arrivals are not counted.
    """
    first_token = np.empty(requests.size)
    prefilled = []
    only_first = replace(requests, output_tokens=np.ones_like(requests.output_tokens))
    for mine in _dealt(np.arange(requests.size), pools.num_prefill, random):
        if mine.size:
            served = simulate(only_first.only(mine), pools.prefill, policy)
            first_token[mine] = served.first_token
            prefilled.append(served)
    sent = requests.prompt_tokens * pools.decode.kv_bytes_per_token / pools.link_bytes_per_s
    done = first_token.copy()
    going_on = np.flatnonzero(requests.output_tokens > 1)
    ready = (first_token + sent)[going_on]
    by_time = going_on[np.argsort(ready, kind="stable")]
    decoding = replace(policy, arrives_prefilled=True, reuses_prefixes=False)
    decoded = []
    for mine in _dealt(by_time, pools.num_decode, random):
        if mine.size:
            arrivals = (first_token + sent)[mine]
            part = Requests(arrivals, requests.prompt_tokens[mine], requests.output_tokens[mine])
            served = simulate(part, pools.decode, decoding)
            done[mine] = served.done
            decoded.append(served)
    return ServedApart(
        latencies=_latencies(requests, first_token, done, int(skipped_share * requests.size)),
        prefill=tuple(prefilled),
        decode=tuple(decoded),
        transfer_seconds=float(sent.mean()),
    )


def _dealt(places: NDArray[np.intp], num_replicas: int, random: np.random.Generator | None) -> list[NDArray[np.intp]]:
    """The places that each of so many replicas gets, in their order."""
    if random is None:
        return [places[first::num_replicas] for first in range(num_replicas)]
    chosen = random.integers(0, num_replicas, places.size)
    return [places[chosen == replica] for replica in range(num_replicas)]


def running_at_a_time(parts: Sequence[Served]) -> float:
    """Requests in the service at a time, on average over all replicas: Little's law on what was simulated."""
    inside = sum(float((part.done - part.requests.arrival_seconds).sum()) for part in parts)
    span = max(part.end_seconds for part in parts) - min(float(part.requests.arrival_seconds[0]) for part in parts)
    return inside / span if span > 0 else 0.0


def _latencies(requests: Requests, first_token: Array, done: Array, skipped: int) -> Latencies:
    first, whole = first_token - requests.arrival_seconds, done - requests.arrival_seconds
    further = requests.output_tokens - 1
    each = np.full(requests.size, np.nan)
    np.divide(whole - first, further, out=each, where=further > 0)
    return of_seconds([(first[skipped:], whole[skipped:], each[skipped:])])
