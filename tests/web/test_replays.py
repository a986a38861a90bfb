"""Replays by page and API."""

from __future__ import annotations

import gzip
from io import BytesIO

import pytest
from flask.testing import FlaskClient

from tests.web.conftest import Send

API = "/api/v1/replays"
TRACE = "timestamp,duration,num_gpus\n0,3600,8\n0,3600,8\n60,600,4\n100,600,999\n"


def test_a_trace_is_replayed(client: FlaskClient) -> None:
    answer = client.post(f"{API}?nodes=1&more_nodes=1&price=2", data=TRACE, content_type="text/csv")
    assert answer.status_code == 200, answer.text
    found = answer.json["replay"]
    assert (found["num_jobs"], found["refused"], found["starts"]) == (3, [3], [])
    assert found["wait_seconds"] == pytest.approx((0 + 3600 + 7140) / 3)
    assert found["cost"] == pytest.approx(7800 / 3600 * 8 * 2)
    assert answer.json["more"]["wait_seconds"] < found["wait_seconds"]
    assert answer.json["sentence"].startswith("8 more GPUs")
    told = client.post(f"{API}?nodes=1&starts=true", data=TRACE, content_type="text/csv").json["replay"]
    assert told["starts"] == [0, 3600, 7200, None]
    packed = gzip.compress(TRACE.encode())
    shortest = client.post(f"{API}?nodes=1&policy=sjf", data=packed, content_type="application/gzip")
    assert shortest.json["replay"]["wait_seconds"] <= found["wait_seconds"]


@pytest.mark.parametrize(
    ("query", "data", "field"),
    [
        ("nodes=0", TRACE, "nodes"),
        ("nodes=1&policy=luck", TRACE, "policy"),
        ("nodes=1", "timestamp,duration\n0,1\n", "trace"),
        ("nodes=1", "timestamp,duration,num_gpus\n0,soon,1\n", "trace.line 2"),
        ("nodes=1&cluster=nobody", TRACE, "trace"),
    ],
)
def test_what_cannot_be_replayed_is_named(client: FlaskClient, query: str, data: str, field: str) -> None:
    answer = client.post(f"{API}?{query}", data=data, content_type="text/csv")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == field


def test_the_page_shows_every_policy(send: Send) -> None:
    fields = {"nodes": "1", "gpus_per_node": "8", "more_nodes": "1", "trace": (BytesIO(TRACE.encode()), "jobs.csv")}
    answer = send("/replays", fields, page="/replays")
    assert answer.status_code == 200
    for word in ("fifo", "sjf", "backfill", "8 more GPUs", "unknown"):
        assert word in answer.text
    assert "timetable" not in answer.text
    refused = send("/replays", {"nodes": "1"}, page="/replays")
    assert refused.status_code == 422
    assert "fault-trace" in refused.text
