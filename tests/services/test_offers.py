"""The price book reaches the database once, and prices are found by filter, order, moment and page."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from sqlalchemy import func, select

from planner.errors import InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue
from planner.offers.book import BookEntry, load_book
from planner.offers.offer import OfferKind
from planner.services.offers import (
    PriceFilter,
    find_prices,
    get_offer,
    next_after,
    price_book_age,
    price_facets,
    price_history,
    sync_entries,
    sync_price_book,
)
from planner.store.engine import Engine, Session, session_factory
from planner.store.keyset import encode_place
from planner.store.tables import OfferRow, PriceRow


def count(session: Session, table: type) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_the_book_comes_in_whole_and_a_second_time_adds_nothing(session: Session, now: datetime) -> None:
    first = sync_price_book(session, now)
    again = sync_price_book(session, now + timedelta(days=1))
    assert (first.num_offers_added, first.num_prices_added) == (len(load_book()), len(load_book()))
    assert (again.num_offers_added, again.num_prices_added, again.num_offers_updated) == (0, 0, 0)
    assert count(session, OfferRow) == count(session, PriceRow) == len(load_book())


def test_every_entry_of_the_book_is_found_as_it_was_written(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    found = {item.offer.identity: item for item in find_prices(session, PriceFilter(), now, now, limit=None)}
    for entry in load_book():
        item = found[entry.offer.identity]
        assert item.offer == entry.offer
        assert item.price == entry.price(now)


def test_a_newer_book_appends_its_prices_and_leaves_the_older_ones(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    entry = load_book()[0]
    later = now + timedelta(days=10)
    newer = replace(entry, amount=Decimal("1.5"), valid_from=later, source_date=later.date())
    assert sync_entries(session, (newer,), later).num_prices_added == 1
    (item,) = [
        i for i in find_prices(session, PriceFilter(), later, later, limit=None) if i.price == newer.price(later)
    ]
    history = price_history(session, item.offer_id, later)
    assert [price.amount for _, price in history] == [entry.amount, Decimal("1.5")]
    assert get_offer(session, item.offer_id, now, later).price == entry.price(now)
    assert len(price_history(session, item.offer_id, now)) == 1


def test_eight_processes_that_bring_in_the_book_at_once_store_it_once(engine: Engine, now: datetime) -> None:
    together = Barrier(8)

    def sync(number: int) -> int:
        together.wait(timeout=120)
        with session_factory(engine)() as session:
            added = sync_price_book(session, now + timedelta(seconds=number))
            session.commit()
        return added.num_prices_added

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(sync, range(8)))
    assert sorted(added) == [0] * 7 + [len(load_book())]
    with session_factory(engine)() as session:
        assert count(session, OfferRow) == count(session, PriceRow) == len(load_book())


def test_nothing_of_the_book_is_known_before_it_was_read(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    assert find_prices(session, PriceFilter(), now, now - timedelta(seconds=1)) == []


def test_a_price_is_unknown_before_the_day_that_its_source_states(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    before = datetime(2026, 7, 19, 23, tzinfo=UTC)
    (found,) = find_prices(session, PriceFilter(text="p5.48xlarge us-east-1"), before, now)
    assert found.price is None
    assert (found.per_gpu_hour, found.age_days(now)) == (None, None)


def test_the_cheapest_h100_is_listed_first_with_its_age(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    found = find_prices(session, PriceFilter(gpu_key="H100-80GB-SXM"), now, now, limit=None)
    each = [item.per_gpu_hour for item in found]
    assert each == sorted(value for value in each if value is not None)
    assert found[0].offer.kind is OfferKind.SPOT
    assert all((item.age_days(now) or 0) >= 110 for item in found)


def test_least_memory_counts_the_share_of_a_gpu_that_is_on_offer(session: Session, now: datetime) -> None:
    sync_price_book(session, now)

    def sizes(memory_bytes: float) -> set[str]:
        wanted = PriceFilter(min_memory_bytes=memory_bytes, provider="azure", text="A10_v5 eastus2")
        return {item.offer.instance_type for item in find_prices(session, wanted, now, now)}

    whole = {"Standard_NV36ads_A10_v5", "Standard_NV36adms_A10_v5", "Standard_NV72ads_A10_v5"}
    assert sizes(24e9) == whole
    assert sizes(12e9) == whole | {"Standard_NV18ads_A10_v5"}
    assert sizes(8e9) == whole | {"Standard_NV18ads_A10_v5", "Standard_NV12ads_A10_v5"}
    assert len(sizes(4e9)) == 6


def test_least_memory_leaves_out_smaller_gpus_and_those_not_known(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    found = find_prices(session, PriceFilter(min_memory_bytes=80e9), now, now, limit=None)
    gpus = load_catalogue().gpus
    assert found
    for item in found:
        memory = gpus[item.offer.gpu_key or ""].memory_bytes
        assert memory is not None
        assert memory.value >= 80e9
    assert find_prices(session, PriceFilter(min_memory_bytes=1e15), now, now) == []


def test_pages_follow_one_another_to_the_end(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    wanted = PriceFilter(provider="azure")
    whole = find_prices(session, wanted, now, now, limit=None)
    joined, place = [], None
    for _ in range(10):
        page = find_prices(session, wanted, now, now, limit=50, after=place)
        joined += page
        place = next_after(page, "per_gpu_hour", 50)
        if place is None:
            break
    assert joined == whole


@pytest.mark.parametrize(
    "after",
    [
        "x",
        "!!!",
        "é",
        "",
        encode_place("age", [0, "USD", 1.0, 1]),
        encode_place("per_gpu_hour", [0, "USD", 1.0]),
        encode_place("per_gpu_hour", [0, "USD", "1.0", 1]),
        encode_place("per_gpu_hour", [True, "USD", 1.0, 1]),
        encode_place("per_gpu_hour", [0, "U\x00D", 1.0, 1]),
        encode_place("per_gpu_hour", [0, "\ud800", 1.0, 1]),
        encode_place("per_gpu_hour", [0, "USD", float("nan"), 1]),
        encode_place("per_gpu_hour", [0, "USD", 1.0, 2**63]),
    ],
)
def test_a_place_that_we_did_not_give_out_is_refused_by_name(session: Session, now: datetime, after: str) -> None:
    with pytest.raises(InvalidInput, match="after: is not a place in this list"):
        find_prices(session, PriceFilter(), now, now, after=after)


@pytest.mark.parametrize("after", [encode_place("age", [0, "no day", 1]), encode_place("age", [0, 20260720, 1])])
def test_a_place_with_a_date_that_is_none_is_refused_by_name(session: Session, now: datetime, after: str) -> None:
    with pytest.raises(InvalidInput, match="after"):
        find_prices(session, PriceFilter(), now, now, order="age", after=after)


def test_an_unknown_order_is_refused_by_name(session: Session, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="order: 'price' is not one of per_gpu_hour"):
        find_prices(session, PriceFilter(), now, now, order="price")


@pytest.mark.parametrize("field", ["gpu_key", "provider", "region", "text"])
def test_a_null_character_in_a_filter_is_refused_by_name(session: Session, now: datetime, field: str) -> None:
    with pytest.raises(InvalidInput, match=f"{field}: has a null character"):
        find_prices(session, PriceFilter(**{field: "a\x00"}), now, now)


@pytest.mark.parametrize("text", ["'; DROP TABLE offers --", "100%", "_", "\\", "漢字", " "])
def test_text_is_only_ever_text(session: Session, now: datetime, text: str) -> None:
    sync_price_book(session, now)
    found = find_prices(session, PriceFilter(text=text), now, now, limit=None)
    expected = [entry for entry in load_book() if all(word in searched(entry) for word in text.casefold().split())]
    assert len(found) == len(expected)


def searched(entry: BookEntry) -> str:
    offer = entry.offer
    parts = (offer.provider, offer.region, offer.instance_type, offer.gpu_name, offer.gpu_key or "")
    return "\n".join(parts).casefold()


def test_an_offer_that_is_not_there_is_not_found(session: Session, now: datetime) -> None:
    with pytest.raises(NotFound, match="no offer 1"):
        get_offer(session, 1, now, now)
    with pytest.raises(NotFound):
        price_history(session, 1, now)


def test_facets_count_every_offer_once(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    facets = price_facets(session)
    for choices in (facets.providers, facets.regions, facets.gpu_keys, facets.kinds):
        assert sum(facet.count for facet in choices) == len(load_book())
    assert {facet.value for facet in facets.kinds} == {"on_demand", "spot"}
    assert None in {facet.value for facet in facets.gpu_keys}
    assert facets.providers[0].value == "gcp"


def test_the_age_of_the_book_is_told_per_provider(session: Session, now: datetime) -> None:
    assert price_book_age(session, now) == []
    sync_price_book(session, now)
    ages = {age.provider: age for age in price_book_age(session, now)}
    assert (ages["aws"].newest_days, ages["aws"].oldest_days) == (124, 624)
    assert (ages["azure"].newest_days, ages["gcp"].newest_days, ages["lambda"].newest_days) == (156, 110, 624)
    assert sum(age.num_offers for age in ages.values()) == len(load_book())
