"""Where a plan's GPU time may come from, at what price, and what limits it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from planner import units
from planner.estimates.interruptions import RESTART_SECONDS, SPOT_INTERRUPTIONS_PER_HOUR, SPOT_WAIT_SECONDS

HOURS_PER_YEAR = 8760.0


class Kind(StrEnum):
    """The ways to get GPU time."""

    OWNED = "owned"
    PURCHASE = "purchase"
    RESERVED = "reserved"
    ON_DEMAND = "on_demand"
    SPOT = "spot"


COMMITTED = frozenset({Kind.PURCHASE, Kind.RESERVED})  # decided once, paid for whether used or not
RENTED = frozenset({Kind.ON_DEMAND, Kind.SPOT})  # paid for while used


@dataclass(frozen=True, slots=True)
class SpotTimes:
    """How spot comes and goes: mean hours up and down, and hours of work lost at each start.

    Expected: of an hour on the wall, up / (up + down) is paid for and (up - lost) / (up + down) is work.
    """

    mean_up_hours: float
    mean_down_hours: float
    lost_hours: float

    def __post_init__(self) -> None:
        if not 0 < self.mean_up_hours < math.inf or not 0 <= self.mean_down_hours < math.inf:
            raise ValueError("mean_up_hours must be above 0 and mean_down_hours not negative, both finite")
        if not 0 <= self.lost_hours < self.mean_up_hours:
            raise ValueError("lost_hours must be less than mean_up_hours: else no work is ever done")

    @property
    def paid_share(self) -> float:
        """Share of the time on the wall that is paid for."""
        return self.mean_up_hours / (self.mean_up_hours + self.mean_down_hours)

    @property
    def work_share(self) -> float:
        """Share of the time on the wall that is work done and kept."""
        return (self.mean_up_hours - self.lost_hours) / (self.mean_up_hours + self.mean_down_hours)


NEVER_INTERRUPTED = SpotTimes(mean_up_hours=1.0, mean_down_hours=0.0, lost_hours=0.0)
LOST_SECONDS = RESTART_SECONDS + 300.0  # assumed: a restart and half of ten minutes between checkpoints


def spot_times(
    up_hours: float | None = None, down_hours: float | None = None, lost_hours: float | None = None
) -> tuple[SpotTimes, tuple[str, ...]]:
    """Spot's times with what is unknown assumed, the one rule for it, and each assumption in words.

    The assumed ones are the middles that estimates take too (`planner.estimates.interruptions`).
    """
    assumed = []
    if up_hours is None:
        up_hours = 1 / SPOT_INTERRUPTIONS_PER_HOUR.mid
        assumed.append(f"how often spot is taken away is unknown: every {up_hours:.3g} h assumed")
    if down_hours is None:
        down_hours = SPOT_WAIT_SECONDS.mid / units.HOUR
        words = units.format_seconds(SPOT_WAIT_SECONDS.mid)
        assumed.append(f"how long until spot is there again is unknown: {words} assumed")
    if lost_hours is None:
        lost_hours = min(LOST_SECONDS / units.HOUR, 0.9 * up_hours)
        assumed.append(f"each start is assumed to lose {units.format_seconds(lost_hours * units.HOUR)} of work")
    return SpotTimes(up_hours, down_hours, lost_hours), tuple(assumed)


ASSUMED_SPOT, SPOT_ASSUMPTIONS = spot_times()


@dataclass(frozen=True, slots=True)
class Outage:
    """GPUs that are away between two moments (hours): maintenance."""

    from_hours: float
    until_hours: float
    num_gpus: int


@dataclass(frozen=True, slots=True)
class Supply:
    """One way to get GPU time: all money per GPU, in the request's currency.

    `price_per_hour`: on demand and spot per hour used; reserved per hour of the term; owned and purchase: what use
    adds (power). `num_gpus`: how many can be had (None: as many as are wanted; owned: how many there are).
    Rented GPUs come in whole instances of `gpus_per_instance`, each for one job or service at a time; where `is_shared`
    several small ones may share an instance, which is paid whole and by whole slots. Owned, bought and reserved ones
    are shared. It can be had from `from_hours` to `until_hours` only. Spot without `spot` counts with assumed times.
    Reserved: `upfront` at the start and the price through `term_hours`. It begins every `starts_every_hours`, as a
    purchase is ordered; 0: a reservation shorter than the horizon at any slot, all else at `from_hours` only.
    Purchase: `capex`, `residual` after `life_hours`, `cost_of_capital` a year, `fixed_per_hour` from arrival on,
    `lead_time_hours` until it can be used.
    `availability` is the share of GPUs that work (failures); `kw` what one draws in the room that has a power cap.
    """

    name: str
    gpu: str
    kind: Kind
    price_per_hour: float
    num_gpus: int | None = None
    gpus_per_instance: int = 1
    provider: str = ""
    region: str = ""
    from_hours: float = 0.0
    until_hours: float | None = None
    term_hours: float | None = None
    starts_every_hours: float = 0.0
    upfront: float = 0.0
    capex: float | None = None
    residual: float = 0.0
    life_hours: float | None = None
    cost_of_capital: float = 0.0
    fixed_per_hour: float = 0.0
    lead_time_hours: float = 0.0
    availability: float = 1.0
    outages: tuple[Outage, ...] = ()
    spot: SpotTimes | None = None
    kw: float = 0.0
    is_shared: bool | None = None  # None: as its kind is

    def __post_init__(self) -> None:
        if self.gpus_per_instance < 1:
            raise ValueError("gpus_per_instance must be at least 1")
        if not 0 < self.availability <= 1:
            raise ValueError("availability must be above 0 and at most 1")
        for name in (
            "price_per_hour",
            "upfront",
            "starts_every_hours",
            "residual",
            "cost_of_capital",
            "fixed_per_hour",
            "kw",
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and not negative, not {value}")
        if self.num_gpus is not None and self.num_gpus < 0:
            raise ValueError("num_gpus must not be negative")
        if self.kind is Kind.OWNED and self.num_gpus is None:
            raise ValueError("num_gpus must say how many are owned")
        if self.kind is Kind.RESERVED and not (self.term_hours and self.term_hours > 0):
            raise ValueError("term_hours must say how long the reservation holds")
        if self.kind is Kind.PURCHASE and (self.capex is None or not (self.life_hours and self.life_hours > 0)):
            raise ValueError("capex and life_hours must say what a purchase costs and how long it serves")

    @property
    def shared(self) -> bool:
        """Whether several jobs may use one instance at a time."""
        return self.kind not in RENTED if self.is_shared is None else self.is_shared

    @property
    def commitment_per_hour(self) -> float:
        """What one committed GPU costs per hour of its term or life, used or not.

        Reserved: price + upfront / term. Purchase: (capex - residual / (1+r)^n) · CRF / 8760 + fixed; r a year.
        """
        if self.kind is Kind.RESERVED:
            return self.price_per_hour + self.upfront / (self.term_hours or 1.0)
        if self.kind is not Kind.PURCHASE:
            return 0.0
        years = (self.life_hours or 0.0) / HOURS_PER_YEAR
        rate = self.cost_of_capital
        capex = self.capex or 0.0
        if rate == 0:
            return (capex - self.residual) / (years * HOURS_PER_YEAR) + self.fixed_per_hour
        grown = math.pow(1 + rate, years)
        recovery = rate * grown / (grown - 1)
        return (capex - self.residual / grown) * recovery / HOURS_PER_YEAR + self.fixed_per_hour

    @property
    def running_per_hour(self) -> float:
        """What an hour of use of one GPU adds; for spot, of an hour on the wall."""
        if self.kind is Kind.RESERVED:
            return 0.0
        return self.price_per_hour * (1.0 if self.times is None else self.times.paid_share)

    @property
    def work_share(self) -> float:
        """Work done per hour on the wall."""
        return 1.0 if self.times is None else self.times.work_share

    @property
    def times(self) -> SpotTimes | None:
        """How spot comes and goes, assumed where it is unknown; None: it is not spot."""
        return (self.spot or ASSUMED_SPOT) if self.kind is Kind.SPOT else None

    @property
    def is_paid_whole(self) -> bool:
        """Whether instances are shared and yet paid whole: rented ones of several GPUs."""
        return self.kind in RENTED and self.shared and self.gpus_per_instance > 1


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent between two moments (hours); commitments count by the hour of their term."""

    name: str
    from_hours: float
    until_hours: float
    amount: float


@dataclass(frozen=True, slots=True)
class Quota:
    """How many GPUs may be held at once from the supplies that match; empty fields match all."""

    name: str
    num_gpus: int
    provider: str = ""
    region: str = ""
    gpu: str = ""
    kinds: tuple[Kind, ...] = (Kind.ON_DEMAND, Kind.SPOT, Kind.RESERVED)

    def covers(self, supply: Supply) -> bool:
        wanted = ((self.provider, supply.provider), (self.region, supply.region), (self.gpu, supply.gpu))
        return supply.kind in self.kinds and all(not name or name == found for name, found in wanted)


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for the plan as a whole: budgets, quotas, the power cap of the room (of owned GPUs), vendors."""

    budgets: tuple[Budget, ...] = ()
    quotas: tuple[Quota, ...] = ()
    power_cap_kw: float | None = None
    providers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
