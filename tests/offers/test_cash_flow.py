"""Year by year adds up to the comparison over the whole life."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from planner.offers.cash_flow import years_of
from planner.offers.ownership import own_or_rent
from tests.offers.test_ownership import asset

RACK = asset()


@pytest.mark.parametrize("share", ["0.3", "0.6", "1"])
@pytest.mark.parametrize("rent", ["1.25", "2.29", "3.50"])
@pytest.mark.parametrize(("decline", "lead"), [("0", "0"), ("0.1", "0"), ("0.05", "0.5"), ("1", "0")])
def test_the_last_year_is_worth_the_net_present_value(share: str, rent: str, decline: str, lead: str) -> None:
    how = {"rent_decline": Decimal(decline), "lead_years": Decimal(lead)}
    found = years_of(RACK, Decimal(share), Decimal(rent), **how)
    whole = own_or_rent(RACK, Decimal(share), Decimal(rent), **how)
    assert [year.number for year in found] == [0, 1, 2, 3, 4]
    assert abs(found[-1].worth_so_far - whole.net_present_value) < Decimal("1e-18")


def test_the_sums_are_those_of_the_years_and_the_residual_comes_back_in_the_last() -> None:
    found = years_of(RACK, Decimal("0.6"), Decimal("2.29"), rent_decline=Decimal(0), lead_years=Decimal(0))
    assert found[0].owning_so_far == RACK.price
    assert found[-1].owning_so_far == sum(year.owning for year in found)
    assert found[-1].renting_so_far == Decimal("2.29") * Decimal("0.6") * 8760 * 4
    assert found[3].owning - found[4].owning == RACK.residual


def test_payback_lies_between_the_years_in_which_the_sums_cross() -> None:
    kept = replace(RACK, residual=Decimal(0))
    whole = own_or_rent(kept, Decimal(1), Decimal("3.50"))
    found = years_of(kept, Decimal(1), Decimal("3.50"), rent_decline=Decimal(0), lead_years=Decimal(0))
    assert whole.payback_years is not None
    behind = [year.number for year in found if year.saved_so_far < 0]
    assert behind[-1] < whole.payback_years <= behind[-1] + 1
