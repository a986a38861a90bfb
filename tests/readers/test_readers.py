"""Each price source on a small file of its form: which prices, which refusals, which GPUs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from planner.offers.offer import UNSTATED_REGION, OfferKind, Upfront
from planner.readers.own_csv import template
from tests.readers.reading import DATA, Reading, read_recorded

EAST = "us-east-1"


def reasons(reading: Reading) -> dict[int | str, str]:
    return {refused.row: refused.reason for refused in reading.refused}


class TestAwsPriceList:
    def test_prices_on_demand_and_reserved_per_hour_of_the_term(self) -> None:
        assert read_recorded("aws-price-list", "aws_price_list.csv").prices == {
            ("p5.48xlarge", "on_demand", EAST): "55.04",
            ("g6f.large", "on_demand", EAST): "0.202",
            ("p9.48xlarge", "on_demand", EAST): "99",
            ("p5.48xlarge", "reserved_1y", EAST, "no"): "40",
            ("p5.48xlarge", "reserved_1y", EAST, "part"): "39.5",  # 19.5 + 175,200 / 8,760
            ("p5.48xlarge", "reserved_3y", EAST, "all"): "20",  # 525,600 / 26,280
        }

    def test_never_takes_a_capacity_block_for_a_price(self) -> None:
        reading = read_recorded("aws-price-list", "aws_price_list.csv")
        assert reading.left_out["Capacity Blocks"] == 1
        assert all(quote.amount for quote in reading.quotes)

    def test_refuses_a_price_of_zero_by_line(self) -> None:
        reading = read_recorded("aws-price-list", "aws_price_list.csv")
        assert reasons(reading) == {13: "PricePerUnit: a price of 0 is unknown, not free"}
        assert "p4d.24xlarge" in reading.refused[0].text

    def test_counts_what_it_leaves_out(self) -> None:
        left_out = read_recorded("aws-price-list", "aws_price_list.csv").left_out
        assert left_out == {
            "Capacity Blocks": 1,
            "products that are no GPU machines": 1,
            "lines of other systems and tenancies": 1,
            "convertible reservations": 1,
        }

    def test_describes_the_machine(self) -> None:
        offer = read_recorded("aws-price-list", "aws_price_list.csv").quote("p5.48xlarge", "on_demand", EAST).offer
        assert (offer.gpu_key, offer.num_gpus, offer.vcpus, offer.memory_bytes) == (
            "H100-80GB-SXM",
            8,
            192,
            2048 * 2**30,
        )
        assert offer.interconnect == "3200 Gigabit"

    def test_keeps_a_part_of_a_gpu_that_the_list_counts_as_none(self) -> None:
        offer = read_recorded("aws-price-list", "aws_price_list.csv").quote("g6f.large", "on_demand", EAST).offer
        assert (offer.gpu_key, offer.num_gpus) == ("L4", Decimal("0.125"))

    def test_leaves_the_gpu_of_a_new_machine_unmapped(self) -> None:
        offer = read_recorded("aws-price-list", "aws_price_list.csv").quote("p9.48xlarge", "on_demand", EAST).offer
        assert (offer.gpu_key, offer.num_gpus, offer.memory_bytes) == (None, 16, 8192 * 2**30)

    def test_states_the_dates_of_the_list(self) -> None:
        quote = read_recorded("aws-price-list", "aws_price_list.csv").quotes[0]
        assert (quote.valid_from, quote.source_date) == (datetime(2026, 11, 1, tzinfo=UTC), date(2026, 11, 2))

    def test_reads_the_json_form_too(self) -> None:
        reading = read_recorded("aws-price-list", "aws_price_list.json")
        assert reading.prices == {
            ("p4d.24xlarge", "on_demand", EAST): "21.957642",
            ("p4d.24xlarge", "reserved_1y", EAST, "all"): "10",
            ("p4d.24xlarge", "reserved_3y", EAST, "no"): "12.5",
        }
        assert reading.left_out["Capacity Blocks"] == 1
        assert not reading.refused

    def test_says_how_long_a_reservation_binds(self) -> None:
        quote = read_recorded("aws-price-list", "aws_price_list.json").quote("p4d.24xlarge", "reserved_3y", EAST, "no")
        assert quote.offer.minimum_term_seconds == 3 * 8760 * 3600

    def test_refuses_a_reservation_without_the_fee_it_speaks_of(self) -> None:
        content = (DATA / "aws_price_list.json").read_bytes().replace(b'"87600"', b'"0"')
        reading = Reading("aws-price-list", content)
        assert [refused.reason for refused in reading.refused] == ["All Upfront with a fee of 0 contradicts itself"]


class TestAwsSpot:
    def test_prices_by_zone_id_where_it_is_given(self) -> None:
        reading = read_recorded("aws-spot", "aws_spot.json")
        assert reading.prices == {
            ("p4d.24xlarge", "spot", EAST, "use1-az4"): "11.57",
            ("g4dn.xlarge", "spot", "us-west-2", "us-west-2-lax-1a"): "0.21",
        }
        assert reasons(reading) == {"SpotPriceHistory 4": "SpotPrice: a price of 0 is unknown, not free"}
        assert reading.quotes[0].valid_from == datetime(2026, 11, 20, 10, 11, 12, tzinfo=UTC)


class TestAzure:
    def test_prices_over_two_pages(self) -> None:
        reading = read_recorded("azure", "azure_page_1.json", "azure_page_2.json")
        assert reading.prices == {
            ("Standard_NC40ads_H100_v5", "on_demand", "eastus"): "6.98",
            ("Standard_NC40ads_H100_v5", "spot", "eastus"): "2.5",
            ("Standard_NC40ads_H100_v5", "reserved_1y", "eastus"): "5",  # 43,800 for the year / 8,760 hours
            ("Standard_NV6ads_A10_v5", "on_demand", "eastus"): "0.454",
            ("Standard_NV36ads_A10_v5", "on_demand", "eastus"): "3.2",  # no primary meter: the other one
        }

    def test_refuses_zero_and_machines_it_does_not_know(self) -> None:
        reading = read_recorded("azure", "azure_page_1.json", "azure_page_2.json")
        assert reasons(reading) == {
            "item 4 p1/0004": "retailPrice: a price of 0 is unknown, not free",
            "item 2 p4/0001": "how many GPUs a Standard_ND999_v9 has is not known",
        }

    def test_prefers_the_primary_meter(self) -> None:
        content = (DATA / "azure_page_1.json").read_bytes()
        other = content.replace(b"6.98", b"7.77").replace(
            b'"isPrimaryMeterRegion": true', b'"isPrimaryMeterRegion": false'
        )
        assert Reading("azure", other + content).prices["Standard_NC40ads_H100_v5", "on_demand", "eastus"] == "6.98"

    def test_keeps_the_sixth_of_a_gpu(self) -> None:
        quote = read_recorded("azure", "azure_page_2.json").quote("Standard_NV6ads_A10_v5", "on_demand", "eastus")
        assert (quote.offer.gpu_key, quote.offer.num_gpus) == ("A10", Decimal("0.166667"))


class TestGcp:
    def test_joins_gpu_cores_and_memory_of_different_pages(self) -> None:
        prices = read_recorded("gcp", "gcp_page_1.json", "gcp_page_2.json").prices
        # 12 x 0.031611 + 85 x 0.004237 + 2.933908, which is Google's own price of the machine
        assert prices["a2-highgpu-1g", "on_demand", "us-central1"] == "3.673385"
        assert prices["a2-megagpu-16g", "on_demand", "us-central1"] == "55.739504"
        assert prices["a2-highgpu-1g", "spot", "us-central1"] == "1.205"
        assert prices["a2-highgpu-1g", "reserved_1y", "us-central1", "no"] == "2.3025"

    def test_a_machine_holds_from_the_newest_of_its_parts(self) -> None:
        quote = read_recorded("gcp", "gcp_page_1.json", "gcp_page_2.json").quote(
            "a2-highgpu-1g", "on_demand", "us-central1"
        )
        assert quote.valid_from == datetime(2026, 10, 5, tzinfo=UTC)

    def test_offers_gpus_of_any_machine_without_their_host(self) -> None:
        quote = read_recorded("gcp", "gcp_page_1.json").quote("1 x Nvidia Tesla T4 GPU", "on_demand", "us-central1")
        assert (quote.offer.host_included, quote.offer.gpu_key, quote.amount) == (False, "T4", Decimal("0.35"))

    def test_a_b200_slice_is_a_whole_machine_on_spot_and_not_sold_on_demand(self) -> None:
        reading = read_recorded("gcp", "gcp_page_1.json")
        slices = {key: price for key, price in reading.prices.items() if "B200" in key[0]}
        assert slices == {("1 x A4 Nvidia B200 (1 gpu slice)", "spot", "us-central1"): "4.9542"}
        assert reading.quote(*next(iter(slices))).offer.host_included
        assert reading.left_out["machines that are not sold on demand"] == 1

    def test_refuses_a_machine_whose_parts_are_not_all_there(self) -> None:
        reading = read_recorded("gcp", "gcp_page_1.json")  # the price of memory is on the second page
        assert "a2-highgpu-1g, on_demand: the price of its A2 memory in us-central1 is not there" in [
            refused.reason for refused in reading.refused
        ]
        assert ("a2-highgpu-1g", "on_demand", "us-central1") not in reading.prices

    def test_refuses_a_gpu_for_nothing(self) -> None:
        refused = reasons(read_recorded("gcp", "gcp_page_2.json"))
        assert refused["sku 0016"] == "unitPrice: a price of 0 is unknown, not free"


class TestSkyPilot:
    def test_reads_columns_by_name_and_lines_ending_in_crlf(self) -> None:
        assert read_recorded("skypilot-aws", "skypilot_aws.csv").prices == {
            ("p5.48xlarge", "on_demand", EAST): "55.04",
            ("p5.48xlarge", "spot", EAST, "use1-az1"): "21.5",
            ("g6f.large", "on_demand", EAST): "0.202",
            ("g6f.large", "spot", EAST, "use1-az1"): "0.08",
            ("p4de.24xlarge", "spot", "us-west-2", "usw2-az1"): "12.2",
        }

    def test_refuses_zero_blank_and_contradicting_prices_by_line(self) -> None:
        found = [(r.row, r.reason) for r in read_recorded("skypilot-aws", "skypilot_aws.csv").refused]
        assert found == [
            (7, "Price: a price of 0 is unknown, not free"),
            (7, "SpotPrice: a price of 0 is unknown, not free"),
            (8, "Price is blank, which is unknown"),
            (
                9,
                "the file gives two prices for aws · us-east-1 · p5.48xlarge · on_demand · USD: "
                "55.0400000000 and 60.5400000000",
            ),
        ]

    def test_leaves_out_what_is_no_gpu(self) -> None:
        left_out = read_recorded("skypilot-aws", "skypilot_aws.csv").left_out
        assert left_out["machines without a GPU"] == 1
        assert left_out["accelerators that are no GPUs"] == 1

    def test_adds_googles_machine_to_its_gpus(self) -> None:
        reading = read_recorded("skypilot-gcp", "skypilot_gcp.csv")
        assert reading.prices == {
            ("a2-highgpu-1g", "on_demand", "asia-northeast1"): "4.04959",
            ("a2-highgpu-1g", "spot", "asia-northeast1", "asia-northeast1-a"): "1.58566",
            ("1 x T4", "on_demand", "asia-northeast1"): "0.37",
            ("1 x T4", "spot", "asia-northeast1", "asia-northeast1-a"): "0.11",
        }
        assert [r.reason for r in reading.refused] == [
            "A100: the row of its machine (a2-highgpu-2g) is not there for asia-northeast1-a",
            "A100: the price of the machine a2-highgpu-4g around them is blank or 0, which is unknown",
        ]

    def test_needs_to_be_told_the_cloud(self) -> None:
        assert read_recorded("skypilot", "skypilot_aws.csv").fault == (
            "the file does not name its cloud; say which one it is"
        )

    def test_a_plain_a100_of_vast_may_be_either_size(self) -> None:
        header = b"InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region\n"
        row = b'1x-A100,A100,1,8,64,,1.5,0.00,", \xc3\x8ele-de-France, FR, EU"\n'
        offer = Reading("skypilot-vast", header + row).quotes[0].offer
        assert (offer.gpu_key, offer.region) == (None, "Île-de-France, FR, EU")


class TestGpuhunt:
    def test_reads_a_catalogue_of_one_provider(self) -> None:
        reading = read_recorded("gpuhunt-lambdalabs", "gpuhunt_lambda.csv")
        assert reading.prices == {
            ("gpu_8x_h100_sxm5", "on_demand", EAST): "23.92",
            ("gpu_1x_a10", "on_demand", EAST): "0.75",
            ("gpu_1x_new", "spot", EAST): "0.9",
        }
        assert {quote.offer.provider for quote in reading.quotes} == {"lambda"}
        assert [quote.offer.gpu_key for quote in reading.quotes] == ["H100-80GB-SXM", "A10", None]
        assert reasons(reading) == {
            6: "price: a price of 0 is unknown, not free",
            7: "spot: 'perhaps' is neither True nor False",
        }


class TestGpuClouds:
    def test_oracle_prices_per_gpu_with_its_host(self) -> None:
        reading = read_recorded("oci", "oci.json")
        assert reading.prices == {
            ("1 x H100 (B98415)", "on_demand", UNSTATED_REGION): "10",
            ("1 x A10 (B95909)", "on_demand", UNSTATED_REGION): "2",
        }
        assert reasons(reading) == {"item 2": "value: a price of 0 is unknown, not free"}
        assert [quote.offer.gpu_key for quote in reading.quotes] == ["H100-80GB-SXM", "A10"]

    def test_runpod_prices_both_clouds(self) -> None:
        reading = read_recorded("runpod", "runpod.json")
        name = "1 x NVIDIA H100 80GB HBM3"
        assert reading.prices == {
            (f"{name} (secure cloud)", "on_demand", UNSTATED_REGION): "2.99",
            (f"{name} (community cloud)", "on_demand", UNSTATED_REGION): "2.69",
            (f"{name} (secure cloud)", "spot", UNSTATED_REGION): "1.75",
            ("1 x NVIDIA Nonesuch 1 (secure cloud)", "on_demand", UNSTATED_REGION): "0.5",
        }
        assert [(q.offer.gpu_key, q.offer.is_available) for q in reading.quotes[::3]] == [
            ("H100-80GB-SXM", True),
            (None, None),
        ]

    def test_vast_prices_each_host(self) -> None:
        reading = read_recorded("vast", "vast.json")
        assert reading.prices == {
            ("2 x RTX 4090, machine 9001", "on_demand", "Texas, US"): "0.71",
            ("2 x RTX 4090, machine 9001", "spot", "Texas, US"): "0.4",
            ("1 x RTX 3090, machine 9003", "on_demand", UNSTATED_REGION): "0.2",
        }
        assert reasons(reading) == {"offers 1": "dph_base: a price of 0 is unknown, not free"}

    def test_lambda_offers_what_has_capacity_where_it_is(self) -> None:
        reading = read_recorded("lambda", "lambda.json")
        assert {(key, reading.quote(*key).offer.is_available) for key in reading.prices} == {
            (("gpu_8x_h100_sxm5", "on_demand", "us-east-1"), True),
            (("gpu_8x_h100_sxm5", "on_demand", "us-west-1"), True),
            (("gpu_1x_a10", "on_demand", UNSTATED_REGION), False),
        }
        assert reasons(reading) == {"gpu_1x_free": "price_cents_per_hour: a price of 0 is unknown, not free"}


class TestHistory:
    @pytest.fixture
    def told(self) -> list[tuple[str, ...]]:
        quotes = read_recorded("history-aws", "history_spot.csv").quotes
        return [
            (q.valid_from.date().isoformat(), q.offer.kind.value, q.offer.zone, str(q.amount and q.amount.normalize()))
            for q in quotes
        ]

    def test_says_the_on_demand_price_once_for_all_zones(self, told: list[tuple[str, ...]]) -> None:
        assert [row for row in told if row[1] == "on_demand"] == [
            ("2022-12-02", "on_demand", "", "3.06"),
            ("2022-12-07", "on_demand", "", "2.9"),
            ("2022-12-08", "on_demand", "", "None"),  # gone from its last zone
        ]

    def test_a_blank_after_a_price_withdraws_it(self, told: list[tuple[str, ...]]) -> None:
        assert [row for row in told if row[1] == "spot"] == [
            ("2022-12-02", "spot", "use1-az1", "0.918"),
            ("2022-12-03", "spot", "use1-az1", "0.95"),
            ("2022-12-04", "spot", "use1-az1", "None"),
            ("2022-12-05", "spot", "use1-az1", "0.9"),
            ("2022-12-06", "spot", "use1-az1", "None"),
        ]

    def test_gives_the_reason_of_a_withdrawal(self) -> None:
        quotes = read_recorded("history-aws", "history_spot.csv").quotes
        assert [quote.reason for quote in quotes if quote.amount is None] == [
            "the source gives no price from this day on",
            "the source lists it no longer",
            "the source lists it no longer",
        ]

    def test_refuses_by_line(self) -> None:
        assert [(r.row, r.reason) for r in read_recorded("history-aws", "history_spot.csv").refused] == [
            (10, "how many GPUs a g99.large of aws has is not known"),
            (11, "on_demand_usd_per_hour: a price of 0 is unknown, not free"),
            (11, "spot_usd_per_hour: a price of 0 is unknown, not free"),
            (12, "event: 'moved' is not one of new, change, gone"),
        ]

    def test_a_machine_gone_and_listed_anew_on_one_day_is_not_withdrawn(self) -> None:
        content = (
            b"as_of,instance_type,region,on_demand_usd_per_hour,event\n"
            b"2024-01-01,p3.2xlarge,us-east-1,3.06,new\n"
            b"2024-01-02,p3.2xlarge,us-east-1,,gone\n"
            b"2024-01-02,p3.2xlarge,us-east-1,3.06,new\n"
        )
        assert [quote.amount for quote in Reading("history-aws", content).quotes] == [Decimal("3.06"), Decimal("3.06")]

    def test_needs_a_provider_and_a_day(self) -> None:
        table = b"instance_type,region,on_demand_usd_per_hour\np3.2xlarge,us-east-1,3.06\n"
        assert "does not name its provider" in Reading("history", table).fault
        assert "say the day" in Reading("history", table, "aws").fault
        stated = Reading("history", table, "aws", date(2026, 1, 2)).quotes[0]
        assert (stated.source_date, stated.valid_from) == (date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC))


class TestFocus:
    def test_sums_what_was_paid_over_the_hours_of_a_period(self) -> None:
        reading = read_recorded("focus", "focus_1_4.csv")
        assert reading.prices == {
            ("p5.48xlarge (paid: list or negotiated)", "negotiated", EAST): "44.032",  # 440.32 over 10 hours
            ("p5.48xlarge (paid: commitment)", "negotiated", EAST): "30",
            ("G9 (paid: spot)", "negotiated", UNSTATED_REGION): "2",
        }
        paid = reading.quotes[0]
        assert (paid.valid_from, paid.source_date) == (datetime(2026, 9, 1, tzinfo=UTC), date(2026, 9, 3))
        assert paid.offer.gpu_key == "H100-80GB-SXM"

    def test_takes_the_gpus_of_an_unknown_machine_from_the_sku(self) -> None:
        offer = read_recorded("focus", "focus_1_4.csv").quotes[-1].offer
        assert (offer.provider, offer.gpu_name, offer.gpu_key) == ("small-cloud-gmbh", "RTX 4090", "RTX-4090")
        assert (offer.num_gpus, offer.vcpus, offer.memory_bytes) == (2, 16, 128 * 2**30)

    def test_refuses_what_is_no_use_by_the_hour(self) -> None:
        assert reasons(read_recorded("focus", "focus_1_4.csv")) == {
            8: "EffectiveCost: -3 is below 0 for a use",
            9: "PricingUnit: 'Seconds' is not Hours",
        }

    def test_reads_the_older_provider_column_and_its_nulls(self) -> None:
        quote = read_recorded("focus", "focus_1_2.csv").quotes[0]
        assert (quote.offer.provider, quote.offer.currency, quote.amount) == ("azure", "EUR", Decimal("2.75"))
        assert (quote.offer.gpu_key, quote.offer.kind) == ("H100-NVL", OfferKind.NEGOTIATED)


class TestOwnCsv:
    def test_reads_its_template(self) -> None:
        reading = Reading("own", template().encode())
        offer = reading.quotes[0].offer
        assert reading.prices == {("gpu-8", "reserved_1y", "eu-1", "no"): "17.6"}
        assert (offer.upfront, offer.interconnect, offer.is_available) == (Upfront.NO, "3200 Gbit/s InfiniBand", None)

    def test_takes_terms_and_tells_unknown_from_never(self) -> None:
        text = template().replace("no,3200 Gbit/s InfiniBand,,,,,", "all,,yes,64,720,1.5,0")
        offer = Reading("own", text.encode()).quotes[0].offer
        assert (offer.upfront, offer.is_available, offer.quota_gpus) == (Upfront.ALL, True, 64)
        assert (offer.minimum_term_seconds, offer.lead_time_seconds) == (720 * 3600, 5400)
        assert offer.interruptions_per_hour == 0

    def test_refuses_upfront_for_what_is_no_reservation(self) -> None:
        reading = Reading("own", template().replace("reserved_1y", "on_demand").encode())
        assert reasons(reading) == {2: "nothing is paid upfront for an offer of kind on_demand"}
