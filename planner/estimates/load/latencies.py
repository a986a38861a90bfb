"""What requests waited: percentiles of the time to the first token, per further token and to the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.estimates.load.engine import Served

Array = NDArray[np.float64]
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds that half, 95 % and 99 % of requests do not exceed, and the mean."""

    p50: float
    p95: float
    p99: float
    mean: float

    @classmethod
    def of(cls, seconds: Array) -> Percentiles | None:
        """None where there is nothing to take percentiles of."""
        if not seconds.size:
            return None
        half, most, nearly_all = (float(value) for value in np.percentile(seconds, PERCENTILES))
        return cls(half, most, nearly_all, float(seconds.mean()))

    def at(self, percentile: int) -> float:
        """Seconds at 50, 95 or 99."""
        if percentile not in PERCENTILES:
            raise ValueError(f"{percentile} is not one of {PERCENTILES}")
        return {50: self.p50, 95: self.p95, 99: self.p99}[percentile]


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of `num_requests` requests: seconds to the first token, per token after it (None: none has a second), in all."""

    first_token: Percentiles
    per_token: Percentiles | None
    whole: Percentiles
    num_requests: int


def waited(served: Served, skipped_share: float = 0.0) -> tuple[Array, Array, Array]:
    """Per request the seconds to its first token, to its last, and per token after the first (nan: has one token).

    The first `skipped_share` of the arrivals are left out: they met an empty replica.
    """
    requests = served.requests
    kept = slice(int(skipped_share * requests.size), None)
    first = (served.first_token - requests.arrival_seconds)[kept]
    whole = (served.done - requests.arrival_seconds)[kept]
    further = (requests.output_tokens - 1)[kept]
    each = np.full(first.size, np.nan)
    np.divide(whole - first, further, out=each, where=further > 0)
    return first, whole, each


def latencies(parts: Sequence[Served], skipped_share: float = 0.0) -> Latencies:
    """Of all requests of one or several replicas together; never a mean of percentiles."""
    return of_seconds([waited(part, skipped_share) for part in parts])


def of_seconds(parts: Sequence[tuple[Array, Array, Array]]) -> Latencies:
    """Of (first token, whole, per token) seconds of requests, as `waited` gives them."""
    first, whole, each = (np.concatenate(column) for column in zip(*parts, strict=True))
    to_first, to_last = Percentiles.of(first), Percentiles.of(whole)
    if to_first is None or to_last is None:
        raise ValueError("there is no request to take percentiles of")
    return Latencies(to_first, Percentiles.of(each[~np.isnan(each)]), to_last, int(first.size))
