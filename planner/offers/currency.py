"""Exchange rates by day, and amounts converted with the rate, its day and its source kept beside them.

A rate that is missing is an error, never 1. Decimals throughout; an inverse rate is rounded to 28 digits, half-even.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from planner.errors import FieldProblem, InvalidInput, PlannerError

CODE = re.compile(r"[A-Z]{3}")
COLUMNS = ("date", "base", "quote", "rate", "source")
MAX_AGE = timedelta(days=7)  # the longest time without a fixing: weekends and holidays, with some to spare
LOWEST, HIGHEST = Decimal("1e-9"), Decimal(10) ** 6
_DIGITS = Context(prec=28, rounding=ROUND_HALF_EVEN)
_NUMBER = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,20})?")
_NONE = ("", "N/A", "-")


class MissingRate(PlannerError):
    """No rate is known for the day; bring one in, for an amount is never converted at a guess."""

    slug = "missing-rate"
    status = 422
    exit_code = 3


@dataclass(frozen=True, slots=True)
class Rate:
    """One unit of `base` was worth `rate` units of `quote` on a day, as the source states. Raises InvalidInput."""

    base: str
    quote: str
    rate: Decimal
    rate_date: date
    source: str

    def __post_init__(self) -> None:
        problems = [
            FieldProblem(name, f"{code!r} is not a code of three capital letters, such as EUR")
            for name, code in (("base", self.base), ("quote", self.quote))
            if not CODE.fullmatch(code)
        ]
        if not self.rate.is_finite() or not LOWEST <= self.rate <= HIGHEST:
            problems.append(FieldProblem("rate", f"{self.rate} is not a rate above 0"))
        if not self.source:
            problems.append(FieldProblem("source", "is needed: who states this rate"))
        if self.base == self.quote:
            problems.append(FieldProblem("quote", f"{self.quote} is the base itself"))
        if problems:
            raise InvalidInput(problems)


@dataclass(frozen=True, slots=True)
class Leg:
    """A rate as it is used: as it stands, or the other way round."""

    rate: Rate
    is_inverse: bool

    @property
    def factor(self) -> Decimal:
        return _DIGITS.divide(Decimal(1), self.rate.rate) if self.is_inverse else self.rate.rate


@dataclass(frozen=True, slots=True)
class Conversion:
    """An amount in another currency, with the original and every rate on the way; no leg: the same currency."""

    original: Decimal
    original_currency: str
    amount: Decimal
    currency: str
    legs: tuple[Leg, ...]

    @property
    def rate(self) -> Decimal | None:
        """What one unit of the original became; None where nothing was converted."""
        if not self.legs:
            return None
        factor = Decimal(1)
        for leg in self.legs:
            factor = _DIGITS.multiply(factor, leg.factor)
        return factor

    @property
    def rate_date(self) -> date | None:
        """The day of the oldest rate used."""
        return min((leg.rate.rate_date for leg in self.legs), default=None)

    @property
    def source(self) -> str:
        """Who states the rates used."""
        return "; ".join(dict.fromkeys(leg.rate.source for leg in self.legs))


@dataclass(frozen=True, slots=True)
class RefusedRate:
    """A line of a file of rates that cannot be used, and why."""

    line: int
    reason: str


def convert(amount: Decimal, source: str, target: str, on: date, rates: Iterable[Rate]) -> Conversion:
    """The amount in `target` at the last rates up to the day, at most a week old. Raises MissingRate.

    Directly, or the other way round, or over one third currency, in this order. Of several rates for one pair and day
    the last one given counts: give them as they were recorded.
    """
    if source == target:
        return Conversion(amount, source, amount, target, ())
    newest = _newest(rates, on)
    legs = _direct(newest, source, target) or _crossed(newest, source, target)
    if not legs:
        since = on - MAX_AGE
        raise MissingRate(f"no rate from {source} to {target} is known for {on} (none since {since}); bring one in")
    converted = amount
    for leg in legs:
        converted = _DIGITS.multiply(converted, leg.factor)
    return Conversion(amount, source, converted, target, legs)


def read_rates(lines: Iterable[str], source: str = "") -> Iterator[Rate | RefusedRate]:
    """The rates of a CSV file, one at a time: ours (date, base, quote, rate, source), or one day a line and one column
    a currency with the euro as the base, as central banks publish. Raises InvalidInput for other columns.
    """
    reader = csv.reader(lines, strict=True)
    try:
        header = [field.strip() for field in next(reader, [])]
    except csv.Error as error:
        raise InvalidInput.of("file", f"line 1 is not CSV ({error})") from None
    is_wide = header[:1] == ["Date"] and all(CODE.fullmatch(code) or not code for code in header[1:]) and header[1:]
    if tuple(header) != COLUMNS and not is_wide:
        raise InvalidInput.of("file", f"the columns must be {','.join(COLUMNS)}, or Date and currency codes")
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield RefusedRate(reader.line_num, f"is not CSV ({error}); nothing after it was read")
            return
        if fields is None:
            return
        fields = [field.strip() for field in fields]
        if is_wide:
            yield from _wide_line(reader.line_num, header, fields, source)
        elif any(fields):
            yield _line(reader.line_num, fields)


def _line(line: int, fields: list[str]) -> Rate | RefusedRate:
    if len(fields) != len(COLUMNS):
        return RefusedRate(line, f"{len(fields)} fields, not {len(COLUMNS)}")
    day, base, quote, rate, source = fields
    try:
        return Rate(base, quote, _number(rate), _day(day), source)
    except (ValueError, InvalidInput) as error:
        return RefusedRate(line, str(error))


def _wide_line(line: int, header: list[str], fields: list[str], source: str) -> Iterator[Rate | RefusedRate]:
    if len(fields) != len(header):
        yield RefusedRate(line, f"{len(fields)} fields, not {len(header)}")
        return
    for code, text in zip(header[1:], fields[1:], strict=True):
        if code and text not in _NONE:
            try:
                yield Rate("EUR", code, _number(text), _day(fields[0]), source)
            except (ValueError, InvalidInput) as error:
                yield RefusedRate(line, f"{code}: {error}")


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a plain number such as 1.0837")
    return Decimal(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a day such as 2026-07-20") from None


def _newest(rates: Iterable[Rate], on: date) -> dict[tuple[str, str], Rate]:
    """Of each pair the last rate up to the day that is not too old."""
    newest: dict[tuple[str, str], Rate] = {}
    for rate in rates:
        if on - MAX_AGE <= rate.rate_date <= on:
            known = newest.get((rate.base, rate.quote))
            if known is None or rate.rate_date >= known.rate_date:
                newest[rate.base, rate.quote] = rate
    return newest


def _direct(newest: dict[tuple[str, str], Rate], source: str, target: str) -> tuple[Leg, ...]:
    straight, inverse = newest.get((source, target)), newest.get((target, source))
    if straight is None and inverse is None:
        return ()
    if straight is not None and (inverse is None or straight.rate_date >= inverse.rate_date):
        return (Leg(straight, is_inverse=False),)
    return () if inverse is None else (Leg(inverse, is_inverse=True),)


def _crossed(newest: dict[tuple[str, str], Rate], source: str, target: str) -> tuple[Leg, ...]:
    """Over the third currency whose older rate is the newest; of equal ones the first by name."""
    ways = []
    for middle in sorted({code for pair in newest for code in pair} - {source, target}):
        first, second = _direct(newest, source, middle), _direct(newest, middle, target)
        if first and second:
            ways.append((min(first[0].rate.rate_date, second[0].rate.rate_date), first + second))
    return max(ways, key=lambda way: way[0])[1] if ways else ()
