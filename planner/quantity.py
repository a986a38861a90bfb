"""A number that can be trusted: low–mid–high with its unit, where it comes from and what widens it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Basis(StrEnum):
    """Where a number comes from, best first."""

    MEASURED = "measured"  # on this very device, at this very point
    INTERPOLATED = "interpolated"  # between measurements of this device
    TRANSFERRED = "transferred"  # from measurements of another device
    DERIVED = "derived"  # arithmetic on published figures
    ASSUMED = "assumed"  # a labelled default
    UNKNOWN = "unknown"  # nothing to go by

    @property
    def rank(self) -> int:
        """0 for measured … 5 for unknown."""
        return list(Basis).index(self)


def weakest(bases: Iterable[Basis]) -> Basis:
    """The basis of a number made of several: that of its weakest part."""
    return max(bases, key=lambda basis: basis.rank)


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for a range: `spread` is the half-width in log space, so 0.10 means about ±10 %."""

    name: str
    spread: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.spread) and self.spread >= 0):
            raise ValueError(f"spread of {self.name!r} must be finite and not negative, not {self.spread}")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A positive quantity in an SI unit with a range meant to hold nine times in ten.

    `causes` add in quadrature (they are taken as independent) to the log half-width of the range.
    """

    low: float
    mid: float
    high: float
    unit: str
    basis: Basis
    causes: tuple[Cause, ...] = ()

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (self.low, self.mid, self.high)):
            raise ValueError(f"a quantity is finite; unknown is None, not {self}")
        if not 0 <= self.low <= self.mid <= self.high:
            raise ValueError(f"0 ≤ low ≤ mid ≤ high does not hold for {self}")

    @classmethod
    def around(cls, mid: float, unit: str, basis: Basis, causes: Sequence[Cause] = ()) -> Quantity:
        """The range mid·e^∓w with w the root of the summed squares of the causes' spreads."""
        width = math.sqrt(sum(cause.spread**2 for cause in causes))
        return cls(mid * math.exp(-width), mid, mid * math.exp(width), unit, basis, tuple(causes))

    @classmethod
    def exact(cls, value: float, unit: str, basis: Basis) -> Quantity:
        """A number without a range of its own, such as a count or a posted price."""
        return cls(value, value, value, unit, basis)

    def times(self, factor: float, unit: str | None = None) -> Quantity:
        """The quantity scaled by an exact factor, in `unit` where the factor carries one."""
        return Quantity(
            self.low * factor,
            self.mid * factor,
            self.high * factor,
            unit or self.unit,
            self.basis,
            self.causes,
        )
