"""Which quotes can be kept at all, and how a row is named where it cannot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from planner.offers.quote import Quote
from planner.store import price_imports as store
from planner.units import plain_decimal

_HIGHEST_AMOUNT = Decimal(10) ** 8
_LOWEST_AMOUNT = Decimal("1e-10")
_HIGHEST_COUNT = Decimal(10) ** 9
_HIGHEST_FIGURE = Decimal(10) ** 6
LONGEST_SOURCE = 500


def fault_of(quote: Quote, now: datetime) -> str:
    """Why the quote cannot be stored, "" where it can."""
    offer = quote.offer
    for name, longest in store.LONGEST.items():
        value = getattr(offer, name) or ""
        if len(value) > longest:
            return f"{name}: longer than {longest} characters"
        if not _is_text(value):
            return f"{name}: {value!r} has a control character"
    if len(quote.source) > LONGEST_SOURCE or not _is_text(quote.source) or not _is_text(quote.reason):
        return f"source or reason: longer than {LONGEST_SOURCE} characters, or with a control character"
    if quote.amount is not None and not _LOWEST_AMOUNT <= quote.amount <= _HIGHEST_AMOUNT:
        amount = plain_decimal(quote.amount)
        return f"the price {amount} is not between {plain_decimal(_LOWEST_AMOUNT)} and {plain_decimal(_HIGHEST_AMOUNT)}"
    if round(offer.num_gpus, 6) == 0 or offer.num_gpus > _HIGHEST_COUNT:
        return f"{plain_decimal(offer.num_gpus)} GPUs cannot be meant"
    figures = (offer.vcpus, offer.quota_gpus, offer.interruptions_per_hour)
    if any(figure is not None and not 0 <= figure <= _HIGHEST_FIGURE for figure in figures):
        return "vCPUs, quota or interruptions are below 0 or too large"
    sizes = (offer.memory_bytes, offer.minimum_term_seconds, offer.lead_time_seconds)
    if any(size is not None and not 0 <= size < 2**63 for size in sizes):
        return "memory, minimum term or lead time is below 0 or too large"
    if quote.source_date > now.astimezone(UTC).date() + timedelta(days=1):
        return f"the stated date {quote.source_date} lies in the future"
    return ""


def _is_text(value: str) -> bool:
    """Whether every database can keep it as it is."""
    return value.isprintable() or not any(ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 for sign in value)


def place_of(row: int | str) -> str:
    """Where a row stands, in words: a line of the file or the source's own name of it."""
    place = f"line {row}" if isinstance(row, int) else row
    return "".join(sign if sign.isprintable() else "�" for sign in place)[: store.LONGEST_PLACE]


def as_kept(amount: Decimal) -> Decimal:
    """The amount to the places that are kept."""
    return round(amount, 10)
