"""Jobs of a plan as a table that people paste: a line for each job, or for each kind of GPU that it may run on."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from planner.errors import FieldProblem, InvalidInput

FIELD = "jobs_csv"
OPTION = ("gpu", "num_gpus", "time")
PLAIN = ("estimate_id", "copies", "priority", "drop_cost")
MOMENTS: Mapping[str, str] = {"release": "release_at", "deadline": "due_at"}  # that take a date as well
COLUMNS = ("name", *OPTION, "release", "deadline", "divisible", "after", *PLAIN)
WORDS: Mapping[str, bool] = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
MOST_CHARACTERS = 500_000


def is_date(text: str) -> bool:
    """Whether a time is a day or a moment rather than hours from the start: "2027-01-04", not "48 h"."""
    return text[:4].isdigit() and text[4:5] == "-"


def jobs_of(text: str) -> list[dict[str, Any]]:
    """The jobs, as the request's fields; empty for no text. Raises InvalidInput naming each line that cannot be used.

    Columns by name, in any order, parted by commas, semicolons or tabs. Lines of one name are one job with several
    options: what else they say of it they say alike or leave empty.
    """
    if not text.strip():
        return []
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput.of(FIELD, f"is longer than {MOST_CHARACTERS:,} characters")
    text = text.strip("\r\n ")
    first = text.splitlines()[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
    names = [name.strip().casefold() for name in reader.fieldnames or ()]
    _check(names)
    reader.fieldnames = names
    jobs: dict[str, dict[str, Any]] = {}
    problems: list[FieldProblem] = []
    try:
        for row in reader:
            problems += [FieldProblem(FIELD, f"line {reader.line_num}: {words}") for words in _take(row, jobs)]
    except csv.Error as error:
        problems.append(FieldProblem(FIELD, f"line {reader.line_num}: {error}"))
    if problems:
        raise InvalidInput(problems)
    return list(jobs.values())


def _check(names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise InvalidInput.of(FIELD, f"there is no column {unknown[0][:40]!r}; there are {', '.join(COLUMNS)}")
    if "name" not in names or not ({"estimate_id"} & set(names) or set(OPTION) <= set(names)):
        raise InvalidInput.of(FIELD, "the first line must name the columns: name, and gpu, num_gpus and time")
    if len(set(names)) < len(names):
        raise InvalidInput.of(FIELD, "a column is named twice")


def _take(row: Mapping[str | None, Any], jobs: dict[str, dict[str, Any]]) -> list[str]:
    """Take a line into the jobs; what is wrong with it."""
    if None in row or None in row.values():
        return ["has more or fewer cells than the first line"]
    given = {str(name): str(text).strip() for name, text in row.items() if str(text).strip()}
    if not given:
        return []
    name = given.get("name", "")
    if not name:
        return ["has no name"]
    option = {field: given[field] for field in OPTION if field in given}
    if option and len(option) < len(OPTION):
        return [f"{name} needs gpu, num_gpus and time together"]
    job: dict[str, Any] = {"name": name} | {field: given[field] for field in PLAIN if field in given}
    for field, dated in MOMENTS.items():
        if field in given:
            job[dated if is_date(given[field]) else field] = given[field]
    if "after" in given:
        job["after"] = [other.strip() for other in given["after"].split("|")]
    if "divisible" in given:
        if given["divisible"].casefold() not in WORDS:
            return [f"divisible of {name} must be yes or no, not {given['divisible'][:40]!r}"]
        job["divisible"] = WORDS[given["divisible"].casefold()]
    known = jobs.get(name)
    if known is None:
        jobs[name] = job | ({"options": [option]} if option else {})
        return []
    apart = [field for field in job if known.get(field, job[field]) != job[field]]
    if apart:
        return [f"{name} is there already with another {apart[0]}"]
    if not option or "options" not in known:
        return [f"{name} is there already"]
    known |= job
    known["options"].append(option)
    return []
