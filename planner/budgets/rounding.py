"""Exact sums of money, and rounding that happens once, when a document is made, with parts that add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from types import MappingProxyType

PLACES = 10  # of every amount, as charges are kept
# Decimal places of currencies that have not two (ISO 4217, from memory, 2026-11).
MINOR_UNITS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND"), 0),
        **dict.fromkeys(("VUV", "XAF", "XOF", "XPF"), 0),
        **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    }
)
_WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN)


def minor_units(currency: str) -> int:
    """To how many decimal places amounts of a currency are written."""
    return MINOR_UNITS.get(currency, 2)


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The sum with every digit."""
    total = Decimal(0)
    for amount in amounts:
        total = _WIDE.add(total, amount)
    return total


def in_places(value: Fraction, places: int = PLACES) -> Decimal:
    """A fraction to so many decimal places, half to even."""
    return _WIDE.scaleb(Decimal(round(value * 10**places)), -places)


def apportioned(amounts: Sequence[Decimal], places: int) -> tuple[Decimal, ...]:
    """Each amount to so many places, so that they add up to their rounded sum (half to even).

    Each is taken down to the place below it; what is missing goes to the largest remainders, the first of
    equal ones.
    """
    scaled = [Fraction(amount) * 10**places for amount in amounts]
    floors = [value.__floor__() for value in scaled]
    missing = round(sum(scaled, Fraction(0))) - sum(floors)
    by_remainder = sorted(range(len(scaled)), key=lambda place: (floors[place] - scaled[place], place))
    for place in by_remainder[:missing]:
        floors[place] += 1
    return tuple(_WIDE.scaleb(Decimal(value), -places) for value in floors)
