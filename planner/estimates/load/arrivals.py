"""Requests that come at random: Poisson, burstier or smoother than that, or following the hours of the day.

The generator is passed in; the same seed gives the same requests. Arrivals at another rate are the same ones stretched
(common random numbers), so that what differs between two loads is the load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.estimates.load.requests import Requests

Array = NDArray[np.float64]
HOURS = 24
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths of prompts and answers in tokens, drawn together: pair i comes with probability `weights[i]`."""

    prompt_tokens: tuple[int, ...]
    output_tokens: tuple[int, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.prompt_tokens) == len(self.output_tokens) == len(self.weights) > 0:
            raise ValueError("prompts, outputs and weights must be equally many, and some")
        if min(self.prompt_tokens) < 1 or min(self.output_tokens) < 1:
            raise ValueError("prompts and outputs have at least one token")
        if min(self.weights) < 0 or not math.isfinite(sum(self.weights)) or sum(self.weights) <= 0:
            raise ValueError("weights must be finite, not negative and not all 0")

    @classmethod
    def fixed(cls, prompt_tokens: int, output_tokens: int) -> Sizes:
        """Every request alike."""
        return cls((prompt_tokens,), (output_tokens,), (1.0,))

    @classmethod
    def of(cls, requests: Requests) -> Sizes:
        """The sizes of requests that came, each as likely as another."""
        pairs, counts = np.unique(
            np.stack([requests.prompt_tokens, requests.output_tokens]), axis=1, return_counts=True
        )
        return cls(tuple(pairs[0].tolist()), tuple(pairs[1].tolist()), tuple((counts / counts.sum()).tolist()))

    @property
    def mean_prompt(self) -> float:
        return float(np.average(self.prompt_tokens, weights=self.weights))

    @property
    def mean_output(self) -> float:
        return float(np.average(self.output_tokens, weights=self.weights))

    @property
    def longest(self) -> int:
        """Tokens of the longest request, prompt and answer together."""
        return max(
            prompt + output
            for prompt, output, weight in zip(self.prompt_tokens, self.output_tokens, self.weights, strict=True)
            if weight > 0
        )

    def drawn(self, number: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """So many prompts and outputs."""
        weights = np.asarray(self.weights) / sum(self.weights)
        places = random.choice(weights.size, size=number, p=weights)
        prompts, outputs = np.asarray(self.prompt_tokens, dtype=np.int64), np.asarray(self.output_tokens, np.int64)
        return prompts[places], outputs[places]


def random_requests(
    rate: float, number: int, sizes: Sizes, random: np.random.Generator, variation: float = 1.0
) -> Requests:
    """So many requests at `rate` per second whose gaps are gamma distributed with this standard deviation ÷ mean.

    1 is Poisson, above 1 bursty, 0 evenly spaced.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"a rate must be above 0, not {rate}")
    if not (math.isfinite(variation) and variation >= 0):
        raise ValueError(f"the variation of gaps must be finite and not negative, not {variation}")
    gaps = unit_gaps(number, random, variation)
    prompts, outputs = sizes.drawn(number, random)
    return Requests(np.cumsum(gaps) / rate, prompts, outputs)


def unit_gaps(number: int, random: np.random.Generator, variation: float) -> Array:
    """Gaps of mean 1 with this standard deviation ÷ mean."""
    if variation == 0:
        return np.ones(number)
    shape = 1.0 / variation**2
    return random.gamma(shape, 1.0 / shape, number)


def split_gaps(
    number: int, random: np.random.Generator, variation: float, parts: int, *, in_turn: bool = False
) -> Array:
    """Gaps of mean 1 on one of so many parts that each arrival goes to at random: sums of a geometric number of gaps.

    Their variation is √(1 + (variation² − 1) ÷ parts): splitting makes any stream more like Poisson. Dealt in turn they
    are sums of so many gaps each, with a variation of variation ÷ √parts.
    """
    if parts < 1:
        raise ValueError(f"a stream is split into at least one part, not {parts}")
    if parts == 1 or variation == 0:
        return unit_gaps(number, random, variation)
    shape = 1.0 / variation**2
    if in_turn:
        return random.gamma(shape * parts, 1.0 / (shape * parts), number)
    skipped = random.geometric(1.0 / parts, number)
    return random.gamma(shape * skipped, 1.0 / (shape * parts))


def daily_requests(
    hourly_rates: Sequence[float], sizes: Sizes, random: np.random.Generator, days: int = 1, variation: float = 1.0
) -> Requests:
    """Requests of so many days that come, in each hour of the day, at that hour's rate per second.

    Gaps of mean 1 are drawn in a clock that runs as fast as requests come; turning that clock back into seconds spaces
    them by the hour's rate.
    """
    rates = np.asarray(hourly_rates, dtype=float)
    if rates.size != HOURS or not np.isfinite(rates).all() or (rates < 0).any():
        raise ValueError("a day has 24 hourly rates, finite and not negative")
    edges = np.arange(HOURS * days + 1) * (DAY_SECONDS / HOURS)
    expected = np.concatenate([[0.0], np.cumsum(np.tile(rates, days) * DAY_SECONDS / HOURS)])
    if expected[-1] <= 0:
        raise ValueError("no request comes in any hour")
    most = int(expected[-1] + 10.0 * (1.0 + variation) * math.sqrt(expected[-1]) + 10)
    ticks = np.cumsum(unit_gaps(most, random, variation))
    arrivals = np.interp(ticks[ticks <= expected[-1]], expected, edges)
    prompts, outputs = sizes.drawn(arrivals.size, random)
    return Requests(arrivals, prompts, outputs)
