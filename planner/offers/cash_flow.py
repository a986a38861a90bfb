"""Owning and renting year by year: what each pays, what owning saves, and what that is worth today."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from planner.offers.investment import ZERO, Flow, left_after, present_value
from planner.offers.ownership import HOURS_PER_YEAR, Asset


@dataclass(frozen=True, slots=True)
class Year:
    """A year of owning one GPU against renting the same used hours; year 0 is the purchase.

    `owning` and `renting` are paid in that year, the residual taken off in the last; the sums begin with year 0.
    `worth_so_far` is the present value of all saved until then: in the last year the net present value.
    """

    number: int
    owning: Decimal
    renting: Decimal
    owning_so_far: Decimal
    renting_so_far: Decimal
    worth_so_far: Decimal

    @property
    def saved_so_far(self) -> Decimal:
        """Undiscounted; below 0 while the purchase is not paid back."""
        return self.renting_so_far - self.owning_so_far


def years_of(
    asset: Asset, utilisation: Decimal, rent_per_hour: Decimal, *, rent_decline: Decimal, lead_years: Decimal
) -> tuple[Year, ...]:
    """The purchase and each year of use, paid at its end; use begins `lead_years` after the purchase.

    The figures are those of `own_or_rent`, which refuses what cannot be compared (half years of life among it).
    """
    running = asset.energy_per_year(utilisation) + asset.fixed_per_year
    used_hours = utilisation * asset.availability * HOURS_PER_YEAR
    found = [Year(0, asset.price, ZERO, asset.price, ZERO, -asset.price)]
    for number in range(1, int(asset.years) + 1):
        last = found[-1]
        owning = running - (asset.residual if number == asset.years else ZERO)
        renting = rent_per_hour * left_after(rent_decline, number - 1) * used_hours
        saved = Flow(number + lead_years, renting - owning)
        found.append(
            Year(
                number=number,
                owning=owning,
                renting=renting,
                owning_so_far=last.owning_so_far + owning,
                renting_so_far=last.renting_so_far + renting,
                worth_so_far=last.worth_so_far + present_value([saved], asset.cost_of_capital),
            )
        )
    return tuple(found)
