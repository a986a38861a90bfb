"""The bundled price book is sound, sourced and dated; files in its form are read row by row or rejected."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.hardware.catalogue import load_catalogue
from planner.offers.book import (
    BOOK_FILES,
    COLUMNS,
    BookEntry,
    BookError,
    RejectedRow,
    load_book,
    parse_book,
    read_entries,
)
from planner.offers.offer import UNSTATED_REGION, OfferKind
from planner.offers.priced import per_gpu_hour

FACTS = Path(str(files("planner.offers") / "facts"))
ROW = {
    "provider": "aws",
    "region": "us-east-1",
    "zone": "",
    "instance_type": "p5.48xlarge",
    "kind": "on_demand",
    "currency": "USD",
    "gpu_name": "H100",
    "gpu_key": "H100-80GB-SXM",
    "num_gpus": "8",
    "vcpus": "192",
    "memory_gib": "2048",
    "host_included": "yes",
    "price_per_hour": "55.04",
    "valid_from": "",
    "source_date": "2026-07-20",
    "source": "a price list",
    "reason": "",
}


def csv_text(rows: Iterable[dict[str, str]], columns: Iterable[str] = COLUMNS) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read(*rows: dict[str, str]) -> list[BookEntry | RejectedRow]:
    lines = StringIO(csv_text(ROW | row for row in rows), newline="")
    return [found for _, found in read_entries(lines, "mine.csv", load_catalogue())]


def read_one(**changes: str) -> BookEntry:
    (found,) = read(changes)
    assert isinstance(found, BookEntry), found
    return found


# --- the bundled book


def test_the_book_has_at_least_400_offers_of_the_big_three_and_ten_gpu_clouds() -> None:
    offers = Counter(entry.offer.provider for entry in load_book())
    assert offers.total() >= 400
    assert min(offers[big] for big in ("aws", "gcp", "azure")) >= 100
    assert len(set(offers) - {"aws", "gcp", "azure"}) >= 10
    assert {"lambda", "runpod", "paperspace", "jarvislabs", "datacrunch", "fluidstack", "ovh", "oci"} <= set(offers)


@pytest.mark.parametrize("provider", ["aws", "gcp", "azure", "jarvislabs"])
@pytest.mark.parametrize("kind", [OfferKind.ON_DEMAND, OfferKind.SPOT])
def test_offers_on_demand_and_on_spot_are_there(provider: str, kind: OfferKind) -> None:
    assert any(entry.offer.provider == provider and entry.offer.kind is kind for entry in load_book())


@pytest.mark.parametrize(
    ("provider", "regions"),
    [
        ("gcp", {"us-central1", "europe-west4", "asia-southeast1"}),
        ("azure", {"eastus", "westeurope", "southeastasia"}),
        ("aws", {"us-east-1", "us-gov-east-1", "us-gov-west-1"}),
    ],
)
def test_the_big_three_are_priced_in_several_regions(provider: str, regions: set[str]) -> None:
    assert regions <= {entry.offer.region for entry in load_book() if entry.offer.provider == provider}


def test_every_gpu_key_is_in_the_catalogue_and_nine_in_ten_offers_have_one() -> None:
    keys = [entry.offer.gpu_key for entry in load_book()]
    assert set(keys) - {None} <= set(load_catalogue().gpus)
    assert keys.count(None) < len(keys) / 10


def test_the_keys_written_in_the_book_agree_with_the_alias_table() -> None:
    catalogue = load_catalogue()
    for entry in load_book():
        offer = entry.offer
        for name in (offer.instance_type, offer.gpu_name):
            assert catalogue.find(name, offer.provider) in (None, offer.gpu_key), offer


def test_a_bare_a100_of_80_gb_is_left_unknown_because_its_variant_is_not_stated() -> None:
    bare = [e.offer for e in load_book() if e.offer.provider == "fluidstack" and e.offer.gpu_name == "A100 (80 GB)"]
    assert bare
    assert all(offer.gpu_key is None for offer in bare)


def test_every_price_is_dated_sourced_and_holds_from_its_stated_day() -> None:
    for entry in load_book():
        assert date(2025, 3, 7) <= entry.source_date <= date(2026, 8, 3)
        assert "Apache-2.0" in entry.source or "MIT" in entry.source
        assert entry.valid_from == datetime.combine(entry.source_date, datetime.min.time(), UTC)
        assert entry.reason == ""


def test_every_price_per_gpu_hour_is_in_a_sane_range_and_spot_is_cheaper_than_on_demand() -> None:
    on_demand = {}
    for entry in load_book():
        assert entry.amount is not None
        each = per_gpu_hour(entry.amount, entry.offer.num_gpus)
        assert Decimal("0.1") <= each <= Decimal(45), entry
        if entry.offer.kind is OfferKind.ON_DEMAND:
            on_demand[entry.offer.identity[:4]] = each
    pairs = [
        (per_gpu_hour(e.amount or Decimal(0), e.offer.num_gpus), on_demand[e.offer.identity[:4]])
        for e in load_book()
        if e.offer.kind is OfferKind.SPOT and e.offer.identity[:4] in on_demand
    ]
    assert len(pairs) > 100
    assert all(spot < listed for spot, listed in pairs)


@pytest.mark.parametrize(
    ("instance_type", "region", "amount", "num_gpus", "gpu_key"),
    [
        ("p5.48xlarge", "us-east-1", "55.04", "8", "H100-80GB-SXM"),  # after the cut of 2025-06-23, not 98.32
        ("p4d.24xlarge", "us-east-1", "21.957642", "8", "A100-40GB-SXM"),
        ("p4de.24xlarge", "us-east-1", "27.44705", "8", "A100-80GB-SXM"),
        ("p3.2xlarge", "us-east-1", "3.06", "1", "V100-16GB-SXM"),  # not the 36.078 of 2023's wrong snapshots
        ("g6f.large", "us-east-1", "0.202", "0.125", "L4"),
        ("gr6f.4xlarge", "us-east-1", "1.066", "0.5", "L4"),
        ("Standard_NV6ads_A10_v5", "eastus", "0.454", "0.166667", "A10"),
        ("Standard_ND96isr_H100_v5", "eastus", "98.32", "8", "H100-80GB-SXM"),
        ("Standard_NC40ads_H100_v5", "eastus", "6.98", "1", "H100-NVL"),
        ("a2-highgpu-1g", "us-central1", "3.673385", "1", "A100-40GB-SXM"),
        ("a3-highgpu-8g", "us-central1", "88.4899999026", "8", "H100-80GB-SXM"),
    ],
)
def test_well_known_on_demand_prices_are_as_their_source_states(
    instance_type: str, region: str, amount: str, num_gpus: str, gpu_key: str
) -> None:
    (found,) = [
        entry
        for entry in load_book()
        if (entry.offer.instance_type, entry.offer.region, entry.offer.kind)
        == (instance_type, region, OfferKind.ON_DEMAND)
    ]
    assert (found.amount, found.offer.num_gpus, found.offer.gpu_key) == (Decimal(amount), Decimal(num_gpus), gpu_key)


@pytest.mark.parametrize("instance_type", ["a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g"])
def test_machines_that_google_sells_on_spot_only_have_no_price_on_demand(instance_type: str) -> None:
    kinds = {entry.offer.kind for entry in load_book() if entry.offer.instance_type == instance_type}
    assert kinds == {OfferKind.SPOT}


def test_the_book_files_are_all_read_plain_and_small() -> None:
    assert {path.name for path in FACTS.glob("*")} == set(BOOK_FILES)
    assert sum(path.stat().st_size for path in FACTS.glob("*")) < 300_000
    for path in FACTS.glob("*"):
        assert b"\r" not in path.read_bytes()


def test_a_region_that_the_source_does_not_name_says_so() -> None:
    stated = {e.offer.region for e in load_book() if e.source_date > date(2026, 1, 1)}
    unstated = {e.offer.region for e in load_book() if e.source_date == date(2025, 3, 7)}
    assert unstated == {UNSTATED_REGION}
    assert UNSTATED_REGION not in stated


# --- files in the same form


def test_a_row_gives_an_offer_and_a_price_from_its_stated_day_on() -> None:
    found = read_one()
    assert found.offer.memory_bytes == 2 * 2**40
    assert (found.amount, found.valid_from) == (Decimal("55.04"), datetime(2026, 7, 20, tzinfo=UTC))
    learnt = datetime(2026, 11, 21, tzinfo=UTC)
    assert found.price(learnt).recorded_at == learnt


def test_unknown_figures_stay_unknown() -> None:
    offer = read_one(gpu_key="", gpu_name="B9000", instance_type="new.large", vcpus="", memory_gib="").offer
    assert (offer.gpu_key, offer.vcpus, offer.memory_bytes) == (None, None, None)


def test_a_missing_key_is_filled_from_the_alias_table_of_that_provider_only() -> None:
    assert read_one(gpu_key="").offer.gpu_key == "H100-80GB-SXM"
    assert read_one(gpu_key="", provider="somebody", instance_type="8 x H100").offer.gpu_key is None


def test_a_withdrawn_offer_is_a_row_without_a_price_but_with_a_reason() -> None:
    found = read_one(price_per_hour="", reason="withdrawn on 2026-07-20")
    assert (found.amount, found.reason) == (None, "withdrawn on 2026-07-20")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-07-01", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01T06:00:00Z", datetime(2026, 7, 1, 6, tzinfo=UTC)),
        ("2026-07-01T06:00:00+02:00", datetime(2026, 7, 1, 4, tzinfo=UTC)),
    ],
)
def test_a_price_may_hold_from_another_moment_than_its_stated_day(text: str, moment: datetime) -> None:
    assert read_one(valid_from=text).valid_from == moment


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("price_per_hour", "0", "0 is not known to be meant"),
        ("price_per_hour", "0.00", "0 is not known to be meant"),
        ("price_per_hour", "", "needs its reason"),
        ("price_per_hour", "-1", "plain number"),
        ("price_per_hour", "1E+3", "plain number"),
        ("price_per_hour", "1,000.5", "plain number"),
        ("price_per_hour", "NaN", "plain number"),
        ("price_per_hour", "1.23456789012", "at most 10 places"),
        ("price_per_hour", "٣", "plain number"),
        ("reason", "because", "only for a row without a price"),
        ("num_gpus", "0", "num_gpus"),
        ("num_gpus", "", "num_gpus: is empty"),
        ("num_gpus", "0.1666667", "more than 6 places"),
        ("memory_gib", "0.0000000001", "whole number of bytes"),
        ("vcpus", "20-26", "vcpus"),
        ("kind", "preemptible", "on_demand"),
        ("currency", "usd", "capital letters"),
        ("provider", "Amazon", "small letters"),
        ("provider", "", "provider: is empty"),
        ("instance_type", "Standard_NM16ads_MA35D  ", "begins or ends with a blank"),
        ("instance_type", "p5\x00", "control character"),
        ("instance_type", "x" * 201, "longer than 200"),
        ("gpu_key", "H100", "no GPU 'H100'"),
        ("host_included", "true", "neither yes nor no"),
        ("source", "", "source: is empty"),
        ("source_date", "", "source_date: is empty"),
        ("source_date", "20.07.2026", "is not a day"),
        ("valid_from", "2026-07-20T06:00:00", "has no zone"),
        ("valid_from", "yesterday", "neither a day nor a moment"),
    ],
)
def test_a_faulty_row_is_rejected_with_its_place_and_what_would_be_right(column: str, text: str, reason: str) -> None:
    good, bad = read({}, {column: text})
    assert isinstance(good, BookEntry)
    assert isinstance(bad, RejectedRow)
    assert (bad.file, bad.line) == ("mine.csv", 3)
    assert reason in bad.reason
    assert bad.reason.startswith(column) or column in ("reason", "price_per_hour")


def test_a_row_with_too_few_fields_is_rejected_and_the_next_one_read() -> None:
    lines = csv_text([ROW]).splitlines()
    found = list(read_entries([lines[0], "aws,us-east-1", lines[1]], "mine.csv", load_catalogue()))
    assert isinstance(found[0][1], RejectedRow)
    assert found[0][1].reason == "2 fields, not 17"
    assert isinstance(found[1][1], BookEntry)


def test_a_file_that_stops_being_csv_is_read_up_to_there() -> None:
    lines = csv_text([ROW]).splitlines(keepends=True)
    found = list(read_entries([*lines, '"never closed'], "mine.csv", load_catalogue()))
    assert isinstance(found[0][1], BookEntry)
    assert isinstance(found[1][1], RejectedRow)
    assert "not CSV" in found[1][1].reason


@pytest.mark.parametrize("text", ["", "provider,price\r\naws,1\r\n", csv_text([], reversed(COLUMNS)), '"'])
def test_a_file_with_other_columns_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(BookError, match=r"mine\.csv, line 1"):
        list(read_entries(StringIO(text, newline=""), "mine.csv", load_catalogue()))


def test_a_book_with_an_offer_twice_is_refused_naming_file_line_and_offer() -> None:
    with pytest.raises(BookError, match=r"two\.csv, line 2: the offer aws · us-east-1 .* is there twice"):
        parse_book({"one.csv": csv_text([ROW]), "two.csv": csv_text([ROW | {"vcpus": "1"}])}, load_catalogue())


def test_a_book_with_a_faulty_row_is_refused_naming_file_line_and_reason() -> None:
    with pytest.raises(BookError, match=r"one\.csv, line 3: price_per_hour: 0 "):
        parse_book({"one.csv": csv_text([ROW, ROW | {"price_per_hour": "0"}])}, load_catalogue())


@given(st.text(max_size=60), st.sampled_from(COLUMNS))
def test_any_text_in_any_column_is_read_or_rejected_but_never_fails(text: str, column: str) -> None:
    fields = [text if name == column else ROW[name] for name in COLUMNS]
    line = ",".join('"' + field.replace('"', '""') + '"' for field in fields)
    for _, found in read_entries([",".join(COLUMNS), line], "mine.csv", load_catalogue()):
        assert isinstance(found, BookEntry | RejectedRow)


def test_the_documentation_counts_the_offers_and_shows_a_row_that_can_be_read() -> None:
    text = (Path(__file__).parents[2] / "docs" / "prices.md").read_text(encoding="utf-8")
    book = load_book()
    unmapped = sum(entry.offer.gpu_key is None for entry in book)
    assert f"{len(book)} offers of {len({entry.offer.provider for entry in book})} providers" in text
    assert f"({unmapped} of the {len(book)})" in text
    for name in BOOK_FILES:
        num_rows = len((FACTS / name).read_text(encoding="utf-8").splitlines()) - 1
        assert f"| `{name}` | {num_rows} |" in text
    example = text.split("```csv\n")[1].split("```")[0]
    assert len(parse_book({"example": example}, load_catalogue())) == 1
