"""What an import of prices did, or would do: counts, changes, and the rows that it held or rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from planner.offers.offer import Offer


@dataclass
class ImportCounts:
    """How many rows met which fate; they add up to `num_rows`.

    `num_confirmed` state the amount that holds already, for a later moment or day, and are kept; `num_unchanged` were
    known to the last detail.
    """

    num_rows: int = 0
    num_new: int = 0
    num_changed: int = 0
    num_withdrawn: int = 0
    num_confirmed: int = 0
    num_unchanged: int = 0
    num_held: int = 0
    num_rejected: int = 0
    num_offers_added: int = 0
    num_unmapped: int = 0

    @property
    def num_accepted(self) -> int:
        """The prices that are appended."""
        return self.num_new + self.num_changed + self.num_withdrawn + self.num_confirmed


@dataclass(frozen=True, slots=True)
class ChangedPrice:
    """An accepted row whose amount differs from the one that held; `amount` None: withdrawn."""

    place: str
    offer: Offer
    before: Decimal | None
    amount: Decimal | None
    valid_from: datetime


@dataclass(frozen=True, slots=True)
class HeldPrice:
    """A row that waits for a person, with the amount that it was compared with."""

    place: str
    offer: Offer
    before: Decimal
    amount: Decimal
    valid_from: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be used, and why."""

    place: str
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ImportPreview:
    """What an import does, or would do. Lists hold the first rows of each kind, the counts all.

    `unusable` is the reason for which nothing of the file may be kept; "" where it is sound. `left_out` counts rows
    that are well formed and no offers of GPU time. `unmapped` counts accepted offers by provider and GPU name that
    no alias knows.
    """

    source: str
    counts: ImportCounts
    changed: tuple[ChangedPrice, ...]
    held: tuple[HeldPrice, ...]
    rejected: tuple[RejectedRow, ...]
    unmapped: Mapping[tuple[str, str], int]
    left_out: Mapping[str, int]
    unusable: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an import comes from: the file's name or address, the hash of its bytes, and who asked for it."""

    name: str = ""
    content_hash: str | None = None
    actor: str = ""
