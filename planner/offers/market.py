"""Prices over time: the steps of one offer, and the lowest, middle and highest GPU-hour over many offers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from planner.offers.offer import Price
from planner.offers.priced import per_gpu_hour


@dataclass(frozen=True, slots=True)
class Step:
    """What held from one moment until another (None: still); `amount` None is unknown, `reason` says why."""

    price_id: int
    since: datetime
    until: datetime | None
    amount: Decimal | None
    reason: str


@dataclass(frozen=True, slots=True)
class PricedHour:
    """One price of one offer among many: `amount` per hour of the whole offer, None where it is withdrawn."""

    offer_id: int
    num_gpus: Decimal
    valid_from: datetime
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class MarketPoint:
    """The GPU-hour over the offers whose price is known at a moment; None where none is.

    The median of an even number is the lower one of the two in the middle, so that it is an offer that there is.
    """

    at: datetime
    num_offers: int
    lowest: Decimal | None
    median: Decimal | None
    highest: Decimal | None
    lowest_offer_id: int | None


def steps(history: Sequence[tuple[int, Price]], as_of: datetime) -> list[Step]:
    """What held until `as_of`, by price ids; of several for the same moment the one recorded last counts.

    `history` is in order of validity and then of recording, and holds only what was known.
    """
    last = {price.valid_from: (price_id, price) for price_id, price in history if price.valid_from <= as_of}
    ends = [*list(last)[1:], None]
    return [
        Step(price_id, price.valid_from, until, price.amount, price.reason)
        for (price_id, price), until in zip(last.values(), ends if last else [], strict=True)
    ]


def market(prices: Iterable[PricedHour], moments: Sequence[datetime]) -> list[MarketPoint]:
    """The market at each of these rising moments, from prices in order of validity and then of recording."""
    held: dict[int, Decimal] = {}
    coming = iter(prices)
    following = next(coming, None)
    found = []
    for moment in moments:
        while following is not None and following.valid_from <= moment:
            if following.amount is None:
                held.pop(following.offer_id, None)
            else:
                held[following.offer_id] = per_gpu_hour(following.amount, following.num_gpus)
            following = next(coming, None)
        found.append(_point(moment, held))
    return found


def evenly(first: datetime, last: datetime, number: int) -> list[datetime]:
    """So many moments from the first to the last, both among them."""
    if first >= last:
        return [last]
    return [*(first + (last - first) * place / (number - 1) for place in range(number - 1)), last]


def change_moments(points: Sequence[MarketPoint]) -> list[MarketPoint]:
    """The points at which something is different from the one before, and the last one."""
    changed = [after for before, after in pairwise(points) if _figures(before) != _figures(after)]
    return [*points[:1], *(point for point in changed if point is not points[-1]), *points[1:][-1:]]


def _figures(point: MarketPoint) -> tuple[object, ...]:
    return (point.num_offers, point.lowest, point.median, point.highest)


def _point(moment: datetime, held: dict[int, Decimal]) -> MarketPoint:
    if not held:
        return MarketPoint(moment, 0, None, None, None, None)
    ordered = sorted((price, offer_id) for offer_id, price in held.items())
    middle = ordered[(len(ordered) - 1) // 2]
    return MarketPoint(moment, len(ordered), ordered[0][0], middle[0], ordered[-1][0], ordered[0][1])
