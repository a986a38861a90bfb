"""The project's own price file (docs/prices.md), and the template of it to fill in."""

from __future__ import annotations

import csv
from io import StringIO
from typing import BinaryIO

from planner.offers.book import COLUMNS, OPTIONAL_COLUMNS, BookEntry, BookError, read_entries
from planner.readers.reader import Found, Reader
from planner.readers.source import Quote, ReadContext, Refused
from planner.readers.tables import read_lines
from planner.readers.unpack import FileFault

NAME = "own"
_EXAMPLE = {
    "provider": "example-cloud",
    "region": "eu-1",
    "instance_type": "gpu-8",
    "kind": "reserved_1y",
    "currency": "USD",
    "gpu_name": "H100 SXM",
    "gpu_key": "H100-80GB-SXM",
    "num_gpus": "8",
    "vcpus": "192",
    "memory_gib": "2048",
    "host_included": "yes",
    "price_per_hour": "17.60",
    "valid_from": "2026-01-01",
    "source_date": "2026-01-01",
    "source": "offer 4711 of our account manager",
    "upfront": "no",
    "interconnect": "3200 Gbit/s InfiniBand",
}


def template() -> str:
    """A file with all columns and one example row, to download and fill in."""
    table = StringIO()
    writer = csv.DictWriter(table, (*COLUMNS, *OPTIONAL_COLUMNS), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerow(_EXAMPLE)
    return table.getvalue()


def _parse(stream: BinaryIO, context: ReadContext) -> Found:
    try:
        for line, found in read_entries(read_lines(stream), "the file", context.catalogue):
            if isinstance(found, BookEntry):
                yield _quote(line, found)
            else:
                yield Refused(line, found.reason, is_whole_file=found.is_last)
    except BookError as error:
        raise FileFault(1, str(error).removeprefix("the file, line 1: ")) from None


READER = Reader(NAME, "Own price file (CSV)", _parse)


def _quote(line: int, entry: BookEntry) -> Quote:
    described = (entry.amount, entry.valid_from, entry.source_date, entry.source, entry.reason)
    return Quote(line, entry.offer, *described)
