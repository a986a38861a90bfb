"""Requests that came, read from a trace: Azure's CSV (2023), Mooncake's JSONL, and plain CSV or JSONL.

| format   | arrival                              | prompt                        | answer                            |
|----------|--------------------------------------|-------------------------------|-----------------------------------|
| Azure    | TIMESTAMP, a date and time           | ContextTokens                 | GeneratedTokens                   |
| Mooncake | timestamp, milliseconds              | input_length                  | output_length; hash_ids: prefixes |
| plain    | arrival_seconds, arrival_ms, arrival | prompt_tokens or input_tokens | output_tokens                     |

In a plain trace `arrival` is a date and time (ISO 8601); a bare number without its unit is refused. Rows need not be in
order. A request without output tokens is refused, not dropped: it would change every mean.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from planner.errors import InvalidInput
from planner.estimates.load.requests import MINUTE_SECONDS, Requests

MOONCAKE_BLOCK_TOKENS = 512  # Mooncake's README: one hash id stands for 512 tokens
MILLISECONDS = 1e-3
MAX_REQUESTS = 2_000_000
MAX_TOKENS = 100_000_000
ARRIVALS = {"arrival_seconds": 1.0, "arrival_ms": MILLISECONDS, "timestamp_ms": MILLISECONDS}
MOMENTS = ("arrival", "timestamp")
PROMPTS = ("prompt_tokens", "input_tokens", "contexttokens", "input_length")
OUTPUTS = ("output_tokens", "generatedtokens", "output_length")
PREFIXES = "hash_ids"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what, and the seconds of one unit of the arrival (None: a date and time)."""

    arrival: str
    unit_seconds: float | None
    prompt: str
    output: str


def read_trace(text: str) -> Requests:
    """The requests of a trace, in the order of their arrival; the format is told by its columns.

    Raises InvalidInput, naming the line, for what is no trace or has a value that cannot be.
    """
    lines = text.removeprefix("\ufeff").lstrip()
    if not lines:
        raise _problem("is empty")
    rows = _json_rows(lines) if lines.startswith("{") else _csv_rows(lines)
    arrivals, prompts, outputs, prefixes = [], [], [], []
    columns = None
    for number, row in rows:
        columns = columns or _columns(row)
        arrivals.append(_arrival(row, columns, number))
        prompts.append(_tokens(row, columns.prompt, number))
        outputs.append(_tokens(row, columns.output, number))
        if PREFIXES in row:
            prefixes.append(_prefix(row[PREFIXES], number))
        if len(arrivals) > MAX_REQUESTS:
            raise _problem(f"has more than {MAX_REQUESTS:,} requests")
    if not arrivals:
        raise _problem("has a header and no requests")
    if prefixes and len(prefixes) != len(arrivals):
        raise _problem(f"{len(arrivals) - len(prefixes)} of {len(arrivals)} requests lack {PREFIXES}")
    return _in_order(arrivals, prompts, outputs, prefixes)


def _in_order(
    arrivals: list[float], prompts: list[int], outputs: list[int], prefixes: list[tuple[int, ...]]
) -> Requests:
    seconds = np.asarray(arrivals)
    order = np.argsort(seconds, kind="stable")
    zero = np.floor(seconds.min() / MINUTE_SECONDS) * MINUTE_SECONDS  # the minute in which the first one arrives
    return Requests(
        arrival_seconds=seconds[order] - zero,
        prompt_tokens=np.asarray(prompts, dtype=np.int64)[order],
        output_tokens=np.asarray(outputs, dtype=np.int64)[order],
        prefix_blocks=tuple(prefixes[int(place)] for place in order) if prefixes else None,
        block_tokens=MOONCAKE_BLOCK_TOKENS if prefixes else 0,
    )


def _csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text))
    header = [name.strip().lower() for name in next(reader)]
    if len(set(header)) != len(header):
        raise _problem("line 1: a column is named twice")
    for cells in reader:
        if not cells:
            continue
        if len(cells) != len(header):
            raise _problem(f"line {reader.line_num}: has {len(cells)} cells for {len(header)} columns")
        yield reader.line_num, dict(zip(header, cells, strict=True))


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise _problem(f"line {number}: is not JSON") from None
        if not isinstance(row, dict):
            raise _problem(f"line {number}: is not a JSON object")
        yield number, {str(name).lower(): value for name, value in row.items()}


def _columns(row: Mapping[str, Any]) -> Columns:
    prompt = next((name for name in PROMPTS if name in row), None)
    output = next((name for name in OUTPUTS if name in row), None)
    arrival = next((name for name in (*ARRIVALS, *MOMENTS) if name in row), None)
    lacking = [
        f"{what} ({', '.join(names)})"
        for what, found, names in (
            ("an arrival", arrival, (*ARRIVALS, *MOMENTS)),
            ("prompt tokens", prompt, PROMPTS),
            ("output tokens", output, OUTPUTS),
        )
        if found is None
    ]
    if prompt is None or output is None or arrival is None:
        raise _problem(f"lacks a column for {' and '.join(lacking)}")
    is_mooncake = arrival == "timestamp" and prompt == "input_length"
    return Columns(arrival, MILLISECONDS if is_mooncake else ARRIVALS.get(arrival), prompt, output)


def _arrival(row: Mapping[str, Any], columns: Columns, number: int) -> float:
    value = row.get(columns.arrival)
    if columns.unit_seconds is None:
        return _moment(value, columns.arrival, number)
    try:
        seconds = float(value) * columns.unit_seconds  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise _problem(f"line {number}: {columns.arrival} {value!r} is not a number") from None
    if not np.isfinite(seconds):
        raise _problem(f"line {number}: {columns.arrival} {value!r} is not finite")
    return seconds


def _moment(value: object, name: str, number: int) -> float:
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise _problem(
            f"line {number}: {name} {value!r} is not a date and time; a number goes into arrival_seconds or arrival_ms"
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _tokens(row: Mapping[str, Any], name: str, number: int) -> int:
    value = row.get(name)
    try:
        tokens = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else -1
    except ValueError:
        tokens = -1
    if not 1 <= tokens <= MAX_TOKENS:
        raise _problem(f"line {number}: {name} {value!r} is not a whole number of tokens from 1 to {MAX_TOKENS:,}")
    return tokens


def _prefix(value: object, number: int) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(isinstance(each, int) for each in value):
        raise _problem(f"line {number}: {PREFIXES} is not a list of whole numbers")
    return tuple(value)


def _problem(message: str) -> InvalidInput:
    return InvalidInput.of("trace", message)
