"""All price sources by name: the reader of each, where it is fetched from, and which one an uploaded file is of."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from planner.errors import NotFound
from planner.feeds import history, own_csv, skypilot
from planner.feeds.source import Source
from planner.offers.book import COLUMNS


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One source: its reader, and the provider where the format does not say it."""

    name: str
    title: str
    source: Source
    provider: str = ""


_SKYPILOT_CLOUDS = (
    *("aws", "azure", "cudo", "do", "fluidstack", "gcp", "hyperbolic", "hyperstack", "ibm", "jarvislabs", "lambda"),
    *("lium", "mithril", "nebius", "oci", "ovhcloud", "paperspace", "primeintellect", "runpod", "scaleway", "scp"),
    *("seeweb", "shadeform", "spheron", "vast", "verda", "yotta"),
)
_HISTORY_PROVIDERS = ("aws", "azure", "gcp")


def _entries() -> tuple[SourceEntry, ...]:
    return (
        SourceEntry(own_csv.NAME, own_csv.READER.title, own_csv.READER),
        SourceEntry("history", history.READER.title, history.READER),
        *(SourceEntry(f"history-{name}", _of(history, name), history.READER, name) for name in _HISTORY_PROVIDERS),
        SourceEntry("skypilot", skypilot.READER.title, skypilot.READER),
        *(SourceEntry(f"skypilot-{name}", _of(skypilot, name), skypilot.READER, name) for name in _SKYPILOT_CLOUDS),
    )


def _of(module: object, provider: str) -> str:
    title: str = module.READER.title  # type: ignore[attr-defined]  # each reader's module has one
    return f"{title}: {provider}"


SOURCES: Mapping[str, SourceEntry] = MappingProxyType({entry.name: entry for entry in _entries()})


def get_source(name: str) -> SourceEntry:
    """The source of that name. Raises NotFound, which lists them."""
    if name not in SOURCES:
        raise NotFound(f"There is no price source {name!r}. There are {', '.join(SOURCES)}.")
    return SOURCES[name]


def detect(first_bytes: bytes, filename: str = "") -> str | None:
    """The source whose format the first few kilobytes are, None where that is not certain.

    Formats are told by their columns or members. The provider, where the file does not hold it, is taken from the
    file's name or folder if it stands there as a word of its own ("aws_history.csv", "v8/gcp/vms.csv").
    """
    text = _as_text(first_bytes)
    columns = _columns(text)
    if columns[: len(COLUMNS)] == COLUMNS:
        return own_csv.NAME
    if {"InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "SpotPrice", "Region"} <= set(columns):
        return _with_provider("skypilot", filename)
    if {"region", history.ON_DEMAND} <= set(columns):
        return "history" if "provider" in columns else _with_provider("history", filename)
    return None


def _as_text(first_bytes: bytes) -> str:
    if first_bytes.startswith(b"\x1f\x8b"):
        try:
            first_bytes = zlib.decompressobj(wbits=31).decompress(first_bytes, 64 * 1024)
        except zlib.error:
            return ""
    return first_bytes.decode("utf-8-sig", "replace")


def _columns(text: str) -> tuple[str, ...]:
    """The fields of the first line, () where it is no CSV."""
    try:
        return tuple(field.strip() for field in next(csv.reader(text.splitlines()[:1], strict=True), ()))
    except csv.Error:
        return ()


def _with_provider(name: str, filename: str) -> str:
    """The source of that format for the provider that the file's name states, the general one where it states none."""
    path = PurePosixPath(filename.replace("\\", "/"))
    words = [word for part in path.parts[-2:] for word in re.split(r"[^a-z0-9]+", part.casefold())]
    found = {f"{name}-{word}" for word in words} & set(SOURCES)
    return found.pop() if len(found) == 1 else name
