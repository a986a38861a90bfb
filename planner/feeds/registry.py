"""All price sources by name: the reader of each, where it is fetched from, and which one an uploaded file is of."""

from __future__ import annotations

import csv
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import BinaryIO
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from planner.errors import NotFound
from planner.feeds import (
    aws_price_list,
    aws_spot,
    azure,
    focus,
    gcp,
    gpuhunt,
    history,
    lambda_labs,
    oci,
    own_csv,
    runpod,
    skypilot,
    vast,
)
from planner.feeds.fetch import AnswerRefused, FetchPlan, FetchSettings, Request, fetch, joined
from planner.feeds.json_stream import Path, members
from planner.feeds.source import Quote, ReadContext, Refused, Source
from planner.feeds.unpack import FileFault
from planner.offers.book import COLUMNS


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One source: its reader, the provider if the format does not say it, and how it is fetched; None: files only."""

    name: str
    title: str
    source: Source
    provider: str = ""
    plan: FetchPlan | None = None


AWS_PRICE_REGIONS = (
    *("us-east-1", "us-east-2", "us-west-2", "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2"),
    *("ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "sa-east-1"),
)
SKYPILOT_CLOUDS = (  # those of schema 8, which is kept up to date
    *("aws", "cudo", "gcp", "hyperbolic", "hyperstack", "jarvislabs", "lambda", "lium", "mithril", "nebius", "oci"),
    *("primeintellect", "runpod", "seeweb", "shadeform", "spheron", "vast", "verda", "yotta"),
)
SKYPILOT_FILE_CLOUDS = ("azure", "do", "fluidstack", "ibm", "ovhcloud", "paperspace", "scaleway", "scp")
GPUHUNT_PROVIDERS = ("aws", "azure", "cloudrift", "gcp", "lambdalabs", "nebius", "oci", "runpod", "verda")
HISTORY_PROVIDERS = ("aws", "azure", "gcp")


def _entries() -> Iterator[SourceEntry]:
    yield from map(_entry, (own_csv.READER, focus.READER, history.READER, aws_price_list.READER, aws_spot.READER))
    yield _entry(azure.READER, plan=_AZURE)
    yield _entry(gcp.READER, plan=_GCP)
    yield _entry(oci.READER, plan=_OCI)
    yield _entry(runpod.READER, plan=_RUNPOD)
    yield _entry(vast.READER, plan=_VAST)
    yield _entry(lambda_labs.READER, plan=_LAMBDA)
    yield from map(_entry, (skypilot.READER, gpuhunt.READER))
    yield from (_part(aws_price_list.READER, region, plan=_aws_price_list(region)) for region in AWS_PRICE_REGIONS)
    yield from (_part(skypilot.READER, name, name, _skypilot(name)) for name in SKYPILOT_CLOUDS)
    yield from (_part(skypilot.READER, name, name) for name in SKYPILOT_FILE_CLOUDS)
    yield from (_part(gpuhunt.READER, name, name) for name in GPUHUNT_PROVIDERS)
    yield from (_part(history.READER, name, name) for name in HISTORY_PROVIDERS)


def _entry(source: Source, plan: FetchPlan | None = None) -> SourceEntry:
    return SourceEntry(source.name, source.title, source, plan=plan)


def _part(source: Source, part: str, provider: str = "", plan: FetchPlan | None = None) -> SourceEntry:
    return SourceEntry(f"{source.name}-{part}", f"{source.title}: {part}", source, provider, plan)


def _get(url: str, next_page: Callable[[Request, BinaryIO], Request | None] | None = None) -> FetchPlan:
    return FetchPlan(Request(url), _hosts(url), next_page)


def _hosts(url: str) -> frozenset[str]:
    return frozenset({urlsplit(url).hostname or ""})


def _aws_price_list(region: str) -> FetchPlan:
    return _get(f"https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonEC2/current/{region}/index.csv")


def _skypilot(cloud: str) -> FetchPlan:
    return _get(f"https://raw.githubusercontent.com/skypilot-org/skypilot-catalog/master/catalogs/v8/{cloud}/vms.csv")


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


def _post(url: str, document: object) -> FetchPlan:
    body = json.dumps(document).encode()
    return FetchPlan(Request(url, "POST", body, {"Content-Type": "application/json"}), _hosts(url))


_AZURE_FILTER = {
    "api-version": "2023-01-01-preview",
    "$filter": "serviceName eq 'Virtual Machines' and contains(armSkuName, 'Standard_N')",
}
_GOOGLE_COMPUTE = "6F81-5844-456A"
_AZURE = _get(f"https://prices.azure.com/api/retail/prices?{urlencode(_AZURE_FILTER, quote_via=quote)}", _next_link)
_GCP = replace(
    _get(
        f"https://cloudbilling.googleapis.com/v1/services/{_GOOGLE_COMPUTE}/skus?currencyCode=USD&pageSize=5000",
        _next_token,
    ),
    credential="PLANNER_GOOGLE_API_KEY",
    sign=_google_key,
)
_OCI = _get("https://apexapps.oracle.com/pls/apex/cetools/api/v1/products/?currencyCode=USD")
_RUNPOD = _post("https://api.runpod.io/graphql", {"query": runpod.QUERY})
_VAST = _post("https://console.vast.ai/api/v0/bundles/", {"rentable": {"eq": True}, "limit": 10_000})
_LAMBDA = replace(
    _get("https://cloud.lambda.ai/api/v1/instance-types"), credential="PLANNER_LAMBDA_API_KEY", sign=_bearer
)
SOURCES: Mapping[str, SourceEntry] = MappingProxyType({entry.name: entry for entry in _entries()})


def get_source(name: str) -> SourceEntry:
    """The source of that name. Raises NotFound, which lists them."""
    if name not in SOURCES:
        raise NotFound(f"There is no price source {name!r}. There are {', '.join(SOURCES)}.")
    return SOURCES[name]


def read_file(entry: SourceEntry, stream: BinaryIO, context: ReadContext) -> Iterator[Quote | Refused]:
    """What the source's reader finds in a file."""
    return entry.source.read(stream, _with_provider_of(entry, context))


def read_network(entry: SourceEntry, settings: FetchSettings, context: ReadContext) -> Iterator[Quote | Refused]:
    """What the source says now, page after page as it is fetched. Raises FetchError where it cannot be had.

    The error may come after some quotes: nothing of them is to be kept then.
    """
    if entry.plan is None:
        raise NotFound(f"The price source {entry.name} is read from files only.")
    return entry.source.read(joined(fetch(entry.plan, settings)), _with_provider_of(entry, context))


def _with_provider_of(entry: SourceEntry, context: ReadContext) -> ReadContext:
    return replace(context, provider=entry.provider) if entry.provider else context


def detect(first_bytes: bytes, filename: str = "") -> str | None:
    """The source whose format the first few kilobytes are, None where that is not certain.

    Formats are told by their columns or members. The provider, where the file does not hold it, is taken from the
    file's name or folder if it stands there as a word of its own ("aws_history.csv", "v8/gcp/vms.csv").
    """
    text = _as_text(first_bytes)
    if text.lstrip().startswith("{"):
        return _detect_json(text)
    columns = _columns(text, 1)
    if columns[: len(COLUMNS)] == COLUMNS:
        return own_csv.READER.name
    if set(focus.NEEDED) <= set(columns):
        return focus.READER.name
    if {"InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "SpotPrice", "Region"} <= set(columns):
        return _of_provider(skypilot.READER.name, filename)
    if set(gpuhunt.NEEDED) <= set(columns):
        return _of_provider(gpuhunt.READER.name, filename)
    if {"region", history.ON_DEMAND} <= set(columns):
        return history.READER.name if "provider" in columns else _of_provider(history.READER.name, filename)
    if columns[:1] == ("FormatVersion",) and "OfferTermCode" in _columns(text, aws_price_list.HEADER_LINE):
        return aws_price_list.READER.name
    return None


_JSON_MARKS = {  # members that only one format has, in the order in which they are looked for
    aws_price_list.READER.name: ('"offerCode"', '"AmazonEC2"'),
    aws_spot.READER.name: ('"SpotPriceHistory"',),
    azure.READER.name: ('"Items"', '"armSkuName"'),
    gcp.READER.name: ('"skus"', '"serviceRegions"'),
    oci.READER.name: ('"items"', '"partNumber"', '"metricName"'),
    runpod.READER.name: ('"gpuTypes"',),
    vast.READER.name: ('"offers"', '"dph_base"'),
    lambda_labs.READER.name: ('"instance_type"', '"price_cents_per_hour"'),
}


def _detect_json(text: str) -> str | None:
    found = [name for name, marks in _JSON_MARKS.items() if all(mark in text for mark in marks)]
    return found[0] if len(found) == 1 else None


def _as_text(first_bytes: bytes) -> str:
    if first_bytes.startswith(b"\x1f\x8b"):
        try:
            first_bytes = zlib.decompressobj(wbits=31).decompress(first_bytes, 64 * 1024)
        except zlib.error:
            return ""
    return first_bytes.decode("utf-8-sig", "replace")


def _columns(text: str, line: int) -> tuple[str, ...]:
    """The fields of one line, () where it is no CSV."""
    try:
        return tuple(field.strip() for field in next(csv.reader(text.splitlines()[line - 1 : line], strict=True), ()))
    except csv.Error:
        return ()


def _of_provider(name: str, filename: str) -> str:
    """The source of that format for the provider that the file's name states, the general one where it states none."""
    path = PurePosixPath(filename.replace("\\", "/"))
    words = [word for part in path.parts[-2:] for word in re.split(r"[^a-z0-9]+", part.casefold())]
    found = {f"{name}-{word}" for word in words} & set(SOURCES)
    return found.pop() if len(found) == 1 else name
