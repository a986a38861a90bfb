"""The requests of the small served load that a suite measures."""

from __future__ import annotations

from collections.abc import Mapping

# Lengths come in turn as these shares of the usual one: equal ones would all end together, and nothing would be batched
# continuously.
PROMPT_THIRDS = (2, 3, 4)
ANSWER_THIRDS = (3, 4, 2, 3)


def request_lengths(parameters: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    """(prompt tokens, answer tokens) of each request of a serve bench; all of them are there at the start."""
    prompt, answer = parameters["prompt"], parameters["answer"]
    return tuple(
        (
            max(1, prompt * PROMPT_THIRDS[number % len(PROMPT_THIRDS)] // 3),
            max(2, answer * ANSWER_THIRDS[number % len(ANSWER_THIRDS)] // 3),
        )
        for number in range(parameters["requests"])
    )
