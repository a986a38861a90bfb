"""A small serving engine that batches continuously: places in a cache, prompts read whole, answers written together.

A request that ends gives its place to the last one of the batch, so that those running always lie side by side.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from planner.gpu.benches.accelerator import Accelerator
from planner.gpu.benches.transformer import KvCache, Transformer


@dataclass(frozen=True, slots=True)
class Request:
    """When it comes (seconds after the start), and how many tokens its prompt and its answer have."""

    arrival_seconds: float
    prompt_tokens: int
    answer_tokens: int


@dataclass(slots=True)
class Answered:
    """Moments of a request in seconds after the start."""

    arrival: float
    first_token: float = 0.0
    last_token: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the engine, in seconds after the start: a prompt of `new_tokens` read while `running` requests wait,
    or a token for each of `running` requests, whose caches hold `cached_tokens` in all and `longest` at most."""

    begun: float
    ended: float
    running: int
    new_tokens: int
    cached_tokens: int
    longest: int

    @property
    def is_prompt(self) -> bool:
        return self.new_tokens > 0

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


class Engine:
    """A model with a cache of so many places, each of `capacity` tokens. `steps` are those of the last load."""

    def __init__(self, model: Transformer, accelerator: Accelerator, slots: int, capacity: int) -> None:
        self._model, self._accelerator, self._slots = model, accelerator, slots
        self._cache = KvCache.empty(model.shape, slots, capacity, model.head.weight)
        self._tokens = torch.zeros(slots, 1, dtype=torch.long, device=accelerator.device)
        self._lengths = [0] * slots
        self._left = [0] * slots
        self._of: list[int] = []  # requests by place
        self.steps: list[Step] = []

    def serve(
        self, requests: Sequence[Request], clock: Callable[[], float] = time.perf_counter
    ) -> tuple[list[Answered], Tensor]:
        """Answer requests in the order of their arrival; their moments, and the last scores."""
        waiting = deque(range(len(requests)))
        self.steps = []
        answered = [Answered(request.arrival_seconds) for request in requests]
        begun = clock()
        scores = torch.zeros(1, device=self._accelerator.device)
        while waiting or self._of:
            now = clock() - begun
            if waiting and len(self._of) < self._slots and requests[waiting[0]].arrival_seconds <= now:
                number = waiting.popleft()
                running, held = len(self._of), self._held()
                scores = self._take_in(number, requests[number])
                ended = clock() - begun
                self.steps.append(Step(now, ended, running, requests[number].prompt_tokens, *held))
                answered[number].first_token = answered[number].last_token = ended
                self._give_up_places(answered, ended)
            elif self._of:
                running, held = len(self._of), self._held()
                scores = self._step()
                ended = clock() - begun
                self.steps.append(Step(now, ended, running, 0, *held))
                self._give_up_places(answered, ended)
            else:
                time.sleep(max(0.0, requests[waiting[0]].arrival_seconds - now))
        return answered, scores

    def _held(self) -> tuple[int, int]:
        """Tokens in the caches of the running requests, in all and of the longest."""
        lengths = self._lengths[: len(self._of)]
        return sum(lengths), max(lengths, default=0)

    def _take_in(self, number: int, request: Request) -> Tensor:
        """Read a whole prompt into the next place; its first token comes out."""
        place = len(self._of)
        prompt = self._accelerator.tokens(1, request.prompt_tokens, vocab=self._model.shape.vocab)
        own = KvCache(self._cache.keys[:, place : place + 1], self._cache.values[:, place : place + 1])
        scores: Tensor = self._model(prompt, own, last_only=True)
        self._tokens[place] = scores.argmax(dim=-1)[0]
        self._accelerator.synchronize()
        self._of.append(number)
        self._lengths[place], self._left[place] = request.prompt_tokens, request.answer_tokens - 1
        return scores

    def _step(self) -> Tensor:
        """A token for every running request."""
        running = len(self._of)
        lengths = self._lengths[:running]
        cache = KvCache(self._cache.keys[:, :running], self._cache.values[:, :running])
        scores: Tensor = self._model(self._tokens[:running], cache, lengths, last_only=True)
        self._tokens[:running] = scores.argmax(dim=-1)
        self._accelerator.synchronize()
        for place in range(running):
            self._lengths[place] += 1
            self._left[place] -= 1
        return scores

    def _give_up_places(self, answered: list[Answered], now: float) -> None:
        """Note the moment of those that are through, and close the gaps that they leave."""
        for place in reversed(range(len(self._of))):
            if self._left[place] <= 0:
                answered[self._of[place]].last_token = now
                self._move(len(self._of) - 1, place)
                self._of.pop()

    def _move(self, source: int, target: int) -> None:
        if source == target:
            return
        length = self._lengths[source]
        for values in (self._cache.keys, self._cache.values):
            values[:, target, :, :length] = values[:, source, :, :length]
        self._tokens[target] = self._tokens[source]
        self._of[target] = self._of[source]
        self._lengths[target], self._left[target] = length, self._left[source]
