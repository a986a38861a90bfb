"""What can be asked of price imports: bringing prices in, deciding on held rows, mapping names, refreshing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from planner.offers.change_guard import AllowedChanges
from planner.services.requests.base import Day, Key, Request, whole

GpuName = Annotated[str, Field(min_length=1, max_length=200)]


class ReadRequest(Request):
    """How a list of prices is to be read: as which source (None: told from its content), and of which day."""

    source: Key | None = None
    stated_date: Day | None = None
    allow_large_changes: AllowedChanges = AllowedChanges.NONE


class ImportRequest(ReadRequest):
    """The same, and whether only to say what it would do."""

    dry_run: bool = False


class DecisionRequest(Request):
    """Which held rows of an import are approved or refused; left out: all that wait."""

    rows: Annotated[tuple[Annotated[int, *whole(1, 2**63 - 1)], ...], Field(min_length=1, max_length=10_000)] | None = (
        None
    )


class MapNameRequest(Request):
    """Which GPU a provider's word stands for; without `scope` whichever provider uses it."""

    name: GpuName
    scope: Annotated[str, Field(max_length=100)] = ""
    gpu_key: Key


class PriceSourceRequest(Request):
    """When a source is read again by itself."""

    cron: Annotated[str, Field(min_length=1, max_length=200)] = "0 6 * * *"
    timezone: Annotated[str, Field(min_length=1, max_length=100)] = "UTC"
    enabled: bool = True
    allow_large_changes: AllowedChanges = AllowedChanges.NONE
