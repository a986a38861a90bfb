"""The guard against slips at a price's source: a change of more than a fifth waits for a person."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from planner.offers.offer import OfferKind

LARGEST_CHANGE = Decimal("0.20")  # as a share of the earlier price, up or down


class AllowedChanges(StrEnum):
    """Which changes pass however large they are."""

    NONE = "none"
    SPOT = "spot"  # spot prices move by the hour; every other kind is guarded
    ALL = "all"


def is_too_large(before: Decimal, after: Decimal) -> bool:
    """Whether the price moves by more than a fifth of what it was; exactly a fifth passes."""
    return abs(after - before) > LARGEST_CHANGE * before


def is_allowed(kind: OfferKind, allowed: AllowedChanges) -> bool:
    """Whether changes of any size pass for offers of this kind."""
    return allowed is AllowedChanges.ALL or (allowed is AllowedChanges.SPOT and kind is OfferKind.SPOT)


def change_in_words(before: Decimal, after: Decimal) -> str:
    """ "+1079 %" or "-44 %": the change as a share of the earlier price, in whole per cent."""
    return f"{(after - before) / before * 100:+.0f} %"
