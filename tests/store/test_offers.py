"""Offers and prices in the database: identity, appending, and what held when, on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from planner.offers.offer import OfferKind, Price, price_at
from planner.offers.priced import PricedOffer
from planner.store import offers as store
from planner.store.engine import Session
from planner.store.tables import OfferRow, PriceRow
from tests.builders import offer, price

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def add(session: Session, *prices: Price, **changes: object) -> int:
    """An offer with these prices; its id."""
    (offer_id,) = store.upsert_offers(session, [offer(**changes)], START).ids
    store.append_prices(session, [(offer_id, each) for each in prices])
    return offer_id


def stated(amount: str | None, on: int, learnt: int | None = None, **changes: object) -> Price:
    """A price from that day on, stated that day and learnt then or later."""
    known = day(on if learnt is None else learnt)
    return price(amount, valid_from=day(on), source_date=day(on).date(), recorded_at=known, **changes)


def find(session: Session, as_of: datetime, known_at: datetime, **options: object) -> list[PricedOffer]:
    filters = store.OfferFilter(**{k: options.pop(k) for k in list(options) if k in store.OfferFilter.__slots__})
    return store.find(session, filters, as_of, known_at, **options)


def count(session: Session, table: type) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_an_offer_comes_back_as_it_went_in(session: Session) -> None:
    original = offer(zone="use1-az4", num_gpus=Decimal("0.166667"), vcpus=Decimal("2.5"), host_included=False)
    (offer_id,) = store.upsert_offers(session, [original], START).ids
    session.expire_all()
    found = store.get(session, offer_id, START, START)
    assert found == PricedOffer(offer_id, original, None, None)


def test_a_price_comes_back_as_it_went_in_to_the_tenth_place(session: Session) -> None:
    original = stated("88.4899999026", 1)
    offer_id = add(session, original)
    session.expire_all()
    found = store.get(session, offer_id, day(2), day(2))
    assert found is not None
    assert found.price == original


def test_an_offer_met_again_keeps_its_row_and_takes_its_new_description(session: Session) -> None:
    first = store.upsert_offers(session, [offer(gpu_key=None, gpu_name="a name without an alias")], START)
    again = store.upsert_offers(session, [offer()], day(1))
    assert (first.ids, first.num_added, first.num_updated) == (again.ids, 1, 0)
    assert (again.num_added, again.num_updated) == (0, 1)
    found = store.get(session, again.ids[0], day(1), day(1))
    assert found is not None
    assert found.offer == offer()


@pytest.mark.parametrize("changes", [{"zone": "a"}, {"currency": "EUR"}, {"kind": OfferKind.SPOT}, {"region": "x"}])
def test_another_zone_currency_kind_or_region_is_another_offer(session: Session, changes: dict[str, object]) -> None:
    found = store.upsert_offers(session, [offer(), offer(**changes), offer()], START)
    assert found.num_added == 2
    assert found.ids[0] == found.ids[2] != found.ids[1]


def test_ids_come_in_the_order_given_over_several_statements(session: Session) -> None:
    offers = [offer(instance_type=f"type-{number % 1100}") for number in range(1200)]
    found = store.upsert_offers(session, offers, START)
    assert found.num_added == 1100
    assert found.ids[1100:] == found.ids[:100]
    names = dict(session.execute(select(OfferRow.id, OfferRow.instance_type)).all())
    assert [names[offer_id] for offer_id in found.ids] == [each.instance_type for each in offers]


def test_rounding_to_the_places_kept_is_no_change(session: Session) -> None:
    fine = offer(num_gpus=Decimal(1) / 3)
    store.upsert_offers(session, [fine], START)
    assert store.upsert_offers(session, [fine], day(1)).num_updated == 0


def test_a_repeated_price_is_not_stored_again(session: Session) -> None:
    offer_id = add(session, stated("55.04", 1))
    assert store.append_prices(session, [(offer_id, stated("55.0400", 1, learnt=5, source="another list"))]) == 0
    assert count(session, PriceRow) == 1


def test_another_amount_for_the_same_day_is_appended_as_a_correction(session: Session) -> None:
    offer_id = add(session, stated("36.078", 1))
    assert store.append_prices(session, [(offer_id, stated("3.06", 1, learnt=5))]) == 1
    assert [each.amount for _, each in store.history(session, offer_id, day(9))] == [Decimal("36.078"), Decimal("3.06")]
    assert [each.amount for _, each in store.history(session, offer_id, day(4))] == [Decimal("36.078")]


def test_an_amount_confirmed_at_a_later_date_is_kept_so_that_its_age_is_right(session: Session) -> None:
    offer_id = add(session, stated("55.04", 1), stated("55.04", 9))
    found = store.get(session, offer_id, day(9), day(9))
    assert found is not None
    assert found.age_days(day(10)) == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0)])
def test_the_order_of_imports_of_distinct_dates_does_not_matter(session: Session, order: tuple[int, ...]) -> None:
    prices = [stated("1", 1, learnt=20), stated("2", 5, learnt=20), stated("1", 9, learnt=20)]
    offer_id = add(session)
    for position in order:
        store.append_prices(session, [(offer_id, prices[position])])
    found = [store.get(session, offer_id, day(number), day(20)) for number in (1, 4, 5, 8, 9)]
    assert [item and item.price and item.price.amount for item in found] == [1, 1, 2, 2, 1]


def test_a_withdrawn_offer_is_found_without_an_amount_and_can_come_back(session: Session) -> None:
    offer_id = add(session, stated("3", 1), stated(None, 5), stated("4", 9))
    found = [store.get(session, offer_id, day(number), day(20)) for number in (4, 5, 9)]
    assert [item and item.price and item.price.amount for item in found] == [3, None, 4]
    assert found[1] is not None
    assert found[1].price is not None
    assert found[1].price.reason == "withdrawn"


def test_two_amounts_of_one_offer_from_one_moment_in_one_batch_are_refused(session: Session) -> None:
    offer_id = add(session)
    with pytest.raises(ValueError, match="two prices"):
        store.append_prices(session, [(offer_id, stated("1", 1)), (offer_id, stated("2", 1))])


def test_the_database_itself_refuses_a_price_of_zero(session: Session) -> None:
    offer_id = add(session)
    row = PriceRow(offer_id=offer_id, amount=Decimal(0), valid_from=START, recorded_at=START, source="x")
    row.source_date = date(2026, 1, 1)
    session.add(row)
    with pytest.raises(IntegrityError):
        session.flush()


def test_thousands_of_random_histories_give_in_sql_what_price_at_gives(session: Session) -> None:
    """A fixed seed: 300 offers, 0 to 12 prices each, asked at 40 pairs of moments."""
    random = Random(20261121)  # noqa: S311
    histories: dict[int, list[Price]] = {}
    offers = [offer(instance_type=f"type-{number}") for number in range(300)]
    for offer_id in store.upsert_offers(session, offers, START).ids:
        times = {(random.randrange(20), random.randrange(20)) for _ in range(random.randrange(13))}
        histories[offer_id] = [
            price(
                random.choice([None, "1", "2.5", "0.0000000001", "98.32"]), valid_from=day(on), recorded_at=day(learnt)
            )
            for on, learnt in times
        ]
    session.add_all(
        PriceRow(
            offer_id=offer_id,
            amount=each.amount,
            reason=each.reason,
            valid_from=each.valid_from,
            recorded_at=each.recorded_at,
            source=each.source,
            source_date=each.source_date,
        )
        for offer_id, prices in histories.items()
        for each in prices
    )
    session.flush()
    for _ in range(40):
        as_of, known_at = day(random.randrange(21)), day(random.randrange(21))
        found = {item.offer_id: item.price for item in find(session, as_of, known_at)}
        assert found == {offer_id: price_at(prices, as_of, known_at) for offer_id, prices in histories.items()}


def test_an_offer_is_not_found_before_it_was_known(session: Session) -> None:
    store.upsert_offers(session, [offer()], day(5))
    assert find(session, day(9), day(4)) == []
    assert len(find(session, day(9), day(5))) == 1


def test_the_cheapest_gpu_hour_comes_first_and_unknown_ones_last(session: Session) -> None:
    add(session, stated("8", 1), instance_type="eight for 8", num_gpus=Decimal(8))
    add(session, stated("0.5", 1), instance_type="a quarter for 0.5", num_gpus=Decimal("0.25"))
    add(session, stated(None, 1), instance_type="withdrawn")
    add(session, stated("0.9", 1), instance_type="one for 0.9", num_gpus=Decimal(1))
    add(session, instance_type="never priced")
    found = [item.offer.instance_type for item in find(session, day(2), day(2))]
    assert found[:3] == ["one for 0.9", "eight for 8", "a quarter for 0.5"]
    assert set(found[3:]) == {"withdrawn", "never priced"}


def test_amounts_in_different_currencies_are_never_compared(session: Session) -> None:
    add(session, stated("1", 1), instance_type="a", currency="USD", num_gpus=Decimal(1))
    add(session, stated("2", 1), instance_type="b", currency="EUR", num_gpus=Decimal(1))
    add(session, stated("3", 1), instance_type="c", currency="USD", num_gpus=Decimal(1))
    found = [(item.offer.currency, item.per_gpu_hour) for item in find(session, day(2), day(2))]
    assert found == [("EUR", 2), ("USD", 1), ("USD", 3)]


def many(session: Session) -> None:
    """Offers with many ties, among them unknown prices."""
    random = Random(7)  # noqa: S311
    offers = [
        offer(
            instance_type=f"type-{number:03}",
            provider=random.choice(["aws", "gcp"]),
            region=random.choice(["eu", "us"]),
            gpu_key=random.choice(["L4", "T4", None]),
            num_gpus=Decimal(random.choice([1, 2, 3, 8])),
        )
        for number in range(90)
    ]
    ids = store.upsert_offers(session, offers, START).ids
    prices = [stated(random.choice([None, "1", "2", "3.3", "7.0000000001"]), random.randrange(3)) for _ in ids]
    store.append_prices(session, [pair for pair in zip(ids, prices, strict=True) if random.random() > 0.1])


@pytest.mark.parametrize("order", store.ORDERS)
def test_pages_joined_are_the_whole_list_in_every_order(session: Session, order: str) -> None:
    many(session)
    whole = find(session, day(4), day(4), order=order)
    assert len(whole) == 90
    joined: list[PricedOffer] = []
    place = None
    while page := find(session, day(4), day(4), order=order, limit=7, after=place):
        joined += page
        place = store.place_of(page[-1], order)
    assert joined == whole


@pytest.mark.parametrize("order", store.ORDERS)
def test_a_row_added_between_two_pages_shifts_nothing(session: Session, order: str) -> None:
    many(session)
    first = find(session, day(4), day(4), order=order, limit=30)
    place = store.place_of(first[-1], order)
    rest = find(session, day(4), day(4), order=order, after=place)
    add(session, stated("0.01", 0), provider="aaa", instance_type="aaa", gpu_key="A10", num_gpus=Decimal(8))
    later = find(session, day(4), day(4), order=order, after=place)
    assert [item for item in later if item.offer.provider != "aaa"] == rest


def test_orders_put_first_what_they_are_named_after(session: Session) -> None:
    many(session)
    by_age = [item.price.source_date for item in find(session, day(4), day(4), order="age") if item.per_gpu_hour]
    by_hour = [
        item.price.amount
        for item in find(session, day(4), day(4), order="per_hour")
        if item.price and item.price.amount
    ]
    by_gpu = [item.offer.gpu_key or "~" for item in find(session, day(4), day(4), order="gpu")]
    by_provider = [item.offer.identity[:2] for item in find(session, day(4), day(4), order="provider")]
    assert by_age == sorted(by_age, reverse=True)
    assert by_hour == sorted(by_hour)
    assert by_gpu == sorted(by_gpu)
    assert by_provider == sorted(by_provider)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"gpu_key": "L4"}, {"b"}),
        ({"provider": "gcp"}, {"b", "c"}),
        ({"region": "us"}, {"a", "c"}),
        ({"kind": OfferKind.SPOT}, {"c"}),
        ({"provider": "gcp", "kind": OfferKind.ON_DEMAND}, {"b"}),
        ({"words": ("GCP", "nvidia")}, {"b", "c"}),
        ({"words": ("100%",)}, {"c"}),
        ({"words": ("0_0",)}, set()),
        ({"words": ("h100-80gb",)}, {"a"}),
        ({"least_num_gpus": {"L4": Decimal("0.5")}}, set()),
        ({"least_num_gpus": {"L4": Decimal("0.25"), "H100-80GB-SXM": Decimal(1)}}, {"a", "b"}),
        ({"least_num_gpus": {}}, set()),
        ({}, {"a", "b", "c"}),
    ],
)
def test_a_filter_leaves_what_fits_all_its_fields(
    session: Session, filters: dict[str, object], names: set[str]
) -> None:
    unmapped = {"region": "us", "gpu_name": "nvidia 100%", "gpu_key": None}
    add(session, stated("1", 1), instance_type="a", region="us")
    gcp = {"provider": "gcp", "num_gpus": Decimal("0.25")}
    add(session, stated("1", 1), **gcp, instance_type="b", region="eu", gpu_name="nvidia-l4", gpu_key="L4")
    add(session, stated("1", 1), **gcp, instance_type="c", kind=OfferKind.SPOT, **unmapped)
    assert {item.offer.instance_type for item in find(session, day(2), day(2), **filters)} == names


def test_values_are_counted_most_frequent_first_and_unknown_is_none(session: Session) -> None:
    for number, key in enumerate(["L4", None, "L4"]):
        add(session, instance_type=str(number), gpu_key=key)
    assert store.count_by(session, "gpu_key") == [("L4", 2), (None, 1)]


def test_dates_are_those_of_prices_that_hold_and_have_an_amount(session: Session) -> None:
    add(session, stated("1", 1), stated("2", 4), instance_type="a")
    add(session, stated("1", 2), instance_type="b")
    add(session, stated(None, 7), instance_type="c")
    add(session, stated(None, 7), provider="gcp")
    assert store.dates_by_provider(session, day(9), day(9)) == [("aws", 2, day(2).date(), day(4).date())]
    assert store.dates_by_provider(session, day(3), day(9)) == [("aws", 2, day(1).date(), day(2).date())]
