"""What the electricity of a region emits, and what a provider's sites draw on top of their machines: facts with source.

Yearly means of the grid of each cloud region in grams of CO₂-equivalent per kWh, from published methodologies; a
provider's own contracts for green power are not in them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

# Power usage effectiveness: what the whole site draws for each kWh of its machines. The providers' figures of 2023,
# as in cloud-carbon-footprint at b7a049c (Apache-2.0).
PUE: Mapping[str, float] = {"aws": 1.135, "gcp": 1.1, "azure": 1.185}


@dataclass(frozen=True, slots=True)
class GridIntensity:
    """Grams of CO₂-equivalent per kWh of a region's grid, a yearly mean. `as_of` None: the source states no date."""

    grams_per_kwh: float
    source: str
    as_of: date | None


@cache
def load_grid() -> Mapping[tuple[str, str], GridIntensity]:
    """The packaged facts by (provider, region)."""
    text = files("planner.offers").joinpath("grid.csv").read_text(encoding="utf-8")
    return {
        (row["provider"], row["region"]): GridIntensity(
            float(row["g_per_kwh"]),
            row["source"],
            date.fromisoformat(row["as_of"]) if row["as_of"] else None,
        )
        for row in csv.DictReader(text.splitlines())
    }


def intensity_of(provider: str, region: str) -> GridIntensity | None:
    """The region's grid; None where the facts do not have it."""
    return load_grid().get((provider, region))
