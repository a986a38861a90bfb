"""The steady state of a replica: what a request waits for each token, and how many requests end per second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.serving_steps import Deployment, StepParts
from planner.jobs.engine import Batching

Array = NDArray[np.float64]
STEPS_WAITED = 1.5  # by a prompt: half of the one under way, and the one that its own pass shares with the others
ITERATIONS = 6  # the balance of prefill and decode settles within six (our design notes)


@dataclass(frozen=True, slots=True)
class ServingTimes:
    """Per layout: seconds of a prompt, of a decoding step, per output token seen by a request, and what bounds them.

    `share` is the part of a replica's time that goes into decoding; `loaded_first_token` counts waiting for others'
    prompts. Without output tokens `first_token` is the pass of a whole batch, and nothing else is there.
    """

    first_token: Array
    loaded_first_token: Array
    decode_step: Array
    per_token: Array
    request: Array
    requests_per_second: Array  # all replicas
    prefill: StepParts
    decode: StepParts
    share: Array


def serving_times(deployment: Deployment, sequences: Array, in_flight: Array) -> ServingTimes:
    """`sequences` requests at a time on each replica, `in_flight` on all."""
    job = deployment.job
    if not job.output_tokens:
        return _single_passes(deployment, sequences, in_flight)
    if job.batching is Batching.STATIC:
        return _static(deployment, sequences, in_flight)
    return _continuous(deployment, sequences, in_flight)


def _single_passes(deployment: Deployment, sequences: Array, in_flight: Array) -> ServingTimes:
    batch = deployment.prompts(sequences, float(deployment.job.prompt_tokens))
    none = np.zeros_like(batch.total)
    return ServingTimes(batch.total, batch.total, none, none, batch.total, in_flight / batch.total, batch, batch, none)


def _static(deployment: Deployment, sequences: Array, in_flight: Array) -> ServingTimes:
    """All prompts in passes one after the other, then every step with all sequences."""
    job = deployment.job
    together = _together(deployment, sequences)
    prefill = deployment.prompts(together, float(job.prompt_tokens))
    first: Array = prefill.total * np.ceil(sequences / together)
    decode = deployment.decode(sequences, job.prompt_tokens + job.output_tokens / 2.0)
    steps = job.output_tokens - 1
    request = first + steps * decode.total
    return ServingTimes(
        first_token=first,
        loaded_first_token=first,
        decode_step=decode.total,
        per_token=decode.total,
        request=request,
        requests_per_second=in_flight / request,
        prefill=prefill,
        decode=decode,
        share=np.asarray(steps * decode.total / request),
    )


def _continuous(deployment: Deployment, sequences: Array, in_flight: Array) -> ServingTimes:
    """Each request that ends is replaced at once.

    Per output token a request waits for a decoding step and for its share of the others' prompts (short ones share a
    pass); the part of the requests that decodes at a moment follows from both, by iteration.
    """
    job = deployment.job
    prompt = float(job.prompt_tokens)
    prefill = deployment.prompts(1.0, prompt)
    first = prefill.total
    together = _together(deployment, sequences)
    prompt_seconds = deployment.prompts(together, prompt, overlapped=True).total / together
    context = prompt + job.output_tokens / 2.0
    active: Array = sequences
    decode = deployment.decode(active, context)
    for _ in range(ITERATIONS):
        per_token = decode.total + active / job.output_tokens * prompt_seconds
        answering = job.output_tokens * per_token
        active = np.asarray(sequences * answering / (answering + first))
        decode = deployment.decode(active, context)
    others = np.maximum(active - 1.0, 0.0)  # a request does not wait for its own prompt again
    per_token = decode.total + others / job.output_tokens * prompt_seconds
    request: Array = first + job.output_tokens * per_token
    waiting = _waiting(sequences, prompt_seconds, deployment.engine.front_ms) + STEPS_WAITED * decode.total
    return ServingTimes(
        first_token=first,
        loaded_first_token=np.asarray(first + waiting),
        decode_step=decode.total,
        per_token=per_token,
        request=request,
        requests_per_second=in_flight / request,
        prefill=prefill,
        decode=decode,
        share=np.asarray(decode.total / per_token),
    )


def _waiting(sequences: Array, prompt_seconds: Array, front_ms: float) -> Array:
    """Seconds that a request among others waits on average beyond its own prompt: for the server in front of the
    engine, and for others' prompts. Those that come at once, the first of each place where a run starts, wait for half
    of the rest; the later ones come one by one, as others end, and hardly wait."""
    figures = load_serving_priors().figures
    prompts = figures["burst"] * np.maximum(sequences - 1.0, 0.0) / 2.0
    front = front_ms + figures["frontend_request_ms"] * sequences
    found: Array = prompts * prompt_seconds + front * 1e-3
    return found


def _together(deployment: Deployment, sequences: Array) -> Array:
    """Prompts that share a pass."""
    found: Array = np.clip(deployment.engine.prompt_tokens // deployment.job.prompt_tokens, 1.0, sequences)
    return found
