"""Emissions: energy × site × grid, and unknown with its reason where one of them is."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from planner.estimates.answer import answer
from planner.estimates.carbon import Site, emissions
from planner.estimates.estimate import Placement
from planner.offers.grid import PUE, intensity_of, load_grid
from planner.quantity import Basis, Quantity
from tests.builders import offer, training_job
from tests.estimates.makers import attached, rented

TEN_KWH = Quantity.exact(3.6e7, "J", Basis.MEASURED)


def placed(**changes: object) -> Placement:
    return replace(rented(), offer=offer(num_gpus=Decimal(1), **changes))


def test_energy_times_site_times_grid() -> None:
    found = emissions(TEN_KWH, placed(provider="aws", region="us-east-1"), Site()).kilograms
    assert found is not None
    assert found.mid == pytest.approx(10 * 1.135 * 379.1 / 1000)
    assert found.low < found.mid < found.high
    assert any("379.1 g/kWh" in cause.name for cause in found.causes)


def test_what_the_user_enters_comes_first_and_has_no_spread_of_its_own() -> None:
    found = emissions(TEN_KWH, placed(), Site(grams_per_kwh=100.0, pue=1.5)).kilograms
    assert found is not None
    assert (found.mid, found.causes, found.basis) == (1.5, (), Basis.MEASURED)


@pytest.mark.parametrize(
    ("placement", "site", "word"),
    [
        (placed(provider="aws", region="the moon"), Site(), "grid"),
        (placed(provider="runpod", region="x"), Site(grams_per_kwh=100.0), "PUE"),
        (attached(), Site(), "grid"),
    ],
)
def test_unknown_says_why(placement: Placement, site: Site, word: str) -> None:
    found = emissions(TEN_KWH, placement, site)
    assert found.kilograms is None
    assert word in found.reason


def test_an_option_carries_it() -> None:
    option = answer(training_job(), [placed(provider="aws", region="us-east-1")], {}).options[0]
    assert option.carbon_kg is not None
    assert "carbon_kg" not in option.unknown
    unknown = answer(training_job(), [placed(provider="runpod")], {}).options[0]
    assert unknown.carbon_kg is None
    assert unknown.unknown["carbon_kg"]


def test_the_facts_are_sane() -> None:
    assert len(load_grid()) == 145
    assert all(1 <= found.grams_per_kwh <= 1200 and found.source for found in load_grid().values())
    assert all(1 < value < 2 for value in PUE.values())
    assert intensity_of("aws", "nowhere") is None
