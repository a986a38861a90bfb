"""The server in front of an engine: it moves what each request waits for and holds up no step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.estimates.load.arrivals import Sizes, random_requests
from planner.estimates.load.demand import RandomDemand
from planner.estimates.load.engine import EnginePolicy, simulate
from planner.estimates.load.front import Front
from planner.estimates.load.latencies import waited
from planner.estimates.load.level import floor
from planner.estimates.load.queues import alone_seconds
from planner.estimates.load.replicas import Apart, serve_apart
from planner.estimates.load.requests import Requests
from planner.estimates.load.saturation import least_waits
from planner.jobs.engine import Engine
from tests.estimates.load.engines import linear_table

FRONT = Front(0.020, 0.0003)
SIZES = Sizes((100, 900), (1, 60), (0.5, 0.5))


def requests(rate: float, number: int = 400) -> Requests:
    return random_requests(rate, number, SIZES, np.random.default_rng(3))


def test_no_load_gives_the_latency_of_a_single_request_behind_its_server() -> None:
    table = linear_table(front=FRONT)
    served = simulate(random_requests(1e-4, 30, Sizes.fixed(700, 80), np.random.default_rng(1)), table, EnginePolicy())
    first, whole, each = waited(served)
    assert np.allclose(first, 0.0203 + table.prefill(700, 0.0), rtol=1e-9)
    assert np.allclose(whole, alone_seconds(table, 700, 80), rtol=1e-9)
    assert np.allclose(each, (whole - first) / 79, rtol=1e-9)


@pytest.mark.parametrize("rate", [0.5, 8.0, 40.0])
def test_server_delays_every_token_alike_and_no_step(rate: float) -> None:
    bare = simulate(requests(rate), linear_table(), EnginePolicy())
    behind = simulate(requests(rate), linear_table(front=FRONT), EnginePolicy())
    assert np.allclose(behind.first_token - bare.first_token, behind.front_seconds)
    assert np.allclose(behind.done - bare.done, behind.front_seconds)
    assert (behind.front_seconds >= FRONT.seconds(1.0) - 1e-12).all()
    assert behind.busy_seconds == bare.busy_seconds


def test_each_request_counts_itself_and_those_that_are_not_done() -> None:
    arrivals = np.array([0.0, 0.0, 1.0, 5.0])
    done = np.array([0.5, 3.0, 6.0, 7.0])
    found = Front(0.0, 1.0).of_each(arrivals, done)
    assert found.tolist() == [1.0, 2.0, 2.0, 2.0]


def test_busier_service_takes_longer_in_front() -> None:
    means = [
        simulate(requests(rate), linear_table(front=FRONT), EnginePolicy()).front_seconds.mean() for rate in (1, 30)
    ]
    assert means[0] < means[1]


def test_floor_by_formula_has_the_server_in_it() -> None:
    demand = RandomDemand(1.0, SIZES, number=200)
    table = linear_table(front=FRONT)
    formula, simulated = least_waits(table, demand, EnginePolicy()), floor(demand.sample(), table, EnginePolicy())
    assert formula.first_token.p95 == pytest.approx(simulated.first_token.p95, rel=1e-9)
    assert formula.whole.p95 == pytest.approx(simulated.whole.p95, rel=1e-3)


def test_requests_pass_the_server_once_where_prefill_and_decode_are_apart() -> None:
    one, many = linear_table(front=replace(FRONT, request_seconds=0.0)), requests(2.0)
    bare = serve_apart(many, Apart(linear_table(), linear_table(), 2, 2, 1e12), EnginePolicy())
    behind = serve_apart(many, Apart(one, one, 2, 2, 1e12), EnginePolicy())
    assert behind.latencies.first_token.mean - bare.latencies.first_token.mean == pytest.approx(0.020)
    assert behind.latencies.whole.mean - bare.latencies.whole.mean == pytest.approx(0.020)


def test_every_engine_names_what_its_server_takes() -> None:
    assert all(Front.of(engine).fixed_seconds > 0 for engine in Engine)


def test_negative_times_are_refused() -> None:
    with pytest.raises(ValueError, match="no negative time"):
        Front(-0.1)
