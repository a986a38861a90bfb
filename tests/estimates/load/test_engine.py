"""One replica against closed forms, limits and an engine that takes every step."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.estimates.load.arrivals import Sizes, random_requests
from planner.estimates.load.engine import EnginePolicy, Served, simulate
from planner.estimates.load.latencies import Percentiles, latencies, waited
from planner.estimates.load.queues import alone_seconds, full_batch_rate, md1_wait_seconds
from planner.estimates.load.requests import Requests
from planner.estimates.load.step_table import StepTable
from tests.estimates.load.engines import linear_table
from tests.estimates.load.test_traces import has_traces, trace

ONE_AT_A_TIME = EnginePolicy(max_sequences=1)


def poisson(rate: float, number: int, prompt: int, output: int, seed: int = 7) -> Requests:
    return random_requests(rate, number, Sizes.fixed(prompt, output), np.random.default_rng(seed))


def at_once(number: int, prompt: int, output: int) -> Requests:
    return Requests(np.zeros(number), np.full(number, prompt), np.full(number, output))


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("output", [1, 50])
def test_one_at_a_time_is_a_queue_with_constant_service(busy: float, output: int) -> None:
    table = linear_table()
    service = alone_seconds(table, 1_000, output)
    requests = poisson(busy / service, 60_000, 1_000, output)
    policy = replace(ONE_AT_A_TIME, batch_tokens=1_000 if output == 1 else 8_192)
    served = simulate(requests, table, policy)
    waits = served.done - requests.arrival_seconds - service
    assert waits.mean() == pytest.approx(md1_wait_seconds(busy / service, service), rel=0.06)
    assert served.busy_seconds == pytest.approx(requests.size * service, rel=1e-9)


def test_no_load_gives_the_latency_of_a_single_request_to_every_request() -> None:
    table = linear_table()
    served = simulate(poisson(1e-4, 50, 700, 80), table, EnginePolicy())
    first, whole, each = waited(served)
    assert np.allclose(first, table.prefill(700, 0.0), rtol=1e-9)
    assert np.allclose(whole, alone_seconds(table, 700, 80), rtol=1e-9)
    assert np.allclose(each, (alone_seconds(table, 700, 80) - table.prefill(700, 0.0)) / 79, rtol=1e-9)


def test_cache_of_twenty_requests_bounds_the_rate_as_the_closed_form_says() -> None:
    prompt, output = 1_000, 200
    table = linear_table(kv_capacity_tokens=20.0 * (prompt + output))
    served = simulate(at_once(3_000, prompt, output), table, EnginePolicy())
    assert served.peak_kv_tokens <= table.capacity
    # On average a request holds prompt + half of its output, so somewhat more than twenty find room.
    least = full_batch_rate(table, prompt, output, 19)
    most = full_batch_rate(table, prompt, output, 23)
    assert least <= 3_000 / served.end_seconds <= most


def test_full_batch_without_a_memory_limit_serves_at_the_closed_forms_rate() -> None:
    table = linear_table(kv_capacity_tokens=1e9)
    policy = EnginePolicy(max_sequences=64)
    served = simulate(at_once(6_400, 500, 300), table, policy)
    assert 6_400 / served.end_seconds == pytest.approx(full_batch_rate(table, 500, 300, 64), rel=0.03)
    assert served.peak_running == 64


def step_by_step(requests: Requests, table: StepTable, places: int) -> np.ndarray:
    """When each request ends on an engine that takes every step by itself; memory never lacks."""
    clock, left, context, done = 0.0, {}, {}, np.full(requests.size, np.nan)
    waiting = list(range(requests.size))
    while np.isnan(done).any():
        here = [n for n in waiting if requests.arrival_seconds[n] <= clock][: places - len(left)]
        if not here and not left:
            clock = float(requests.arrival_seconds[waiting[0]])
            continue
        running = list(left)
        kv = float(sum(context.values()))
        if here:
            tokens = float(sum(requests.prompt_tokens[n] for n in here))
            clock += table.mixed(len(running), kv, tokens, 0.0)
        else:
            clock += table.decode(len(running), kv)
        for n in running:
            context[n] += 1
            left[n] -= 1
            if left[n] == 0:
                done[n] = clock
                del left[n], context[n]
        for n in here:
            waiting.remove(n)
            left[n], context[n] = int(requests.output_tokens[n]) - 1, int(requests.prompt_tokens[n])
            if left[n] == 0:
                done[n] = clock
                del left[n], context[n]
    return done


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(0.5, 40), seed=st.integers(0, 1_000), places=st.integers(1, 12))
def test_jumping_over_steps_changes_nothing(rate: float, seed: int, places: int) -> None:
    sizes = Sizes((20, 100, 300), (1, 8, 40), (0.3, 0.4, 0.3))
    requests = random_requests(rate, 60, sizes, np.random.default_rng(seed))
    table = linear_table()
    served = simulate(requests, table, EnginePolicy(max_sequences=places))
    assert np.allclose(served.done, step_by_step(requests, table, places), rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    rate=st.floats(0.2, 60),
    seed=st.integers(0, 1_000),
    room=st.floats(1.1, 8),
    speculation=st.sampled_from([1.0, 1.7, 3.0]),
    is_chunked=st.booleans(),
)
def test_every_request_is_served_in_order_of_its_moments_whatever_the_cache(
    rate: float, seed: int, room: float, speculation: float, is_chunked: bool
) -> None:
    sizes = Sizes((50, 400, 900), (2, 60, 300), (0.4, 0.4, 0.2))
    requests = random_requests(rate, 80, sizes, np.random.default_rng(seed), variation=2.0)
    table = linear_table(kv_capacity_tokens=room * 1_210.0)
    policy = EnginePolicy(max_sequences=16, batch_tokens=512, tokens_per_step=speculation, is_chunked=is_chunked)
    served = simulate(requests, table, policy)
    assert (served.first_token > requests.arrival_seconds).all()
    assert (served.done >= served.first_token).all()
    assert served.busy_seconds <= served.end_seconds - requests.arrival_seconds[0] + 1e-6
    assert served.peak_running <= 16
    # A whole prompt that is taken in beside others may find the cache full at its first step, never before.
    assert served.peak_kv_tokens <= table.capacity + 16 * speculation


def test_full_cache_sends_the_last_admitted_back_and_still_serves_it() -> None:
    requests = at_once(8, 300, 400)
    served = simulate(requests, linear_table(kv_capacity_tokens=3_000.0), EnginePolicy())
    assert served.num_preempted > 0
    assert not np.isnan(served.done).any()
    assert served.done[0] < served.done[7]
    roomy = simulate(requests, linear_table(), EnginePolicy())
    assert roomy.num_preempted == 0
    assert served.end_seconds > roomy.end_seconds


def test_an_engine_that_keeps_room_for_whole_answers_sends_none_back_and_runs_fewer_at_a_time() -> None:
    requests = at_once(8, 300, 400)
    table = linear_table(kv_capacity_tokens=3_000.0, reserve=1.0)
    served = simulate(requests, table, EnginePolicy())
    assert served.num_preempted == 0
    assert served.peak_running == 4  # of 700 tokens each
    assert served.peak_kv_tokens <= 3_000.0
    halves = simulate(requests, linear_table(kv_capacity_tokens=3_000.0, reserve=0.5), EnginePolicy())
    assert halves.peak_running == 6  # of 500 tokens when they are admitted
    assert halves.num_preempted > 0
    assert not np.isnan(halves.done).any()


def test_chunks_spare_the_running_from_long_prompts() -> None:
    requests = Requests(np.array([0.0, 1.0]), np.array([100, 8_000]), np.array([400, 2]))
    table = linear_table()
    whole = simulate(requests, table, EnginePolicy(is_chunked=False))
    chunked = simulate(requests, table, EnginePolicy(batch_tokens=512))
    assert chunked.first_token[1] > whole.first_token[1]
    assert chunked.done[0] == pytest.approx(whole.done[0], rel=0.05)


def test_without_chunks_decoding_waits_for_a_whole_prompt_and_loses_no_token() -> None:
    requests = Requests(np.array([0.0, 1.0]), np.array([100, 8_000]), np.array([400, 1]))
    table = linear_table()
    served = simulate(requests, table, EnginePolicy(is_chunked=False))
    assert served.done[0] == pytest.approx(alone_seconds(table, 100, 400) + table.prefill(8_000, 0.0), rel=1e-9)
    assert served.num_steps == 1 + 399 + 1


def test_speculation_divides_the_steps_and_its_cost_multiplies_them() -> None:
    table, requests = linear_table(token=0.0), at_once(1, 100, 101)
    plain = simulate(requests, table, EnginePolicy())
    twice = simulate(requests, table, EnginePolicy(tokens_per_step=2.0))
    dearer = simulate(requests, table, EnginePolicy(tokens_per_step=2.0, speculation_cost=1.5))
    prompt = table.prefill(100, 0.0)
    assert (twice.end_seconds - prompt) == pytest.approx((plain.end_seconds - prompt) / 2)
    assert (dearer.end_seconds - prompt) == pytest.approx((plain.end_seconds - prompt) * 0.75)


def test_kept_prefixes_spare_prompts_their_passes() -> None:
    number = 40
    requests = Requests(
        np.arange(number) * 1.0,
        np.full(number, 2_048),
        np.full(number, 4),
        prefix_blocks=tuple((0, 1, 2, 100 + n) for n in range(number)),
        block_tokens=512,
    )
    table = linear_table()
    served = simulate(requests, table, EnginePolicy())
    without = simulate(requests, table, EnginePolicy(reuses_prefixes=False))
    assert served.cached_tokens == (number - 1) * 3 * 512
    first = served.first_token - requests.arrival_seconds
    assert first[0] == pytest.approx(table.prefill(2_048, 0.0))
    assert first[1] == pytest.approx(table.prefill(512, 1_536.0))
    assert (without.first_token - requests.arrival_seconds)[1] == pytest.approx(first[0])


@has_traces
def test_endless_cache_finds_as_much_of_mooncakes_prompts_as_its_blocks_say() -> None:
    requests = trace("mooncake_synthetic.jsonl").scaled_to(0.05)
    served = simulate(requests, linear_table(kv_capacity_tokens=1e9), EnginePolicy())
    share = served.cached_tokens / requests.prompt_tokens.sum()
    assert share == pytest.approx(requests.block_reuse or 0.0, abs=0.02)


@has_traces
def test_conversation_trace_is_replayed_in_two_seconds_of_one_core() -> None:
    requests = trace("azure_llm_2023_conv.csv")
    table = linear_table()
    start = time.process_time()
    served = simulate(requests, table, EnginePolicy())
    assert time.process_time() - start < 2.0
    assert not np.isnan(served.done).any()


def test_percentiles_are_of_requests_and_not_of_replicas() -> None:
    table = linear_table()
    parts: list[Served] = [simulate(poisson(2.0, 500, 400, 50, seed), table, EnginePolicy()) for seed in (1, 2)]
    both = latencies(parts)
    first = np.concatenate([part.first_token - part.requests.arrival_seconds for part in parts])
    assert both.first_token.p95 == pytest.approx(float(np.percentile(first, 95)))
    assert both.num_requests == 1_000


def test_answers_of_one_token_have_no_time_per_further_token() -> None:
    served = simulate(at_once(3, 100, 1), linear_table(), EnginePolicy())
    assert latencies([served]).per_token is None
    assert Percentiles.of(np.array([])) is None


def test_request_longer_than_the_cache_is_refused_with_both_figures() -> None:
    with pytest.raises(ValueError, match="holds 1,000 tokens and the longest request has 1,200"):
        simulate(at_once(1, 1_000, 200), linear_table(kv_capacity_tokens=1_000.0), EnginePolicy())
