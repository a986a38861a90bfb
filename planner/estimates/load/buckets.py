"""How many requests are of which size: buckets of prompt and answer lengths, taken at their upper edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from planner.estimates.load.requests import Requests

PROMPT_EDGES = (25, 100, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000)
OUTPUT_EDGES = (25, 100, 250, 500, 1_000, 2_000, 4_000, 8_000)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Requests of about a size: at most so many tokens in and out, and the share of all requests that they are."""

    prompt_tokens: int
    output_tokens: int
    share: float


def bucketed(
    requests: Requests, prompt_edges: Sequence[int] = PROMPT_EDGES, output_edges: Sequence[int] = OUTPUT_EDGES
) -> tuple[Bucket, ...]:
    """The buckets that hold a request, smallest first; what is beyond the last edge gets a bucket at its longest."""
    if not requests.size:
        return ()
    prompts = _edges(prompt_edges, requests.prompt_tokens)
    outputs = _edges(output_edges, requests.output_tokens)
    place = np.searchsorted(prompts, requests.prompt_tokens) * outputs.size
    place = place + np.searchsorted(outputs, requests.output_tokens)
    found, counts = np.unique(place, return_counts=True)
    return tuple(
        Bucket(int(prompts[at // outputs.size]), int(outputs[at % outputs.size]), float(count) / requests.size)
        for at, count in zip(found.tolist(), counts.tolist(), strict=True)
    )


def _edges(edges: Sequence[int], values: NDArray[np.int64]) -> NDArray[np.int64]:
    if not edges or edges[0] < 1 or any(later <= earlier for earlier, later in pairwise(edges)):
        raise ValueError("edges must be whole numbers from 1, each above the one before")
    longest = int(values.max())
    return np.asarray([*edges, longest] if longest > edges[-1] else edges, dtype=np.int64)
