"""Forms: what was typed, with the faults beside each field. Fields and sentences are those of the requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import request
from pydantic import BaseModel

from planner.errors import FieldProblem, InvalidInput
from planner.services.requests import without_blanks
from planner.web.api.layer import is_text

OUTSIDE = frozenset({"csrf_token"})


@dataclass
class Form:
    """The text of each field as typed or pre-filled, and the faults that were found."""

    values: dict[str, list[str]] = field(default_factory=dict)
    problems: list[FieldProblem] = field(default_factory=list)

    @classmethod
    def filled(cls, values: Mapping[str, Any]) -> Form:
        """A form with these values; None leaves a field empty."""
        return cls({name: _texts(value) for name, value in values.items() if value is not None})

    @classmethod
    def sent(cls) -> Form:
        """What this request's form holds."""
        return cls({name: list(several) for name, several in request.form.lists() if name not in OUTSIDE})

    @property
    def errors(self) -> dict[str, list[str]]:
        """The faults by field; a fault inside a list is shown beside the list."""
        found: dict[str, list[str]] = {}
        for problem in self.problems:
            found.setdefault(problem.field.partition(".")[0], []).append(problem.message)
        return found

    def value(self, name: str) -> str:
        return next(iter(self.values.get(name, [])), "")

    def many(self, name: str) -> list[str]:
        return self.values.get(name, [])

    def given(
        self, model: type[BaseModel], lists: Collection[str] = (), ignore: Collection[str] = ()
    ) -> dict[str, Any]:
        """What the model shall read, empty fields left out. Raises InvalidInput for repeats and unknown names."""
        problems = []
        for name, several in self.values.items():
            if name in ignore:
                continue
            if name not in model.model_fields:
                problems.append(FieldProblem(name if is_text(name) else "form", "is not a field of this form"))
            elif len(several) > 1 and name not in lists:
                problems.append(FieldProblem(name, f"is given {len(several)} times; give it once"))
            elif not all(map(is_text, several)):
                problems.append(FieldProblem(name, "holds a character that is no text"))
        if problems:
            raise InvalidInput(problems)
        values = {
            name: [text for text in several if text] if name in lists else several[0]
            for name, several in self.values.items()
            if name not in ignore
        }
        return without_blanks(
            {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        )


def _texts(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value)]
