"""Layers and width of a decoder of which a table states nothing but its size."""

from __future__ import annotations

import math
import re

from planner.estimates.validation.table import Row

# (parameters, layers) of published decoders: Brown et al. 2020, table 2.1, but for 30 and 65 billion: Touvron et al.
# 2023, table 2. Written down from memory of both and not read again.
PUBLISHED = (
    (125e6, 12),
    (350e6, 24),
    (760e6, 24),
    (1.3e9, 24),
    (2.7e9, 32),
    (6.7e9, 32),
    (13e9, 40),
    (32.5e9, 60),
    (65.2e9, 80),
    (175e9, 96),
)
FARTHEST = 1.5  # beyond the smallest and the largest
WIDTH_STEP = 128
SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])")


def usual_shape(parameters: float, vocabulary: int) -> tuple[int, int] | None:
    """Layers, as many as the nearest published decoder has, and the width that makes so many parameters with them: 12
    per layer and square of the width, and the vocabulary. None far from all that were published."""
    if not PUBLISHED[0][0] / FARTHEST < parameters < PUBLISHED[-1][0] * FARTHEST:
        return None
    layers = min(PUBLISHED, key=lambda known: abs(math.log(known[0] / parameters)))[1]
    width = (math.sqrt(vocabulary**2 + 48.0 * layers * parameters) - vocabulary) / (24.0 * layers)
    return layers, max(WIDTH_STEP, round(width / WIDTH_STEP) * WIDTH_STEP)


def named_size(row: Row) -> float | None:
    """Parameters that a name tells: "GPT-800M", "opt-6.7b"; None where it tells none, or several."""
    found = SIZE.findall(row.text("model_name").casefold())
    if len(found) != 1:
        return None
    return float(found[0][0]) * (1e9 if found[0][1] == "b" else 1e6)
