"""Reading how long steps took, or samples a second, from what programs print: CSV, JSON lines, or plain log lines."""

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
# Rates of samples, pictures, texts or requests, for programs that print no step time.
ITEM_RATES = (
    *("items_per_second", "samples_per_second", "train_samples_per_second", "images_per_second", "images_per_sec"),
    *("imgs_per_sec", "img_per_sec", "frames_per_second", "fps", "images/s", "images/sec", "img/s", "samples/s"),
    *("samples/sec", "requests_per_second", "texts_per_second"),
)
_NUMBER = r"(?<![0-9.,])((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
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
_THINGS = r"(?:images?|imgs?|pictures?|samples?|frames?|texts?|sequences?|requests?|queries|items?)"
ITEM_LINES: tuple[tuple[re.Pattern[str], Callable[[float], float]], ...] = (
    (re.compile(rf"{_NUMBER}\s*{_THINGS}\s*(?:/|per )\s*s(?:ec(?:ond)?)?\b", re.I), lambda value: 1 / value),
    (
        re.compile(rf"\b{_THINGS}\s*(?:/|[ _]?per[ _])\s*s(?:ec(?:ond)?)?\b[:= ]+{_NUMBER}", re.I),
        lambda value: 1 / value,
    ),
    (re.compile(rf"\bfps[:= ]+{_NUMBER}", re.I), lambda value: 1 / value),
    (re.compile(rf"{_NUMBER}\s*fps\b", re.I), lambda value: 1 / value),
)


@dataclass(frozen=True, slots=True)
class _Words:
    """How programs name one sort of figure: fields with their unit in seconds, fields to turn over, lines of text."""

    fields: Mapping[str, float]
    rates: tuple[str, ...]
    lines: tuple[tuple[re.Pattern[str], Callable[[float], float]], ...]


STEPS = _Words(FIELDS, RATES, LINES)
ITEMS = _Words({}, ITEM_RATES, ITEM_LINES)


@dataclass(frozen=True, slots=True)
class StepLog:
    """The steps of a log: how many were read and left out as warm-up, their median and how far they spread.

    `step_seconds` is None for a log that names no step times but `items_per_second`: samples, pictures, requests.
    `spread` is the half-width of the middle nine tenths over the median; `unread` counts lines that name no figure.
    """

    count: int
    warm_up: int
    step_seconds: float | None
    items_per_second: float | None
    spread: float
    unread: int

    @property
    def sentence(self) -> str:
        """What was taken from the log."""
        left = f", the first {self.warm_up} left out as warm-up" if self.warm_up else ""
        is_rate = self.step_seconds is None
        what = f"median of {self.count - self.warm_up} {'rates' if is_rate else 'steps'}{left}"
        figure = f"{self.items_per_second:.4g} items/s" if is_rate else f"{self.step_seconds:.4g} s"
        return f"{what}: {figure}, nine in ten within ±{self.spread * 100:.0f} %"


def read_step_log(text: str) -> StepLog:
    """The step times of a log, else its rates of samples, pictures or requests.

    Raises InvalidInput where there are fewer than three of either, or the text is too long.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput.of("log", f"is longer than {MAX_CHARACTERS:,} characters")
    seconds, unread = _seconds(text, STEPS)
    if len(seconds) >= FEWEST:
        count, warm_up, middle, spread = _steady(seconds)
        return StepLog(count, warm_up, middle, None, spread, unread)
    each, unread = _seconds(text, ITEMS)
    if len(each) >= FEWEST:
        count, warm_up, middle, spread = _steady(each)
        return StepLog(count, warm_up, None, 1.0 / middle, spread, unread)
    raise InvalidInput.of(
        "log",
        f"names {len(seconds)} step times and {len(each)} rates; at least {FEWEST} of one are needed, as a column or "
        'field such as step_seconds or images_per_second, or as lines such as "elapsed time per iteration (ms): 812.5"',
    )


def _steady(seconds: list[float]) -> tuple[int, int, float, float]:
    """How many there are, how many of them are warm-up, the median second of the others and their spread."""
    times = np.array(seconds)
    warm_up = _warm_up(times)
    middle = float(np.median(times[warm_up:]))
    return len(times), warm_up, middle, float(np.quantile(np.abs(times[warm_up:] - middle), 0.9)) / middle


def _warm_up(times: np.ndarray[Any, np.dtype[np.float64]]) -> int:
    """Steps at the start that are slower than half as long again as the later half's median, at most half of all."""
    usual = float(np.median(times[len(times) // 2 :]))
    most = min(len(times) // 2, len(times) - FEWEST)
    slow = 0
    while slow < most and times[slow] > 1.5 * usual:
        slow += 1
    return slow


def _seconds(text: str, words: _Words) -> tuple[list[float], int]:
    for read in (_from_json_lines, _from_csv):
        found = read(text, words)
        if found is not None:
            return found
    return _from_lines(text, words)


def _from_json_lines(text: str, words: _Words) -> tuple[list[float], int] | None:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or not lines[0].lstrip().startswith("{"):
        return None
    seconds, unread = [], 0
    for line in lines:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        found = _of_fields(values, words) if isinstance(values, dict) else None
        if found is None:
            unread += 1
        else:
            seconds.append(found)
    return seconds, unread


def _from_csv(text: str, words: _Words) -> tuple[list[float], int] | None:
    rows = csv.DictReader(io.StringIO(text))
    try:
        names = {(name or "").strip().lower() for name in rows.fieldnames or ()}
        if not names & (words.fields.keys() | set(words.rates)):
            return None
        found = [_of_fields(row, words) for row in rows]
    except csv.Error as error:
        raise InvalidInput.of("log", f"line {rows.line_num} is no CSV: {error}") from None
    return [value for value in found if value is not None], sum(value is None for value in found)


def _of_fields(values: Mapping[Any, Any], words: _Words) -> float | None:
    named = {str(name).strip().lower(): value for name, value in values.items()}
    for name, unit in words.fields.items():
        if (value := _positive(named.get(name))) is not None:
            return value * unit
    for name in words.rates:
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


def _from_lines(text: str, words: _Words) -> tuple[list[float], int]:
    seconds, unread = [], 0
    for line in text.splitlines():
        if not line.strip():
            continue
        found = next(_matches(line, words), None)
        if found is None:
            unread += 1
        else:
            seconds.append(found)
    return seconds, unread


def _matches(line: str, words: _Words) -> Iterator[float]:
    for pattern, seconds in words.lines:
        if (match := pattern.search(line)) is not None and (value := _positive(match[1].replace(",", ""))) is not None:
            yield seconds(value)
