"""What is in a machine, for lists that give its name alone: from the bundled price book and the facts beside this."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from io import StringIO

from planner.offers.book import load_book

BYTES_PER_GIB = 2**30
_COLUMNS = ["provider", "instance_type", "gpu_name", "num_gpus", "vcpus", "memory_gib", "source"]


@dataclass(frozen=True, slots=True)
class Machine:
    """One instance type: its GPU in the provider's word, how many, vCPUs and memory."""

    provider: str
    instance_type: str
    gpu_name: str
    num_gpus: Decimal
    vcpus: Decimal | None
    memory_bytes: int | None


def find_machine(provider: str, instance_type: str) -> Machine | None:
    """The machine of exactly this name, in whatever case it is written; None where it is not known."""
    return load_machines().get((provider, instance_type.casefold()))


@cache
def load_machines() -> Mapping[tuple[str, str], Machine]:
    """All known machines by provider and name in small letters, read once. Raises ValueError for unsound facts."""
    found: dict[tuple[str, str], Machine] = {}
    for machine in (*_from_book(), *_from_facts()):
        known = found.setdefault((machine.provider, machine.instance_type.casefold()), machine)
        if known.num_gpus != machine.num_gpus:
            raise ValueError(f"{machine.provider} {machine.instance_type} is known with two numbers of GPUs")
    return found


def _from_book() -> Iterator[Machine]:
    for entry in load_book():
        offer = entry.offer
        if offer.host_included:
            described = (offer.gpu_name, offer.num_gpus, offer.vcpus, offer.memory_bytes)
            yield Machine(offer.provider, offer.instance_type, *described)


def _from_facts() -> Iterator[Machine]:
    text = (files("planner.readers") / "facts" / "machines.csv").read_text(encoding="utf-8")
    reader = csv.DictReader(StringIO(text), strict=True)
    if reader.fieldnames != _COLUMNS:
        raise ValueError(f"machines.csv: the columns are {reader.fieldnames}, not {_COLUMNS}")
    for row in reader:
        yield Machine(
            row["provider"],
            row["instance_type"],
            row["gpu_name"],
            Decimal(row["num_gpus"]),
            Decimal(row["vcpus"]),
            int(row["memory_gib"]) * BYTES_PER_GIB,
        )
