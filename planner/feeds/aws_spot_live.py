"""Amazon's current spot prices over boto3 (the extra `aws`), as the JSON pages that the reader of such files reads.

One price per GPU machine and zone, as of now. boto3 finds the credentials where it always does; they need
ec2:DescribeSpotPriceHistory. A region that the account has not enabled answers AuthFailure.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

from planner.feeds.fetch import AnswerRefused, CredentialNeeded, FetchError, FetchSettings
from planner.readers.aws_price_list import PROVIDER
from planner.readers.machines import load_machines

SYSTEM = "Linux/UNIX"
CREDENTIAL_FAULTS = frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"})
REFUSALS = frozenset({"AuthFailure", "OptInRequired", "UnauthorizedOperation", "ExpiredToken", "RequestExpired"})


def pages(region: str, settings: FetchSettings, client: Any = None) -> Iterator[BinaryIO]:
    """The pages of one region. Raises FetchError where boto3 is missing, refused, or not answered in time."""
    client = client or _client(region, settings)
    from botocore.exceptions import BotoCoreError, ClientError

    types = sorted({machine.instance_type for machine in load_machines().values() if machine.provider == PROVIDER})
    asked = {"ProductDescriptions": [SYSTEM], "InstanceTypes": types, "StartTime": datetime.now(UTC)}
    num_pages = 0
    try:
        for page in client.get_paginator("describe_spot_price_history").paginate(**asked):
            num_pages += 1
            if num_pages > settings.most_pages:
                raise AnswerRefused(f"EC2 in {region} has more than {settings.most_pages:,} pages of spot prices.")
            yield _page(page)
    except ClientError as error:
        raise _refused(region, error.response.get("Error", {})) from None
    except BotoCoreError as error:
        raise _unreadable(region, error) from None


def _page(answer: dict[str, Any]) -> BinaryIO:
    rows = [{**row, "Timestamp": row["Timestamp"].isoformat()} for row in answer["SpotPriceHistory"]]
    return io.BytesIO(json.dumps({"SpotPriceHistory": rows}).encode() + b"\n")


def _client(region: str, settings: FetchSettings) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise FetchError("AWS spot prices need boto3: install gpu-planner[aws].") from None
    limits = Config(
        connect_timeout=settings.connect_seconds,
        read_timeout=settings.read_seconds,
        retries={"max_attempts": settings.attempts, "mode": "standard"},
    )
    return boto3.client("ec2", region_name=region, config=limits)


def _refused(region: str, fault: dict[str, Any]) -> FetchError:
    code = str(fault.get("Code", "unknown"))
    kind = CredentialNeeded if code in REFUSALS else AnswerRefused
    return kind(f"EC2 in {region} refused the spot prices: {code}: {fault.get('Message', 'no reason given')}.")


def _unreadable(region: str, error: Exception) -> FetchError:
    name = type(error).__name__
    if name in CREDENTIAL_FAULTS:
        return CredentialNeeded(f"EC2 in {region} gives spot prices only with AWS credentials, and boto3 found none.")
    return FetchError(f"EC2 in {region} could not be read: {name}: {error}.")
