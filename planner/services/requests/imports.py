"""What can be asked of price imports: bringing prices in, deciding on held rows, mapping names, refreshing."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from planner.offers.change_guard import AllowedChanges
from planner.services.requests.base import Key, Request, whole

GpuName = Annotated[str, Field(min_length=1, max_length=200)]
Actor = Annotated[str, Field(max_length=200)]


class ImportRequest(Request):
    """How a file or a source is brought in; without `source` the file's own format is recognised."""

    source: Key | None = None
    dry_run: bool = False
    allow_large_changes: AllowedChanges = AllowedChanges.NONE
    stated_date: date | None = None


class DecisionRequest(Request):
    """Which held rows of an import are approved or refused; left out: all that wait."""

    rows: Annotated[tuple[Annotated[int, *whole(1, 2**63 - 1)], ...], Field(min_length=1, max_length=10_000)] | None = (
        None
    )


class MapNameRequest(Request):
    """Which GPU a provider's word stands for; `scope` is the provider, left out for all."""

    name: GpuName
    gpu_key: Key
    scope: Annotated[str, Field(max_length=100)] = ""


class PriceSourceRequest(Request):
    """When a source is read again by itself."""

    cron: Annotated[str, Field(min_length=1, max_length=200)] = "0 6 * * *"
    timezone: Annotated[str, Field(min_length=1, max_length=100)] = "UTC"
    enabled: bool = True
    allow_large_changes: AllowedChanges = AllowedChanges.NONE
