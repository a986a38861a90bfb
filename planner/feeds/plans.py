"""How each price source on the network is asked: pages, keys and bodies; the addresses stand with the sources."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from planner.errors import NotFound
from planner.feeds import aws_spot_live, gpuhunt_live
from planner.feeds.fetch import AnswerRefused, FetchPlan, FetchSettings, Request, fetch
from planner.readers import aws_spot, gpuhunt, runpod
from planner.readers.json_stream import Path, members
from planner.readers.registry import SourceEntry, get_source
from planner.readers.unpack import FileFault

Pages = Callable[[FetchSettings], Iterator[BinaryIO]]


@dataclass(frozen=True, slots=True)
class Feed:
    """A source as it comes over the network: by a plan of requests, or by the provider's own library (`live`)."""

    entry: SourceEntry
    plan: FetchPlan | None = None
    live: Pages | None = None

    @property
    def place(self) -> str:
        """Where the list is from: an address without its query, or the provider's operation."""
        return self.entry.address if self.plan is None else self.plan.first.place

    def pages(self, settings: FetchSettings) -> Iterator[BinaryIO]:
        """The list, page by page, each whole. Raises FetchError."""
        if self.live is not None:
            return self.live(settings)
        if self.plan is None:
            raise NotFound(f"the price source {self.entry.name} is read from files only")
        return fetch(self.plan, settings)


def get_feed(name: str) -> Feed:
    """The source of that name as a feed. Raises NotFound where there is none, or it is read from files only."""
    entry = get_source(name)
    if not entry.is_on_network:
        raise NotFound(f"the price source {name} is read from files only")
    live = _live(name)
    if live is not None:
        return Feed(entry, live=live)
    make = _SPECIAL.get(name)
    plan = _get(entry.address) if make is None else make(entry.address)
    return Feed(entry, replace(plan, credential=entry.credential, sign=_SIGNS.get(name)))


def _live(name: str) -> Pages | None:
    """How a source is asked by a library of the provider's or of others; None: by our own requests."""
    if name.startswith(f"{aws_spot.READER.name}-"):
        return partial(aws_spot_live.pages, name.removeprefix(f"{aws_spot.READER.name}-"))
    if name.startswith(f"{gpuhunt.NAME}-"):
        return partial(gpuhunt_live.pages, name.removeprefix(f"{gpuhunt.NAME}-"))
    return None


def _get(url: str) -> FetchPlan:
    return FetchPlan(Request(url), frozenset({urlsplit(url).hostname or ""}))


def _post(url: str, document: object) -> FetchPlan:
    body = json.dumps(document).encode()
    return replace(_get(url), first=Request(url, "POST", body, {"Content-Type": "application/json"}))


def _azure(url: str) -> FetchPlan:
    asked = {
        "api-version": "2023-01-01-preview",
        "$filter": "serviceName eq 'Virtual Machines' and contains(armSkuName, 'Standard_N')",
    }
    return replace(_get(f"{url}?{urlencode(asked, quote_via=quote)}"), next_page=_next_link)


def _gcp(url: str) -> FetchPlan:
    return replace(_get(f"{url}?currencyCode=USD&pageSize=5000"), next_page=_next_token)


def _oci(url: str) -> FetchPlan:
    return _get(f"{url}?currencyCode=USD")


def _runpod(url: str) -> FetchPlan:
    return _post(url, {"query": runpod.QUERY})


def _vast(url: str) -> FetchPlan:
    return _post(url, {"rentable": {"eq": True}, "limit": 10_000})


def _next_link(request: Request, page: BinaryIO) -> Request | None:
    """Azure's next page: a whole address."""
    link = _at_top(page, "NextPageLink", ("Items",))
    return replace(request, url=link) if link else None


def _next_token(request: Request, page: BinaryIO) -> Request | None:
    """Google's next page: the same address with a token."""
    token = _at_top(page, "nextPageToken", ("skus",))
    if not token:
        return None
    parts = urlsplit(request.url)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "pageToken"]
    return replace(request, url=urlunsplit(parts._replace(query=urlencode([*query, ("pageToken", token)]))))


def _at_top(page: BinaryIO, name: str, items: Path) -> str:
    """The text of one member at the top of a page, "" where it is empty or missing. Raises AnswerRefused."""
    try:
        found = [value for path, key, value in members(page, [items]) if path == () and key == name]
    except FileFault as fault:
        raise AnswerRefused(f"The answer is no price list: {fault.row}: {fault.reason}.") from None
    return found[0] if found and isinstance(found[0], str) else ""


def _google_key(request: Request, key: str) -> Request:
    return replace(request, headers={**request.headers, "X-Goog-Api-Key": key})


def _bearer(request: Request, key: str) -> Request:
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {key}"})


_SPECIAL: Mapping[str, Callable[[str], FetchPlan]] = {
    "azure": _azure,
    "gcp": _gcp,
    "oci": _oci,
    "runpod": _runpod,
    "vast": _vast,
}
_SIGNS: Mapping[str, Callable[[Request, str], Request]] = {"gcp": _google_key, "lambda": _bearer}
