"""What can be said of an owned GPU, or of one to be bought, and what can be asked about it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from planner import units
from planner.services.requests.base import Day, Key, Money, Name, Request, field_problem, human, whole

Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]


def _decimal(low: str, high: str, example: str) -> tuple[object, ...]:
    return human("number", [example], units.parse_money, float(low), float(high))


def _share_of(text: str) -> Decimal:
    """A share from "0.1" or "10 %"."""
    stripped = text.strip()
    if stripped.endswith("%"):
        return units.parse_money(stripped.removesuffix("%")) / 100
    return units.parse_money(text)


Amount = Annotated[Decimal, *_decimal("0", "1e9", "1250.00")]
Kilowatts = Annotated[Decimal, *_decimal("0", "100", "1.275")]
Share = Annotated[Decimal, *human("number", ["10 %", "0.1"], _share_of, 0, 1)]
Years = Annotated[Decimal, *_decimal("0.5", "30", "4")]
Pue = Annotated[Decimal, *_decimal("1", "5", "1.3")]

LEAST_UTILISATION = Decimal("0.001")
RANGED = (
    *("utilisation", "price", "years", "residual", "cost_of_capital", "maintenance", "energy_price", "staff", "pue"),
)
FIGURES = (
    *("price", "residual", "years", "cost_of_capital", "busy_kw", "idle_kw", "pue", "energy_price"),
    *("hosting_price", "contracted_kw", "maintenance", "staff", "software", "insurance", "failures", "availability"),
)


class AssetRequest(Request):
    """GPUs owned or to be bought; figures are of one GPU with its share of the server, money in `currency`.

    `device_ids`: the attached devices that it is about; none for a planned purchase. What is left out is taken from
    the list of assumptions, and shown as such; price and draw have to be given.
    """

    name: Name
    currency: Currency = "USD"
    gpu_key: Key | None = None
    num_gpus: Annotated[int, *whole(1, 1_000_000)] = 1
    device_ids: Annotated[tuple[Key, ...], Field(max_length=1000)] = ()
    purchased_on: Day | None = None
    lead_time_days: Annotated[int, *whole(0, 3650)] | None = None
    utilisation: Share | None = None
    notes: Annotated[str, Field(max_length=2000)] = ""

    price: Amount
    spares: Share | None = None  # bought on top, as a share of the price
    residual: Amount | None = None
    years: Years | None = None
    cost_of_capital: Share | None = None
    busy_kw: Kilowatts
    idle_kw: Kilowatts | None = None
    pue: Pue | None = None
    energy_price: Amount | None = None
    hosting_price: Amount | None = None
    contracted_kw: Kilowatts | None = None
    maintenance: Share | None = None
    staff: Amount | None = None
    software: Amount | None = None
    insurance: Amount | None = None
    failures: Amount | None = None
    availability: Share | None = None

    @model_validator(mode="after")
    def _consistent(self) -> AssetRequest:
        if self.utilisation is not None and self.utilisation < LEAST_UTILISATION:
            raise field_problem("utilisation", "a GPU that is never used has no cost per used hour; leave it out")
        if len(set(self.device_ids)) != len(self.device_ids):
            raise field_problem("device_ids", "names a device twice")
        if self.device_ids and self.num_gpus not in (1, len(self.device_ids)):
            raise field_problem("num_gpus", f"{self.num_gpus} does not agree with {len(self.device_ids)} devices")
        return self


class RentRequest(Request):
    """A rent to hold an asset against; `utilisation` left out: the asset's own, else the measured one."""

    rent_per_hour: Money
    rent_decline: Share = Decimal(0)
    utilisation: Share | None = None


class CostQuery(Request):
    """What an asset is asked: its use, a rent to hold it against, and the ranges of the sensitivity.

    `utilisation` left out: the asset's own, else the measured one. `rent` left out: the cheapest offer on demand of
    that GPU. A range has both ends or none, and the default where it has none.
    """

    utilisation: Share | None = None
    rent: Money | None = None
    rent_decline: Share = Decimal(0)

    utilisation_low: Share | None = None
    utilisation_high: Share | None = None
    price_low: Amount | None = None
    price_high: Amount | None = None
    years_low: Years | None = None
    years_high: Years | None = None
    residual_low: Amount | None = None
    residual_high: Amount | None = None
    cost_of_capital_low: Share | None = None
    cost_of_capital_high: Share | None = None
    maintenance_low: Share | None = None
    maintenance_high: Share | None = None
    energy_price_low: Amount | None = None
    energy_price_high: Amount | None = None
    staff_low: Amount | None = None
    staff_high: Amount | None = None
    pue_low: Pue | None = None
    pue_high: Pue | None = None

    @property
    def ranges(self) -> dict[str, tuple[Decimal, Decimal]]:
        """The ranges that were given, by figure."""
        ends = {name: (getattr(self, f"{name}_low"), getattr(self, f"{name}_high")) for name in RANGED}
        return {name: (low, high) for name, (low, high) in ends.items() if low is not None and high is not None}

    @model_validator(mode="after")
    def _whole_ranges(self) -> Self:
        for name in RANGED:
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if (low is None) != (high is None):
                raise field_problem(f"{name}_{'low' if low is None else 'high'}", "is needed: a range has two ends")
            if low is not None and low > high:
                raise field_problem(f"{name}_high", f"{high} is less than the low end of {low}")
        if self.utilisation_low is not None and self.utilisation_low < LEAST_UTILISATION:
            raise field_problem("utilisation_low", "a GPU that is never used has no cost per used hour")
        return self


class ImaginedAsset(AssetRequest, CostQuery):
    """An asset and what it is asked, to know what it would cost: nothing is stored."""

    name: Name = "not stored"
