"""The guard against slips at a source of exchange rates: a rate far from its neighbours waits for a person."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal

from planner.offers.change_guard import is_too_large
from planner.offers.currency import Rate

Known = Callable[[str, str], Iterable[Rate]]
_DIGITS = Context(prec=28, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The known rate of the nearest day, turned the same way round as the rate that is held against it."""

    rate: Decimal
    rate_date: date


class RateGuard:
    """Holds each rate against the one known for the nearest day, the earlier of two equally near ones.

    `known` gives every rate known between two currencies, whichever of them is the base; it is asked once per pair.
    A rate that was found near enough, and is added, is a neighbour of those that follow.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._series: dict[tuple[str, str], list[tuple[date, Decimal]]] = {}

    def too_far_from(self, rate: Rate) -> Neighbour | None:
        """The neighbour that it differs from by more than a fifth; None where it does not, or where there is none."""
        nearest = self._nearest(self._days_of(rate), rate.rate_date)
        if nearest is None:
            return None
        day, value = nearest
        before = value if rate.base < rate.quote else _inverse(value)
        return Neighbour(before, day) if is_too_large(before, rate.rate) else None

    def add(self, rate: Rate) -> None:
        """Let the rate be known from now on; one for a day that is known replaces it."""
        days = self._days_of(rate)
        at = bisect_left(days, rate.rate_date, key=lambda known: known[0])
        if at < len(days) and days[at][0] == rate.rate_date:
            del days[at]
        insort(days, (rate.rate_date, _ordered(rate)), key=lambda known: known[0])

    def _days_of(self, rate: Rate) -> list[tuple[date, Decimal]]:
        first, second = sorted((rate.base, rate.quote))
        if (first, second) not in self._series:
            by_day = {known.rate_date: _ordered(known) for known in self._known(first, second)}
            self._series[first, second] = sorted(by_day.items())
        return self._series[first, second]

    @staticmethod
    def _nearest(days: list[tuple[date, Decimal]], day: date) -> tuple[date, Decimal] | None:
        at = bisect_left(days, day, key=lambda known: known[0])
        around = days[max(at - 1, 0) : at + 1]
        return min(around, key=lambda known: abs(known[0] - day), default=None)


def _ordered(rate: Rate) -> Decimal:
    """What one unit of the currency that comes first by name is worth in the other."""
    return rate.rate if rate.base < rate.quote else _inverse(rate.rate)


def _inverse(value: Decimal) -> Decimal:
    return _DIGITS.divide(Decimal(1), value)
