"""What holds for every sequence of imports, on SQLite and PostgreSQL; and the real files, where they are at hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from planner.hardware.catalogue import load_catalogue
from planner.offers.change_guard import AllowedChanges, is_too_large
from planner.offers.offer import price_at
from planner.offers.quote import Quote
from planner.readers.registry import get_source, read_file
from planner.readers.source import ReadContext
from planner.services.offers import PriceFilter, find_prices, price_history
from planner.services.price_imports import apply_import, approve_rows, import_rows, preview_import, roll_back_import
from planner.store.engine import Engine, Session, make_engine, session_factory
from planner.store.tables import OfferRow, PriceImportLogRow, PriceImportRow, PriceRow
from tests.builders import offer

START = datetime(2026, 1, 1, tzinfo=UTC)
ALL = AllowedChanges.ALL
Amounts = dict[tuple[str, ...], Decimal | None]
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "prices"


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def quote(name: str, on: int, amount: Decimal | None) -> Quote:
    return Quote(
        row=on,
        offer=offer(instance_type=name),
        amount=amount,
        valid_from=day(on),
        source_date=day(on).date(),
        source="a list",
        reason="" if amount is not None else "withdrawn",
    )


AMOUNTS = st.one_of(st.none(), st.decimals(min_value="0.01", max_value="100", places=4))
# Histories of three offers, each with at most one price a day.
HISTORIES = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.integers(0, 30)), AMOUNTS, min_size=1, max_size=25
).map(lambda found: [quote(name, on, amount) for (name, on), amount in found.items()])
SOME = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def fresh(engine: Engine) -> Iterator[Callable[[], Session]]:
    """Sessions on an emptied database, since one test works through many examples."""
    opened: list[Session] = []

    def clean() -> Session:
        session = session_factory(engine)()
        opened.append(session)
        for table in (PriceImportLogRow, PriceRow, PriceImportRow, OfferRow):
            session.execute(delete(table))
        session.commit()
        return session

    yield clean
    for session in opened:
        session.rollback()
        session.close()


def take(session: Session, quotes: list[Quote], number: int, allowed: AllowedChanges = ALL) -> datetime:
    """Bring the rows in as import of that number; when it was recorded."""
    return apply_import(session, iter(quotes), "list", day(100 + number), allow_large_changes=allowed).recorded_at


def everything(session: Session, known_at: datetime) -> list[Amounts]:
    """What holds on each of 32 days as far as was known then."""
    offers = find_prices(session, PriceFilter(), day(0), known_at, limit=None)
    prices = {
        item.offer.identity: [price for _, price in price_history(session, item.offer_id, known_at)] for item in offers
    }
    days = []
    for number in range(32):
        held = {key: price_at(found, day(number), known_at) for key, found in prices.items()}
        days.append({key: price.amount for key, price in held.items() if price is not None})
    return days


@SOME
@given(HISTORIES, st.data())
def test_the_order_of_imports_does_not_matter_for_distinct_dates(
    fresh: Callable[[], Session], history: list[Quote], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(history))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(history)), max_size=3)) | {0, len(history)})
    session = fresh()
    for number, (first, last) in enumerate(pairwise(cuts)):
        take(session, shuffled[first:last], number)
    in_pieces = everything(session, day(200))
    session.rollback()
    session.close()
    whole = fresh()
    take(whole, sorted(history, key=lambda each: each.valid_from), 0)
    assert everything(whole, day(200)) == in_pieces
    whole.close()


@SOME
@given(HISTORIES)
def test_importing_twice_is_importing_once_whatever_is_held(fresh: Callable[[], Session], history: list[Quote]) -> None:
    session = fresh()
    ordered = sorted(history, key=lambda each: each.valid_from)
    first = apply_import(session, iter(ordered), "list", day(100))
    seen, waiting = everything(session, day(200)), len(import_rows(session, waiting=True, limit=None))
    again = apply_import(session, iter(ordered), "list", day(101))
    assert again.preview.counts.num_accepted == 0
    assert again.preview.counts.num_held == first.preview.counts.num_held
    assert everything(session, day(200)) == seen
    assert len(import_rows(session, waiting=True, limit=None)) == waiting
    session.close()


@SOME
@given(HISTORIES, HISTORIES)
def test_what_was_known_never_changes_and_a_rollback_restores_what_held(
    fresh: Callable[[], Session], first: list[Quote], second: list[Quote]
) -> None:
    session = fresh()
    known = take(session, first, 0)
    before = everything(session, known)
    applied = apply_import(session, iter(second), "list", day(101), allow_large_changes=ALL)
    assert everything(session, known) == before
    between = everything(session, applied.recorded_at)
    undone = roll_back_import(session, applied.id, day(102))
    assert everything(session, known) == before
    assert everything(session, applied.recorded_at) == between
    names = {each.offer.identity for each in first}
    since = {each.offer.identity: min(e.valid_from for e in first if e.offer == each.offer) for each in first}
    for number, (now, then) in enumerate(zip(everything(session, undone.recorded_at), before, strict=True)):
        assert {key: now.get(key) for key in names if since[key] <= day(number)} == {
            key: then.get(key) for key in names if since[key] <= day(number)
        }
        assert all(amount is None for key, amount in now.items() if key not in names)
    session.close()


@SOME
@given(HISTORIES)
def test_nothing_that_moves_by_more_than_a_fifth_gets_through_unseen(
    fresh: Callable[[], Session], history: list[Quote]
) -> None:
    session = fresh()
    take(session, sorted(history, key=lambda each: each.valid_from), 0, AllowedChanges.NONE)
    for key in {each.offer.identity for each in history}:
        amounts = [day_of[key] for day_of in everything(session, day(200)) if day_of.get(key) is not None]
        assert not any(is_too_large(a, b) for a, b in pairwise(amounts) if a is not None and b is not None)
    session.close()


@SOME
@given(HISTORIES, HISTORIES)
def test_a_preview_says_exactly_what_applying_then_does(
    fresh: Callable[[], Session], first: list[Quote], second: list[Quote]
) -> None:
    session = fresh()
    take(session, first, 0)
    seen = everything(session, day(200))
    previewed = preview_import(session, iter(second), "list", day(101))
    assert everything(session, day(200)) == seen
    assert apply_import(session, iter(second), "list", day(101)).preview == previewed
    session.close()


@pytest.mark.skipif(not REAL.exists(), reason="the collected price files are not beside this checkout")
def test_the_whole_aws_history_is_guarded_and_its_real_cut_passes(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "real.sqlite3"
    shutil.copyfile(sqlite_template, path)
    engine = make_engine(f"sqlite:///{path}")
    entry, now = get_source("history-aws"), datetime(2026, 11, 21, 9, tzinfo=UTC)
    context = ReadContext(load_catalogue(), now, source="the file")
    with (
        session_factory(engine).begin() as session,
        (REAL / "aws_us-east-1_on_demand_history_2022-2026.csv").open("rb") as stream,
    ):
        found = apply_import(session, read_file(entry, stream, context), entry.name, now)
        waiting = import_rows(session, found.id, waiting=True, limit=None)
        wrong = [row for row in waiting if row.valid_from == datetime(2023, 2, 1, tzinfo=UTC)]
        cut = [row for row in waiting if row.valid_from == datetime(2025, 6, 23, tzinfo=UTC)]
        assert (len(wrong), len(cut), len(waiting)) == (19, 4, 23)
        approve_rows(session, found.id, now + timedelta(hours=1), [row.id for row in cut])
        later = now + timedelta(hours=2)

        def amount(instance_type: str, as_of: datetime) -> Decimal | None:
            (item,) = find_prices(session, PriceFilter(text=instance_type), as_of, later, limit=None)
            return None if item.price is None else item.price.amount

        for moment in (datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 6, 1, tzinfo=UTC), now):
            assert amount("p3.2xlarge", moment) == Decimal("3.06")
        assert amount("p5.48xlarge", datetime(2025, 6, 22, tzinfo=UTC)) == Decimal("98.32")
        assert amount("p5.48xlarge", datetime(2025, 6, 23, tzinfo=UTC)) == Decimal("55.04")
        assert amount("p4d.24xlarge", now) == Decimal("21.957642")
    engine.dispose()
