"""Reading how long steps took from what training programs print: CSV, JSON lines, or plain log lines."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.errors import InvalidInput

MAX_CHARACTERS = 50_000_000
FEWEST = 3
# Names under which programs give the time of one step, and what one unit of it is in seconds.
FIELDS: Mapping[str, float] = {
    "step_seconds": 1.0,
    "step_time": 1.0,
    "step_time_s": 1.0,
    "step_time_seconds": 1.0,
    "time_per_step": 1.0,
    "iteration_time": 1.0,
    "iter_time": 1.0,
    "train_step_time": 1.0,
    "seconds_per_step": 1.0,
    "s/it": 1.0,
    "step_time_ms": 1e-3,
    "iter_time_ms": 1e-3,
    "time_ms": 1e-3,
    "step_ms": 1e-3,
    "elapsed_ms": 1e-3,
}
RATES = ("it/s", "steps_per_second", "steps_per_s", "train_steps_per_second")  # steps in a second: turned over
_NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
# How a line of plain text says it: the pattern's number, and how it becomes seconds.
LINES: tuple[tuple[re.Pattern[str], Callable[[float], float]], ...] = (
    (re.compile(rf"elapsed time per iteration \(ms\):\s*{_NUMBER}"), lambda value: value / 1e3),
    (re.compile(rf"(?:step|iter(?:ation)?)[ _]time[^0-9\n]{{0,12}}{_NUMBER}\s*ms\b", re.I), lambda value: value / 1e3),
    (
        re.compile(rf"(?:step|iter(?:ation)?)[ _]time[^0-9\n]{{0,12}}{_NUMBER}\s*(?:s\b|sec|$)", re.I),
        lambda value: value,
    ),
    (re.compile(rf"\b(?:time|dt)[:= ]+{_NUMBER}\s*ms\b", re.I), lambda value: value / 1e3),
    (re.compile(rf"\b(?:time|dt)[:= ]+{_NUMBER}\s*s\b", re.I), lambda value: value),
    (re.compile(rf"{_NUMBER}\s*s/it\b"), lambda value: value),
    (re.compile(rf"{_NUMBER}\s*it/s\b"), lambda value: 1 / value),
)


@dataclass(frozen=True, slots=True)
class StepLog:
    """The steps of a log: how many were read and left out as warm-up, the median second and how far they spread.

    `spread` is the half-width of the middle nine tenths over the median; `unread` counts lines that name no step time.
    """

    count: int
    warm_up: int
    step_seconds: float
    spread: float
    unread: int

    @property
    def sentence(self) -> str:
        """What was taken from the log."""
        left = f", the first {self.warm_up} left out as warm-up" if self.warm_up else ""
        steps = f"median of {self.count - self.warm_up} steps{left}"
        return f"{steps}: {self.step_seconds:.4g} s, nine in ten within ±{self.spread * 100:.0f} %"


def read_step_log(text: str) -> StepLog:
    """The step times of a log. Raises InvalidInput where there are fewer than three, or the text is too long."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput.of("log", f"is longer than {MAX_CHARACTERS:,} characters")
    seconds, unread = _seconds(text)
    if len(seconds) < FEWEST:
        raise InvalidInput.of(
            "log",
            f"names {len(seconds)} step times; at least {FEWEST} are needed, as a column or field such as step_seconds "
            'or as lines such as "elapsed time per iteration (ms): 812.5"',
        )
    times = np.array(seconds)
    warm_up = _warm_up(times)
    steady = times[warm_up:]
    middle = float(np.median(steady))
    spread = float(np.quantile(np.abs(steady - middle), 0.9)) / middle
    return StepLog(len(times), warm_up, middle, spread, unread)


def _warm_up(times: np.ndarray[Any, np.dtype[np.float64]]) -> int:
    """Steps at the start that are slower than half as long again as the later half's median, at most half of all."""
    usual = float(np.median(times[len(times) // 2 :]))
    most = min(len(times) // 2, len(times) - FEWEST)
    slow = 0
    while slow < most and times[slow] > 1.5 * usual:
        slow += 1
    return slow


def _seconds(text: str) -> tuple[list[float], int]:
    for read in (_from_json_lines, _from_csv):
        found = read(text)
        if found is not None:
            return found
    return _from_lines(text)


def _from_json_lines(text: str) -> tuple[list[float], int] | None:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or not lines[0].lstrip().startswith("{"):
        return None
    seconds, unread = [], 0
    for line in lines:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        found = _of_fields(values) if isinstance(values, dict) else None
        if found is None:
            unread += 1
        else:
            seconds.append(found)
    return seconds, unread


def _from_csv(text: str) -> tuple[list[float], int] | None:
    rows = csv.DictReader(io.StringIO(text))
    try:
        names = {(name or "").strip().lower() for name in rows.fieldnames or ()}
        if not names & (FIELDS.keys() | set(RATES)):
            return None
        found = [_of_fields(row) for row in rows]
    except csv.Error as error:
        raise InvalidInput.of("log", f"line {rows.line_num} is no CSV: {error}") from None
    return [value for value in found if value is not None], sum(value is None for value in found)


def _of_fields(values: Mapping[Any, Any]) -> float | None:
    named = {str(name).strip().lower(): value for name, value in values.items()}
    for name, unit in FIELDS.items():
        if (value := _positive(named.get(name))) is not None:
            return value * unit
    for name in RATES:
        if (value := _positive(named.get(name))) is not None:
            return 1 / value
    return None


def _positive(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _from_lines(text: str) -> tuple[list[float], int]:
    seconds, unread = [], 0
    for line in text.splitlines():
        if not line.strip():
            continue
        found = next(_matches(line), None)
        if found is None:
            unread += 1
        else:
            seconds.append(found)
    return seconds, unread


def _matches(line: str) -> Iterator[float]:
    for pattern, seconds in LINES:
        if (match := pattern.search(line)) is not None and (value := _positive(match[1])) is not None:
            yield seconds(value)
