"""A service level, what keeps it, and the floor that no number of GPUs goes below: a request with a replica alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from planner import units
from planner.estimates.load.engine import EnginePolicy, Served, simulate
from planner.estimates.load.latencies import PERCENTILES, Latencies, latencies
from planner.estimates.load.requests import Requests
from planner.estimates.load.step_table import StepTable

TO_FIRST = "time to the first token"
EACH_FURTHER = "time per output token"
TO_LAST = "time to the last token"


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """So many percent of requests wait at most so many seconds; None: that wait is free."""

    percentile: int = 95
    first_token_seconds: float | None = None
    per_token_seconds: float | None = None
    whole_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.percentile not in PERCENTILES:
            raise ValueError(f"the percentile must be one of {PERCENTILES}, not {self.percentile}")
        for limit in (self.first_token_seconds, self.per_token_seconds, self.whole_seconds):
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise ValueError(f"a limit must be above 0, not {limit}")

    @property
    def is_free(self) -> bool:
        """Whether nothing is limited: any finite wait will do."""
        return self.first_token_seconds is self.per_token_seconds is self.whole_seconds is None

    def compared(self, found: Latencies) -> tuple[tuple[str, float, float], ...]:
        """(what, seconds found, seconds allowed) of every limit that the requests have a figure for."""
        per_token = None if found.per_token is None else found.per_token.at(self.percentile)
        rows = (
            (TO_FIRST, found.first_token.at(self.percentile), self.first_token_seconds),
            (EACH_FURTHER, per_token, self.per_token_seconds),
            (TO_LAST, found.whole.at(self.percentile), self.whole_seconds),
        )
        return tuple((what, have, limit) for what, have, limit in rows if have is not None and limit is not None)

    def missed(self, found: Latencies) -> tuple[str, ...]:
        """A clause for every limit that is exceeded; none: the level is kept."""
        return tuple(
            f"p{self.percentile} {what} is {units.format_seconds(have)}, {units.format_seconds(limit)} is allowed"
            for what, have, limit in self.compared(found)
            if have > limit
        )


def floor(requests: Requests, table: StepTable, policy: EnginePolicy) -> Latencies:
    """What the requests would wait if each had a replica to itself: no service level can be below it."""
    return latencies([alone(requests, table, policy)])


def alone(requests: Requests, table: StepTable, policy: EnginePolicy) -> Served:
    """The requests in their order, each arriving long after the one before is done."""
    longest = float((requests.prompt_tokens + requests.output_tokens).max())
    prompt = float(requests.prompt_tokens.max())
    passes = math.ceil(prompt / min(policy.batch_tokens, table.max_tokens))
    most = passes * table.prefill(min(prompt, table.max_tokens), prompt)
    most += float(requests.output_tokens.max()) * table.decode(1, longest) * policy.speculation_cost
    apart = replace(requests, arrival_seconds=2.0 * most * np.arange(requests.size, dtype=np.float64))
    return simulate(apart, table, policy)


@dataclass(frozen=True, slots=True)
class TooTight:
    """Why no number of GPUs keeps a level, naming the floor, and how many times the floor is above the level."""

    reason: str
    ratio: float


def below_floor(level: ServiceLevel, least: Latencies) -> TooTight | None:
    """Why the level cannot be kept by any number of GPUs; None: it can."""
    rows = level.compared(least)
    found = [
        f"a {what} of {units.format_seconds(limit)} is below the floor: "
        f"with a replica to themselves p{level.percentile} of these requests is {units.format_seconds(have)}"
        for what, have, limit in rows
        if have > limit
    ]
    return TooTight("; ".join(found), max(have / limit for _, have, limit in rows)) if found else None
