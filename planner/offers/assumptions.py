"""What is taken for an owned GPU where nothing is given: a visible list, each default with its words and its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal

from planner.errors import FieldProblem, InvalidInput
from planner.offers.ownership import Asset, limits_of

OURS = "a choice of this project, no published figure at hand"
REQUIRED = {
    "price": "the all-in purchase price per GPU has no default",
    "busy_kw": "the draw in use has no default: the GPU and its share of the server",
}


@dataclass(frozen=True, slots=True)
class Default:
    """A figure taken where none is given: a number, or a share of another figure of the same asset."""

    field: str
    value: Decimal
    words: str
    source: str
    share_of: str = ""
    currency: str = ""  # an amount of money holds in its currency only


@dataclass(frozen=True, slots=True)
class Assumption:
    """A default that was used, and the figure that it came to."""

    field: str
    value: Decimal
    words: str
    source: str


@dataclass(frozen=True, slots=True)
class CompletedAsset:
    """An asset and what of it is assumed, to be shown with every figure that rests on it."""

    asset: Asset
    assumptions: tuple[Assumption, ...]


DEFAULTS = (
    Default("residual", Decimal(0), "nothing is got for it at the end", f"{OURS}: the cautious end"),
    Default(
        "years",
        Decimal(4),
        "4 years of use; large clouds write servers off over 5 to 6",
        "economic life in SemiAnalysisAI/InferenceX-app at 77ca49a, 2025-10",
    ),
    Default("cost_of_capital", Decimal("0.10"), "10 % a year", OURS),
    Default("idle_kw", Decimal("0.275"), "27.5 % of the draw in use", OURS, share_of="busy_kw"),
    Default("pue", Decimal("1.54"), "1.54, the average site", "Uptime Institute survey 2025, as reported 2026-01-19"),
    Default(
        "energy_price",
        Decimal("0.0826"),
        "0.0826 USD per kWh, the average of US industry in 2025",
        "epoch-research/training-cost-trends at 263c40a, cost_analysis_standalone.py",
        currency="USD",
    ),
    Default(
        "hosting_price", Decimal(0), "rooms of one's own: no rent per kW", f"{OURS}; colocation asks 115 to 250 USD"
    ),
    Default("contracted_kw", Decimal(1), "as much as it draws in use", OURS, share_of="busy_kw"),
    Default("maintenance", Decimal("0.03"), "3 % of the price a year", OURS),
    Default("staff", Decimal(900), "900 USD per GPU and year", OURS, currency="USD"),
    Default("software", Decimal(0), "none paid for", OURS),
    Default("insurance", Decimal(0), "none paid for", OURS),
    Default("failures", Decimal(0), "none beyond maintenance", OURS),
    Default("availability", Decimal(1), "never down", f"{OURS}: measure it"),
)


def complete(given: Mapping[str, Decimal | None], currency: str) -> CompletedAsset:
    """The asset of the figures given, the rest from `DEFAULTS`; what is None counts as not given.

    Raises InvalidInput naming each figure that is required, unknown, or without a default in this currency.
    """
    names = {field.name for field in fields(Asset)} - {"currency"}
    known = {name: value for name, value in given.items() if value is not None}
    problems = [FieldProblem(name, "is not a figure of an asset") for name in given if name not in names]
    problems += [FieldProblem(name, words) for name, words in REQUIRED.items() if name not in known]
    missing = [default for default in DEFAULTS if default.field not in known]
    problems += [
        FieldProblem(default.field, f"has a default in {default.currency} only; give it in {currency}")
        for default in missing
        if default.currency not in ("", currency)
    ]
    if problems:
        raise InvalidInput(problems)
    assumed = tuple(_assumption(default, known) for default in missing)
    figures = known | {assumption.field: assumption.value for assumption in assumed}
    return CompletedAsset(Asset(currency=currency, **figures), assumed)


def default_ranges(asset: Asset, utilisation: Decimal) -> dict[str, tuple[Decimal, Decimal]]:
    """Ranges to begin a sensitivity with, to be edited: the choices of this project, each with the asset within."""
    fifth = Decimal("0.2")
    wanted = {
        "utilisation": (max(utilisation - fifth, Decimal("0.01")), min(utilisation + fifth, Decimal(1))),
        "price": (max(asset.price * (1 - fifth), asset.residual), asset.price * (1 + fifth)),
        "years": (max(asset.years - 1, Decimal(1)), asset.years + 2),
        "residual": (Decimal(0), min(max(asset.price * Decimal("0.4"), asset.residual), asset.price)),
        "cost_of_capital": (Decimal("0.05"), Decimal("0.15")),
        "maintenance": (Decimal(0), Decimal("0.06")),
        "energy_price": (asset.energy_price * Decimal("0.6"), asset.energy_price * 2),
        "staff": (asset.staff / 2, asset.staff * 2),
        "pue": (Decimal("1.1"), Decimal("1.6")),
    }
    return {name: _around(name, ends, getattr(asset, name, utilisation)) for name, ends in wanted.items()}


def _around(name: str, ends: tuple[Decimal, Decimal], value: Decimal) -> tuple[Decimal, Decimal]:
    """The range widened to hold the value, and within what the figure can be."""
    lowest, highest = limits_of(name)
    return max(min(ends[0], value), lowest), min(max(ends[1], value), highest)


def _assumption(default: Default, known: Mapping[str, Decimal]) -> Assumption:
    value = default.value * known[default.share_of] if default.share_of else default.value
    return Assumption(default.field, value, default.words, default.source)
