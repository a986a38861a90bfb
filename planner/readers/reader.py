"""What the readers share: a format's parser as a Source, GPU keys through the alias table, and prices said twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO

from planner.offers.offer import Offer
from planner.readers.source import Quote, ReadContext, Refused
from planner.readers.unpack import FileFault, unpacked

# AWS's own chips, video cards and FPGAs, Google's tensor processors, Qualcomm's inference cards
_NO_GPUS = ("inferentia", "trainium", "tpu", "virtex", "alveo", "u30", "ma35d", "qualcomm ai100")
Found = Iterator[Quote | Refused]


@dataclass(frozen=True, slots=True)
class Reader:
    """A Source: `parse` reads the plain bytes and may raise FileFault, which becomes the last, whole-file refusal."""

    name: str
    title: str
    parse: Callable[[BinaryIO, ReadContext], Found]

    def read(self, stream: BinaryIO, context: ReadContext) -> Found:
        try:
            yield from self.parse(unpacked(stream), context)
        except FileFault as fault:
            yield Refused(fault.row, fault.reason, is_whole_file=True)


def find_gpu(context: ReadContext, scopes: Sequence[str], *names: str, memory_bytes: float | None = None) -> str | None:
    """The catalogue's key of the first name that one of the scopes is certain about; None: unmapped."""
    for name in names:
        for scope in scopes:
            if name and (key := context.catalogue.find(name, scope, memory_bytes=memory_bytes)):
                return key
    return None


def is_no_gpu(accelerator: str) -> bool:
    """Whether the name is that of an accelerator that price lists put beside GPUs and that is none."""
    return accelerator.casefold().startswith(_NO_GPUS)


def object_of(value: object) -> dict[str, Any]:
    """The value as an object of JSON. Raises ValueError for anything else."""
    if not isinstance(value, dict):
        raise ValueError("this is no object of JSON")
    return value


def object_or_empty(value: object) -> dict[str, Any]:
    """The value as an object of JSON; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


class Said:
    """Which amounts a file has stated already, so that a row that repeats one is silent and another is refused.

    It remembers the hash of an offer's identity and not the offer: some 250 bytes for each that a file names.
    """

    def __init__(self) -> None:
        self._amounts: dict[int, tuple[datetime, Decimal | None]] = {}

    def is_new(self, quote: Quote) -> bool:
        """Whether the file has not said so yet. Raises ValueError where it gives two prices for one moment."""
        key = hash(quote.offer.identity)
        known = self._amounts.get(key)
        if known is not None and known[0] == quote.valid_from:
            if known[1] != quote.amount:
                offer = " · ".join(part for part in quote.offer.identity if part)
                raise ValueError(f"the file gives two prices for {offer}: {known[1]} and {quote.amount}")
            return False
        self._amounts[key] = (quote.valid_from, quote.amount)
        return True

    def is_unsaid(self, offer: Offer) -> bool:
        """Whether the file has said nothing of the offer so far."""
        return hash(offer.identity) not in self._amounts
