"""Exchange rates: brought in with their source, and amounts converted at those of a day as far as was known then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from io import TextIOWrapper
from typing import BinaryIO

from planner.errors import InvalidInput
from planner.offers.currency import MAX_AGE, Conversion, Rate, RefusedRate, convert, read_rates
from planner.offers.rate_guard import RateGuard
from planner.readers.ecb_rates import read_ecb_rates
from planner.services.moments import later_than
from planner.services.requests.fx import RateQuery, RateRequest
from planner.store import fx as store
from planner.store import offers as offer_store
from planner.store.engine import Session
from planner.units import plain_decimal

NUM_LISTED = 1000
_FIRST_BYTES = 64


@dataclass(frozen=True, slots=True)
class RatesImport:
    """What bringing rates in did; `refused` lists the first lines that could not be used, `num_refused` counts all.

    `num_held` wait for a person: they are more than a fifth from the known rate of the nearest day.
    """

    num_added: int
    num_known: int
    num_refused: int
    num_held: int
    refused: tuple[RefusedRate, ...]
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class RateView:
    """A stored rate."""

    id: int
    rate: Rate
    recorded_at: datetime


class Converter:
    """Converts amounts at the rates of one day: read once, for lists. Raises MissingRate for what is not known."""

    def __init__(self, rates: Sequence[Rate], on: date, target: str) -> None:
        self._rates = rates
        self.on = on
        self.target = target
        self._units: dict[str, Conversion] = {}

    def __call__(self, amount: Decimal, currency: str) -> Conversion:
        if currency not in self._units:
            self._units[currency] = convert(Decimal(1), currency, self.target, self.on, self._rates)
        legs = self._units[currency].legs
        return convert(amount, currency, self.target, self.on, [leg.rate for leg in legs])


def record_rates(
    session: Session, requests: Sequence[RateRequest], now: datetime, *, allow_large_changes: bool = False
) -> RatesImport:
    """Append rates. Raises InvalidInput for one that cannot be: none is stored then."""
    rates = [Rate(each.base, each.quote, each.rate, each.rate_date, each.source) for each in requests]
    return keep_rates(session, rates, now, allow_large_changes=allow_large_changes)


def import_rates(
    session: Session, lines: Iterable[str], now: datetime, source: str = "", *, allow_large_changes: bool = False
) -> RatesImport:
    """Append the rates of a CSV file; `source` is needed for the form with a column a currency, which states none.

    Lines that cannot be used are listed and stop no others. Safe to repeat.
    """
    return keep_rates(session, read_rates(lines, source), now, allow_large_changes=allow_large_changes)


def import_rate_file(
    session: Session, stream: BinaryIO, now: datetime, source: str = "", *, allow_large_changes: bool = False
) -> RatesImport:
    """Append the rates of a file: CSV in either form, or the XML of the European Central Bank, told by its first sign.

    The stream can be read twice. Raises InvalidInput, and nothing is to be kept, where it is neither or breaks off.
    """
    start = stream.read(_FIRST_BYTES)
    stream.seek(0)
    if not start:
        raise InvalidInput.of("file", "is empty")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return keep_rates(session, read_ecb_rates(stream), now, allow_large_changes=allow_large_changes)
    lines = TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        return import_rates(session, lines, now, source, allow_large_changes=allow_large_changes)
    except UnicodeDecodeError:
        raise InvalidInput.of("file", "is neither CSV in UTF-8 nor XML") from None
    finally:
        lines.detach()


def list_rates(session: Session, query: RateQuery, *, whole: bool = False) -> list[RateView]:
    """Stored rates, the last recorded first; with `whole` not only a page of them."""
    found = store.newest_rates(session, query.base, query.quote, None if whole else query.limit, query.after)
    return [RateView(*row) for row in found]


def known_currencies(session: Session) -> list[str]:
    """Every currency that a rate is known of."""
    return store.currencies(session)


def convert_amount(
    session: Session, amount: Decimal, source: str, target: str, on: date, known_at: datetime
) -> Conversion:
    """The amount at the rates of that day as far as was known then. Raises MissingRate; never assumes 1."""
    return converter(session, target, on, known_at)(amount, source)


def converter(session: Session, target: str, on: date, known_at: datetime) -> Converter:
    """For converting many amounts into one currency at the rates of one day."""
    return Converter(store.rates_between(session, on - MAX_AGE, on, known_at), on, target)


def rates_on(session: Session, on: date, known_at: datetime) -> list[Rate]:
    """The rate of each pair that counts on that day as far as was known then: the last one, at most a week old."""
    newest: dict[tuple[str, str], Rate] = {}
    for rate in store.rates_between(session, on - MAX_AGE, on, known_at):
        earlier = newest.get((rate.base, rate.quote))
        if earlier is None or rate.rate_date >= earlier.rate_date:
            newest[rate.base, rate.quote] = rate
    return [newest[pair] for pair in sorted(newest)]


def keep_rates(
    session: Session, found: Iterable[Rate | RefusedRate], now: datetime, *, allow_large_changes: bool = False
) -> RatesImport:
    """Append the rates found. One that is more than a fifth from the known rate of the nearest day waits for a person,
    unless changes of any size are allowed. Raises InvalidInput where no line can be used.
    """
    offer_store.lock_writers(session)
    recorded_at = next_moment(session, now)
    guard = RateGuard(partial(store.rates_of_pair, session))
    outcome = _Outcome(recorded_at, now.astimezone(UTC).date(), None if allow_large_changes else guard)
    num_added, num_known = store.append_rates(session, outcome.sound(session, found), recorded_at)
    if outcome.num_refused and not (num_added or num_known or outcome.num_held):
        first = outcome.refused[0]
        raise InvalidInput.of("file", f"no line can be used; line {first.line}: {first.reason}")
    return RatesImport(num_added, num_known, outcome.num_refused, outcome.num_held, tuple(outcome.refused), recorded_at)


def next_moment(session: Session, now: datetime) -> datetime:
    """When rates that are recorded now are recorded at: later than all that were before."""
    return later_than(store.newest_recorded_at(session), now)


class _Outcome:
    """What became of the rates that were not simply taken."""

    def __init__(self, recorded_at: datetime, today: date, guard: RateGuard | None) -> None:
        self.refused: list[RefusedRate] = []
        self.num_refused = 0
        self.num_held = 0
        self._recorded_at = recorded_at
        self._today = today
        self._guard = guard

    def sound(self, session: Session, found: Iterable[Rate | RefusedRate]) -> Iterator[Rate]:
        """The rates that are taken; what is refused or held is kept aside on the way."""
        for line, item in enumerate(found, start=1):
            fault = item if isinstance(item, RefusedRate) else _fault(item, line, self._today)
            if fault is not None:
                self._refuse(fault)
            elif isinstance(item, Rate) and self._is_near(session, item, line):
                yield item

    def _is_near(self, session: Session, rate: Rate, line: int) -> bool:
        """Whether the rate is taken; one that is too far is held, once however often it comes."""
        if self._guard is None:
            return True
        far = self._guard.too_far_from(rate)
        if far is None:
            self._guard.add(rate)
            return True
        earlier = store.held_like(session, rate)
        if earlier is not None and earlier.decision == "refused":
            self._refuse(RefusedRate(line, f"{plain_decimal(rate.rate)} was refused on {earlier.decided_at:%Y-%m-%d}"))
            return False
        self.num_held += 1
        if earlier is None or earlier.decision is not None:
            store.hold(session, rate, far.rate, far.rate_date, self._recorded_at)
        return False

    def _refuse(self, fault: RefusedRate) -> None:
        self.num_refused += 1
        if len(self.refused) < NUM_LISTED:
            self.refused.append(fault)


def _fault(rate: Rate, line: int, today: date) -> RefusedRate | None:
    if rate.rate_date > today + timedelta(days=1):
        return RefusedRate(line, f"the day {rate.rate_date} lies in the future")
    if not rate.source.isprintable() or len(rate.source) > 500:
        return RefusedRate(line, "the source is too long or has a control character")
    return None
