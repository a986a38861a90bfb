"""What one replica serves at its fullest, by formula: a steady batch at the mean lengths of its requests."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.estimates.load.demand import Demand
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.latencies import Latencies, of_seconds
from planner.estimates.load.step_table import CONTEXTS, FIRST_BATCHES, StepTable

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fullest:
    """The batch, what it serves and the seconds per output token that its requests see on average."""

    batch: int
    requests_per_second: float
    token_seconds: float


def fullest(table: StepTable, demand: Demand, policy: EnginePolicy, token_limit: float | None) -> Fullest | None:
    """The batch that serves the most requests while a token takes at most `token_limit` seconds on average.

    Per step a batch B of mean cache c takes D(B, B·c); a request stays for its o further tokens, a of them per step,
    and every request that comes adds the pass P of its prompt to the steps of those beside it:
    seconds per token = D/a + B/o · P, requests per second = B ÷ (o · seconds per token).
    None: not even B = 1 is within the limit.
    """
    sizes = demand.sizes
    weights = np.asarray(sizes.weights) / sum(sizes.weights)
    prompts, outputs = np.asarray(sizes.prompt_tokens, dtype=float), np.asarray(sizes.output_tokens, dtype=float)
    further = float(weights @ (outputs - 1.0))
    reused = demand.reusable_share if policy.reuses_prefixes else 0.0
    prompt_seconds = float(weights @ _prompt_seconds(table, np.ceil(prompts * (1.0 - reused)), policy))
    if further <= 0:
        return Fullest(1, 1.0 / prompt_seconds, 0.0)
    context = float(weights @ ((outputs - 1.0) * (prompts + 0.5 * outputs))) / further
    largest = max(1, min(policy.max_sequences, int(table.capacity / context)))
    beside = max(prompt_seconds - table.prompt_seconds[0][0], 0.0) if policy.is_chunked else prompt_seconds
    best = None
    for batch in (*(size for size in FIRST_BATCHES if size < largest), largest):
        step = policy.speculation_cost * table.decode(batch, batch * context) / policy.tokens_per_step
        token_seconds = step + batch / further * beside
        if batch == 1:  # a request alone waits for no other's prompt, and the next one's comes after it
            token_seconds, rate = step, 1.0 / (further * step + prompt_seconds)
        else:
            rate = batch / (further * token_seconds)
        if token_limit is not None and token_seconds > token_limit:
            continue
        if best is None or rate > best.requests_per_second:
            best = Fullest(batch, rate, token_seconds)
    return best


def fullest_decoding(table: StepTable, demand: Demand, policy: EnginePolicy, token_limit: float | None) -> float | None:
    """Requests per second of a replica that only decodes, within the limit on seconds per token; None: not even one."""
    sizes = demand.sizes
    weights = np.asarray(sizes.weights) / sum(sizes.weights)
    prompts, outputs = np.asarray(sizes.prompt_tokens, dtype=float), np.asarray(sizes.output_tokens, dtype=float)
    further = max(float(weights @ (outputs - 1.0)), 1e-9)
    context = float(weights @ (np.maximum(outputs - 1.0, 1e-9) * (prompts + 0.5 * outputs))) / further
    largest = max(1, min(policy.max_sequences, int(table.capacity / max(context, 1.0))))
    rates = []
    for batch in (*(size for size in FIRST_BATCHES if size < largest), largest):
        step = policy.speculation_cost * table.decode(batch, batch * context) / policy.tokens_per_step
        if token_limit is None or step <= token_limit:
            rates.append(batch / (further * step))
    return max(rates, default=None)


def mean_prompt_seconds(table: StepTable, demand: Demand, policy: EnginePolicy) -> float:
    """Seconds of the passes of a prompt alone, on average."""
    prompts = np.asarray(demand.sizes.prompt_tokens, dtype=float)
    return float(np.average(_prompt_seconds(table, prompts, policy), weights=demand.sizes.weights))


def least_waits(table: StepTable, demand: Demand, policy: EnginePolicy) -> Latencies:
    """What the sample's requests wait with a replica to themselves, by formula: the server in front, the passes of the
    prompt, then a step per further token (fewer with speculation) at the mean length of the cache. Prefixes are
    computed anew."""
    requests = demand.sample()
    first = table.front.seconds(1.0) + _prompt_seconds(table, requests.prompt_tokens.astype(float), policy)
    steps = np.ceil((requests.output_tokens - 1) / policy.tokens_per_step)
    context = requests.prompt_tokens + 0.5 * np.maximum(steps - 1.0, 0.0) * policy.tokens_per_step
    step = np.interp(context, CONTEXTS, [table.decode(1, seen) for seen in CONTEXTS]) * policy.speculation_cost
    whole = first + steps * step
    each = np.full(first.size, np.nan)
    np.divide(whole - first, requests.output_tokens - 1, out=each, where=requests.output_tokens > 1)
    return of_seconds([(first, whole, each)])


def _prompt_seconds(table: StepTable, prompts: Array, policy: EnginePolicy) -> Array:
    """Seconds of each prompt's passes alone, so many tokens at a time as the engine takes in."""
    most = min(float(policy.batch_tokens), table.max_tokens)
    none_before = [row[0] for row in table.prompt_seconds]
    seconds: Array = np.interp(np.minimum(prompts, most), table.prompt_points, none_before)
    for place in np.flatnonzero(prompts > most):
        whole, rest = divmod(float(prompts[place]), most)
        passes = math.fsum(table.prefill(most, n * most) for n in range(int(whole)))
        seconds[place] = passes + (table.prefill(rest, whole * most) if rest else 0.0)
    return seconds
