"""Seconds of an engine's steps, tabulated once so that a simulation reads them in a microsecond.

Between the points of the tables seconds are linear. In the cache's length decoding is linear up to where the bound
changes, so little is lost; in the number of prompt tokens the points lie a third apart.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from planner.estimates.load.front import Front

Array = NDArray[np.float64]
CONTEXTS = (0.0, 512.0, 2_048.0, 8_192.0, 32_768.0, 131_072.0)  # tokens seen before, per sequence
FIRST_BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1_024)
PROMPT_RATIO = 4.0 / 3.0


class StepTimes(Protocol):
    """What a simulation needs to know of one replica.

    `decode_seconds` is a step of `batch` sequences whose keys and values are `kv_tokens` tokens in all;
    `prefill_seconds` a pass over `num_tokens` new tokens of prompts that follow `context` earlier ones. Both take
    arrays that broadcast.
    """

    @property
    def kv_bytes_per_token(self) -> float: ...

    @property
    def kv_capacity_tokens(self) -> float: ...

    def prefill_seconds(self, num_tokens: Array, context: Array) -> Array: ...

    def decode_seconds(self, batch: Array, kv_tokens: Array) -> Array: ...


class DecodeLines(dict[int, tuple[tuple[float, float], ...]]):
    """By batch, per segment of CONTEXTS (seconds at no cache, seconds per token of cache); of batches between `points`
    the `seconds`, one row per point and one column per context, lie on straight lines."""

    def __init__(self, points: Array, seconds: Array) -> None:
        super().__init__()
        self.points, self.seconds = points, seconds

    def __missing__(self, batch: int) -> tuple[tuple[float, float], ...]:
        if not 1 <= batch <= self.points[-1]:
            raise KeyError(batch)
        row = [float(np.interp(batch, self.points, column)) for column in self.seconds.T]
        slopes = [
            (after - before) / ((far - near) * batch)
            for (before, after), (near, far) in zip(pairwise(row), pairwise(CONTEXTS), strict=True)
        ]
        found = tuple(
            (before - slope * near * batch, slope) for before, near, slope in zip(row, CONTEXTS, slopes, strict=False)
        )
        self[batch] = found
        return found


@dataclass(frozen=True, slots=True)
class StepTable:
    """Steps of up to `max_batch` sequences and `max_tokens` prompt tokens; `capacity` tokens of cache in all.

    `decode_lines[batch]` holds, per segment of CONTEXTS, (seconds at no cache, seconds per token of cache), each batch
    worked out when it is first asked for;
    `prompt_seconds[i][j]` is a pass over `prompt_points[i]` tokens after `CONTEXTS[j]` earlier ones. `front` is what
    each request takes beside all steps, `reserve` the part of its answer that the cache must have room for, beside its
    prompt, before the engine admits it.
    """

    capacity: float
    kv_bytes_per_token: float
    max_batch: int
    decode_lines: DecodeLines
    prompt_points: tuple[float, ...]
    prompt_seconds: tuple[tuple[float, ...], ...]
    front: Front = field(default_factory=Front)
    reserve: float = 0.0

    @property
    def max_tokens(self) -> float:
        """The most prompt tokens of one pass."""
        return self.prompt_points[-1]

    def scaled(self, factor: float) -> StepTable:
        """A replica whose every step takes so many times as long."""
        return replace(
            self,
            decode_lines=DecodeLines(self.decode_lines.points, self.decode_lines.seconds * factor),
            prompt_seconds=tuple(tuple(value * factor for value in row) for row in self.prompt_seconds),
        )

    def decode_line(self, batch: int, kv_tokens: float) -> tuple[float, float]:
        """(seconds at no cache, seconds per token of cache) of the segment in which the cache's length lies."""
        place = bisect_right(CONTEXTS, kv_tokens / batch) - 1
        lines = self.decode_lines[batch]
        return lines[place] if place < len(lines) else lines[-1]

    def decode(self, batch: int, kv_tokens: float) -> float:
        """Seconds of one decoding step."""
        fixed, per_token = self.decode_line(batch, kv_tokens)
        return fixed + per_token * kv_tokens

    def prefill(self, num_tokens: float, context: float) -> float:
        """Seconds of a pass over new tokens of prompts, alone."""
        points = self.prompt_points
        row = min(max(bisect_right(points, num_tokens) - 1, 0), len(points) - 2)
        column = min(bisect_right(CONTEXTS, context) - 1, len(CONTEXTS) - 2)
        along = (num_tokens - points[row]) / (points[row + 1] - points[row])
        deep = (context - CONTEXTS[column]) / (CONTEXTS[column + 1] - CONTEXTS[column])
        here, there = self.prompt_seconds[row], self.prompt_seconds[row + 1]
        near = here[column] + along * (there[column] - here[column])
        far = here[column + 1] + along * (there[column + 1] - here[column + 1])
        return near + deep * (far - near)

    def mixed(self, batch: int, kv_tokens: float, num_tokens: float, context: float) -> float:
        """Seconds of a step that decodes and takes in prompt tokens: both, less what they share, which is one reading
        of the weights and one round of launches: a pass over a single token."""
        if not batch:
            return self.prefill(num_tokens, context)
        alone = self.prompt_seconds[0][0]
        return self.decode(batch, kv_tokens) + max(self.prefill(num_tokens, context) - alone, 0.0)


def tabulate(
    times: StepTimes, max_batch: int, max_tokens: int, front: Front | None = None, reserve: float = 0.0
) -> StepTable:
    """The table of steps of up to `max_batch` sequences and passes of up to `max_tokens` prompt tokens; `front` None:
    requests reach the engine at once."""
    if max_batch < 1 or max_tokens < 1:
        raise ValueError("a table needs at least one sequence and one token")
    points = np.array([batch for batch in FIRST_BATCHES if batch < max_batch] + [max_batch], dtype=float)
    contexts = np.array(CONTEXTS)
    seconds = _checked(times.decode_seconds(points[:, None], points[:, None] * contexts[None, :]))
    tokens = _prompt_points(max_tokens)
    prompts = _checked(times.prefill_seconds(tokens[:, None], contexts[None, :]))
    return StepTable(
        capacity=float(times.kv_capacity_tokens),
        kv_bytes_per_token=float(times.kv_bytes_per_token),
        max_batch=max_batch,
        decode_lines=DecodeLines(points, seconds),
        prompt_points=tuple(tokens.tolist()),
        prompt_seconds=tuple(tuple(row) for row in prompts.tolist()),
        front=Front() if front is None else front,
        reserve=reserve,
    )


def _prompt_points(max_tokens: int) -> Array:
    found = [1.0, 2.0]
    while found[-1] * PROMPT_RATIO < max_tokens:
        found.append(found[-1] * PROMPT_RATIO)
    return np.array([*found, float(max(max_tokens, 3))])


def _checked(seconds: Array) -> Array:
    found = np.asarray(seconds, dtype=float)
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise ValueError("seconds of a step must be finite and above 0")
    return found
