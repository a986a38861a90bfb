"""The emissions of an outcome: its energy, what the site draws on top, and the grid that it is drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from planner.estimates.estimate import Placement
from planner.offers.grid import PUE, intensity_of
from planner.quantity import Basis, Cause, Quantity, weakest

JOULES_PER_KWH = 3.6e6
YEARLY_MEAN_SPREAD = 0.3  # assumed: an hour of the grid against its yearly mean
SITE_SPREAD = 0.05  # assumed: one site against the provider's mean


@dataclass(frozen=True, slots=True)
class Site:
    """What the user knows of the place: grams of CO₂-equivalent per kWh, and the site's PUE. None: taken from facts."""

    grams_per_kwh: float | None = None
    pue: float | None = None


@dataclass(frozen=True, slots=True)
class Emissions:
    """Kilograms of CO₂-equivalent of the GPUs' energy, or None with the reason. Its causes name the facts used."""

    kilograms: Quantity | None
    reason: str = ""


def emissions(energy_joules: Quantity | None, placement: Placement, site: Site) -> Emissions:
    """The emissions of so much energy of the GPUs on that placement. The rest of the host is not in it."""
    if energy_joules is None:
        return Emissions(None, "its energy is not known")
    offer = placement.offer
    provider, region = ("", "") if offer is None else (offer.provider, offer.region)
    grams, causes = site.grams_per_kwh, list(energy_joules.causes)
    basis = energy_joules.basis
    if grams is None:
        fact = intensity_of(provider, region)
        if fact is None:
            return Emissions(None, "what the grid of this place emits is not known; enter the grams per kWh")
        grams = fact.grams_per_kwh
        causes.append(Cause(f"grid of {region}: {grams:g} g/kWh is a yearly mean", YEARLY_MEAN_SPREAD))
        basis = weakest((basis, Basis.DERIVED))
    pue = site.pue
    if pue is None:
        pue = PUE.get(provider)
        if pue is None:
            return Emissions(None, "what this site draws on top of its machines (its PUE) is not known; enter it")
        causes.append(Cause(f"PUE {pue:g} is the mean of {provider}", SITE_SPREAD))
    kilograms = energy_joules.mid / JOULES_PER_KWH * pue * grams / 1000.0
    return Emissions(Quantity.around(kilograms, "kg", basis, tuple(causes)))
