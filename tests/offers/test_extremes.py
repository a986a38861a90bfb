"""Whatever an asset may be within its bounds, it has a cost, parts that add up, and a range around every figure."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from planner.errors import InvalidInput
from planner.offers.assumptions import complete, default_ranges
from planner.offers.cash_flow import years_of
from planner.offers.ownership import Asset, own_or_rent, tornado, used_hour_cost, wall_hour_cost

ENDS = {
    "price": ("0.000000001", "40000", "1000000000"),
    "residual": (None, "0", "1", "8000"),
    "years": (None, "1", "4", "30"),
    "cost_of_capital": (None, "0", "0.000000000001", "0.1", "1"),
    "busy_kw": ("0.000001", "1.275", "100"),
    "idle_kw": (None, "0", "0.000001", "0.35"),
    "pue": (None, "1", "5"),
    "energy_price": (None, "0", "0.000000001", "1000000000"),
    "hosting_price": (None, "0", "1000000000"),
    "maintenance": (None, "0", "1"),
    "staff": (None, "0", "1000000000"),
    "availability": (None, "0.001", "1"),
}
GIVEN = st.fixed_dictionaries({name: st.sampled_from(ends) for name, ends in ENDS.items()})
USES = st.sampled_from(["0.001", "0.6", "1"]).map(Decimal)
RENTS = st.sampled_from(["0.000000001", "2.29", "1000000000000"]).map(Decimal)
DECLINES = st.sampled_from(["0", "0.05", "1"]).map(Decimal)
LEADS = st.sampled_from(["0", "0.25", "10"]).map(Decimal)


def asset_of(given: dict[str, str | None]) -> Asset:
    try:
        return complete({name: None if text is None else Decimal(text) for name, text in given.items()}, "USD").asset
    except InvalidInput:
        assume(False)
        raise


@given(GIVEN, USES)
def test_parts_add_up_and_every_range_holds_the_figure(given: dict[str, str | None], use: Decimal) -> None:
    asset = asset_of(given)
    wall, used = wall_hour_cost(asset, use), used_hour_cost(asset, use)
    assert used is not None
    assert wall.total >= 0
    assert abs(used * use * asset.availability - wall.total) <= wall.total * Decimal("1e-20")
    ranges = default_ranges(asset, use)
    for name, (low, high) in ranges.items():
        assert low <= (use if name == "utilisation" else getattr(asset, name)) <= high
    swings = tornado(asset, use, ranges)
    assert [swing.width for swing in swings] == sorted((swing.width for swing in swings), reverse=True)


@given(GIVEN, USES, RENTS, DECLINES, LEADS)
def test_the_years_add_up_to_the_whole_wherever_it_can_be_compared(
    given: dict[str, str | None], use: Decimal, rent: Decimal, decline: Decimal, lead: Decimal
) -> None:
    asset = asset_of(given)
    whole = own_or_rent(asset, use, rent, rent_decline=decline, lead_years=lead)
    years = years_of(asset, use, rent, rent_decline=decline, lead_years=lead)
    largest = max(abs(year.owning_so_far) + abs(year.renting_so_far) for year in years)
    assert abs(years[-1].worth_so_far - whole.net_present_value) <= largest * Decimal("1e-20")
    if whole.payback_years is not None:
        assert whole.payback_years <= asset.years + lead
