"""The readers on real files, where the folder of shared data lies beside the checkout, with golden prices."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from planner.hardware.catalogue import load_catalogue
from planner.offers.offer import OfferKind
from planner.readers.registry import detect, get_source, read_file
from planner.readers.source import Quote, ReadContext, Refused
from tests.readers.reading import RECEIVED, Reading

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SPOT_HISTORY = SHARED / "prices" / "aws_gpu_spot_daily_2022-12_2024-05.csv.gz"
NO_GPU_REASON = "how many GPUs a "

pytestmark = pytest.mark.skipif(not SPOT_HISTORY.is_file(), reason="the folder ../shared/data is not there")


def read(path: Path) -> Reading:
    """The file, read by the source that its name and first bytes tell."""
    content = path.read_bytes()
    name = detect(content[:65536], str(path))
    assert name is not None
    return Reading(name, content)


def skypilot_files() -> list[str]:
    return sorted(str(path.relative_to(SHARED)) for path in SHARED.glob("skypilot-catalog/v*/*/vms.csv"))


class TestSkyPilot:
    @pytest.mark.parametrize("name", skypilot_files())
    def test_every_cloud_gives_prices_and_no_fault(self, name: str) -> None:
        reading = read(SHARED / name)
        assert reading.quotes
        assert not reading.fault
        assert all(quote.amount and quote.amount > 0 for quote in reading.quotes)

    @pytest.mark.parametrize(
        ("name", "num_on_demand", "num_spot", "num_refused"),
        [
            ("v5/aws", 485, 1230, 0),
            ("v5/azure", 260, 225, 14),
            ("v5/gcp", 342, 722, 11),
            ("v5/lambda", 182, 0, 0),
            ("v8/vast", 67, 0, 67),
            ("v8/verda", 17, 16, 5),
            ("v8/nebius", 21, 8, 0),
        ],
    )
    def test_counts_of_some_clouds(self, name: str, num_on_demand: int, num_spot: int, num_refused: int) -> None:
        reading = read(SHARED / "skypilot-catalog" / name / "vms.csv")
        kinds = Counter(quote.offer.kind for quote in reading.quotes)
        assert (kinds[OfferKind.ON_DEMAND], kinds[OfferKind.SPOT], len(reading.refused)) == (
            num_on_demand,
            num_spot,
            num_refused,
        )

    def test_azures_machines_without_a_price_are_refused(self) -> None:
        refused = read(SHARED / "skypilot-catalog/v5/azure/vms.csv").refused
        assert Counter(r.reason for r in refused if r.reason.startswith("Price")) == {
            "Price: a price of 0 is unknown, not free": 5,
            "Price is blank, which is unknown": 4,
        }

    def test_google_machines_cost_what_google_says(self) -> None:
        reading = read(SHARED / "skypilot-catalog/v5/gcp/vms.csv")
        assert reading.prices["a2-highgpu-1g", "on_demand", "us-central1"] == "3.67339"  # its parts rounded to 5 places
        assert reading.prices["a2-megagpu-16g", "on_demand", "us-central1"] == "55.73951"


class TestHistories:
    def test_the_wrong_months_and_the_real_cut_of_amazon_are_both_read_as_they_stand(self) -> None:
        reading = read(SHARED / "prices/aws_us-east-1_on_demand_history_2022-2026.csv")
        by_type: dict[str, list[tuple[str, Decimal | None]]] = {}
        for quote in reading.quotes:
            day = quote.valid_from.date().isoformat()
            by_type.setdefault(quote.offer.instance_type, []).append((day, quote.amount and quote.amount.normalize()))
        assert ("2023-02-01", Decimal("36.078")) in by_type["p3.2xlarge"]  # the source's error
        assert by_type["p3.2xlarge"][-1][1] == Decimal("3.06")
        assert ("2025-06-23", Decimal("55.04")) in by_type["p5.48xlarge"]  # the cut
        assert by_type["p4d.24xlarge"][-1][1] == Decimal("21.957642")

    @pytest.mark.parametrize(
        ("name", "num_quotes"),
        [
            ("azure_on_demand_history_2023-2026.csv", 1344),
            ("gcp_on_demand_spot_history_2026.csv", 2338),
            ("gcp_gpu_daily_2022-12_2024-04.csv.gz", 973),
            ("aws_on_demand_2026-07-20.csv", 133),
            ("azure_on_demand_2026-06-18.csv", 1033),
            ("gcp_on_demand_spot_2026-08-03.csv", 768),
        ],
    )
    def test_counts(self, name: str, num_quotes: int) -> None:
        reading = read(SHARED / "prices" / name)
        assert len(reading.quotes) == num_quotes
        assert not reading.fault
        assert all(refused.reason.startswith(NO_GPU_REASON) for refused in reading.refused)

    def test_no_offer_has_two_prices_from_one_moment(self) -> None:
        for path in sorted((SHARED / "prices").glob("*history*.csv")):
            said = Counter((quote.offer.identity, quote.valid_from) for quote in read(path).quotes)
            assert max(said.values()) == 1, path.name


class TestSpotHistory:
    """All 173,522 rows, streamed."""

    def _stream(self) -> Iterator[Quote | Refused]:
        context = ReadContext(load_catalogue(), RECEIVED)
        with SPOT_HISTORY.open("rb") as file:
            yield from read_file(get_source("history-aws"), file, context)

    def test_every_row_is_a_quote_or_refused(self) -> None:
        kinds: Counter[tuple[OfferKind, bool]] = Counter()
        refused: Counter[str] = Counter()
        for found in self._stream():
            if isinstance(found, Refused):
                refused[found.reason] += 1
            else:
                kinds[found.offer.kind, found.amount is None] += 1
        assert refused == {"on_demand_usd_per_hour is blank": 56}
        assert kinds == {
            (OfferKind.SPOT, False): 173_173,
            (OfferKind.SPOT, True): 28,
            (OfferKind.ON_DEMAND, False): 176,
            (OfferKind.ON_DEMAND, True): 10,
        }

    def test_memory_does_not_grow_with_the_rows(self) -> None:
        rows = self._stream()
        for _ in range(1_000):  # the catalogue, the list of machines and the first offers are loaded
            next(rows)
        tracemalloc.start()
        try:
            for _ in range(20_000):
                next(rows)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 4 * 2**20


class TestApiSamples:
    def test_amazons_capacity_block_is_no_price(self) -> None:
        reading = read(SHARED / "api_samples/aws_price_list_offers_p4d_ondemand_capacityblock.json")
        assert reading.prices == {("p4d.24xlarge", "on_demand", "us-east-1"): "32.7726"}
        assert reading.quotes[0].valid_from == datetime(2024, 5, 1, tzinfo=UTC)
        assert reading.left_out["Capacity Blocks"] == 1

    def test_amazons_other_sample_holds_no_gpu_offer(self) -> None:
        reading = read(SHARED / "api_samples/aws_price_list_offers_m5_p3_gp3.json")
        assert (reading.quotes, reading.refused) == ([], [])

    def test_google_joins_to_its_own_published_price(self) -> None:
        prices = read(SHARED / "api_samples/gcp_cloudbilling_skus.json").prices
        assert prices["a2-highgpu-1g", "on_demand", "us-east1"] == "3.673385"
        assert prices["a2-highgpu-8g", "on_demand", "us-west1"] == "29.38708"

    def test_oracle(self) -> None:
        reading = read(SHARED / "api_samples/oci_price_list_usd.json")
        assert {quote.offer.gpu_name: str(quote.amount and quote.amount.normalize()) for quote in reading.quotes} == {
            "Bare Metal GPU Standard - X7": "1.275",
            "Virtual Machine GPU Standard - X7": "1.275",
            "GPU Standard - V2": "2.95",
            "E3": "3.05",
            "A100 - v2": "4",
            "A10": "2",
            "H100": "1E+1",
        }
