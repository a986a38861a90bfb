"""The cheapest mix: against a peer's instances, against enumeration, and the reasons it gives."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.melange import PeerRow, read_groups, read_rates, read_rows
from planner.plans.mix import GroupOffer, Mix, NoMix, solve_mix

PEER = Path(__file__).parents[3] / "shared" / "data" / "peer"
INSTANCE, RESULTS = PEER / "melange_instance.json", PEER / "melange_results.json"
ROWS = read_rows(INSTANCE, RESULTS) if INSTANCE.exists() else []

# The toy of the peer's own example (melange/config/example.json, commit ebba701b): with one slice per bucket the peer
# answers 3 A10G + 1 A100 at 6.70 an hour, as its README prints; with two or more slices 2 + 1 at 5.69.
TOY = read_groups(
    {
        "A10G": {"cost": 1.01, "tputs": [[2, 1], [5, 2]]},
        "A100": {"cost": 3.67, "tputs": [[20, 20], [40, 20]]},
    }
)
TOY_RATES = read_rates([[0.2, 0.1], [0.5, 0.2]], 30.0)


def solved(*arguments: object, **more: object) -> Mix:
    found = solve_mix(*arguments, **more)  # type: ignore[arg-type]
    assert isinstance(found, Mix)
    return found


@pytest.mark.skipif(not ROWS, reason="the peer's instances are not here")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_mix_is_never_dearer_than_the_peer_and_is_proven_within_a_second(row: PeerRow) -> None:
    start = time.process_time()
    found = solved(row.rates, row.groups)
    assert time.process_time() - start < 1.0
    assert found.is_optimal
    assert found.cost_per_hour <= row.peer_cost + 1e-6
    assert found.cost_per_hour == pytest.approx(row.exact_cost, abs=1e-4)
    assert found.gap == pytest.approx(0.0, abs=1e-6)


def test_toy_divides_a_bucket_where_the_peers_slices_cannot() -> None:
    found = solved(TOY_RATES, TOY)
    assert found.cost_per_hour == pytest.approx(4.68)
    assert found.counts == {"A10G": 1, "A100": 1}
    # By hand: the A10G takes 5/s of the third bucket (5 ÷ 5), the A100 the rest: 6/20 + 3/20 + 10/40 + 6/20 = 1.
    assert found.routed["A10G"] == pytest.approx((0.0, 0.0, 5.0, 0.0))


def test_every_request_is_served_and_no_group_is_asked_for_more_than_its_time() -> None:
    found = solved(TOY_RATES, TOY, busy_share=0.8)
    for bucket, rate in enumerate(TOY_RATES):
        assert sum(routed[bucket] for routed in found.routed.values()) == pytest.approx(rate)
    assert all(0 < share <= 0.8 + 1e-6 for share in found.busy.values())
    assert found.cost_per_hour >= solved(TOY_RATES, TOY).cost_per_hour


def fits_two(rates: tuple[float, ...], first: GroupOffer, second: GroupOffer, counts: tuple[int, int]) -> bool:
    """Whether two kinds suffice: what the first does best, relative to the second, goes to it until it is full."""
    speeds = list(zip(rates, first.requests_per_second, second.requests_per_second, strict=True))
    time_left, time_needed = float(counts[0]), 0.0
    for rate, fast, slow in sorted(speeds, key=lambda each: each[2] / each[1]):
        here = min(rate, time_left * fast)
        time_left -= here / fast
        time_needed += (rate - here) / slow
    return time_needed <= counts[1] + 1e-9


@settings(max_examples=40, deadline=None)
@given(
    rates=st.tuples(*[st.integers(0, 6)] * 3),
    fast=st.tuples(*[st.integers(1, 5)] * 3),
    slow=st.tuples(*[st.integers(1, 5)] * 3),
    costs=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_mix_of_two_kinds_equals_enumeration(
    rates: tuple[int, ...], fast: tuple[int, ...], slow: tuple[int, ...], costs: tuple[int, int]
) -> None:
    first = GroupOffer("first", float(costs[0]), tuple(map(float, fast)))
    second = GroupOffer("second", float(costs[1]), tuple(map(float, slow)))
    least = min(
        costs[0] * one + costs[1] * two
        for one, two in itertools.product(range(19), repeat=2)
        if fits_two(tuple(map(float, rates)), first, second, (one, two))
    )
    assert solved(rates, (first, second)).cost_per_hour == pytest.approx(least, abs=1e-4)


def test_limit_on_the_best_kind_makes_the_mix_dearer_and_says_who_serves_alone() -> None:
    free = GroupOffer("cheap", 1.0, (2.0,)), GroupOffer("dear", 3.0, (2.0,))
    limited = GroupOffer("cheap", 1.0, (2.0,), limit=1), free[1]
    assert solved([6.0], free).cost_per_hour == pytest.approx(3.0)
    found = solved([6.0], limited)
    assert found.counts == {"cheap": 1, "dear": 2}
    assert found.alone_per_hour == {"cheap": None, "dear": pytest.approx(9.0)}


def test_kind_that_is_left_out_says_what_it_lost_on() -> None:
    groups = (
        GroupOffer("good", 1.0, (2.0, 2.0)),
        GroupOffer("dear", 3.0, (2.0, 2.0)),
        GroupOffer("small", 1.0, (0.5, 0.0)),
        GroupOffer("none", 1.0, (0.0, 0.0)),
    )
    found = solved([4.0, 4.0], groups)
    assert "factor of 3.00" in found.why_not["dear"]
    assert "12.00 an hour against 4.00" in found.why_not["dear"]
    assert "cannot serve 1 of 2 sizes" in found.why_not["small"]
    assert "serves none" in found.why_not["none"]
    assert "good" not in found.why_not


def test_bucket_that_nothing_serves_is_named() -> None:
    found = solve_mix([1.0, 1.0], [GroupOffer("only", 1.0, (1.0, 0.0))])
    assert isinstance(found, NoMix)
    assert found.buckets == (1,)


def test_too_few_groups_are_no_mix() -> None:
    found = solve_mix([5.0], [GroupOffer("only", 1.0, (1.0,), limit=4)])
    assert isinstance(found, NoMix)
    assert "do not suffice" in found.reason


def test_no_requests_need_no_gpu() -> None:
    found = solved([0.0, 0.0], [GroupOffer("only", 1.0, (1.0, 1.0))])
    assert (found.counts, found.cost_per_hour) == ({}, 0.0)


def test_rates_that_are_no_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        solve_mix([-1.0], [GroupOffer("only", 1.0, (1.0,))])
    with pytest.raises(ValueError, match="throughputs for"):
        solve_mix([1.0, 1.0], [GroupOffer("only", 1.0, (1.0,))])
