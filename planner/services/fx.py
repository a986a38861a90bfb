"""Exchange rates: brought in with their source, and amounts converted at those of a day as far as was known then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from planner.errors import InvalidInput
from planner.offers.currency import MAX_AGE, Conversion, Rate, RefusedRate, convert, read_rates
from planner.services.requests.fx import RateQuery, RateRequest
from planner.store import fx as store
from planner.store import offers as offer_store
from planner.store.engine import Session

NUM_LISTED = 1000


@dataclass(frozen=True, slots=True)
class RatesImport:
    """What bringing rates in did; `refused` lists the first lines that could not be used, `num_refused` counts all."""

    num_added: int
    num_known: int
    num_refused: int
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


def record_rates(session: Session, requests: Sequence[RateRequest], now: datetime) -> RatesImport:
    """Append rates. Raises InvalidInput for one that cannot be: none is stored then."""
    rates = [Rate(each.base, each.quote, each.rate, each.rate_date, each.source) for each in requests]
    return _append(session, rates, now)


def import_rates(session: Session, lines: Iterable[str], now: datetime, source: str = "") -> RatesImport:
    """Append the rates of a CSV file; `source` is needed for the form with a column a currency, which states none.

    Lines that cannot be used are listed and stop no others. Safe to repeat.
    """
    return _append(session, read_rates(lines, source), now)


def list_rates(session: Session, query: RateQuery) -> list[RateView]:
    """Stored rates, the last recorded first."""
    found = store.newest_rates(session, query.base, query.quote, query.limit, query.after)
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


def _append(session: Session, found: Iterable[Rate | RefusedRate], now: datetime) -> RatesImport:
    offer_store.lock_writers(session)
    newest = store.newest_recorded_at(session)
    recorded_at = now if newest is None or newest < now else newest + timedelta(microseconds=1)
    refused: list[RefusedRate] = []
    num_refused = 0
    today = now.astimezone(UTC).date()

    def sound() -> Iterator[Rate]:
        nonlocal num_refused
        for line, item in enumerate(found, start=1):
            fault = item if isinstance(item, RefusedRate) else _fault(item, line, today)
            if fault is None and isinstance(item, Rate):
                yield item
            elif fault is not None:
                num_refused += 1
                if len(refused) < NUM_LISTED:
                    refused.append(fault)

    num_added, num_known = store.append_rates(session, sound(), recorded_at)
    if num_refused and not num_added and not num_known:
        raise InvalidInput.of("file", f"no line can be used; line {refused[0].line}: {refused[0].reason}")
    return RatesImport(num_added, num_known, num_refused, tuple(refused), recorded_at)


def _fault(rate: Rate, line: int, today: date) -> RefusedRate | None:
    if rate.rate_date > today + timedelta(days=1):
        return RefusedRate(line, f"the day {rate.rate_date} lies in the future")
    if not rate.source.isprintable() or len(rate.source) > 500:
        return RefusedRate(line, "the source is too long or has a control character")
    return None
