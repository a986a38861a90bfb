"""What a GPU of one's own costs per hour, and when owning beats renting.

All figures are of one GPU with its share of server, network, storage and installation; money in the asset's
currency, exact in decimals. Utilisation is the share of the available hours in which the GPU is used: it comes from
measured use and has no default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from planner.errors import FieldProblem, InvalidInput
from planner.offers.investment import ZERO, Flow, capital_recovery, left_after, payback_years, present_value

HOURS_PER_YEAR = Decimal(8760)
MONTHS_PER_YEAR = 12
_ONE = Decimal(1)
_HIGHEST = {  # what is above is a slip of the pen
    "cost_of_capital": _ONE,
    "availability": _ONE,
    "maintenance": _ONE,
    "pue": Decimal(5),
    "years": Decimal(30),
    "busy_kw": Decimal(100),
    "idle_kw": Decimal(100),
    "contracted_kw": Decimal(100),
}
_HIGHEST_AMOUNT = Decimal(10) ** 9
_LOWEST = {"pue": _ONE, "availability": Decimal("0.001")}  # a GPU that is never up is none
_ABOVE_ZERO = ("price", "years", "busy_kw", "availability")


class View(StrEnum):
    """How the purchase is spread over the years."""

    ECONOMIC = "economic"  # an annuity at the cost of capital
    ACCOUNTING = "accounting"  # in equal parts, without interest


@dataclass(frozen=True, slots=True)
class Asset:
    """One owned, or to be bought, GPU. Raises InvalidInput naming each field that cannot be."""

    currency: str
    price: Decimal  # all-in: GPU and its share of server, network, storage, installation, spares and tax
    residual: Decimal  # what it is sold for after `years`
    years: Decimal  # of use
    cost_of_capital: Decimal  # a year: 0.10 is 10 %
    busy_kw: Decimal  # draw at the socket while used, with its share of the server
    idle_kw: Decimal  # and while not
    pue: Decimal  # what the site draws for 1 kWh of the machine
    energy_price: Decimal  # per kWh
    hosting_price: Decimal  # per kW contracted and month
    contracted_kw: Decimal
    maintenance: Decimal  # share of the price a year
    staff: Decimal  # per year, as all of the following
    software: Decimal
    insurance: Decimal
    failures: Decimal  # repairs and replacements beyond maintenance
    availability: Decimal  # share of the hours in which it can be used at all

    def __post_init__(self) -> None:
        if problems := [problem for name in _figures() if (problem := _problem(name, getattr(self, name)))]:
            raise InvalidInput(problems)
        if self.residual > self.price:
            raise InvalidInput.of("residual", f"{self.residual} is more than the price of {self.price}")
        if self.idle_kw > self.busy_kw:
            raise InvalidInput.of("idle_kw", f"{self.idle_kw} kW idle is more than {self.busy_kw} kW busy")

    def capital_per_year(self, view: View = View.ECONOMIC) -> Decimal:
        """(P − S/(1+r)^n) × capital recovery, or in equal parts (P − S)/n."""
        if view is View.ACCOUNTING:
            return (self.price - self.residual) / self.years
        sold = self.residual / (1 + self.cost_of_capital) ** self.years
        return (self.price - sold) * capital_recovery(self.cost_of_capital, self.years)

    def energy_per_year(self, utilisation: Decimal) -> Decimal:
        """(kW_busy·u + kW_idle·(1−u)) × PUE × price per kWh × 8,760 h."""
        drawn_kw = self.busy_kw * utilisation + self.idle_kw * (1 - utilisation)
        return drawn_kw * self._energy_rate * HOURS_PER_YEAR

    @property
    def hosting_per_year(self) -> Decimal:
        return self.hosting_price * self.contracted_kw * MONTHS_PER_YEAR

    @property
    def maintenance_per_year(self) -> Decimal:
        return self.maintenance * self.price

    @property
    def fixed_per_year(self) -> Decimal:
        """All that is paid whether it is used or not, but capital and energy."""
        named = self.staff + self.software + self.insurance + self.failures
        return self.hosting_per_year + self.maintenance_per_year + named

    @property
    def _energy_rate(self) -> Decimal:
        return self.pue * self.energy_price


@dataclass(frozen=True, slots=True)
class HourlyCost:
    """What an hour on the wall clock costs, used or not, by part."""

    capital: Decimal
    energy: Decimal
    hosting: Decimal
    maintenance: Decimal
    staff: Decimal
    software: Decimal
    insurance: Decimal
    failures: Decimal

    @property
    def total(self) -> Decimal:
        return sum((getattr(self, field.name) for field in fields(self)), ZERO)


@dataclass(frozen=True, slots=True)
class OwnOrRent:
    """Owning against renting at one utilisation; a positive net present value is what owning saves."""

    own_per_used_hour: Decimal | None
    rent_per_hour: Decimal  # the mean over the life, where rents fall
    break_even_utilisation: Decimal | None
    net_present_value: Decimal
    payback_years: Decimal | None

    @property
    def owning_is_cheaper(self) -> bool:
        return self.net_present_value > 0


@dataclass(frozen=True, slots=True)
class Swing:
    """How far one assumption moves the cost of a used hour, all others held."""

    name: str
    low: Decimal
    high: Decimal
    cost_at_low: Decimal
    cost_at_high: Decimal

    @property
    def width(self) -> Decimal:
        return abs(self.cost_at_high - self.cost_at_low)


def wall_hour_cost(asset: Asset, utilisation: Decimal, view: View = View.ECONOMIC) -> HourlyCost:
    """The cost of an hour on the wall clock by part: yearly cost ÷ 8,760 h."""
    _check_share("utilisation", utilisation)
    return HourlyCost(
        capital=asset.capital_per_year(view) / HOURS_PER_YEAR,
        energy=asset.energy_per_year(utilisation) / HOURS_PER_YEAR,
        hosting=asset.hosting_per_year / HOURS_PER_YEAR,
        maintenance=asset.maintenance_per_year / HOURS_PER_YEAR,
        staff=asset.staff / HOURS_PER_YEAR,
        software=asset.software / HOURS_PER_YEAR,
        insurance=asset.insurance / HOURS_PER_YEAR,
        failures=asset.failures / HOURS_PER_YEAR,
    )


def used_hour_cost(asset: Asset, utilisation: Decimal, view: View = View.ECONOMIC) -> Decimal | None:
    """The cost of an hour of use: wall hour ÷ (utilisation × availability); None for a GPU that is never used."""
    wall = wall_hour_cost(asset, utilisation, view).total
    return wall / (utilisation * asset.availability) if utilisation > 0 else None


def break_even_utilisation(asset: Asset, rent_per_hour: Decimal, view: View = View.ECONOMIC) -> Decimal | None:
    """The utilisation above which owning costs less than that rent; above 1: rent in any case.

    (capital + fixed + idle energy) ÷ (rent·availability − (kW_busy − kW_idle)·PUE·price per kWh), per hour. None
    where the rent does not even pay for the energy that use adds, so that no utilisation is enough.
    """
    _check_rent(rent_per_hour)
    standing = asset.capital_per_year(view) + asset.fixed_per_year + asset.energy_per_year(ZERO)
    added_kw = asset.busy_kw - asset.idle_kw
    gained = rent_per_hour * asset.availability - added_kw * asset.pue * asset.energy_price
    return standing / (gained * HOURS_PER_YEAR) if gained > 0 else None


def mean_rent(rent_per_hour: Decimal, decline: Decimal, years: int) -> Decimal:
    """The mean over so many years of a rent that falls by the share `decline` each year: rent·(1−d)^t, t = 0 … n−1."""
    _check_share("decline", decline)
    _check_rent(rent_per_hour)
    if years < 1:
        raise InvalidInput.of("years", f"{years} is not one year or more")
    return rent_per_hour * sum((left_after(decline, year) for year in range(years)), ZERO) / years


def own_or_rent(
    asset: Asset,
    utilisation: Decimal,
    rent_per_hour: Decimal,
    *,
    rent_decline: Decimal = ZERO,
    lead_years: Decimal = ZERO,
) -> OwnOrRent:
    """Compare buying today with renting the same used hours, the rent falling by `rent_decline` a year.

    The price is paid at once; use, and the rent that it saves, begins `lead_years` later; what is saved in a year
    counts at its end, and the residual at the end of the life.
    """
    if not lead_years.is_finite() or lead_years < 0:
        raise InvalidInput.of("lead_years", f"{lead_years} is not 0 or more")
    years = _whole_years(asset)
    savings = _yearly_savings(asset, utilisation, rent_per_hour, rent_decline, lead_years)
    flows = [Flow(ZERO, -asset.price), *savings, Flow(asset.years + lead_years, asset.residual)]
    rent = mean_rent(rent_per_hour, rent_decline, years)
    return OwnOrRent(
        own_per_used_hour=used_hour_cost(asset, utilisation),
        rent_per_hour=rent,
        break_even_utilisation=break_even_utilisation(asset, rent),
        net_present_value=present_value(flows, asset.cost_of_capital),
        payback_years=payback_years(asset.price, savings, begin=lead_years),
    )


def limits_of(name: str) -> tuple[Decimal, Decimal]:
    """The least and the most that a figure of an asset can be."""
    return _LOWEST.get(name, ZERO), _HIGHEST.get(name, _HIGHEST_AMOUNT)


def tornado(asset: Asset, utilisation: Decimal, ranges: Mapping[str, tuple[Decimal, Decimal]]) -> tuple[Swing, ...]:
    """The cost of a used hour at both ends of each range, the widest swing first.

    A range is named after a field of the asset, or "utilisation".
    """
    if unknown := [name for name in ranges if name != "utilisation" and name not in _figures()]:
        raise InvalidInput([FieldProblem(name, "is not a figure of an asset") for name in unknown])
    swings = (
        Swing(name, low, high, _cost_with(asset, utilisation, name, low), _cost_with(asset, utilisation, name, high))
        for name, (low, high) in ranges.items()
    )
    return tuple(sorted(swings, key=lambda swing: swing.width, reverse=True))


def _yearly_savings(
    asset: Asset, utilisation: Decimal, rent_per_hour: Decimal, decline: Decimal, lead_years: Decimal
) -> list[Flow]:
    """Rent saved less energy and fixed cost, at the end of each year of use."""
    _check_share("utilisation", utilisation)
    _check_share("decline", decline)
    _check_rent(rent_per_hour)
    used_hours = utilisation * asset.availability * HOURS_PER_YEAR
    running = asset.energy_per_year(utilisation) + asset.fixed_per_year
    return [
        Flow(lead_years + year + 1, rent_per_hour * left_after(decline, year) * used_hours - running)
        for year in range(_whole_years(asset))
    ]


def _whole_years(asset: Asset) -> int:
    if asset.years != int(asset.years):
        raise InvalidInput.of("years", f"{asset.years} years: a comparison over time needs a whole number")
    return int(asset.years)


def _cost_with(asset: Asset, utilisation: Decimal, name: str, value: Decimal) -> Decimal:
    if name == "utilisation":
        cost = used_hour_cost(asset, value)
    else:
        change: dict[str, Any] = {name: value}
        cost = used_hour_cost(replace(asset, **change), utilisation)
    if cost is None:
        raise InvalidInput.of("utilisation", "a GPU that is never used has no cost per used hour")
    return cost


def _figures() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Asset) if field.name != "currency")


def _problem(name: str, value: Decimal) -> FieldProblem | None:
    if name in _ABOVE_ZERO and value == 0:
        return FieldProblem(name, "must be above 0")
    lowest, highest = limits_of(name)
    if not value.is_finite() or not lowest <= value <= highest:
        return FieldProblem(name, f"{value} is not between {lowest} and {highest}")
    return None


def _check_share(name: str, value: Decimal) -> None:
    if not value.is_finite() or not 0 <= value <= 1:
        raise InvalidInput.of(name, f"{value} is not a share between 0 and 1")


def _check_rent(rent_per_hour: Decimal) -> None:
    if not rent_per_hour.is_finite() or rent_per_hour <= 0:
        raise InvalidInput.of("rent_per_hour", f"{rent_per_hour} is not above 0")
