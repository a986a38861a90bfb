"""The common ground of all requests: reading what people write, bounds, and our own sentence for every fault."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from planner import units
from planner.errors import FieldProblem, InvalidInput

Model = TypeVar("Model", bound=BaseModel)
LONGEST_NUMBER = 40  # characters of a number in words


def _read(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    """A validator that takes numbers as they are and reads text with `parse`, whose ValueError is the message."""

    def validate(value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticCustomError("unreadable", "{message}", {"message": f"must be a number, not {value}"})
        if isinstance(value, str):
            if len(value) > LONGEST_NUMBER:
                message = f"must be at most {LONGEST_NUMBER} characters long"
                raise PydanticCustomError("unreadable", "{message}", {"message": message})
            try:
                return parse(value)
            except ValueError as error:
                raise PydanticCustomError("unreadable", "{message}", {"message": str(error)}) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise PydanticCustomError("unreadable", "{message}", {"message": "a finite number is needed"})
        return value

    return validate


def human(kind: str, examples: list[Any], parse: Callable[[str], Any], low: float, high: float) -> tuple[Any, ...]:
    """Annotations of a bounded number that may also come as text read by `parse`."""
    schema = {
        "anyOf": [{"type": kind, "minimum": low, "maximum": high}, {"type": "string", "maxLength": LONGEST_NUMBER}],
        "examples": examples,
    }
    return BeforeValidator(_read(parse)), Field(ge=low, le=high), WithJsonSchema(schema)


def count(low: float, high: float) -> tuple[Any, ...]:
    """A count: a number, or text such as "7B"."""
    return human("number", ["7B", 4096], units.parse_count, low, high)


def whole(low: int, high: int) -> tuple[Any, ...]:
    """A whole number, or text such as "32K"."""

    def parse(text: str) -> int:
        value = units.parse_count(text)
        if value != int(value):
            raise ValueError(f"{text!r} is not a whole number")
        return int(value)

    return human("integer", [4096, "32K"], parse, low, high)


def duration(low: float, high: float) -> tuple[Any, ...]:
    """Seconds: a number, or text such as "1.5 h"."""
    return human("number", ["1.5 h", 5400], units.parse_seconds, low, high)


def bytes_(low: float, high: float) -> tuple[Any, ...]:
    """A size in bytes: a number, or text such as "80GB"."""
    return human("number", ["80GB", 8e10], units.parse_bytes, low, high)


def _money_schema() -> WithJsonSchema:
    return WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1e12},
                {"type": "string", "maxLength": LONGEST_NUMBER},
            ],
            "examples": ["250.00"],
        }
    )


def _read_moment(value: Any) -> Any:
    """Only what begins as a date does: pydantic would take "2026" for seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE.match(value.strip())):
        return value
    raise PydanticCustomError(
        "unreadable",
        "{message}",
        {"message": f"must be a moment such as 2026-11-21T09:00:00Z, not {_shown(value)}"},
    )


def _read_day_or_moment(value: Any) -> Any:
    """A day alone is its first moment in UTC."""
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        return f"{value.strip()}T00:00:00Z"
    return _read_moment(value)


def _read_day(value: Any) -> Any:
    """Only what is written as a day: pydantic would take "2026" for seconds since 1970."""
    if isinstance(value, date) or (isinstance(value, str) and _DATE.fullmatch(value)):
        return value
    message = f"must be a day such as 2026-11-21, not {str(value)[:40]!r}"
    raise PydanticCustomError("unreadable", "{message}", {"message": message})


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("unreadable", "{message}", {"message": "is beyond the calendar"}) from None


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
Day = Annotated[date, BeforeValidator(_read_day)]
Moment = Annotated[AwareDatetime, BeforeValidator(_read_moment), AfterValidator(_in_utc)]
DayOrMoment = Annotated[
    AwareDatetime,
    BeforeValidator(_read_day_or_moment),
    AfterValidator(_in_utc),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}],
            "examples": ["2026-11-01", "2026-11-21T09:00:00Z"],
        }
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Key = Annotated[str, Field(min_length=1, max_length=100)]
Keys = Annotated[tuple[Key, ...], Field(max_length=50)]
Money = Annotated[Decimal, BeforeValidator(_read(units.parse_money)), Field(gt=0, le=10**12), _money_schema()]


class Request(BaseModel):
    """A request refuses fields that it does not know and cannot be changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


def parse(model: type[Model], values: Mapping[str, Any]) -> Model:
    """`values` as `model`; raises InvalidInput naming every field that cannot be used and what would be right."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise InvalidInput(problems_of(error)) from None


def without_blanks(values: Mapping[str, Any]) -> dict[str, Any]:
    """A form's values less the fields left empty: a blank input means "not given"."""
    return {name: value for name, value in values.items() if value not in ("", None, [], [""])}


def problems_of(error: ValidationError) -> list[FieldProblem]:
    """One FieldProblem per fault, in words of ours."""
    return [FieldProblem(_field_name(item), _sentence(item)) for item in error.errors(include_url=False)]


def _field_name(item: ErrorDetails) -> str:
    if "field" in item.get("ctx", {}):
        return str(item["ctx"]["field"])
    return ".".join(str(part) for part in item["loc"]) or "request"


def _sentence(item: ErrorDetails) -> str:
    context = item.get("ctx", {})
    match item["type"]:
        case "missing":
            return "is needed"
        case "extra_forbidden":
            return "is not a field of this request"
        case "greater_than_equal":
            return f"must be at least {_number(context['ge'])}"
        case "greater_than":
            return f"must be more than {_number(context['gt'])}"
        case "less_than_equal":
            return f"must be at most {_number(context['le'])}"
        case "literal_error" | "enum":
            return f"must be {context['expected']}, not {_shown(item['input'])}"
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must be at most {context['max_length']} characters long"
        case "too_long":
            return f"may hold at most {context['max_length']} values"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"must be a whole number, not {_shown(item['input'])}"
        case "float_type" | "float_parsing" | "decimal_type" | "decimal_parsing":
            return f"must be a number, not {_shown(item['input'])}"
        case "bool_type" | "bool_parsing":
            return f"must be true or false, not {_shown(item['input'])}"
        case "timezone_aware":
            return "needs a zone, for example 2026-11-21T09:00:00Z"
        case "datetime_type" | "datetime_parsing" | "datetime_from_date_parsing":
            return f"must be a moment such as 2026-11-21T09:00:00Z, not {_shown(item['input'])}"
        case "unreadable" | "field_problem":
            return str(context["message"])
        case _:
            return item["msg"]


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{float(value):,.10g}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def field_problem(field: str, message: str) -> PydanticCustomError:
    """A fault that a whole-model check found, laid on one field."""
    return PydanticCustomError("field_problem", "{message}", {"field": field, "message": message})
