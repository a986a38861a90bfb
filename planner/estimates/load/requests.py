"""Many requests as arrays: when each arrives, how long its prompt and its answer are, and what they tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests in the order of their arrival.

    `arrival_seconds` counts from any moment and never falls; `prompt_tokens` and `output_tokens` are at least 1.
    `prefix_blocks` names, per request, the blocks of `block_tokens` tokens that its prompt begins with: equal names at
    equal places are equal text, so their keys and values can be kept. None: prompts share nothing that is known.
    """

    arrival_seconds: Array
    prompt_tokens: Whole
    output_tokens: Whole
    prefix_blocks: tuple[tuple[int, ...], ...] | None = None
    block_tokens: int = 0

    def __post_init__(self) -> None:
        sizes = {self.arrival_seconds.size, self.prompt_tokens.size, self.output_tokens.size}
        if self.prefix_blocks is not None:
            sizes.add(len(self.prefix_blocks))
        if len(sizes) != 1:
            raise ValueError("arrivals, prompts and outputs must be equally many")
        if self.size and not (np.isfinite(self.arrival_seconds).all() and (np.diff(self.arrival_seconds) >= 0).all()):
            raise ValueError("arrivals must be finite and in order")
        if self.size and (self.prompt_tokens.min() < 1 or self.output_tokens.min() < 1):
            raise ValueError("prompts and outputs have at least one token")
        if self.prefix_blocks is not None and self.block_tokens < 1:
            raise ValueError("blocks have at least one token")

    @property
    def size(self) -> int:
        return int(self.arrival_seconds.size)

    @property
    def span_seconds(self) -> float:
        """From the first arrival to the last."""
        return float(self.arrival_seconds[-1] - self.arrival_seconds[0]) if self.size else 0.0

    @property
    def rate(self) -> float | None:
        """Requests per second over the span; None for fewer than two, or where all come at once."""
        return self.size / self.span_seconds if self.span_seconds > 0 else None

    @property
    def gap_variation(self) -> float | None:
        """Standard deviation ÷ mean of the gaps between arrivals: 1 for Poisson, more is burstier; None: no gaps."""
        gaps = np.diff(self.arrival_seconds)
        return float(gaps.std() / gaps.mean()) if gaps.size and gaps.mean() > 0 else None

    @property
    def most_in_a_minute(self) -> int:
        """The most arrivals in any minute of the clock that the arrivals count by."""
        minutes = (self.arrival_seconds // MINUTE_SECONDS).astype(np.int64)
        return int(np.unique(minutes, return_counts=True)[1].max()) if self.size else 0

    @property
    def block_reuse(self) -> float | None:
        """Share of prompt blocks that an endless cache would hold already; None where nothing is known of prefixes."""
        if self.prefix_blocks is None:
            return None
        total = sum(len(blocks) for blocks in self.prefix_blocks)
        seen: set[int] = set()
        for blocks in self.prefix_blocks:
            seen.update(blocks)
        return 1.0 - len(seen) / total if total else None

    def scaled_to(self, rate: float) -> Requests:
        """The same requests, their arrivals stretched or squeezed to come at `rate` per second."""
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"a rate must be above 0, not {rate}")
        if self.rate is None:
            raise ValueError("requests that come all at once have no rate to scale")
        return replace(self, arrival_seconds=self.arrival_seconds * (self.rate / rate))

    def only(self, places: Sequence[int] | NDArray[np.intp] | slice) -> Requests:
        """The requests at these places, which must be in order."""
        prefixes = None
        if self.prefix_blocks is not None:
            kept = range(self.size)[places] if isinstance(places, slice) else places
            prefixes = tuple(self.prefix_blocks[int(place)] for place in kept)
        return replace(
            self,
            arrival_seconds=self.arrival_seconds[places],
            prompt_tokens=self.prompt_tokens[places],
            output_tokens=self.output_tokens[places],
            prefix_blocks=prefixes,
        )

    def dealt(self, num_replicas: int) -> list[Requests]:
        """What each of so many replicas gets where requests are dealt out in turn."""
        if num_replicas < 1:
            raise ValueError(f"there must be a replica, not {num_replicas}")
        return [self.only(slice(place, None, num_replicas)) for place in range(num_replicas)]
