"""What can be asked of the price book: filters, a moment, and a page of the answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from planner.offers.offer import OfferKind
from planner.services.requests.base import Key, Moment, Request, bytes_, whole


class PriceQuery(Request):
    """Which prices, as they held at `as_of` and as far as was known at `known_at` (both: now)."""

    gpu: Key | None = None
    provider: Key | None = None
    region: Key | None = None
    kind: OfferKind | None = None
    text: Annotated[str, Field(max_length=200)] | None = None
    min_memory: Annotated[float, *bytes_(1, 1e15)] | None = None
    order: Literal["per_gpu_hour", "per_hour", "gpu", "provider", "age"] = "per_gpu_hour"
    limit: Annotated[int, *whole(1, 1000)] = 100
    after: Annotated[str, Field(max_length=500)] | None = None
    as_of: Moment | None = None
    known_at: Moment | None = None


class MarketQuery(Request):
    """Which offers of a GPU are taken together: of one kind and, left out, the currency that most are priced in."""

    kind: OfferKind = OfferKind.ON_DEMAND
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    as_of: Moment | None = None
    known_at: Moment | None = None


class CompareListQuery(Request):
    """Which offers are put side by side, by their ids with commas between."""

    offers: Annotated[str, Field(pattern="^[0-9]{1,18}(,[0-9]{1,18}){0,49}$")]
    as_of: Moment | None = None
    known_at: Moment | None = None

    @property
    def offer_ids(self) -> tuple[int, ...]:
        return tuple(map(int, self.offers.split(",")))


class CompareQuery(Request):
    """Which offers are put side by side, by their ids, and at which moments."""

    offer: Annotated[tuple[Annotated[int, *whole(1, 2**63 - 1)], ...], Field(max_length=50)] = ()
    as_of: Moment | None = None
    known_at: Moment | None = None
