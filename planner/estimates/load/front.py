"""The server in front of an engine: what a request passes beside the engine's own steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.estimates.priors.serving import load_serving_priors
from planner.jobs.engine import Engine
from planner.jobs.operations import Amount

Array = NDArray[np.float64]
MS = 1e-3


@dataclass(frozen=True, slots=True)
class Front:
    """Seconds of each request that no step of the engine holds: taking it in, text to tokens, scheduling, the first
    answer. `fixed_seconds` of every one, and `request_seconds` more for each that the service has at the time, itself
    among them. The default is an engine without a server."""

    fixed_seconds: float = 0.0
    request_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.fixed_seconds < 0 or self.request_seconds < 0:
            raise ValueError("a server in front of an engine takes no negative time")

    @classmethod
    def of(cls, engine: Engine) -> Front:
        """As published runs of that engine behind a server tell; no calibration measures it."""
        priors = load_serving_priors()
        return cls(priors.engines[engine].front_ms * MS, priors.figures["frontend_request_ms"] * MS)

    def seconds(self, at_a_time: Amount) -> Amount:
        """Of a request where so many are in the service."""
        return self.fixed_seconds + self.request_seconds * at_a_time

    def of_each(self, arrivals: Array, done: Array) -> Array:
        """Of requests that arrive, in order, and are done at these moments."""
        gone = np.searchsorted(np.sort(done), arrivals, side="right")
        inside = np.arange(1.0, arrivals.size + 1.0) - gone
        return np.asarray(self.seconds(inside), dtype=float)
