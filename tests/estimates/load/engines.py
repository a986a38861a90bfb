"""Replicas with simple times, for tests: seconds that are linear, so that the tables lose nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.estimates.load.front import Front
from planner.estimates.load.step_table import StepTable, tabulate

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinearTimes:
    """`decode_seconds` = base + batch · request + kv · token; a prompt takes base + tokens · prompt."""

    base: float = 0.010
    request: float = 2e-5
    token: float = 4e-8
    prompt: float = 5e-5
    kv_capacity_tokens: float = 400_000.0
    kv_bytes_per_token: float = 131_072.0

    def prefill_seconds(self, num_tokens: Array, context: Array) -> Array:
        found: Array = self.base + num_tokens * self.prompt + 0.0 * context
        return found

    def decode_seconds(self, batch: Array, kv_tokens: Array) -> Array:
        found: Array = self.base + batch * self.request + kv_tokens * self.token
        return found


def linear_table(
    max_batch: int = 256,
    max_tokens: int = 8_192,
    front: Front | None = None,
    reserve: float = 0.0,
    **changes: float,
) -> StepTable:
    return tabulate(LinearTimes(**changes), max_batch, max_tokens, front, reserve)
