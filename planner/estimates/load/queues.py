"""Closed forms for limits in which a replica is a textbook queue: what the simulation is held to."""

from __future__ import annotations

import math

from planner.estimates.load.step_table import StepTable


def md1_wait_seconds(rate: float, service_seconds: float) -> float:
    """Mean wait before service of Poisson arrivals at one server that always takes as long: ρ·s ÷ 2(1 − ρ).

    Infinite where more comes than is served (Pollaczek 1930, Khinchine 1932).
    """
    busy = rate * service_seconds
    return math.inf if busy >= 1 else busy * service_seconds / (2.0 * (1.0 - busy))


def alone_seconds(table: StepTable, prompt_tokens: int, output_tokens: int) -> float:
    """Seconds of a request that has the replica to itself: the server in front, its prompt in one pass, then a step per
    further token."""
    steps = output_tokens - 1
    decode = math.fsum(table.decode(1, prompt_tokens + step) for step in range(steps))
    return float(table.front.seconds(1.0)) + table.prefill(prompt_tokens, 0.0) + decode


def full_batch_rate(table: StepTable, prompt_tokens: int, output_tokens: int, batch: int) -> float:
    """Requests per second of a replica that always decodes `batch` equal requests, evenly spread over their lengths.

    Every step decodes the batch at its mean length; a request adds its prompt's pass less what that shares with the
    step beside it.
    """
    context = prompt_tokens + 0.5 * (output_tokens - 2)
    step = table.decode(batch, batch * context)
    prompt = table.mixed(batch, batch * context, prompt_tokens, 0.0) - step
    return 1.0 / ((output_tokens - 1) * step / batch + prompt)
