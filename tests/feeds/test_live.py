"""Sources that come by other people's libraries: boto3 with its own stub, gpuhunt with its own items, and their faults.

Neither was ever tried against the live provider here.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from planner.feeds import aws_spot_live, gpuhunt_live
from planner.feeds.fetch import AnswerRefused, CredentialNeeded, FetchError, FetchSettings
from planner.feeds.plans import get_feed
from planner.hardware.catalogue import load_catalogue
from planner.offers.quote import Quote, Refused
from planner.readers.registry import AWS_PRICE_REGIONS, GPUHUNT_LIVE_PROVIDERS, read_file
from planner.readers.source import ReadContext
from tests.readers.reading import RECEIVED

SETTINGS = FetchSettings(page_seconds=60)
MOMENT = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)


def read(name: str, pages: Iterator[Any]) -> list[Quote | Refused]:
    whole = io.BytesIO(b"".join(page.read() for page in pages))
    return list(read_file(get_feed(name).entry, whole, ReadContext(load_catalogue(), RECEIVED)))


@pytest.fixture
def ec2() -> Any:
    boto3 = pytest.importorskip("boto3")
    return boto3.client("ec2", region_name="us-east-1", aws_access_key_id="AKIA", aws_secret_access_key="s3cret")


def answer(price: str, zone: str, token: str = "") -> dict[str, Any]:
    row = {
        "AvailabilityZone": zone,
        "InstanceType": "p5.48xlarge",
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": price,
        "Timestamp": MOMENT,
    }
    return {"SpotPriceHistory": [row], "NextToken": token}


class TestAwsSpot:
    def test_pages_are_followed_and_read(self, ec2: Any) -> None:
        from botocore.stub import ANY, Stubber

        asked = {"ProductDescriptions": ["Linux/UNIX"], "InstanceTypes": ANY, "StartTime": ANY}
        with Stubber(ec2) as stub:
            stub.add_response("describe_spot_price_history", answer("21.5000", "us-east-1a", "more"), asked)
            stub.add_response(
                "describe_spot_price_history", answer("19.25", "us-east-1b"), {**asked, "NextToken": "more"}
            )
            found = read("aws-spot-us-east-1", aws_spot_live.pages("us-east-1", SETTINGS, ec2))
            stub.assert_no_pending_responses()
        quotes = [each for each in found if isinstance(each, Quote)]
        assert [(str(quote.amount), quote.offer.zone) for quote in quotes] == [
            ("21.5000000000", "us-east-1a"),
            ("19.2500000000", "us-east-1b"),
        ]
        assert {quote.valid_from for quote in quotes} == {MOMENT}
        assert {quote.offer.gpu_key for quote in quotes} == {"H100-80GB-SXM"}

    @pytest.mark.parametrize(
        ("code", "kind"), [("AuthFailure", CredentialNeeded), ("RequestLimitExceeded", AnswerRefused)]
    )
    def test_a_refusal_names_its_code(self, ec2: Any, code: str, kind: type[FetchError]) -> None:
        from botocore.stub import Stubber

        with Stubber(ec2) as stub:
            stub.add_client_error("describe_spot_price_history", code, "not for you")
            with pytest.raises(kind, match=f"{code}: not for you") as refused:
                list(aws_spot_live.pages("us-east-1", SETTINGS, ec2))
        assert "s3cret" not in str(refused.value)

    def test_without_credentials_it_says_so(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        pytest.importorskip("boto3")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        with pytest.raises(CredentialNeeded, match="boto3 found none"):
            list(aws_spot_live.pages("us-east-1", SETTINGS))

    def test_without_boto3_it_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "boto3", None)
        with pytest.raises(FetchError, match=r"gpu-planner\[aws\]"):
            list(aws_spot_live.pages("us-east-1", SETTINGS))


class TestGpuhunt:
    @pytest.mark.skipif(importlib.util.find_spec("gpuhunt") is None, reason="gpuhunt is not installed")
    def test_its_own_items_are_read(self) -> None:
        from gpuhunt._internal.models import AcceleratorVendor, CatalogItem

        def item(name: str, price: float, gpu: str | None, number: int, *, spot: bool = False) -> CatalogItem:
            vendor = AcceleratorVendor.NVIDIA if number else None
            return CatalogItem("runpod", name, "EU-RO-1", price, 16, 188.0, number, gpu, 80.0, spot, 100.0, vendor)

        items = [
            item("NVIDIA H100 80GB HBM3", 2.69, "H100", 1),
            item("NVIDIA H100 80GB HBM3", 1.75, "H100", 1, spot=True),
            item("cpu", 0.1, None, 0),
            item("free", 0.0, "H100", 1),
        ]
        found = read("gpuhunt-runpod", gpuhunt_live.pages("runpod", SETTINGS, lambda: items))
        quotes = [each for each in found if isinstance(each, Quote)]
        refused = [each for each in found if isinstance(each, Refused)]
        assert [(f"{quote.amount:.2f}", quote.offer.kind.value) for quote in quotes] == [
            ("2.69", "on_demand"),
            ("1.75", "spot"),
        ]
        assert {(quote.offer.provider, quote.offer.region, quote.offer.vcpus) for quote in quotes} == {
            ("runpod", "EU-RO-1", 16)
        }
        assert "a price of 0 is unknown" in refused[0].reason

    @pytest.mark.skipif(importlib.util.find_spec("gpuhunt") is None, reason="gpuhunt is not installed")
    @pytest.mark.parametrize("name", GPUHUNT_LIVE_PROVIDERS)
    def test_every_provider_is_there_and_asks_for_no_key(self, name: str) -> None:
        assert name == gpuhunt_live._provider(name).NAME

    def test_faults_silence_and_emptiness_are_told_apart(self) -> None:
        def broken() -> list[Any]:
            raise ConnectionError("no way there")

        with pytest.raises(FetchError, match="ConnectionError: no way there"):
            list(gpuhunt_live.pages("vastai", SETTINGS, broken))
        with pytest.raises(AnswerRefused, match="found no offer"):
            list(gpuhunt_live.pages("vastai", SETTINGS, list))
        over = threading.Event()
        with pytest.raises(FetchError, match="did not answer"):
            list(gpuhunt_live.pages("vastai", replace(SETTINGS, page_seconds=0.3), lambda: [over.wait(120)]))
        over.set()

    def test_without_gpuhunt_it_names_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "gpuhunt.providers.runpod", None)
        with pytest.raises(FetchError, match=r"gpu-planner\[gpuhunt\]"):
            list(gpuhunt_live.pages("runpod", SETTINGS))


def test_each_live_source_leads_to_its_library() -> None:
    names = [f"aws-spot-{region}" for region in AWS_PRICE_REGIONS]
    names += [f"gpuhunt-{provider}" for provider in GPUHUNT_LIVE_PROVIDERS]
    feeds = [get_feed(name) for name in names]
    assert all(feed.plan is None and feed.live is not None for feed in feeds)
    assert set(gpuhunt_live.CLASSES) == set(GPUHUNT_LIVE_PROVIDERS)
