"""Where exchange rates are fetched from: reference rates that a central bank gives to everybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO

from planner.errors import NotFound
from planner.feeds.fetch import FetchPlan, FetchSettings, Request, fetch

_ECB = "www.ecb.europa.eu"


@dataclass(frozen=True, slots=True)
class RateFeed:
    """A source of exchange rates as it comes over the network."""

    name: str
    title: str
    plan: FetchPlan

    @property
    def place(self) -> str:
        """Its address without the query."""
        return self.plan.first.place

    def pages(self, settings: FetchSettings) -> Iterator[BinaryIO]:
        """The file, whole. Raises FetchError."""
        return fetch(self.plan, settings)


def _ecb(name: str, title: str, file: str) -> RateFeed:
    plan = FetchPlan(Request(f"https://{_ECB}/stats/eurofxref/{file}"), frozenset({_ECB}))
    return RateFeed(name, f"European Central Bank: {title}", plan)


RATE_FEEDS: Mapping[str, RateFeed] = MappingProxyType(
    {
        feed.name: feed
        for feed in (
            _ecb("ecb-rates", "rates of the last working day", "eurofxref-daily.xml"),
            _ecb("ecb-rates-90d", "rates of the last 90 days", "eurofxref-hist-90d.xml"),
            _ecb("ecb-rates-history", "all rates since 1999", "eurofxref-hist.xml"),
        )
    }
)


def get_rate_feed(name: str) -> RateFeed:
    """The source of that name. Raises NotFound, which lists them."""
    if name not in RATE_FEEDS:
        raise NotFound(f"There is no source of exchange rates {name!r}. There are {', '.join(RATE_FEEDS)}.")
    return RATE_FEEDS[name]
