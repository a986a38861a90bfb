"""Traces, random arrivals and buckets: the facts of real traces, and what a broken one is refused for."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InvalidInput
from planner.estimates.load.arrivals import Sizes, daily_requests, random_requests
from planner.estimates.load.buckets import bucketed
from planner.estimates.load.requests import Requests
from planner.estimates.load.traces import read_trace

TRACES = Path(__file__).parents[4] / "shared" / "data" / "traces"
has_traces = pytest.mark.skipif(not TRACES.exists(), reason="the traces are not here")


@cache
def trace(name: str) -> Requests:
    return read_trace(gzip.decompress((TRACES / f"{name}.gz").read_bytes()).decode())


def checks(name: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((TRACES / "checks.json").read_text())[name]
    return found


@has_traces
@pytest.mark.parametrize("name", ["azure_llm_2023_conv", "azure_llm_2023_code"])
def test_azure_trace_has_its_published_facts(name: str) -> None:
    found, told = trace(f"{name}.csv"), checks(name)
    assert found.size == told["rows"]
    assert found.rate == pytest.approx(told["mean_rate_per_s"], abs=0.0006)
    assert found.span_seconds == pytest.approx(told["span_s"], abs=0.5)
    assert found.prompt_tokens.mean() == pytest.approx(told["context_mean"], abs=0.06)
    assert np.median(found.prompt_tokens) == told["context_median"]
    assert found.output_tokens.mean() == pytest.approx(told["generated_mean"], abs=0.06)
    assert np.median(found.output_tokens) == told["generated_median"]
    assert found.most_in_a_minute == told["max_requests_in_a_minute"]
    assert found.gap_variation == pytest.approx(told["interarrival_cv"], abs=0.006)
    assert found.block_reuse is None


@has_traces
@pytest.mark.parametrize("name", ["mooncake_conversation", "mooncake_synthetic"])
def test_mooncake_trace_has_its_published_facts_and_reuses_its_blocks(name: str) -> None:
    found, told = trace(f"{name}.jsonl"), checks(name)
    assert found.size == told["rows"]
    assert found.prompt_tokens.mean() == pytest.approx(told["measured_mean_input"], abs=0.06)
    assert found.output_tokens.mean() == pytest.approx(told["measured_mean_output"], abs=0.06)
    assert found.span_seconds == pytest.approx(told["span_s"], abs=0.5)
    assert found.block_reuse == pytest.approx(told["block_reuse_infinite_cache"], abs=0.0006)


def test_plain_csv_and_jsonl_tell_the_same_requests_in_order_of_arrival() -> None:
    csv = "arrival_seconds,prompt_tokens,output_tokens\n2.5,30,4\n0.5,10,2\n"
    rows = ({"arrival_ms": 2500, "input_tokens": 30, "output_tokens": 4}, {"arrival_ms": 500, "input_tokens": 10})
    jsonl = "\n".join(json.dumps({"output_tokens": 2, **row}) for row in rows)
    for text in (csv, jsonl):
        found = read_trace(text)
        assert found.arrival_seconds.tolist() == [0.5, 2.5]
        assert found.prompt_tokens.tolist() == [10, 30]
        assert found.output_tokens.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("arrival_seconds,prompt_tokens,output_tokens\n", "no requests"),
        ("arrival_seconds,prompt_tokens\n1,2\n", "lacks a column for output tokens"),
        ("arrival_seconds,prompt_tokens,output_tokens\n1,2,0\n", "line 2: output_tokens '0'"),
        ("arrival_seconds,prompt_tokens,output_tokens\n1,2\n", "line 2: has 2 cells"),
        ("arrival,prompt_tokens,output_tokens\n17,2,3\n", "arrival_seconds or arrival_ms"),
        ("arrival_seconds,prompt_tokens,output_tokens\nsoon,2,3\n", "'soon' is not a number"),
        ("arrival_seconds,prompt_tokens,output_tokens\nnan,2,3\n", "not finite"),
        ('{"timestamp": 0, "input_length": 3, "output_length": 1\n', "line 1: is not JSON"),
        ('{"timestamp": 0, "input_length": 3, "output_length": true}\n', "True is not a whole number"),
        ('{"timestamp": 0, "input_length": 3, "output_length": 1, "hash_ids": "a"}', "list of whole numbers"),
    ],
)
def test_broken_trace_is_refused_by_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_trace(text)


@pytest.mark.parametrize("variation", [0.5, 1.0, 4.0])
def test_random_arrivals_have_the_rate_and_the_variation_that_were_asked(variation: float) -> None:
    found = random_requests(3.0, 200_000, Sizes.fixed(10, 20), np.random.default_rng(1), variation)
    assert found.rate == pytest.approx(3.0, rel=0.03)
    assert found.gap_variation == pytest.approx(variation, rel=0.03)


def test_even_arrivals_have_no_variation_at_all() -> None:
    found = random_requests(2.0, 10, Sizes.fixed(10, 20), np.random.default_rng(1), 0.0)
    assert np.diff(found.arrival_seconds).tolist() == [0.5] * 9


def test_another_rate_is_the_same_requests_stretched() -> None:
    found = random_requests(3.0, 100, Sizes.fixed(10, 20), np.random.default_rng(1))
    slower = found.scaled_to(1.5)
    assert slower.rate == pytest.approx(1.5)
    assert np.allclose(
        slower.arrival_seconds / found.arrival_seconds, slower.arrival_seconds[0] / found.arrival_seconds[0]
    )


def test_day_has_each_hours_rate() -> None:
    rates = [0.0] * 8 + [2.0] * 8 + [0.5] * 8
    found = daily_requests(rates, Sizes.fixed(10, 20), np.random.default_rng(2))
    hours = np.bincount((found.arrival_seconds // 3600).astype(int), minlength=24)
    assert hours[:8].sum() == 0
    assert hours[8:16].sum() / 28_800 == pytest.approx(2.0, rel=0.03)
    assert hours[16:].sum() / 28_800 == pytest.approx(0.5, rel=0.05)


def test_buckets_hold_every_request_once_and_none_is_larger_than_its_bucket() -> None:
    sizes = Sizes((10, 90, 300_000), (5, 300, 9_000), (0.5, 0.3, 0.2))
    requests = random_requests(1.0, 1_000, sizes, np.random.default_rng(3))
    buckets = bucketed(requests)
    assert sum(bucket.share for bucket in buckets) == pytest.approx(1.0)
    assert [(bucket.prompt_tokens, bucket.output_tokens) for bucket in buckets] == [
        (25, 25),
        (100, 500),
        (300_000, 9_000),
    ]


def test_dealing_out_keeps_every_request_and_its_prefix() -> None:
    lines = [{"timestamp": 10 * n, "input_length": 600, "output_length": 1 + n, "hash_ids": [0, n]} for n in range(5)]
    found = read_trace("\n".join(json.dumps(line) for line in lines)).dealt(2)
    assert [part.output_tokens.tolist() for part in found] == [[1, 3, 5], [2, 4]]
    assert found[1].prefix_blocks == ((0, 1), (0, 3))
