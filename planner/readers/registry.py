"""All price sources by name: the reader of each, where it stands on the network, and which one a file is of."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import BinaryIO

from planner.errors import NotFound
from planner.offers.book import COLUMNS
from planner.readers import (
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
from planner.readers.source import Quote, ReadContext, Refused, Source


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One source: its reader, the provider if the format does not say it, and where its list stands.

    `address` says where the list is asked for on the network, "" for files only; `credential` names the setting with
    the key that is needed there.
    """

    name: str
    title: str
    source: Source
    provider: str = ""
    address: str = ""
    credential: str = ""

    @property
    def is_on_network(self) -> bool:
        """Whether it can be refreshed without a person who sends a file."""
        return bool(self.address)


AWS_PRICE_REGIONS = (
    *("us-east-1", "us-east-2", "us-west-2", "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2"),
    *("ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "sa-east-1"),
)
SKYPILOT_CLOUDS = (  # those of schema 8, which is kept up to date
    *("aws", "cudo", "gcp", "hyperbolic", "hyperstack", "jarvislabs", "lambda", "lium", "mithril", "nebius", "oci"),
    *("primeintellect", "runpod", "seeweb", "shadeform", "spheron", "vast", "verda", "yotta"),
)
SKYPILOT_FILE_CLOUDS = ("azure", "do", "fluidstack", "ibm", "ovhcloud", "paperspace", "scaleway", "scp")
GPUHUNT_PROVIDERS = ("aws", "azure", "gcp", "lambdalabs", "nebius", "oci", "verda")  # from its files only
GPUHUNT_LIVE_PROVIDERS = ("cloudrift", "lium", "runpod", "vastai", "vultr")  # which it asks without a key, too
HISTORY_PROVIDERS = ("aws", "azure", "gcp")
GOOGLE_COMPUTE = "6F81-5844-456A"  # the service in Google's billing catalogue


def _entries() -> Iterator[SourceEntry]:
    yield from map(_entry, (own_csv.READER, focus.READER, history.READER, aws_price_list.READER, aws_spot.READER))
    yield _entry(azure.READER, "https://prices.azure.com/api/retail/prices")
    yield _entry(
        gcp.READER,
        f"https://cloudbilling.googleapis.com/v1/services/{GOOGLE_COMPUTE}/skus",
        credential="PLANNER_GOOGLE_API_KEY",
    )
    yield _entry(oci.READER, "https://apexapps.oracle.com/pls/apex/cetools/api/v1/products/")
    yield _entry(runpod.READER, "https://api.runpod.io/graphql")
    yield _entry(vast.READER, "https://console.vast.ai/api/v0/bundles/")
    yield _entry(
        lambda_labs.READER, "https://cloud.lambda.ai/api/v1/instance-types", credential="PLANNER_LAMBDA_API_KEY"
    )
    yield from map(_entry, (skypilot.READER, gpuhunt.READER))
    yield from (_part(aws_price_list.READER, region, address=_aws_price_list(region)) for region in AWS_PRICE_REGIONS)
    yield from (
        _part(aws_spot.READER, region, address=f"EC2 DescribeSpotPriceHistory in {region}, by boto3")
        for region in AWS_PRICE_REGIONS
    )
    yield from (_part(skypilot.READER, name, name, _skypilot(name)) for name in SKYPILOT_CLOUDS)
    yield from (_part(skypilot.READER, name, name) for name in SKYPILOT_FILE_CLOUDS)
    yield from (_part(gpuhunt.READER, name, name) for name in GPUHUNT_PROVIDERS)
    yield from (_part(gpuhunt.READER, name, name, f"{name}, by gpuhunt") for name in GPUHUNT_LIVE_PROVIDERS)
    yield from (_part(history.READER, name, name) for name in HISTORY_PROVIDERS)


def _entry(source: Source, address: str = "", credential: str = "") -> SourceEntry:
    return SourceEntry(source.name, source.title, source, address=address, credential=credential)


def _part(source: Source, part: str, provider: str = "", address: str = "") -> SourceEntry:
    return SourceEntry(f"{source.name}-{part}", f"{source.title}: {part}", source, provider, address)


def _aws_price_list(region: str) -> str:
    return f"https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonEC2/current/{region}/index.csv"


def _skypilot(cloud: str) -> str:
    return f"https://raw.githubusercontent.com/skypilot-org/skypilot-catalog/master/catalogs/v8/{cloud}/vms.csv"


SOURCES: Mapping[str, SourceEntry] = MappingProxyType({entry.name: entry for entry in _entries()})


def get_source(name: str) -> SourceEntry:
    """The source of that name. Raises NotFound, which lists them."""
    if name not in SOURCES:
        raise NotFound(f"There is no price source {name!r}. There are {', '.join(SOURCES)}.")
    return SOURCES[name]


def read_file(entry: SourceEntry, stream: BinaryIO, context: ReadContext) -> Iterator[Quote | Refused]:
    """What the source's reader finds in a file."""
    return entry.source.read(stream, _with_provider_of(entry, context))


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
