"""How long one execution takes on one visit: warm-up until windows agree, then repeated windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

WINDOW_SECONDS = 0.010  # a timed window is at least so long: executions are added until it is
MAX_EXECUTIONS = 2_000
AGREEMENT = 0.05  # the last warm-up windows differ by at most this
WARM_UP_SECONDS = 0.75  # after so long the measuring begins even if they do not
REPEATS = 3  # of each visit
SLOW_SECONDS = 0.25  # an execution that takes longer counts as slow …
SLOW_REPEATS = 2  # … and is repeated less


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one execution by window, each window of so many executions, and what came before them."""

    windows: tuple[float, ...]
    executions: int
    steady: bool
    warm_up_seconds: float


def time_calls(calls: Sequence[Callable[[], object]], seconds: Callable[[Callable[[], object]], float]) -> Timing:
    """Time executions of `calls` taken in turn. `seconds` runs something and says how long the device took."""
    turn = cycle(calls)

    def window(executions: int) -> float:
        def run() -> None:
            for _ in range(executions):
                next(turn)()

        return seconds(run) / executions

    cold = window(1)
    once = window(1)
    executions = max(1, min(MAX_EXECUTIONS, math.ceil(WINDOW_SECONDS / max(once, 1e-9))))
    is_slow = once > SLOW_SECONDS
    warm, spent, steady = _warm_up(lambda: window(executions), executions, 2 if is_slow else 3)
    return Timing(
        windows=tuple(window(executions) for _ in range(SLOW_REPEATS if is_slow else REPEATS)),
        executions=executions,
        steady=steady,
        warm_up_seconds=cold + once + spent if warm else cold + once,
    )


def _warm_up(window: Callable[[], float], executions: int, num_agreeing: int) -> tuple[list[float], float, bool]:
    """Run windows until the last `num_agreeing` agree or the time for it is spent: (windows, seconds, agreed)."""
    windows: list[float] = []
    spent = 0.0
    while True:
        windows.append(window())
        spent += windows[-1] * executions
        last = windows[-num_agreeing:]
        if len(last) == num_agreeing and max(last) <= min(last) * (1 + AGREEMENT):
            return windows, spent, True
        if spent >= WARM_UP_SECONDS and len(windows) >= num_agreeing:
            return windows, spent, False
