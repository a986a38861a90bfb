"""Prices come in previewed, guarded, once, and can be taken back, on SQLite and PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select

from planner.errors import Conflict, InvalidInput, NotFound
from planner.offers.change_guard import AllowedChanges
from planner.offers.offer import OfferKind, Upfront
from planner.offers.quote import Quote, Refused
from planner.services.offers import PriceFilter, find_prices, price_history, sync_price_book
from planner.services.price_imports import (
    AppliedImport,
    Origin,
    apply_import,
    approve_rows,
    first_received,
    get_import,
    import_rows,
    list_imports,
    map_gpu_name,
    preview_import,
    refuse_rows,
    roll_back_import,
    unmapped_names,
)
from planner.store.engine import Session, make_engine, session_factory
from planner.store.tables import OfferRow, PriceImportLogRow, PriceImportRow, PriceRow
from tests.builders import offer

START = datetime(2026, 1, 1, tzinfo=UTC)
ALL = AllowedChanges.ALL


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def quote(amount: str | None, on: int, *, row: int | str = 2, source_date: date | None = None, **changes: Any) -> Quote:
    """A price stated on that day; the other changes are of its offer."""
    return Quote(
        row=row,
        offer=offer(**changes),
        amount=None if amount is None else Decimal(amount),
        valid_from=day(on),
        source_date=source_date or day(on).date(),
        source="a price list",
        reason="" if amount is not None else "withdrawn",
    )


def take(session: Session, *quotes: Quote | Refused, now: datetime, **options: Any) -> AppliedImport:
    return apply_import(session, iter(quotes), "own-csv", now, **options)


def amounts(session: Session, as_of: datetime, known_at: datetime) -> dict[tuple[str, ...], Decimal | None]:
    """What holds then, as far as was known then, by offer."""
    found = find_prices(session, PriceFilter(), as_of, known_at, limit=None)
    return {item.offer.identity: item.price.amount for item in found if item.price is not None}


def held_at(session: Session, as_of: int, known_at: datetime) -> Decimal | None:
    """The amount of the only offer there is."""
    (amount,) = amounts(session, day(as_of), known_at).values() or [None]
    return amount


def count(session: Session, table: type) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_first_import_is_stored_whole_and_says_so(session: Session, now: datetime) -> None:
    found = take(session, quote("55.04", 1), quote("9.9", 1, kind=OfferKind.SPOT, row=3), now=now)
    counts = found.preview.counts
    assert (counts.num_rows, counts.num_new, counts.num_accepted, counts.num_offers_added) == (2, 2, 2, 2)
    assert set(amounts(session, now, found.recorded_at).values()) == {Decimal("55.04"), Decimal("9.9")}
    view = get_import(session, found.id)
    assert (view.source, view.counts, view.rolled_back_by, view.num_waiting) == ("own-csv", counts, None, 0)


def test_everything_that_an_offer_says_of_itself_comes_back(session: Session, now: datetime) -> None:
    full = offer(
        kind=OfferKind.RESERVED_1Y,
        upfront=Upfront.PART,
        zone="use1-az4",
        interconnect="3200 Gigabit",
        is_available=False,
        quota_gpus=Decimal(64),
        minimum_term_seconds=31_536_000,
        lead_time_seconds=86_400,
        interruptions_per_hour=Decimal("0.000123456789"),
    )
    take(session, replace(quote("3", 1), offer=full), now=now)
    (item,) = find_prices(session, PriceFilter(), now, now + timedelta(seconds=1))
    assert item.offer == full


def test_what_is_paid_upfront_makes_another_offer(session: Session, now: datetime) -> None:
    kind = OfferKind.RESERVED_1Y
    rows = [quote(str(number), 1, kind=kind, upfront=upfront) for number, upfront in enumerate(Upfront, start=1)]
    assert take(session, *rows, now=now).preview.counts.num_offers_added == len(Upfront)


def test_a_preview_says_what_applying_does_and_stores_nothing(session: Session, now: datetime) -> None:
    take(session, quote("55.04", 1), now=now)
    rows = [
        quote("50", 5),
        quote("55.04", 1, row=3),
        quote("20", 6, row=4),
        Refused(5, "the price is blank", "aws,,,"),
        quote("1", 5, row=6, instance_type="a new one", gpu_key=None, gpu_name="Mystery 9000"),
    ]
    later = now + timedelta(hours=1)
    before = [count(session, table) for table in (OfferRow, PriceRow, PriceImportRow, PriceImportLogRow)]
    previewed = preview_import(session, iter(rows), "own-csv", later)
    assert [count(session, table) for table in (OfferRow, PriceRow, PriceImportRow, PriceImportLogRow)] == before
    counts = previewed.counts
    assert (counts.num_changed, counts.num_unchanged, counts.num_held, counts.num_rejected) == (1, 1, 1, 1)
    assert (counts.num_new, counts.num_unmapped, counts.num_rows) == (1, 1, 5)
    assert [(row.place, row.reason, row.text) for row in previewed.rejected] == [
        ("line 5", "the price is blank", "aws,,,")
    ]
    assert [(row.place, row.before, row.amount) for row in previewed.held] == [("line 4", Decimal(50), Decimal(20))]
    assert [(row.place, row.before, row.amount) for row in previewed.changed] == [
        ("line 2", Decimal("55.04"), Decimal(50))
    ]
    assert previewed.unmapped == {("aws", "Mystery 9000"): 1}
    assert take(session, *rows, now=later).preview == previewed


def test_importing_twice_is_importing_once(session: Session, now: datetime) -> None:
    rows = [quote("55.04", 1), quote("60", 3), quote(None, 5), quote("9", 2, zone="a"), quote("90", 4, zone="a")]
    first = take(session, *rows, now=now)
    stored = count(session, PriceRow)
    again = take(session, *rows, now=now + timedelta(days=1))
    assert again.preview.counts.num_accepted == 0
    assert again.preview.counts.num_unchanged == first.preview.counts.num_accepted == stored == 4
    assert count(session, PriceRow) == stored
    assert len(import_rows(session, waiting=True)) == 1  # asked once, not twice


def test_a_price_confirmed_on_a_later_day_is_kept_so_that_it_is_younger(session: Session, now: datetime) -> None:
    take(session, quote("55.04", 1), now=now)
    again = take(session, quote("55.04", 1, source_date=day(9).date()), now=now + timedelta(days=1))
    assert (again.preview.counts.num_confirmed, again.preview.counts.num_unchanged) == (1, 0)
    (item,) = find_prices(session, PriceFilter(), now, again.recorded_at)
    assert item.price is not None
    assert item.price.source_date == day(9).date()


@pytest.mark.parametrize(("amount", "is_held"), [("120", False), ("80", False), ("120.01", True), ("79.99", True)])
def test_a_change_of_exactly_a_fifth_passes_and_a_larger_one_waits(
    session: Session, now: datetime, amount: str, is_held: bool
) -> None:
    take(session, quote("100", 1), now=now)
    found = take(session, quote(amount, 5), now=now + timedelta(hours=1))
    assert found.preview.counts.num_held == is_held
    assert held_at(session, 9, found.recorded_at) == (100 if is_held else Decimal(amount))


def test_a_large_correction_of_the_very_same_moment_waits_too(session: Session, now: datetime) -> None:
    take(session, quote("100", 1), now=now)
    assert take(session, quote("10", 1), now=now + timedelta(hours=1)).preview.counts.num_held == 1


def test_an_older_price_is_compared_with_the_one_that_follows_it(session: Session, now: datetime) -> None:
    take(session, quote("3.06", 9), now=now)
    found = take(session, quote("36.078", 1), now=now + timedelta(hours=1))
    assert [(row.before, row.amount) for row in found.preview.held] == [(Decimal("3.06"), Decimal("36.078"))]


def test_a_price_after_a_withdrawal_is_compared_with_the_last_known_amount(session: Session, now: datetime) -> None:
    take(session, quote("3", 1), quote(None, 3), now=now)
    found = take(session, quote("30", 5), quote("3.1", 6), now=now + timedelta(hours=1))
    assert (found.preview.counts.num_held, found.preview.counts.num_changed) == (1, 1)
    assert held_at(session, 5, found.recorded_at) is None
    assert held_at(session, 6, found.recorded_at) == Decimal("3.1")


def test_only_an_explicit_flag_lets_large_changes_through(session: Session, now: datetime) -> None:
    spot = {"kind": OfferKind.SPOT}
    take(session, quote("10", 1), quote("10", 1, **spot), now=now)
    rows = [quote("20", 5), quote("20", 5, **spot)]
    held = preview_import(session, iter(rows), "own-csv", now + timedelta(hours=1)).counts.num_held
    of_spot = preview_import(
        session, iter(rows), "own-csv", now + timedelta(hours=1), allow_large_changes=AllowedChanges.SPOT
    )
    allowed = preview_import(session, iter(rows), "own-csv", now + timedelta(hours=1), allow_large_changes=ALL)
    assert (held, of_spot.counts.num_held, allowed.counts.num_held) == (2, 1, 0)
    assert [row.offer.kind for row in of_spot.held] == [OfferKind.ON_DEMAND]


# Facts of AWS us-east-1 on demand, as a public project's own price tables stated them over the years (Apache-2.0).
WRONG = {
    "p3.2xlarge": ("3.06", "36.078"),
    "p4d.24xlarge": ("32.7726", "39.33"),
    "g4dn.metal": ("7.824", "9.862"),
    "p3dn.24xlarge": ("31.212", "37.454"),  # 19.999 %: caught by the company it keeps
}
CUT = {
    "p4d.24xlarge": ("32.7726", "21.957642"),
    "p5.48xlarge": ("98.32", "55.04"),
    "p5en.48xlarge": ("84.8", "63.296"),
}


def history_excerpt() -> Iterator[Quote]:
    """The seven months in which the source was wrong, and the real cut of 2025-06-23."""

    def row(stated: str, instance_type: str, amount: str) -> Quote:
        moment = datetime.fromisoformat(stated).replace(tzinfo=UTC)
        return replace(
            quote(amount, 0, instance_type=instance_type, row=f"{stated} {instance_type}"),
            valid_from=moment,
            source_date=moment.date(),
        )

    for name, (right, _) in WRONG.items():
        yield row("2022-06-23", name, right)
    for name, (_, wrong) in WRONG.items():
        yield row("2023-02-01", name, wrong)
    for name, (right, _) in WRONG.items():
        yield row("2023-09-18", name, right)
    for name, (before, _) in CUT.items():
        if name not in WRONG:
            yield row("2024-12-02", name, before)
    for name, (_, after) in CUT.items():
        yield row("2025-06-23", name, after)


def test_the_seven_month_error_of_the_source_is_caught_and_the_real_cut_passes_on_approval(
    session: Session, now: datetime
) -> None:
    found = take(session, *history_excerpt(), now=now)
    counts = found.preview.counts
    assert (counts.num_held, counts.num_new, counts.num_confirmed) == (7, 6, 4)
    summer_of_2023 = amounts(session, datetime(2023, 6, 1, tzinfo=UTC), found.recorded_at)
    assert {key[3]: amount for key, amount in summer_of_2023.items()} == {
        name: Decimal(right) for name, (right, _) in WRONG.items()
    }
    waiting = import_rows(session, found.id, waiting=True)
    cut = [row for row in waiting if row.valid_from == datetime(2025, 6, 23, tzinfo=UTC)]
    assert {(row.instance_type, row.compared_with, row.amount) for row in cut} == {
        (name, Decimal(before), Decimal(after)) for name, (before, after) in CUT.items()
    }
    approval = approve_rows(session, found.id, now + timedelta(hours=1), [row.id for row in cut], actor="Ada")
    assert (approval.action, approval.of_import_id, approval.counts.num_changed) == ("approval", found.id, 3)
    today = {key[3]: amount for key, amount in amounts(session, now, approval.recorded_at).items()}
    assert today == {
        "p3.2xlarge": Decimal("3.06"),
        "g4dn.metal": Decimal("7.824"),
        "p3dn.24xlarge": Decimal("31.212"),
        "p4d.24xlarge": Decimal("21.957642"),
        "p5.48xlarge": Decimal("55.04"),
        "p5en.48xlarge": Decimal("63.296"),
    }
    assert amounts(session, now, found.recorded_at) != amounts(session, now, approval.recorded_at)
    assert refuse_rows(session, found.id, now + timedelta(hours=2)) == 4
    assert get_import(session, found.id).num_waiting == 0
    again = take(session, *history_excerpt(), now=now + timedelta(days=1))
    assert (again.preview.counts.num_accepted, again.preview.counts.num_held) == (0, 0)
    assert [row.reason.split(": ")[-1] for row in again.preview.rejected] == [
        "this amount was refused by a person before"
    ] * 4


def test_a_small_change_beside_many_large_ones_of_the_same_moment_waits_with_them(
    session: Session, now: datetime
) -> None:
    names = ("a", "b", "c", "d", "e")
    take(session, *(quote("10", 1, instance_type=name) for name in names), now=now)
    after = dict(zip(names, ("20", "20", "20", "11", "10"), strict=True))
    rows = [quote(amount, 5, instance_type=name) for name, amount in after.items()]
    found = take(session, *rows, now=now + timedelta(hours=1))
    assert (found.preview.counts.num_held, found.preview.counts.num_confirmed) == (4, 1)
    few = [
        quote(amount, 7, instance_type=name) for name, amount in zip(names, ("20", "11", "11", "11", "10"), strict=True)
    ]
    counts = preview_import(session, iter(few), "own-csv", now + timedelta(hours=2)).counts
    assert (counts.num_held, counts.num_changed) == (1, 3)


def test_approval_is_once_and_of_rows_that_wait(session: Session, now: datetime) -> None:
    take(session, quote("10", 1), now=now)
    found = take(session, quote("20", 5), now=now + timedelta(hours=1))
    with pytest.raises(NotFound, match="no row 999 of import"):
        approve_rows(session, found.id, now + timedelta(hours=2), [999])
    approve_rows(session, found.id, now + timedelta(hours=2))
    with pytest.raises(Conflict, match=r"no row of import .* waits"):
        approve_rows(session, found.id, now + timedelta(hours=3))
    with pytest.raises(NotFound, match="no price import 'x'"):
        approve_rows(session, "x", now)


def test_a_rolled_back_import_leaves_what_held_before_and_its_own_trace(session: Session, now: datetime) -> None:
    take(session, quote("10", 1), quote("7", 1, zone="b"), now=now)
    wrong = take(session, quote("11", 5), quote("12", 1), quote("99", 5, zone="new"), now=now + timedelta(days=1))
    before = {at: amounts(session, day(at), now) for at in (1, 4, 5, 9)}
    view = roll_back_import(session, wrong.id, now + timedelta(days=2), actor="Ada")
    assert (view.action, view.of_import_id, view.counts.num_rows, view.actor) == ("rollback", wrong.id, 3, "Ada")
    for at, expected in before.items():
        found = amounts(session, day(at), view.recorded_at)
        assert {key: amount for key, amount in found.items() if key[2] != "new"} == expected
    assert next(amount for key, amount in amounts(session, day(5), view.recorded_at).items() if key[2] == "new") is None
    assert amounts(session, day(5), wrong.recorded_at) != before[5]  # what was believed in between stays on record
    assert get_import(session, wrong.id).rolled_back_by == view.id


def test_rolling_back_leaves_later_corrections_alone(session: Session, now: datetime) -> None:
    wrong = take(session, quote("11", 5), now=now)
    right = take(session, quote("10", 5), now=now + timedelta(days=1))
    view = roll_back_import(session, wrong.id, now + timedelta(days=2))
    assert view.counts.num_rows == 0
    assert held_at(session, 5, view.recorded_at) == 10
    assert right.preview.counts.num_changed == 1


def test_a_rolled_back_import_can_be_brought_in_again(session: Session, now: datetime) -> None:
    first = take(session, quote("10", 1), quote("30", 3), now=now)
    roll_back_import(session, first.id, now + timedelta(days=1))
    again = take(session, quote("10", 1), quote("11", 3), now=now + timedelta(days=2))
    assert held_at(session, 2, again.recorded_at) == 10
    assert held_at(session, 3, again.recorded_at) == 11


def test_rolling_back_takes_approvals_with_it_and_ends_what_waits(session: Session, now: datetime) -> None:
    take(session, quote("10", 1), now=now)
    found = take(session, quote("20", 5), quote("5", 7, row=3), now=now + timedelta(hours=1))
    first, second = import_rows(session, found.id, waiting=True)
    approve_rows(session, found.id, now + timedelta(hours=2), [first.id])
    view = roll_back_import(session, found.id, now + timedelta(hours=3))
    assert held_at(session, 9, view.recorded_at) == 10
    assert import_rows(session, waiting=True) == []
    with pytest.raises(Conflict, match="was rolled back"):
        approve_rows(session, found.id, now + timedelta(hours=4), [second.id])


def test_a_rollback_happens_once_and_is_not_itself_rolled_back(session: Session, now: datetime) -> None:
    found = take(session, quote("10", 1), now=now)
    rollback = roll_back_import(session, found.id, now + timedelta(hours=1))
    with pytest.raises(Conflict, match=f"was rolled back already, by {rollback.id}"):
        roll_back_import(session, found.id, now + timedelta(hours=2))
    with pytest.raises(Conflict, match="is a rollback"):
        roll_back_import(session, rollback.id, now + timedelta(hours=2))


def test_what_was_known_at_a_moment_never_changes_afterwards(session: Session, now: datetime) -> None:
    first = take(session, quote("10", 1), quote("11", 5), now=now)
    seen = {at: amounts(session, day(at), first.recorded_at) for at in range(10)}
    second = take(session, quote("12", 3), quote("10.5", 5), quote("50", 7), now=now)  # a clock that did not move
    assert second.recorded_at > first.recorded_at
    approve_rows(session, second.id, now - timedelta(days=1))  # and one that went back
    roll_back_import(session, first.id, now - timedelta(days=1))
    assert {at: amounts(session, day(at), first.recorded_at) for at in range(10)} == seen


def test_two_rows_with_different_prices_for_one_moment_keep_the_first_and_reject_the_other(
    session: Session, now: datetime
) -> None:
    found = take(session, quote("10", 1), quote("11", 1, row=3), quote("10.0", 1, row=4), now=now)
    assert (found.preview.counts.num_new, found.preview.counts.num_unchanged) == (1, 1)
    assert [(row.place, row.reason) for row in found.preview.rejected] == [
        ("line 3", "an earlier row states 10 for the same offer and moment")
    ]


def test_rows_of_one_offer_are_compared_with_one_another_across_batches(session: Session, now: datetime) -> None:
    rows = [quote(str(100 + number % 2), number, row=number) for number in range(2500)]
    found = take(session, *rows, quote("500", 2500), now=datetime(2036, 1, 1, tzinfo=UTC))
    counts = found.preview.counts
    assert (counts.num_new, counts.num_changed, counts.num_held) == (1, 2499, 1)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (quote("1", 1, provider="a" * 101), "provider: longer than 100 characters"),
        (quote("1", 1, region="a\x00b"), "region: .* control character"),
        (quote("1", 1, gpu_name="\ud800"), "gpu_name: .* control character"),
        (quote("0.00000000001", 1), "the price 0.00000000001 is not between"),
        (quote("1e9", 1), "the price 1000000000 is not between"),
        (quote("1", 1, num_gpus=Decimal("0.0000001")), "GPUs cannot be meant"),
        (quote("1", 1, vcpus=Decimal(-1)), "vCPUs, quota or interruptions"),
        (quote("1", 1, memory_bytes=2**63), "memory, minimum term or lead time"),
        (quote("1", 1, source_date=date(2062, 1, 1)), "the stated date 2062-01-01 lies in the future"),
    ],
)
def test_a_row_that_cannot_be_kept_is_rejected_by_row_and_reason_and_stops_no_other(
    session: Session, now: datetime, bad: Quote, reason: str
) -> None:
    found = take(session, bad, quote("5", 1, row=3), now=now)
    (row,) = import_rows(session, found.id, "rejected")
    assert row.place == "line 2"
    assert re.search(reason, row.reason)
    assert held_at(session, 1, found.recorded_at) == 5


def test_an_unusable_file_leaves_nothing_behind(session: Session, now: datetime) -> None:
    rows = [quote("1", 1), Refused(3, "the file ends in the middle of a row", is_whole_file=True), quote("2", 2)]
    previewed = preview_import(session, iter(rows), "own-csv", now)
    assert previewed.unusable == "line 3: the file ends in the middle of a row"
    with pytest.raises(InvalidInput, match=r"file: line 3: the file ends .*; nothing of it was stored"):
        take(session, *rows, now=now)
    assert [count(session, table) for table in (OfferRow, PriceRow, PriceImportRow)] == [0, 0, 0]


def test_another_number_of_gpus_for_a_known_machine_is_rejected_unless_all_is_allowed(
    session: Session, now: datetime
) -> None:
    take(session, quote("10", 1), now=now)
    row = quote("10", 5, num_gpus=Decimal(4))
    refused = take(session, row, now=now + timedelta(hours=1))
    assert [each.reason for each in refused.preview.rejected] == ["the offer is known with 8 GPUs, this row says 4"]
    take(session, row, now=now + timedelta(hours=2), allow_large_changes=ALL)
    (item,) = find_prices(session, PriceFilter(), now, now + timedelta(hours=3))
    assert item.offer.num_gpus == 4


def test_what_a_source_leaves_open_does_not_erase_what_is_known(session: Session, now: datetime) -> None:
    take(session, quote("10", 1, interconnect="3200 Gigabit"), now=now)
    take(session, quote("10", 2, vcpus=None, memory_bytes=None), now=now + timedelta(hours=1))
    (item,) = find_prices(session, PriceFilter(), now, now + timedelta(hours=2))
    assert (item.offer.vcpus, item.offer.memory_bytes) == (Decimal(192), 2 * 2**40)
    assert item.offer.interconnect == "3200 Gigabit"


def test_a_name_without_an_alias_is_listed_and_mapped_offers_follow(session: Session, now: datetime) -> None:
    unknown = {"gpu_key": None, "gpu_name": "H100 (80 GB)"}
    take(session, *(quote("1", 1, instance_type=f"t{number}", **unknown) for number in range(3)), now=now)
    take(session, quote("1", 1, provider="other", **unknown), now=now + timedelta(minutes=1))
    assert [(name.provider, name.gpu_name, name.num_offers) for name in unmapped_names(session)] == [
        ("aws", "H100 (80 GB)", 3),
        ("other", "H100 (80 GB)", 1),
    ]
    mapped = map_gpu_name(session, "h100 80 gb", "aws", "H100-80GB-PCIE", now + timedelta(hours=1))
    assert mapped.num_offers == 3
    assert [name.provider for name in unmapped_names(session)] == ["other"]
    corrected = map_gpu_name(session, "H100 (80 GB)", "aws", "H100-80GB-SXM", now + timedelta(hours=2))
    assert corrected.num_offers == 3
    later = take(session, quote("1", 1, instance_type="t9", **unknown), now=now + timedelta(hours=3))
    assert later.preview.counts.num_unmapped == 0
    keys = session.scalars(select(OfferRow.gpu_key).where(OfferRow.provider == "aws")).all()
    assert keys == ["H100-80GB-SXM"] * 4


def test_a_name_is_mapped_to_what_the_catalogue_lists_only(session: Session, now: datetime) -> None:
    with pytest.raises(InvalidInput, match=r"gpu_key: .*no GPU 'H1000'"):
        map_gpu_name(session, "H100 (80 GB)", "aws", "H1000", now)
    with pytest.raises(InvalidInput, match="name: nothing of the name counts"):
        map_gpu_name(session, " -_ ", "aws", "H100-80GB-SXM", now)


def test_the_bundled_book_does_not_undo_a_mapping(session: Session, now: datetime) -> None:
    sync_price_book(session, now)
    name = unmapped_names(session)[0]
    map_gpu_name(session, name.gpu_name, name.provider, "H100-80GB-SXM", now)
    before = len(unmapped_names(session))
    sync_price_book(session, now + timedelta(days=1))
    assert len(unmapped_names(session)) == before


def test_the_same_bytes_are_known_again(session: Session, now: datetime) -> None:
    origin = Origin("prices.csv", "ab" * 32, "Ada")
    found = take(session, quote("1", 1), now=now, origin=origin, left_out={"Windows": 3})
    assert first_received(session, "own-csv", "ab" * 32) == found.recorded_at
    assert first_received(session, "own-csv", "cd" * 32) is None
    view = get_import(session, found.id)
    assert (view.origin, view.actor, view.left_out) == ("prices.csv", "Ada", {"Windows": 3})


def test_imports_are_listed_newest_first_page_by_page(session: Session, now: datetime) -> None:
    ids = [take(session, quote("1", number), now=now + timedelta(hours=number)).id for number in range(5)]
    first = list_imports(session, limit=3)
    assert [view.id for view in first] == ids[:1:-1]
    assert [view.id for view in list_imports(session, limit=3, after=first[-1].id)] == ids[1::-1]


def test_fifty_imports_of_the_same_rows_at_once_store_each_price_once(any_url: str, now: datetime) -> None:
    """Each with an engine of its own, as processes have."""
    rows = [quote(str(number + 1), 1, instance_type=f"type-{number}", row=number) for number in range(40)]
    together = Barrier(50)

    def bring_in(number: int) -> int:
        engine = make_engine(any_url, pooled=False)
        try:
            together.wait(timeout=120)
            with session_factory(engine).begin() as session:
                found = take(session, *rows, now=now + timedelta(microseconds=number % 7))
            return found.preview.counts.num_accepted
        finally:
            engine.dispose()

    with ThreadPoolExecutor(50) as pool:
        accepted = sorted(pool.map(bring_in, range(50)))
    assert accepted == [0] * 49 + [40]
    engine = make_engine(any_url, pooled=False)
    with session_factory(engine)() as session:
        assert (count(session, OfferRow), count(session, PriceRow), count(session, PriceImportRow)) == (40, 40, 50)
        moments = session.scalars(select(PriceImportRow.recorded_at)).all()
        assert len(set(moments)) == 50
        assert len(price_history(session, session.scalars(select(OfferRow.id)).first() or 0, max(moments))) == 1
    engine.dispose()
