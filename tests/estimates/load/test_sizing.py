"""Sizing: monotone in the level and the rate, refused below the floor, the losers' reasons, and its speed."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.estimates.load.apart import SizedApart, size_apart
from planner.estimates.load.arrivals import Sizes, random_requests
from planner.estimates.load.curve import load_curve
from planner.estimates.load.demand import RandomDemand, TraceDemand
from planner.estimates.load.engine import EnginePolicy, simulate
from planner.estimates.load.latencies import latencies
from planner.estimates.load.level import ServiceLevel, below_floor, floor
from planner.estimates.load.replicas import Apart, serve, serve_apart
from planner.estimates.load.saturation import fullest, least_waits
from planner.estimates.load.sizing import Sized, Terms, Unfit, Way, size, size_one
from tests.estimates.load.engines import linear_table
from tests.estimates.load.test_engine import at_once
from tests.estimates.load.test_traces import has_traces, trace

MIXED = Sizes((100, 800, 3_000), (20, 150, 400), (0.4, 0.4, 0.2))
TABLE = linear_table()
POLICY = EnginePolicy()
LEVEL = ServiceLevel(95, first_token_seconds=0.6, per_token_seconds=0.03)


def demand(rate: float, sizes: Sizes = MIXED) -> RandomDemand:
    return RandomDemand(rate, sizes, number=600)


def way(**changes: object) -> Way:
    fields: dict[str, object] = {
        "title": "8 × A",
        "layout": "TP 2",
        "gpus_per_replica": 2,
        "table": TABLE,
        "cost_per_unit_hour": 2.0,
    }
    return Way(**{**fields, **changes})  # type: ignore[arg-type]


def sized(*arguments: object) -> Sized:
    found = size_one(*arguments)  # type: ignore[arg-type]
    assert isinstance(found, Sized)
    return found


def test_sizing_keeps_the_level_and_one_replica_less_does_not() -> None:
    found = sized(way(), demand(60.0), Terms(LEVEL), POLICY)
    assert found.replicas > 2
    assert LEVEL.missed(found.found) == ()
    fewer = [simulate(part, TABLE, POLICY) for part in demand(60.0).on_each_of(found.replicas - 1)]
    assert LEVEL.missed(latencies(fewer, 0.2))


def test_bursts_are_divided_among_the_replicas() -> None:
    bursty = RandomDemand(60.0, MIXED, variation=4.0, number=60_000)
    for number in (1, 4, 20):
        gaps = bursty.on_each_of(number)[0].gap_variation
        assert gaps == pytest.approx((1.0 + 15.0 / number) ** 0.5, rel=0.05)
        assert bursty.on_each_of(number)[0].rate == pytest.approx(60.0 / number, rel=0.05)
    calm = sized(way(), RandomDemand(60.0, MIXED), Terms(LEVEL), POLICY)
    found = sized(way(), RandomDemand(60.0, MIXED, variation=4.0), Terms(LEVEL), POLICY)
    assert calm.replicas < found.replicas < 3 * calm.replicas


def test_dealing_in_turn_evens_out_what_a_replica_gets_and_never_needs_more() -> None:
    in_turn = RandomDemand(60.0, MIXED, number=60_000, in_turn=True)
    for number in (1, 4, 16):
        assert in_turn.on_each_of(number)[0].gap_variation == pytest.approx(number**-0.5, rel=0.03)
    anywhere = sized(way(), RandomDemand(60.0, MIXED), Terms(LEVEL), POLICY)
    dealt = sized(way(), RandomDemand(60.0, MIXED, in_turn=True), Terms(LEVEL), POLICY)
    assert dealt.replicas <= anywhere.replicas


@settings(max_examples=20, deadline=None)
@given(
    rate=st.floats(0.5, 80),
    loose=st.floats(0.3, 3.0),
    tighter=st.floats(0.2, 1.0),
    percentile=st.sampled_from([50, 95, 99]),
)
def test_tighter_level_never_needs_fewer_gpus(rate: float, loose: float, tighter: float, percentile: int) -> None:
    def gpus(first: float) -> float:
        terms = Terms(ServiceLevel(percentile, first_token_seconds=first, per_token_seconds=0.04))
        found = size_one(way(), demand(rate), terms, POLICY)
        return found.num_gpus if isinstance(found, Sized) else float("inf")

    assert gpus(loose * tighter) >= gpus(loose)


@settings(max_examples=15, deadline=None)
@given(rate=st.floats(2, 60), seed=st.integers(0, 100), number=st.integers(1, 5))
def test_more_replicas_never_raise_a_percentile_of_the_same_requests(rate: float, seed: int, number: int) -> None:
    requests = random_requests(rate, 800, MIXED, np.random.default_rng(seed))
    few, many = (latencies(serve(requests, TABLE, POLICY, count)) for count in (number, 2 * number))
    for name in ("first_token", "per_token", "whole"):
        for percentile in (50, 95, 99):
            before, after = getattr(few, name).at(percentile), getattr(many, name).at(percentile)
            # Which requests meet changes with the dealing: by a step or two, never by a wait.
            assert after <= before * 1.10 + 0.02


def test_level_below_the_floor_is_refused_and_the_floor_is_named() -> None:
    level = ServiceLevel(95, first_token_seconds=0.05)
    found = size_one(way(), demand(1.0), Terms(level), POLICY)
    assert isinstance(found, Unfit)
    assert re.search(r"50 ms is below the floor: .* p95 of these requests is 160 ms", found.reason)
    least = floor(demand(1.0).sample(), TABLE, POLICY)
    assert below_floor(ServiceLevel(95, first_token_seconds=least.first_token.p95 * 1.001), least) is None


@pytest.mark.parametrize("speculation", [1.0, 2.5])
def test_floor_by_formula_is_the_simulated_one(speculation: float) -> None:
    policy = EnginePolicy(batch_tokens=1_024, tokens_per_step=speculation, speculation_cost=1.2)
    simulated = floor(demand(1.0).sample(), TABLE, policy)
    formula = least_waits(TABLE, demand(1.0), policy)
    for name in ("first_token", "per_token", "whole"):
        assert getattr(formula, name).p95 == pytest.approx(getattr(simulated, name).p95, rel=0.01)


def test_no_load_needs_one_replica_and_shows_the_single_requests_latency() -> None:
    found = sized(way(), demand(1e-6), Terms(ServiceLevel()), POLICY)
    assert found.replicas == 1
    assert found.found.whole.p99 == pytest.approx(floor(demand(1.0).sample(), TABLE, POLICY).whole.p99, rel=0.02)


def test_spare_replicas_are_paid_and_head_room_is_kept() -> None:
    plain = sized(way(), demand(60.0), Terms(LEVEL), POLICY)
    spare = sized(way(), demand(60.0), Terms(LEVEL, spare=2), POLICY)
    roomy = sized(way(), demand(60.0), Terms(LEVEL, headroom=0.6), POLICY)
    assert spare.num_gpus == plain.num_gpus + 4
    assert spare.cost_per_hour == pytest.approx((plain.cost_per_hour or 0) + 8.0)
    assert roomy.load_share <= 0.4
    assert roomy.replicas > plain.replicas


def test_sentence_says_gpus_replicas_layout_and_concurrency() -> None:
    found = sized(way(gpus_per_replica=8, layout="TP 8"), demand(60.0), Terms(LEVEL), POLICY)
    number, concurrent = found.replicas, f"{found.concurrent:.0f}"
    assert found.sentence == f"{8 * number} GPUs = {number} replicas × 8 (TP 8), each serves {concurrent} concurrent"
    spare = replace(found, spare=1)
    assert f"= ({number} + 1 spare) replicas × 8" in spare.sentence


def test_concurrency_is_littles_law() -> None:
    found = sized(way(), demand(30.0), Terms(LEVEL), POLICY)
    assert found.concurrent == pytest.approx(found.rate_per_replica * found.found.whole.mean, rel=0.15)


def test_every_losing_way_says_what_it_lost_on() -> None:
    ways = [
        way(title="best"),
        way(title="dear", cost_per_unit_hour=2.2),
        way(title="far too dear", table=linear_table(base=0.011), cost_per_unit_hour=50.0),
        way(title="slow", table=linear_table(base=0.2)),
        way(title="small", table=linear_table(kv_capacity_tokens=1_000.0)),
        way(title="unpriced", cost_per_unit_hour=None),
        way(title="few", max_units=1),
    ]
    found = size(ways, demand(60.0), Terms(LEVEL), POLICY)
    why = {option.way.title: option.why_not for option in found.options}
    why |= {other.way.title: other.reason for other in found.others}
    assert why["best"] == ""
    assert why["dear"].endswith("is the least: 10% more")
    assert "even at its best" in why["far too dear"]
    assert "a time per output token of 30 ms is below the floor" in why["slow"]
    assert "holds 1,000" in why["small"]
    assert why["unpriced"] == "its price is not known"
    assert "2 can be had" not in why["few"]
    assert "1 can be had" in why["few"]


def test_whole_nodes_are_paid_where_gpus_come_in_nodes() -> None:
    found = sized(way(unit_gpus=8, cost_per_unit_hour=16.0), demand(60.0), Terms(LEVEL), POLICY)
    assert found.cost_per_hour == 16.0 * -(-found.num_gpus // 8)


def test_hundred_layouts_are_sized_within_a_second() -> None:
    ways = [
        way(title=f"{n}", table=linear_table(base=0.008 + 1e-4 * n), cost_per_unit_hour=1.0 + 0.03 * n)
        for n in range(100)
    ]
    load = RandomDemand(80.0, MIXED)
    start = time.process_time()
    found = size(ways, load, Terms(LEVEL), POLICY)
    assert time.process_time() - start < 1.0
    assert found.options[0].way.title == "0"
    assert len(found.options) + len(found.others) == 100


def test_winner_is_the_one_that_simulating_everything_would_find() -> None:
    ways = [
        way(title=f"{base}", table=linear_table(base=base), cost_per_unit_hour=cost)
        for base, cost in ((0.008, 3.1), (0.010, 2.6), (0.012, 2.3), (0.015, 2.1), (0.018, 2.0))
    ]
    found = size(ways, demand(60.0), Terms(LEVEL), POLICY)
    each = [size_one(one, demand(60.0), Terms(LEVEL), POLICY) for one in ways]
    costs = [one.cost_per_hour for one in each if isinstance(one, Sized) and one.cost_per_hour is not None]
    assert found.options[0].cost_per_hour == pytest.approx(min(costs))


def test_formula_of_a_full_replica_agrees_with_the_simulation() -> None:
    policy = EnginePolicy(max_sequences=64)
    sizes = Sizes.fixed(500, 300)
    most = fullest(TABLE, RandomDemand(1.0, sizes), policy, None)
    assert most is not None
    served = simulate(at_once(6_400, 500, 300), TABLE, policy)
    assert 6_400 / served.end_seconds == pytest.approx(most.requests_per_second, rel=0.03)


def test_curve_rises_with_load_and_its_knee_and_level_lie_on_it() -> None:
    found = load_curve(TABLE, RandomDemand(1.0, MIXED), POLICY, LEVEL)
    medians = [point.found.whole.p50 for point in found.points]
    assert all(later >= 0.98 * earlier for earlier, later in pairwise(medians))
    assert found.points[0].found.whole.p50 == floor(RandomDemand(1.0, MIXED).sample(), TABLE, POLICY).whole.p50
    assert 0 < found.knee_per_second < found.most_per_second
    assert found.level_per_second is not None
    assert found.level_per_second <= found.most_per_second


def test_prefill_apart_spares_decoding_and_pays_for_the_transfer() -> None:
    requests = random_requests(6.0, 600, MIXED, np.random.default_rng(1))
    together = latencies(serve(requests, TABLE, POLICY, 2))
    pools = Apart(TABLE, TABLE, 1, 1, link_bytes_per_s=50e9)
    apart = serve_apart(requests, pools, POLICY)
    assert apart.latencies.per_token is not None
    assert together.per_token is not None
    assert apart.latencies.per_token.p99 < together.per_token.p99
    assert apart.transfer_seconds == pytest.approx(requests.prompt_tokens.mean() * 131_072 / 50e9)
    slow = serve_apart(requests, replace(pools, link_bytes_per_s=50e6), POLICY)
    assert slow.latencies.whole.p50 > apart.latencies.whole.p50
    assert slow.latencies.first_token == apart.latencies.first_token


def test_pools_apart_keep_the_level_and_refuse_one_below_the_floor() -> None:
    found = size_apart(way(), demand(30.0), Terms(LEVEL, spare=1), POLICY, 50e9)
    assert isinstance(found, SizedApart)
    assert LEVEL.missed(found.found) == ()
    assert found.num_gpus == (found.num_prefill + found.num_decode + 2) * 2
    assert "spare of each" in found.sentence
    refused = size_apart(way(), demand(30.0), Terms(ServiceLevel(95, first_token_seconds=0.01)), POLICY, 50e9)
    assert isinstance(refused, str)
    assert "below the floor" in refused


@has_traces
def test_bursty_trace_needs_more_than_its_mean_rate_says() -> None:
    code = trace("azure_llm_2023_code.csv")
    level = ServiceLevel(95, first_token_seconds=0.6)
    by_trace = sized(way(), TraceDemand(code), Terms(level), POLICY)
    smooth = sized(way(), RandomDemand(code.rate or 0.0, Sizes.of(code)), Terms(level), POLICY)
    assert by_trace.replicas > smooth.replicas
