"""The price book in the database: bringing it up to date, and finding what GPU time costs, now or on any day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from planner.errors import InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue
from planner.offers.book import BookEntry, load_book
from planner.offers.offer import OfferKind, Price
from planner.offers.priced import PricedOffer
from planner.store import offers as store
from planner.store.engine import Session
from planner.store.offer_orders import ORDERS

__all__ = [
    "BookAge",
    "BookSync",
    "Facet",
    "PriceFacets",
    "PriceFilter",
    "PricedOffer",
    "find_prices",
    "get_offer",
    "next_after",
    "price_book_age",
    "price_facets",
    "price_history",
    "sync_price_book",
]


@dataclass(frozen=True, slots=True)
class BookSync:
    """What a synchronisation added; all 0 where the book was there already."""

    num_offers_added: int
    num_prices_added: int
    num_offers_updated: int


@dataclass(frozen=True, slots=True)
class PriceFilter:
    """Which offers; what is None does not matter.

    `text`: every word must occur in provider, region, instance type or GPU name. `min_memory_bytes`: of one GPU, or
    of the fraction on offer; GPUs whose memory is not known are left out then.
    """

    gpu_key: str | None = None
    provider: str | None = None
    region: str | None = None
    kind: OfferKind | None = None
    min_memory_bytes: float | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Facet:
    """A value that offers have and how many have it; value None: GPUs that the alias table does not know."""

    value: str | None
    count: int


@dataclass(frozen=True, slots=True)
class PriceFacets:
    """What there is to choose from, most frequent first."""

    providers: tuple[Facet, ...]
    regions: tuple[Facet, ...]
    gpu_keys: tuple[Facet, ...]
    kinds: tuple[Facet, ...]


@dataclass(frozen=True, slots=True)
class BookAge:
    """How old a provider's prices are that hold now, by the dates that their sources state."""

    provider: str
    num_offers: int
    oldest: date
    newest: date
    oldest_days: int
    newest_days: int


def sync_price_book(session: Session, now: datetime) -> BookSync:
    """Bring the bundled book into the database: appends only, and nothing where it is there already."""
    return sync_entries(session, load_book(), now)


def sync_entries(session: Session, entries: tuple[BookEntry, ...], now: datetime) -> BookSync:
    """Bring these offers and prices into the database, as learnt `now`; what is known already is not stored again."""
    store.lock_writers(session)
    offers = store.upsert_offers(session, (entry.offer for entry in entries), now)
    priced = ((offer_id, entry.price(now)) for offer_id, entry in zip(offers.ids, entries, strict=True))
    return BookSync(
        num_offers_added=offers.num_added,
        num_prices_added=store.append_prices(session, priced),
        num_offers_updated=offers.num_updated,
    )


def find_prices(
    session: Session,
    filter: PriceFilter,
    as_of: datetime,
    known_at: datetime,
    order: str = "per_gpu_hour",
    limit: int | None = 100,
    after: str | None = None,
) -> list[PricedOffer]:
    """Offers with the price that held at `as_of` as far as was known at `known_at`; unknown prices come last.

    `after` is what `next_after` gave for the page before; `limit` None gives all. Different currencies are listed
    one after the other, since no rate between them is assumed.
    """
    if order not in ORDERS:
        raise InvalidInput.of("order", f"{order!r} is not one of {', '.join(ORDERS)}")
    wanted = _store_filter(filter)
    return store.find(session, wanted, as_of, known_at, order=order, limit=limit, after=after)


def next_after(found: list[PricedOffer], order: str, limit: int) -> str | None:
    """Where the next page of `find_prices` begins; None where this one was the last."""
    return store.place_of(found[-1], order) if found and len(found) >= limit else None


def get_offer(session: Session, offer_id: int, as_of: datetime, known_at: datetime) -> PricedOffer:
    """One offer with the price that held then; raises NotFound."""
    found = store.get(session, offer_id, as_of, known_at)
    if found is None:
        raise NotFound(f"there is no offer {offer_id}")
    return found


def price_history(session: Session, offer_id: int, known_at: datetime) -> list[tuple[int, Price]]:
    """Every price of the offer recorded by then, with its id, in order of validity; corrected ones stay listed."""
    get_offer(session, offer_id, known_at, known_at)
    return store.history(session, offer_id, known_at)


def price_facets(session: Session) -> PriceFacets:
    """Providers, regions, GPUs and kinds with the number of offers of each."""

    def counted(column: str) -> tuple[Facet, ...]:
        return tuple(Facet(value, count) for value, count in store.count_by(session, column))

    return PriceFacets(counted("provider"), counted("region"), counted("gpu_key"), counted("kind"))


def price_book_age(session: Session, now: datetime) -> list[BookAge]:
    """Per provider with a known price, the stated dates of the prices that hold now and their age in days."""
    today = now.astimezone(UTC).date()
    return [
        BookAge(*dates, oldest_days=(today - dates.oldest).days, newest_days=(today - dates.newest).days)
        for dates in store.dates_by_provider(session, now, now)
    ]


def _store_filter(wanted: PriceFilter) -> store.OfferFilter:
    for name in ("gpu_key", "provider", "region", "text"):
        if "\x00" in (getattr(wanted, name) or ""):
            raise InvalidInput.of(name, "has a null character")
    return store.OfferFilter(
        gpu_key=wanted.gpu_key,
        provider=wanted.provider,
        region=wanted.region,
        kind=wanted.kind,
        words=tuple((wanted.text or "").split()),
        least_num_gpus=None if wanted.min_memory_bytes is None else _least_num_gpus(wanted.min_memory_bytes),
    )


def _least_num_gpus(memory_bytes: float) -> dict[str, Decimal]:
    """The smallest share of a GPU that has that much memory, for each GPU that has it at all."""
    memories = {key: gpu.memory_bytes for key, gpu in load_catalogue().gpus.items()}
    return {
        key: _share(memory_bytes, memory.value)
        for key, memory in memories.items()
        if memory is not None and memory.value >= memory_bytes
    }


def _share(wanted: float, whole: float) -> Decimal:
    """wanted ÷ whole to the 6 places that shares of a GPU are kept with: a third is 0.333333, not more."""
    return Decimal(wanted / whole).quantize(Decimal("1e-6"))
