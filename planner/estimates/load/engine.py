"""One replica that batches continuously, simulated request by request.

Requests wait in the order of their arrival. One is admitted when a place in the batch is free and the cache holds its
prompt, and as much of its answer as the engine keeps room for (all of it: no request is ever sent back). Its prompt is
taken in by chunks beside the decoding of others, its first token appears when the prompt is through, and each later
step gives every running request a token (more with speculation). When the cache overflows, the request that was
admitted last goes back to the head of the queue and its tokens so far are computed again.
Where no prompt waits, steps are jumped over until a request ends, one arrives or the cache is full: their seconds are
an arithmetic series in the length of the cache. What a server in front of the engine takes (front.py) moves the
moments of a request alone and holds up no step.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from planner.estimates.load.requests import Requests
from planner.estimates.load.step_table import StepTable

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EnginePolicy:
    """How a serving engine batches. The defaults are vLLM's of 2025 (assumed where a user says nothing).

    `batch_tokens` is the most tokens of one step, decoding and prompts together. Without `is_chunked` a prompt is taken
    in whole and others' decoding waits. `tokens_per_step` is what speculation gives a running request per step on
    average (1: none) and `speculation_cost` how much longer such a step is than a plain one. `reuses_prefixes` keeps
    the blocks of earlier prompts in whatever cache is free; `arrives_prefilled` is the decoding side of a service whose
    prompts are computed elsewhere. `front_seconds` is what a request takes in the server in front of the engine
    (None: what published runs of the engine show).
    """

    max_sequences: int = 256
    batch_tokens: int = 8_192
    is_chunked: bool = True
    tokens_per_step: float = 1.0
    speculation_cost: float = 1.0
    reuses_prefixes: bool = True
    arrives_prefilled: bool = False
    front_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.max_sequences < 1 or self.batch_tokens < 1:
            raise ValueError("an engine takes at least one sequence and one token at a time")
        if not (self.tokens_per_step >= 1 and math.isfinite(self.tokens_per_step)):
            raise ValueError("a step gives every running request at least one token")
        if not (self.speculation_cost >= 1 and math.isfinite(self.speculation_cost)):
            raise ValueError("a step that speculates takes at least as long as a plain one")
        if self.front_seconds is not None and not (self.front_seconds >= 0 and math.isfinite(self.front_seconds)):
            raise ValueError("the server in front takes no negative time")

    def for_groups(self, groups: int) -> EnginePolicy:
        """Of a replica with so many groups that attend apart: each takes requests and prompts as this policy says."""
        if groups == 1:
            return self
        return replace(self, max_sequences=self.max_sequences * groups, batch_tokens=self.batch_tokens * groups)


@dataclass(frozen=True, slots=True)
class Served:
    """What one replica did with its requests, in their order: moments of the first and of the last token in seconds,
    `front_seconds` after the engine had them.

    `busy_seconds` is the time that steps took.
    """

    requests: Requests
    first_token: Array
    done: Array
    front_seconds: Array
    busy_seconds: float
    decode_seconds: float
    num_steps: int
    num_preempted: int
    cached_tokens: float  # of prompts, found in the cache
    peak_kv_tokens: float
    peak_running: int

    @property
    def end_seconds(self) -> float:
        """When the last request was done."""
        return float(self.done.max())


def simulate(requests: Requests, table: StepTable, policy: EnginePolicy) -> Served:
    """What the replica does with the requests, which it all serves.

    Raises ValueError where the cache cannot hold the longest request even alone, or the table is too small.
    """
    if not requests.size:
        raise ValueError("there is no request to serve")
    longest = int((requests.prompt_tokens + requests.output_tokens).max())
    if longest + policy.tokens_per_step > table.capacity:
        raise ValueError(f"the cache holds {table.capacity:,.0f} tokens and the longest request has {longest:,}")
    if policy.max_sequences > table.max_batch:
        raise ValueError(f"the table ends at {table.max_batch} sequences, the engine takes {policy.max_sequences}")
    replica = _Replica(requests, table, policy)
    replica.run()
    first_token, done = np.array(replica.first_token), np.array(replica.done)
    front = np.zeros(requests.size)
    if not policy.arrives_prefilled:  # those have been in the service before
        front = table.front.of_each(requests.arrival_seconds, done)
    return Served(
        requests=requests,
        first_token=first_token + front,
        done=done + front,
        front_seconds=front,
        busy_seconds=replica.busy,
        decode_seconds=replica.decoding,
        num_steps=replica.num_steps,
        num_preempted=replica.num_preempted,
        cached_tokens=replica.prefixes.found_tokens if replica.prefixes else 0.0,
        peak_kv_tokens=replica.peak_kv,
        peak_running=replica.peak_running,
    )


class _Replica:
    """The state of the simulation; time is `clock`, and `kv` the tokens of cache that admitted requests hold."""

    def __init__(self, requests: Requests, table: StepTable, policy: EnginePolicy) -> None:
        self.table, self.policy = table, policy
        self.arrivals: list[float] = requests.arrival_seconds.tolist()
        self.prompts: list[float] = requests.prompt_tokens.astype(float).tolist()  # grows by what is computed again
        self.left: list[float] = requests.output_tokens.astype(float).tolist()  # tokens still to come
        self.first_token, self.done = [math.nan] * requests.size, [math.nan] * requests.size
        self.at = [0.0] * requests.size  # how far a prompt has been taken in
        self.joined = [-1] * requests.size  # the decoding step at which it began; −1: does not decode
        self.ticket = [0] * requests.size  # which of its beginnings counts, if it was sent back
        self.prefixes = PrefixCache(requests) if policy.reuses_prefixes and requests.prefix_blocks is not None else None
        self.waiting: deque[int] = deque()
        self.taking_in: deque[int] = deque()
        self.ends: list[tuple[int, int, int]] = []  # (last step, request, its ticket)
        self.latest: list[int] = []  # running requests, the last admitted at the end; may hold ended ones
        self.clock, self.next, self.step, self.running, self.num_done = self.arrivals[0], 0, 0, 0, 0
        self.kv = self.kv_running = self.peak_kv = 0.0
        self.promised = 0.0  # room for all admitted requests with what is kept for their answers
        self.promises = [0.0] * requests.size
        self.busy = self.decoding = 0.0
        self.num_preempted = self.peak_running = self.num_steps = 0

    def run(self) -> None:
        total = len(self.arrivals)
        while self.num_done < total:
            self._arrive()
            self._admit()
            if self.taking_in:
                self._take_in()
            elif self.running:
                self._jump()
            else:
                self.clock = max(self.clock, self.arrivals[self.next])

    def _arrive(self) -> None:
        arrivals, place = self.arrivals, self.next
        while place < len(arrivals) and arrivals[place] <= self.clock:
            self.waiting.append(place)
            place += 1
        self.next = place

    def _admit(self) -> None:
        waiting, room = self.waiting, self.policy.max_sequences - self.running - len(self.taking_in)
        ahead = self.policy.tokens_per_step
        while waiting and room > 0:
            request = waiting[0]
            needed = self.prompts[request]
            step = (self.running + len(self.taking_in) + 1) * ahead  # every one of them grows by the next step
            promise = needed + self.table.reserve * self.left[request]
            if max(self.kv + needed + step, self.promised + promise) > self.table.capacity:
                return
            waiting.popleft()
            room -= 1
            self.promises[request] = promise
            self.promised += promise
            self.kv += needed
            self.peak_kv = max(self.peak_kv, self.kv)
            self.at[request] = self._known(request)
            self.taking_in.append(request)
            if self.at[request] >= needed:
                self._through([self.taking_in.pop()])

    def _known(self, request: int) -> float:
        """Tokens of the prompt that need no computing; of a prompt computed here at least the last one does."""
        if self.policy.arrives_prefilled and math.isnan(self.first_token[request]):
            return self.prompts[request]
        if self.prefixes is None:
            return 0.0
        free = max(0.0, self.table.capacity - self.kv)
        return min(self.prefixes.look_up(request, free), self.prompts[request] - 1.0)

    def _take_in(self) -> None:
        """One step that takes in prompts, and decodes beside where the engine chunks."""
        policy, taking_in = self.policy, self.taking_in
        beside = self.running if policy.is_chunked else 0
        budget = max(1.0, policy.batch_tokens - beside * policy.tokens_per_step)
        tokens = work = 0.0
        through = []
        while taking_in and tokens < budget:
            request = taking_in[0]
            left = self.prompts[request] - self.at[request]
            if not policy.is_chunked and tokens and tokens + left > budget:
                break
            part = min(left, budget - tokens) if policy.is_chunked else left
            work += part * (self.at[request] + 0.5 * part)
            tokens += part
            self.at[request] += part
            if part >= left:
                through.append(taking_in.popleft())
        before = max(0.0, work / tokens - 0.5 * tokens)  # the earlier tokens of one prompt with as much attention
        seconds = self._passes(tokens, before, beside)
        self._pass_time(seconds, 1 if beside else 0)
        self.num_steps += 1
        if beside:
            self._grow(1)
            self._end()
        self._through(through)
        self._relieve()

    def _passes(self, tokens: float, before: float, beside: int) -> float:
        """Seconds of the tokens in one pass, or in several where a whole prompt is longer than the table."""
        table, most = self.table, self.table.max_tokens
        seconds = 0.0
        while tokens > most:
            seconds += table.prefill(most, before)
            before += most
            tokens -= most
        if not beside:
            return seconds + table.prefill(tokens, before)
        plain = table.decode(beside, self.kv_running)
        mixed = table.mixed(beside, self.kv_running, tokens, before)
        return seconds + mixed + (self.policy.speculation_cost - 1.0) * plain

    def _jump(self) -> None:
        """Steps that only decode, up to the next end, arrival or overflow."""
        grows = self.running * self.policy.tokens_per_step
        fixed, per_token = self.table.decode_line(self.running, self.kv_running)
        cost = self.policy.speculation_cost
        first, slope = cost * (fixed + per_token * self.kv_running), cost * per_token * grows
        steps = self.ends[0][0] - self.step
        steps = min(steps, max(1, int((self.table.capacity - self.kv) // grows)))
        can_admit = not self.waiting and self.running < self.policy.max_sequences
        if can_admit and self.next < len(self.arrivals):
            steps = min(steps, _steps_within(self.arrivals[self.next] - self.clock, first, slope))
        last = cost * self.table.decode(self.running, self.kv_running + (steps - 1) * grows)
        self._pass_time(0.5 * steps * (first + last), steps)
        self.num_steps += steps
        self._grow(steps)
        self._end()
        self._relieve()

    def _pass_time(self, seconds: float, decode_steps: int) -> None:
        self.clock += seconds
        self.busy += seconds
        if decode_steps:
            self.decoding += seconds

    def _grow(self, steps: int) -> None:
        more = steps * self.running * self.policy.tokens_per_step
        self.kv += more
        self.kv_running += more
        self.step += steps
        self.peak_kv = max(self.peak_kv, self.kv)

    def _end(self) -> None:
        ends = self.ends
        while ends and ends[0][0] <= self.step:
            last, request, ticket = heappop(ends)
            if self.joined[request] < 0 or self.ticket[request] != ticket:
                continue
            held = self.prompts[request] + (last - self.joined[request]) * self.policy.tokens_per_step
            self.kv -= held
            self.kv_running -= held
            self.running -= 1
            self._finish(request)
        self._drop_void_ends()

    def _drop_void_ends(self) -> None:
        """Forget the nearest ends of requests that were sent back."""
        ends = self.ends
        while ends and (self.joined[ends[0][1]] < 0 or self.ticket[ends[0][1]] != ends[0][2]):
            heappop(ends)

    def _finish(self, request: int) -> None:
        self.promised -= self.promises[request]
        self.done[request] = self.clock
        self.joined[request] = -1
        self.num_done += 1

    def _through(self, requests: list[int]) -> None:
        """These prompts have been taken in: their next token appears, and they decode or are done."""
        for request in requests:
            if self.prefixes is not None:
                self.prefixes.keep(request)
            if math.isnan(self.first_token[request]):
                self.first_token[request] = self.clock
            self.left[request] -= 1.0
            if self.left[request] <= 0:
                self.kv -= self.prompts[request]
                self._finish(request)
                continue
            self.running += 1
            self.peak_running = max(self.peak_running, self.running)
            self.kv_running += self.prompts[request]
            self.joined[request] = self.step
            steps = math.ceil(self.left[request] / self.policy.tokens_per_step)
            self.ticket[request] += 1
            heappush(self.ends, (self.step + steps, request, self.ticket[request]))
            self.latest.append(request)

    def _relieve(self) -> None:
        """Send the last admitted back until the next step fits into the cache."""
        while self.running > 1 and self.kv + self.running * self.policy.tokens_per_step > self.table.capacity:
            request = self.latest.pop()
            if self.joined[request] < 0:
                continue
            made = (self.step - self.joined[request]) * self.policy.tokens_per_step
            held = self.prompts[request] + made
            self.kv -= held
            self.kv_running -= held
            self.running -= 1
            self.joined[request] = -1
            self.promised -= self.promises[request]
            self.prompts[request] = held + 1.0
            self.left[request] = max(1.0, self.left[request] - made)
            self.num_preempted += 1
            self.waiting.appendleft(request)
        self._drop_void_ends()


def _steps_within(seconds: float, first: float, slope: float) -> int:
    """The fewest steps that last at least so long, where each takes `slope` longer than the one before."""
    if seconds <= first:
        return 1
    half = 0.5 * slope
    if half <= 1e-12 * first:
        return math.ceil(seconds / first)
    linear = first - half
    return max(1, math.ceil((math.sqrt(linear * linear + 4.0 * half * seconds) - linear) / (2.0 * half)))


class PrefixCache:
    """Blocks of earlier prompts, the least recently used given up first."""

    def __init__(self, requests: Requests) -> None:
        if requests.prefix_blocks is None:
            raise ValueError("nothing is known of the prompts' prefixes")
        self.blocks, self.block_tokens = requests.prefix_blocks, requests.block_tokens
        self.kept: OrderedDict[int, None] = OrderedDict()
        self.found_tokens = 0.0

    def look_up(self, request: int, free_tokens: float) -> float:
        """Tokens of the prompt's beginning that are kept, after giving up what the free cache no longer holds."""
        room = int(free_tokens // self.block_tokens)
        while len(self.kept) > room:
            self.kept.popitem(last=False)
        found = 0
        for block in self.blocks[request]:
            if block not in self.kept:
                break
            self.kept.move_to_end(block)
            found += 1
        self.found_tokens += found * self.block_tokens
        return float(found * self.block_tokens)

    def keep(self, request: int) -> None:
        """Keep the blocks of a prompt that was taken in."""
        for block in self.blocks[request]:
            self.kept[block] = None
            self.kept.move_to_end(block)
