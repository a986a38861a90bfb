"""A trace of jobs: when each was submitted, how long it ran on how many GPUs, and for whom."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from planner.errors import FieldProblem, InvalidInput

REQUIRED = ("timestamp", "duration", "num_gpus")
OPTIONAL = ("cluster", "priority", "planned_start", "name")
MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One job of a trace; seconds count from any one moment. `planned_start` is when a plan's timetable begins it."""

    submit_seconds: float
    duration_seconds: float
    num_gpus: int
    cluster: str = ""
    priority: float = 0.0
    planned_start: float | None = None
    name: str = ""


def read_trace(lines: Iterable[str], whole_seconds: bool = False) -> tuple[TraceJob, ...]:
    """The jobs of a CSV: timestamp, duration (s), num_gpus and perhaps cluster, priority, planned_start, name.

    A timestamp is a moment (2017-10-09 07:01:55, taken as UTC where it has no zone) or seconds. Sorted by submission,
    those at one instant as they stand. `whole_seconds` cuts fractions of a duration off. Raises InvalidInput naming the
    lines that cannot be read.
    """
    reader = csv.reader(lines)
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise InvalidInput.of("trace", f"the column {missing[0]} is missing; needed are {', '.join(REQUIRED)}")
    places = {name: header.index(name) for name in (*REQUIRED, *OPTIONAL) if name in header}
    jobs: list[TraceJob] = []
    problems: list[FieldProblem] = []
    for row in reader:
        if not row:
            continue
        try:
            jobs.append(_job(row, places, whole_seconds))
        except (ValueError, IndexError) as error:
            problems.append(FieldProblem(f"trace.line {reader.line_num}", str(error)))
            if len(problems) == MAX_PROBLEMS:
                break
    if problems:
        raise InvalidInput(problems)
    return tuple(sorted(jobs, key=lambda job: job.submit_seconds))


def _job(row: list[str], places: dict[str, int], whole_seconds: bool) -> TraceJob:
    def text(name: str) -> str:
        return row[places[name]].strip() if name in places else ""

    duration = float(text("duration"))
    num_gpus = float(text("num_gpus"))
    if not (math.isfinite(duration) and duration >= 0):
        raise ValueError(f"duration must be finite and not negative, not {text('duration')!r}")
    if not (num_gpus >= 1 and num_gpus == int(num_gpus)):
        raise ValueError(f"num_gpus must be a whole number of at least 1, not {text('num_gpus')!r}")
    planned = text("planned_start")
    return TraceJob(
        submit_seconds=_seconds(text("timestamp")),
        duration_seconds=float(math.floor(duration)) if whole_seconds else duration,
        num_gpus=int(num_gpus),
        cluster=text("cluster"),
        priority=float(text("priority") or 0.0),
        planned_start=_seconds(planned) if planned else None,
        name=text("name"),
    )


def _seconds(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        seconds = float(text)
        if not math.isfinite(seconds):
            raise ValueError(f"a moment must be finite, not {text!r}") from None
        return seconds
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
