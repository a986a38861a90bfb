"""What a service must answer: a rate of random requests, or a trace; and what one of N replicas gets of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from planner.estimates.load.arrivals import Sizes, random_requests, split_gaps
from planner.estimates.load.requests import Requests

SAMPLE_REQUESTS = 1_500
EMPTY_START = 0.2  # of a random sample: its first requests meet an empty replica and are not counted
SEED = 20_261_121


class Demand(Protocol):
    """Requests per second of the whole service, at its most and on average, its sizes, and samples of them.

    `longest` is the tokens of the longest request; `reusable_share` the part of prompts that an endless cache would
    hold; `skipped_share` the part of a sample's arrivals that meets an empty replica and is not counted.
    """

    @property
    def rate(self) -> float: ...

    @property
    def mean_rate(self) -> float: ...

    @property
    def sizes(self) -> Sizes: ...

    @property
    def longest(self) -> int: ...

    @property
    def reusable_share(self) -> float: ...

    @property
    def skipped_share(self) -> float: ...

    def on_each_of(self, num_replicas: int) -> list[Requests]:
        """What some of so many replicas get: enough of them to take percentiles of."""
        ...

    def sample(self) -> Requests:
        """Some requests, for what does not depend on when they come."""
        ...


@dataclass(frozen=True, slots=True)
class RandomDemand:
    """`rate` requests per second at the busiest, of which `mean_share` come on average over the hours that are paid.

    Each of N replicas gets a stream of its own at rate ÷ N, the same requests stretched: common random numbers.
    `variation` is that of the gaps of the whole service: 1 is Poisson. Above it requests come in bursts, and a burst is
    divided among the replicas: one of `split` replicas gets each request with probability 1 ÷ split, or every so manyth
    where they are dealt in turn.
    """

    rate: float
    sizes: Sizes
    variation: float = 1.0
    mean_share: float = 1.0
    number: int = SAMPLE_REQUESTS
    seed: int = SEED
    skipped_share: float = EMPTY_START
    split: int = 1
    in_turn: bool = False
    _drawn: Requests = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.mean_share <= 1:
            raise ValueError(f"the mean is a share of the busiest, above 0 and at most 1, not {self.mean_share}")
        drawn = random_requests(1.0, self.number, self.sizes, np.random.default_rng(self.seed), self.variation)
        if self.split > 1 and self._depends_on_split:
            random = np.random.default_rng(self.seed)
            gaps = split_gaps(self.number, random, self.variation, self.split, in_turn=self.in_turn)
            drawn = Requests(np.cumsum(gaps), drawn.prompt_tokens, drawn.output_tokens)
        object.__setattr__(self, "_drawn", drawn)
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"a rate must be above 0, not {self.rate}")

    @property
    def mean_rate(self) -> float:
        return self.rate * self.mean_share

    @property
    def longest(self) -> int:
        return self.sizes.longest

    @property
    def reusable_share(self) -> float:
        return 0.0

    def on_each_of(self, num_replicas: int) -> list[Requests]:
        return [self.one_of(num_replicas).at_rate(self.rate / num_replicas)]

    def one_of(self, num_replicas: int) -> RandomDemand:
        """What one of so many replicas meets, at any rate: bursts are smaller the more share them."""
        if not self._depends_on_split or num_replicas == self.split:
            return self
        return replace(self, split=num_replicas)

    @property
    def _depends_on_split(self) -> bool:
        """Poisson requests stay so where each goes anywhere; smoother ones are taken as they are."""
        return self.variation > 1 or self.in_turn

    def at_rate(self, rate: float) -> Requests:
        """The sample at this rate on one replica."""
        drawn = self._drawn
        return Requests(drawn.arrival_seconds / rate, drawn.prompt_tokens, drawn.output_tokens)

    def sample(self) -> Requests:
        return self._drawn


@dataclass(frozen=True)  # without slots, which a cached property needs
class TraceDemand:
    """The requests of a trace as they came, dealt out in turn."""

    requests: Requests

    def __post_init__(self) -> None:
        if self.requests.rate is None:
            raise ValueError("a trace has at least two requests at different moments")

    @property
    def rate(self) -> float:
        """The mean over the trace; its bursts are in the requests themselves."""
        return self.requests.rate or 0.0

    @property
    def mean_rate(self) -> float:
        return self.rate

    @cached_property
    def sizes(self) -> Sizes:
        return Sizes.of(self.sample())

    @cached_property
    def longest(self) -> int:
        return int((self.requests.prompt_tokens + self.requests.output_tokens).max())

    @cached_property
    def reusable_share(self) -> float:
        return self.requests.block_reuse or 0.0

    @property
    def skipped_share(self) -> float:
        return 0.0

    def on_each_of(self, num_replicas: int) -> list[Requests]:
        parts: list[Requests] = []
        total = 0
        for place in range(min(num_replicas, self.requests.size)):
            part = self.requests.only(slice(place, None, num_replicas))
            parts.append(part)
            total += part.size
            if total >= SAMPLE_REQUESTS:
                break
        return parts

    def sample(self) -> Requests:
        step = max(1, self.requests.size // SAMPLE_REQUESTS)
        return self.requests.only(slice(None, None, step))
