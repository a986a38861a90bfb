"""What can go wrong, as a tree: each leaf is something a user can act on, and its message says how.

PlannerError
├── InvalidInput        one or more fields are wrong: names each field and what would be right
├── NotFound            the thing asked for is not there
├── Conflict            the change clashes with the state that is there now
├── Unavailable         something outside (database, driver, address) cannot be used at the moment
└── DatabaseOutOfDate   the schema is not the one this code was written for

A `ValueError` is a caller's mistake in our own code. *Nothing fits* is no error at all but a `Rejection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class PlannerError(Exception):
    """Something a user can act on; `str(error)` is the sentence shown on page, API and terminal alike."""

    slug = "error"
    status = 500
    exit_code = 1


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that cannot be used: its dotted name, what is wrong, and what would be right."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class InvalidInput(PlannerError):
    """The request cannot be used as it stands; `problems` names each field and what would be right."""

    slug = "invalid-input"
    status = 422
    exit_code = 2

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        if not problems:
            raise ValueError("InvalidInput needs at least one FieldProblem")
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, field: str, message: str) -> InvalidInput:
        """The common case of a single field."""
        return cls([FieldProblem(field, message)])


class NotFound(PlannerError):
    """There is nothing under that name or id."""

    slug = "not-found"
    status = 404
    exit_code = 3


class Conflict(PlannerError):
    """The change clashes with what is there now."""

    slug = "conflict"
    status = 409
    exit_code = 4


class Stale(PlannerError):
    """What was to be changed has changed since it was read; read it again."""

    slug = "stale"
    status = 412
    exit_code = 4


class Unavailable(PlannerError):
    """Something outside the planner cannot be used at the moment."""

    slug = "unavailable"
    status = 503
    exit_code = 5


class DatabaseOutOfDate(Unavailable):
    """The database schema is at another revision than this code; run `planner db upgrade`."""

    slug = "database-out-of-date"
