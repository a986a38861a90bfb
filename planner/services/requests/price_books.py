"""What can be said of a negotiated price book."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field, model_validator

from planner.offers.offer import OfferKind
from planner.services.requests.assets import Share
from planner.services.requests.base import Key, Moment, Money, Name, Request, field_problem
from planner.services.requests.fx import Code


class TermRequest(Request):
    """Offers of a provider, narrowed down by what else is given, with a discount or an amount per hour."""

    provider: Key
    region: Key | None = None
    instance_type: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    gpu_key: Key | None = None
    kind: OfferKind | None = None
    discount: Share | None = None
    amount: Money | None = None
    currency: Code | None = None
    per_gpu: bool = False

    @model_validator(mode="after")
    def _one_of(self) -> TermRequest:
        if (self.discount is None) == (self.amount is None):
            raise field_problem("discount", "give either a discount or an amount")
        if self.discount is not None and not 0 < self.discount < Decimal(1):
            raise field_problem("discount", "must be more than 0 and less than 1 (100 %)")
        if self.amount is not None and self.currency is None:
            raise field_problem("currency", "is needed: an amount has its currency")
        return self


class PriceBookRequest(Request):
    """A book of terms that holds from `valid_from` until `valid_until`, for the roles named or for all."""

    name: Name
    source: Annotated[str, Field(min_length=1, max_length=300)]
    valid_from: Moment
    valid_until: Moment | None = None
    roles: Annotated[tuple[Key, ...], Field(max_length=50)] = ()
    terms: Annotated[tuple[TermRequest, ...], Field(min_length=1, max_length=5000)]

    @model_validator(mode="after")
    def _in_order(self) -> PriceBookRequest:
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise field_problem("valid_until", "must be later than valid_from")
        return self


class RolesQuery(Request):
    """Which books: those that `role` may see, as far as was known at `known_at`, that hold at `valid_at`."""

    role: Key | None = None
    known_at: Moment | None = None
    valid_at: Moment | None = None

    @property
    def roles(self) -> frozenset[str]:
        return frozenset() if self.role is None else frozenset({self.role})
