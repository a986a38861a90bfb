"""The catalogue of GPU and CPU models from the facts files beside it, and the table from others' names to its keys."""

from __future__ import annotations

import csv
import hashlib
import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from importlib.resources import files
from io import StringIO
from types import MappingProxyType

from planner.errors import NotFound
from planner.hardware.gpu import Dtype, Figure, Gpu, GpuKind, LinkTopology, Vendor
from planner.units import GB, TERA, format_bytes

DRIVER = "driver"  # the scope of names that a driver reports

_FACTS_FILES = ("models.csv", "figures.csv", "aliases.csv", "sources.csv")
_COLUMNS = {
    "models.csv": [
        *("key", "vendor", "kind", "generation", "release_year", "form_factor", "memory_type"),
        *("link_name", "link_topology", "link_domain", "pcie_generation", "pcie_lanes", "compute_capability", "notes"),
    ],
    "figures.csv": ["key", "figure", "value", "unit", "source", "as_of", "note"],
    "aliases.csv": ["name", "scope", "key", "check", "source"],
    "sources.csv": ["slug", "citation"],
}
_PEAKS = {f"peak_{dtype}": dtype for dtype in Dtype}
_UNITS = {  # figure → its unit in the facts file and the factor to SI
    "memory": ("GB", GB),
    "memory_bandwidth": ("GB/s", GB),
    "power": ("W", 1.0),
    "l2": ("MB", 1e6),
    "num_units": ("count", 1.0),
    "boost_clock": ("MHz", 1e6),
    "link_bandwidth": ("GB/s", GB),
    "node_bandwidth": ("GB/s", GB),
    **{name: ("TOP/s" if dtype is Dtype.INT8 else "TFLOP/s", TERA) for name, dtype in _PEAKS.items()},
}
_MARKS = re.compile(r"\((?:r|tm)\)|®|™")
_VENDOR_PREFIX = re.compile(r"^(?:nvidia|amd|intel)[\s_-]+")
_SEPARATORS = re.compile(r"[\s_()-]+")
# What a driver reports lies within these multiples of the catalogue's decimal size: 80 GB is sold, 80 GiB reported.
_MEMORY_LOW, _MEMORY_HIGH = 0.95, 1.08
_VENDORS = {
    **{vendor.value.casefold(): vendor for vendor in Vendor},
    "authenticamd": Vendor.AMD,
    "genuineintel": Vendor.INTEL,
}


class FactsError(ValueError):
    """A facts file does not hold what it must; the message names the file, the row and what would be right."""


class Check(StrEnum):
    """What has to agree, besides the name, before an alias counts."""

    NONE = ""
    MEMORY = "memory"  # the reported memory is that of the entry
    UNITS = "units"  # the reported number of cores is that of the entry: a whole socket


@dataclass(frozen=True, slots=True)
class Alias:
    """One name that somebody else gives to a catalogue entry, within `scope` only unless that is empty."""

    name: str
    scope: str
    key: str
    check: Check
    source: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All known models by key. `version` is a short hash of the facts, pinned in whatever was computed from them."""

    gpus: Mapping[str, Gpu]
    version: str
    aliases: tuple[Alias, ...]
    _by_name: Mapping[tuple[str, str], tuple[Alias, ...]]

    def get(self, key: str) -> Gpu:
        """The entry under exactly this key. Raises NotFound, which lists near names."""
        gpu = self.gpus.get(key)
        if gpu is None:
            raise NotFound(f"The catalogue has no GPU {key!r}. {self._near(key)}")
        return gpu

    def find(
        self, name: str, scope: str = "", *, memory_bytes: float | None = None, num_units: int | None = None
    ) -> str | None:
        """The key that `name` stands for in `scope` ("driver", "aws", …), None where that is not certain.

        Names are compared whole after `normalised`; a part of a name never counts. A scope's own names come before
        the general ones. Names that several variants share count only with the reported `memory_bytes`, and names
        of processors only with `num_units`, their number of cores, because the entry is one whole socket.
        """
        wanted = normalised(name)
        rows = self._by_name.get((wanted, scope)) or self._by_name.get((wanted, "")) or ()
        keys = [row.key for row in rows if _agrees(row.check, self.gpus[row.key], memory_bytes, num_units)]
        return keys[0] if len(keys) == 1 else None

    def _near(self, name: str) -> str:
        wanted = normalised(name)
        by_name = {normalised(key): key for key in self.gpus}
        variants = [key for form, key in by_name.items() if wanted and form.startswith(wanted)]
        close = [by_name[form] for form in get_close_matches(wanted, by_name, n=5, cutoff=0.6)]
        near = list(dict.fromkeys(variants + close))[:6]
        return f"Near it: {', '.join(near)}." if near else f"It lists {len(self.gpus)} models; none is near this name."


def normalised(name: str) -> str:
    """The form in which names are compared.

    Case, blanks, hyphens, underscores, brackets and the marks ®, ™, (R), (TM) do not count, nor does a vendor's
    name (NVIDIA, AMD, Intel) in front. "NVIDIA H100 80GB HBM3" and "nvidia-h100-80gb-hbm3" are the same name.
    """
    plain = _MARKS.sub(" ", unicodedata.normalize("NFC", name).casefold()).strip()
    return _SEPARATORS.sub("", _VENDOR_PREFIX.sub("", plain))


def unlisted_gpu(name: str, vendor: str, kind: GpuKind, memory_bytes: float | None) -> Gpu:
    """An entry without figures for a device that the catalogue does not know, so that it is kept and never guessed.

    What it reports of its own memory belongs to the device and not to its model: it is told in the notes only.
    """
    told = "" if memory_bytes is None else f" It reports {format_bytes(memory_bytes)} of memory."
    return Gpu(
        key=f"{name} (unlisted)",
        vendor=_VENDORS.get(vendor.strip().casefold(), Vendor.OTHER),
        kind=kind,
        generation="",
        release_year=None,
        form_factor="",
        memory_bytes=None,
        memory_type="",
        memory_bandwidth=None,
        peak_flops=MappingProxyType({}),
        power_watts=None,
        l2_bytes=None,
        num_units=None,
        boost_hz=None,
        link_name="",
        link_bandwidth=None,
        link_domain_gpus=None,
        pcie_generation=None,
        compute_capability="",
        notes=f"The catalogue does not list {name!r}, so nothing is known of its model.{told}",
    )


@cache
def load_catalogue() -> Catalogue:
    """The catalogue of this installation, read once. Raises FactsError where the facts files are not sound."""
    folder = files("planner.hardware") / "facts"
    return parse_catalogue({name: (folder / name).read_text(encoding="utf-8") for name in _FACTS_FILES})


def parse_catalogue(texts: Mapping[str, str]) -> Catalogue:
    """The catalogue from the texts of the four facts files by name. Raises FactsError for anything unsound."""
    citations = {row["slug"]: row["citation"] for row in _rows(texts, "sources.csv", unique=("slug",))}
    figures = _figures(texts, citations)
    gpus = {row["key"]: _gpu(row, figures.pop(row["key"], {})) for row in _rows(texts, "models.csv", unique=("key",))}
    if figures:
        raise FactsError(f"figures.csv: figures of {sorted(figures)}, which models.csv does not list")
    aliases = tuple(_alias(row, gpus) for row in _rows(texts, "aliases.csv", unique=()))
    return Catalogue(
        gpus=MappingProxyType(gpus),
        version=_version(texts),
        aliases=aliases,
        _by_name=MappingProxyType(_by_name(aliases, gpus)),
    )


def _version(texts: Mapping[str, str]) -> str:
    joined = "\x00".join(f"{name}\x00{texts[name].replace(chr(13), '')}" for name in _FACTS_FILES)
    return hashlib.sha256(joined.encode()).hexdigest()[:12]


def _rows(texts: Mapping[str, str], name: str, unique: Collection[str]) -> Iterable[dict[str, str]]:
    """The rows of one facts file, each complete and, by its `unique` columns, there once."""
    reader = csv.DictReader(StringIO(texts[name]), strict=True)
    if reader.fieldnames != _COLUMNS[name]:
        raise FactsError(f"{name}: the columns are {reader.fieldnames}, not {_COLUMNS[name]}")
    seen: set[tuple[str, ...]] = set()
    for row in reader:
        where = f"{name}, line {reader.line_num}"
        if None in row or None in row.values():
            raise FactsError(f"{where}: not {len(_COLUMNS[name])} fields")
        if any(value != value.strip() for value in row.values()):
            raise FactsError(f"{where}: a field begins or ends with a blank")
        identity = tuple(row[column] for column in unique)
        if unique and (identity in seen or not all(identity)):
            raise FactsError(f"{where}: {identity} is empty or there twice")
        seen.add(identity)
        yield row


def _figures(texts: Mapping[str, str], citations: Mapping[str, str]) -> dict[str, dict[str, Figure]]:
    figures: dict[str, dict[str, Figure]] = {}
    for row in _rows(texts, "figures.csv", unique=("key", "figure")):
        figures.setdefault(row["key"], {})[row["figure"]] = _figure(row, citations)
    return figures


def _figure(row: Mapping[str, str], citations: Mapping[str, str]) -> Figure:
    where = f"figures.csv, {row['key']} {row['figure']}"
    unit, factor = _UNITS.get(row["figure"], ("", 1.0))
    if not unit:
        raise FactsError(f"{where}: no such figure; there are {', '.join(_UNITS)}")
    if row["unit"] != unit:
        raise FactsError(f"{where}: the unit is {row['unit']!r}, not {unit!r}")
    slugs = row["source"].split(";")
    if missing := [slug for slug in slugs if slug not in citations]:
        raise FactsError(f"{where}: the source {missing[0]!r} is not in sources.csv")
    try:
        value, as_of = float(row["value"]), date.fromisoformat(row["as_of"])
    except ValueError as error:
        raise FactsError(f"{where}: {error}") from None
    if not (math.isfinite(value) and value > 0):
        raise FactsError(f"{where}: {row['value']} is not a positive number; leave out what is not known")
    return Figure(value * factor, "; ".join(citations[slug] for slug in slugs), as_of, row["note"])


def _gpu(row: Mapping[str, str], figures: Mapping[str, Figure]) -> Gpu:
    try:
        return Gpu(
            key=row["key"],
            vendor=Vendor(row["vendor"]),
            kind=GpuKind(row["kind"]),
            generation=row["generation"],
            release_year=_int_or_none(row["release_year"]),
            form_factor=row["form_factor"],
            memory_bytes=figures.get("memory"),
            memory_type=row["memory_type"],
            memory_bandwidth=figures.get("memory_bandwidth"),
            peak_flops=MappingProxyType({dtype: figures[name] for name, dtype in _PEAKS.items() if name in figures}),
            power_watts=figures.get("power"),
            l2_bytes=figures.get("l2"),
            num_units=int(figures["num_units"].value) if "num_units" in figures else None,
            boost_hz=figures.get("boost_clock"),
            link_name=row["link_name"],
            link_bandwidth=figures.get("link_bandwidth"),
            link_domain_gpus=_int_or_none(row["link_domain"]),
            pcie_generation=float(row["pcie_generation"]) if row["pcie_generation"] else None,
            compute_capability=row["compute_capability"],
            notes=row["notes"],
            link_topology=LinkTopology(row["link_topology"]),
            node_bandwidth=figures.get("node_bandwidth"),
            pcie_lanes=_int_or_none(row["pcie_lanes"]),
        )
    except ValueError as error:
        raise FactsError(f"models.csv, {row['key']}: {error}") from None


def _int_or_none(text: str) -> int | None:
    return int(text) if text else None


def _alias(row: Mapping[str, str], gpus: Mapping[str, Gpu]) -> Alias:
    where = f"aliases.csv, {row['name']!r}"
    gpu = gpus.get(row["key"])
    if gpu is None:
        raise FactsError(f"{where}: models.csv does not list {row['key']!r}")
    if not row["source"]:
        raise FactsError(f"{where}: no source")
    try:
        check = Check(row["check"])
    except ValueError:
        raise FactsError(f"{where}: no check {row['check']!r}; there are {', '.join(map(repr, Check))}") from None
    if (check is Check.MEMORY and gpu.memory_bytes is None) or (check is Check.UNITS and gpu.num_units is None):
        raise FactsError(f"{where}: {row['key']} has no figure to check the {check} against")
    return Alias(row["name"], row["scope"], row["key"], check, row["source"])


def _by_name(aliases: Iterable[Alias], gpus: Mapping[str, Gpu]) -> dict[tuple[str, str], tuple[Alias, ...]]:
    """Aliases by normalised name and scope, every key standing for itself; refuses names with two meanings."""
    found: dict[tuple[str, str], tuple[Alias, ...]] = {}
    selves = [Alias(key, "", key, Check.NONE, "the catalogue's own key") for key in gpus]
    for alias in (*selves, *aliases):
        name = normalised(alias.name)
        if not name:
            raise FactsError(f"aliases.csv, {alias.name!r}: nothing of the name counts")
        others = found.get((name, alias.scope), ())
        if any(not _tell_apart(alias, other, gpus) for other in others):
            where = f" in {alias.scope!r}" if alias.scope else ""
            raise FactsError(f"aliases.csv, {alias.name!r}{where}: there twice, or with two meanings: {others[0]}")
        found[name, alias.scope] = (*others, alias)
    return found


def _tell_apart(one: Alias, other: Alias, gpus: Mapping[str, Gpu]) -> bool:
    """Whether no device could satisfy both: only memory sizes that are far enough apart tell a name's variants."""
    if not one.check is other.check is Check.MEMORY:
        return False
    small, large = sorted(
        figure.value for figure in (gpus[one.key].memory_bytes, gpus[other.key].memory_bytes) if figure is not None
    )
    return small * _MEMORY_HIGH < large * _MEMORY_LOW


def _agrees(check: Check, gpu: Gpu, memory_bytes: float | None, num_units: int | None) -> bool:
    if check is Check.MEMORY:
        figure = gpu.memory_bytes
        if figure is None or memory_bytes is None:
            return False
        return figure.value * _MEMORY_LOW <= memory_bytes <= figure.value * _MEMORY_HIGH
    return check is Check.NONE or (num_units is not None and num_units == gpu.num_units)
