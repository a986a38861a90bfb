"""How long one execution takes on one visit: warm-up until windows agree, then repeated windows.

A window in which other programs held up the threads that compute says little of the device: it is taken again, a few
times at most, and the least disturbed windows count.
"""

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
DISTURBED = 0.02  # of a window's time, that threads waited for a processor
MORE_WINDOWS = 2  # times as many as are wanted are taken at most in place of disturbed ones …
MORE_SECONDS = 0.5  # … and for so long …
HOPELESS = 0.5  # … unless threads waited for so much of each: then the next one will be no better


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one execution by window, each window of so many executions, and what came before them."""

    windows: tuple[float, ...]
    executions: int
    steady: bool
    warm_up_seconds: float
    waited_share: float | None = None  # of the windows' time, that threads waited for a processor; None: not told


def time_calls(
    calls: Sequence[Callable[[], object]],
    seconds: Callable[[Callable[[], object]], float],
    waited: Callable[[], float | None] | None = None,
) -> Timing:
    """Time executions of `calls` taken in turn. `seconds` runs something and says how long the device took; `waited`
    says how long the threads have waited for a processor so far (None, or where it gives None: not known)."""
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
    wanted = SLOW_REPEATS if is_slow else REPEATS
    windows, waited_share = _least_disturbed(lambda: window(executions), executions, wanted, waited)
    return Timing(
        windows=windows,
        executions=executions,
        steady=steady,
        warm_up_seconds=cold + once + spent if warm else cold + once,
        waited_share=waited_share,
    )


def _least_disturbed(
    window: Callable[[], float], executions: int, wanted: int, waited: Callable[[], float | None] | None
) -> tuple[tuple[float, ...], float | None]:
    """So many windows in the order in which they were taken, and the share of their time that threads waited."""
    if waited is None or waited() is None:
        return tuple(window() for _ in range(wanted)), None
    taken: list[tuple[float, float]] = []  # seconds of one execution, share of the window that threads waited
    spent = 0.0
    while len(taken) < wanted or (
        sum(share <= DISTURBED for _, share in taken) < wanted
        and len(taken) < (1 + MORE_WINDOWS) * wanted
        and spent < MORE_SECONDS
        and min(share for _, share in taken) <= HOPELESS
    ):
        before = waited() or 0.0
        each = window()
        lost = max(0.0, (waited() or 0.0) - before)
        spent += each * executions if len(taken) >= wanted else 0.0
        taken.append((each, lost / (each * executions)))
    kept = sorted(sorted(range(len(taken)), key=lambda place: taken[place][1])[:wanted])
    windows = tuple(taken[place][0] for place in kept)
    return windows, sum(taken[place][0] * taken[place][1] for place in kept) / sum(windows)


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
