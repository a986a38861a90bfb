"""Frozen dataclasses to JSON values and back, every fault named by its place."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from planner.errors import FieldProblem, InvalidInput

T = TypeVar("T")


def to_document(value: Any) -> Any:
    """A dataclass, and all it holds, as JSON values: enums by value, moments in ISO form, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_document(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_document(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(item) for item in value]
    return value


def from_document(kind: type[T], document: Any) -> T:
    """The dataclass that a document describes; raises InvalidInput naming each field that cannot be used."""
    problems: list[FieldProblem] = []
    found = _read(kind, document, "", problems)
    if problems:
        raise InvalidInput(problems)
    return typing.cast(T, found)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _read(kind: Any, value: Any, place: str, problems: list[FieldProblem]) -> Any:
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass(kind, value, place, problems)
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _read(next(item for item in arguments if item is not type(None)), value, place, problems)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return _wrong(place, "must be a list", problems)
        return tuple(_read(arguments[0], item, f"{place}.{number}", problems) for number, item in enumerate(value))
    if origin is not None:
        if not isinstance(value, Mapping):
            return _wrong(place, "must be an object", problems)
        return {key: _read(arguments[1], item, f"{place}.{key}", problems) for key, item in value.items()}
    return _plain(kind, value, place, problems)


def _dataclass(kind: Any, value: Any, place: str, problems: list[FieldProblem]) -> Any:
    if not isinstance(value, Mapping):
        return _wrong(place, "must be an object", problems)
    known = {field.name: field for field in fields(kind)}
    before = len(problems)
    for name in value:
        if name not in known:
            _wrong(_at(place, name), f"is not known here; there are {', '.join(known)}", problems)
    given = {
        name: _read(_hints(kind)[name], value[name], _at(place, name), problems) for name in known if name in value
    }
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            _wrong(_at(place, name), "is missing", problems)
    if len(problems) > before:
        return None
    try:
        return kind(**given)
    except InvalidInput as error:
        problems.extend(FieldProblem(_at(place, item.field), item.message) for item in error.problems)
    except ValueError as error:
        _wrong(place, str(error), problems)
    return None


def _plain(kind: Any, value: Any, place: str, problems: list[FieldProblem]) -> Any:
    if issubclass(kind, Enum):
        values = [item.value for item in kind]
        return kind(value) if value in values else _wrong(place, f"must be one of {', '.join(values)}", problems)
    if kind is datetime:
        return _moment(value, place, problems)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e15 else _wrong(place, "must be a finite number below 1e15", problems)
    if kind is int and isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return int(value)
    if kind in (str, bool) and isinstance(value, kind):
        return value
    names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    return _wrong(place, f"must be {names[kind]}, not {str(value)[:40]!r}", problems)


def _moment(value: Any, place: str, problems: list[FieldProblem]) -> Any:
    words = "must be a moment with its zone, such as 2026-11-21T09:00:00Z"
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    return moment if moment is not None and moment.tzinfo is not None else _wrong(place, words, problems)


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _wrong(place: str, message: str, problems: list[FieldProblem]) -> None:
    problems.append(FieldProblem(place or "request", message))


def schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of the documents that `from_document` reads for a dataclass."""
    if isinstance(kind, type) and is_dataclass(kind):
        known = fields(kind)
        return {
            "type": "object",
            "title": kind.__name__,
            "description": (kind.__doc__ or "").strip(),
            "properties": {field.name: schema(_hints(kind)[field.name]) for field in known},
            "required": [f.name for f in known if f.default is MISSING and f.default_factory is MISSING],
            "additionalProperties": False,
        }
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        inner = schema(next(item for item in arguments if item is not type(None)))
        return {"anyOf": [inner, {"type": "null"}]} if type(None) in arguments else inner
    if origin is tuple:
        return {"type": "array", "items": schema(arguments[0])}
    if origin is not None:
        return {"type": "object", "additionalProperties": schema(arguments[1])}
    if issubclass(kind, Enum):
        return {"type": "string", "enum": [item.value for item in kind]}
    if kind is datetime:
        return {"type": "string", "format": "date-time"}
    return {"type": {float: "number", int: "integer", str: "string", bool: "boolean"}[kind]}
