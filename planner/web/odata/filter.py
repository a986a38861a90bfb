"""`$filter`: comparisons joined by and, or and not, over the properties of one entity set.

    either     = both *( "or" both )
    both       = one *( "and" one )
    one        = [ "not" ] ( "(" either ")" | function | property op literal | literal op property
                           | property "in" "(" literal *( "," literal ) ")" | flag )
    function   = ( "contains" | "startswith" | "endswith" ) "(" property "," text ")"
    op         = "eq" | "ne" | "gt" | "ge" | "lt" | "le"

An unknown cell equals null and nothing else, and is neither more nor less than anything.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from planner.errors import InvalidInput
from planner.web.odata.cells import Kind

FIELD = "$filter"
LONGEST = 2000  # characters
DEEPEST = 50  # parentheses
Cells = Mapping[str, Any]
Test = Callable[[Cells], bool]
TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')"
    r"|(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d))"
    r"|(?P<day>\d{4}-\d\d-\d\d)"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>[(),]))"
)
ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
TURNED = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge", "eq": "eq", "ne": "ne"}
FUNCTIONS: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda cell, text: text in cell,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
CONSTANTS = {"null": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class _Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class _Property:
    name: str
    kind: Kind


def parse_filter(text: str, kinds: Mapping[str, Kind]) -> Test:
    """What the rows must satisfy. Raises InvalidInput saying what is not understood."""
    if len(text) > LONGEST:
        raise _refused(f"is longer than {LONGEST} characters")
    parser = _Parser(_tokens(text), kinds)
    found = parser.either()
    if not parser.is_done:
        raise _refused(f"{parser.rest!r} is not expected there")
    return found


def _refused(words: str) -> InvalidInput:
    return InvalidInput.of(FIELD, words)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    while text[place:].strip():
        match = TOKEN.match(text, place)
        if match is None:
            raise _refused(f"{text[place:].strip()[:40]!r} is not understood")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        place = match.end()
    return found


class _Parser:
    """Reads one filter from left to right."""

    def __init__(self, tokens: list[tuple[str, str]], kinds: Mapping[str, Kind]) -> None:
        self._tokens = tokens
        self._kinds = kinds
        self._place = 0
        self._depth = 0

    @property
    def is_done(self) -> bool:
        return self._place == len(self._tokens)

    @property
    def rest(self) -> str:
        """The next token, for saying what is wrong."""
        return "the end" if self.is_done else self._tokens[self._place][1][:40]

    def either(self) -> Test:
        tests = [self._both()]
        while self._takes("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda cells: any(test(cells) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._takes("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda cells: all(test(cells) for test in tests)

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _refused("is nested too deeply")
        try:
            if self._takes("not"):
                test = self._one()
                return lambda cells: not test(cells)
            if self._takes("("):
                inner = self.either()
                self._need(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Test:
        name = self.rest
        if name in FUNCTIONS and self._following() == "(":
            return self._function(name)
        left = self._operand()
        if isinstance(left, _Property) and self._takes("in"):
            return self._among(left)
        if isinstance(left, _Property) and left.kind is Kind.FLAG and self.rest not in TURNED:
            return _compared(left, "eq", True)
        op = self._next("name")
        if op not in TURNED:
            raise _refused(f"{op!r} is no comparison; there are {', '.join(TURNED)} and in")
        right = self._operand()
        if isinstance(left, _Property) and isinstance(right, _Literal):
            return _compared(left, op, right.value)
        if isinstance(left, _Literal) and isinstance(right, _Property):
            return _compared(right, TURNED[op], left.value)
        raise _refused("compare a property with a value")

    def _function(self, name: str) -> Test:
        self._place += 1
        self._need("(")
        found = self._operand()
        self._need(",")
        text = self._operand()
        self._need(")")
        if not isinstance(found, _Property) or found.kind is not Kind.TEXT or not isinstance(text, _Literal):
            raise _refused(f"{name} takes a property of text and a text")
        if not isinstance(text.value, str):
            raise _refused(f"{name} takes a property of text and a text")
        test, wanted, key = FUNCTIONS[name], text.value, found.name
        return lambda cells: cells[key] is not None and test(cells[key], wanted)

    def _among(self, found: _Property) -> Test:
        self._need("(")
        tests = [self._equal(found)]
        while self._takes(","):
            tests.append(self._equal(found))
        self._need(")")
        return lambda cells: any(test(cells) for test in tests)

    def _equal(self, found: _Property) -> Test:
        literal = self._operand()
        if not isinstance(literal, _Literal):
            raise _refused("in takes a list of values")
        return _compared(found, "eq", literal.value)

    def _operand(self) -> _Literal | _Property:
        if self.is_done:
            raise _refused("ends too early")
        group, text = self._tokens[self._place]
        self._place += 1
        if group == "name" and text in CONSTANTS:
            return _Literal(CONSTANTS[text])
        if group == "name":
            if text not in self._kinds:
                raise _refused(f"{text!r} is no property here; there are {', '.join(self._kinds)}")
            return _Property(text, self._kinds[text])
        if group == "sign":
            raise _refused(f"{text!r} is not expected there")
        return _Literal(_value(group, text))

    def _following(self) -> str:
        following = self._place + 1
        return self._tokens[following][1] if following < len(self._tokens) else ""

    def _takes(self, word: str) -> bool:
        if not self.is_done and self._tokens[self._place] in (("name", word), ("sign", word)):
            self._place += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._takes(sign):
            raise _refused(f"{sign!r} is needed before {self.rest!r}")

    def _next(self, group: str) -> str:
        if self.is_done or self._tokens[self._place][0] != group:
            raise _refused(f"a comparison is needed before {self.rest!r}")
        self._place += 1
        return self._tokens[self._place - 1][1]


def _value(group: str, text: str) -> Any:
    try:
        match group:
            case "text":
                return text[1:-1].replace("''", "'")
            case "moment":
                return datetime.fromisoformat(text).astimezone(UTC)
            case "day":
                return date.fromisoformat(text)
            case _:
                return Decimal(text)
    except (ValueError, OverflowError):
        raise _refused(f"{text!r} is no day of the calendar") from None


def _compared(found: _Property, op: str, value: Any) -> Test:
    key, wanted = found.name, _fitting(found, value)
    if op == "eq":
        return lambda cells: cells[key] == wanted
    if op == "ne":
        return lambda cells: cells[key] != wanted
    if wanted is None:
        return lambda _cells: False
    test = ORDERS[op]
    return lambda cells: cells[key] is not None and test(cells[key], wanted)


def _fitting(found: _Property, value: Any) -> Any:
    """The value as one of the property's kind. Raises InvalidInput for one that cannot be compared with it."""
    if value is None:
        return None
    kind = found.kind
    if kind is Kind.MOMENT and isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    fits = (
        (kind is Kind.TEXT and isinstance(value, str))
        or (kind.is_number and isinstance(value, Decimal))
        or (kind is Kind.FLAG and isinstance(value, bool))
        or (kind is Kind.MOMENT and isinstance(value, datetime))
        or (kind is Kind.DAY and isinstance(value, date) and not isinstance(value, datetime))
    )
    if not fits:
        raise _refused(f"{found.name} is {kind.value}, which {value!s:.40} is not")
    return value
