"""What can be asked of tokens: one for a program on another computer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from planner.services.requests.base import Name, Request, whole

MOST_DAYS = 366


class Scope(StrEnum):
    """What a token may do."""

    READ_COSTS = "read:costs"  # estimates, plans, prices, assets, exchange rates and the ledger
    READ_INVENTORY = "read:inventory"  # devices, calibrations and schedules
    WRITE_PLANS = "write:plans"  # make estimates and plans, and enter what jobs took
    ADMIN = "admin"  # all of it, and everything else that the API has


class TokenRequest(Request):
    """A token under a name of its own; it ends by itself after so many days."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=len(Scope))] = (Scope.READ_COSTS,)
    days: Annotated[int, *whole(1, MOST_DAYS)] = 90
