"""The few options that a decision is usually between, and what rejected ones lack: a long answer in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from planner.estimates.estimate import Answer, Bottleneck, Option, Rejection
from planner.offers.offer import OfferKind

CHEAPEST = "the cheapest"
FASTEST = "the fastest"
STEADY = "the cheapest that nobody interrupts"
AT_HAND = "the best of the devices at hand"
LIMITS = frozenset(
    {Bottleneck.DEADLINE, Bottleneck.BUDGET, Bottleneck.POWER, Bottleneck.PRICE, Bottleneck.INTERRUPTIONS}
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One option, by its place among all (0 is the best by the goal), and what it is the best in."""

    rank: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommonLack:
    """Rejections that lack the same: how many, and one that stands for them.

    It is the first (by the goal, where it exceeds a limit); of those without memory enough the one with most in all.
    """

    bottleneck: Bottleneck
    num_rejected: int
    first: Rejection


def choices(answer: Answer) -> tuple[Choice, ...]:
    """The cheapest, the fastest, the cheapest uninterrupted and the best attached option, in the answer's order.

    Costs are compared within the best option's currency; an option whose cost is unknown is in no race for the least.
    An option that wins several stands once, with all its names.
    """
    options = answer.options
    if not options:
        return ()
    currency = options[0].placement.currency
    priced = [
        (rank, cost)
        for rank, option in enumerate(options)
        if (cost := _cost(option)) is not None and option.placement.currency == currency
    ]
    steady = [(rank, cost) for rank, cost in priced if not _is_spot(options[rank])]
    at_hand = [(rank, float(rank)) for rank, option in enumerate(options) if option.placement.device_id is not None]
    fastest = [(rank, _slowness(option)) for rank, option in enumerate(options)]
    found: dict[int, list[str]] = {}
    for name, race in ((CHEAPEST, priced), (FASTEST, fastest), (STEADY, steady), (AT_HAND, at_hand)):
        if race:
            found.setdefault(_least(race), []).append(name)
    return tuple(Choice(rank, _without_repeats(names)) for rank, names in sorted(found.items()))


def common_lacks(answer: Answer) -> tuple[CommonLack, ...]:
    """What the rejected lack, the commonest first."""
    counts = Counter(rejection.bottleneck for rejection in answer.rejections)
    return tuple(
        CommonLack(bottleneck, count, _nearest([one for one in answer.rejections if one.bottleneck is bottleneck]))
        for bottleneck, count in counts.most_common()
    )


def nearest_miss(lacks: Sequence[CommonLack]) -> CommonLack | None:
    """Where nothing fits, what to tell first: a limit that was exceeded, for there the job runs; else the commonest."""
    return next((lack for lack in lacks if lack.bottleneck in LIMITS), lacks[0] if lacks else None)


def _nearest(rejections: Sequence[Rejection]) -> Rejection:
    if rejections[0].bottleneck is not Bottleneck.MEMORY:
        return rejections[0]
    return max(rejections, key=_memory_of_all)


def _memory_of_all(rejection: Rejection) -> float:
    """Bytes of all GPUs of a place together."""
    place = rejection.placement
    each = place.device_memory_bytes or (place.gpu.memory_bytes.value if place.gpu.memory_bytes else 0.0)
    return float(place.num_gpus) * each


def _cost(option: Option) -> float | None:
    """What is compared: the cost of the job, or of a million tokens of a service."""
    cost = option.cost_per_million_tokens if option.seconds is None else option.cost
    return None if cost is None else cost.mid


def _slowness(option: Option) -> float:
    return 1 / option.tokens_per_second.mid if option.seconds is None else option.seconds.mid


def _is_spot(option: Option) -> bool:
    return option.placement.offer is not None and option.placement.offer.kind is OfferKind.SPOT


def _least(race: Sequence[tuple[int, float]]) -> int:
    """The rank with the least figure; of equals the one that the goal ranks first."""
    return min((figure, rank) for rank, figure in race)[1]


def _without_repeats(names: Sequence[str]) -> tuple[str, ...]:
    """The cheapest of all that nobody interrupts is said once."""
    return tuple(name for name in names if not (name == STEADY and CHEAPEST in names))
