"""Checkpoints, failures and spot: the published check vectors, the limits, and what never ends."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.estimates.interruptions import (
    NeverEnds,
    Resilience,
    WallTime,
    checkpoint_interval,
    expected_seconds,
    wall_time,
)
from planner.quantity import Basis, Cause, Quantity

HOUR = 3600.0
DAY = 24 * HOUR
STEADY = Quantity.around(10 * DAY, "s", Basis.DERIVED, (Cause("efficiency", 0.2),))


@pytest.mark.parametrize(("stall", "share"), [(30, 0.880), (60, 0.852), (300, 0.744)])
def test_effective_share_of_a_run_on_16384_gpus(stall: float, share: float) -> None:
    """M = 3.09 h and restarts of 10 minutes, the interruption rate of the Llama 3 405B run."""
    between = 3.09 * HOUR
    interval = math.sqrt(2 * stall * between)
    assert 1 / expected_seconds(1e9, interval, stall, 600, between) * 1e9 == pytest.approx(share, abs=0.0015)


@given(st.floats(1, 1e3), st.floats(1e4, 1e8))
def test_no_other_interval_is_better_by_more_than_a_thousandth(stall: float, between: float) -> None:
    best = expected_seconds(1e12, checkpoint_interval(stall, between), stall, 0, between)
    for factor in (0.5, 0.8, 0.9, 1.1, 1.25, 2.0):
        other = expected_seconds(1e12, checkpoint_interval(stall, between) * factor, stall, 0, between)
        assert best <= other * 1.001


def test_without_interruptions_only_the_checkpoints_cost() -> None:
    assert expected_seconds(1000, 100, 1, 600, 1e15) == pytest.approx(1010, rel=1e-3)


def found(**changes: object) -> WallTime:
    values = {"num_gpus": 8, "num_nodes": 1, "checkpoint_bytes": 1e11, "is_spot": False, "known": Resilience()}
    result = wall_time(STEADY, **{**values, **changes})  # type: ignore[arg-type]
    assert isinstance(result, WallTime)
    return result


def test_parts_add_up_and_ranges_hold() -> None:
    for time in (found(), found(num_gpus=16384, num_nodes=2048), found(is_spot=True)):
        assert sum(seconds for _, seconds in time.parts) == pytest.approx(time.elapsed.mid)
        assert all(seconds >= 0 for _, seconds in time.parts)
        assert STEADY.mid < time.paid.mid <= time.elapsed.mid
        assert time.elapsed.low <= time.elapsed.mid <= time.elapsed.high


def test_more_gpus_are_interrupted_more() -> None:
    times = [found(num_gpus=count, num_nodes=count // 8, checkpoint_bytes=1e12).paid.mid for count in (8, 512, 16384)]
    assert times == sorted(times)


def test_spot_costs_time_and_waiting_is_not_paid() -> None:
    spot, steady = found(is_spot=True), found()
    assert spot.elapsed.mid > 1.2 * steady.elapsed.mid
    assert spot.paid.mid < spot.elapsed.mid
    assert any("not known" in note for note in spot.notes)
    known = found(is_spot=True, known=Resilience(spot_interruptions_per_hour=0.01, spot_wait_seconds=60.0))
    assert known.elapsed.mid < spot.elapsed.mid
    assert not any("taken away" in note for note in known.notes)


def test_what_cannot_end_says_so() -> None:
    known = Resilience(stall_seconds=3600.0, restart_seconds=3600.0, spot_interruptions_per_hour=6.0)
    result = wall_time(STEADY, 8, 1, 1e12, True, known)
    assert isinstance(result, NeverEnds)
    assert "will not finish" in result.reason
    assert "10 min" in result.reason


def test_a_short_job_needs_no_checkpoint() -> None:
    short = Quantity.exact(600.0, "s", Basis.MEASURED)
    result = wall_time(short, 1, 1, 1e9, False, Resilience())
    assert isinstance(result, WallTime)
    assert result.checkpoint_interval_seconds == 600.0
    assert result.paid.mid == pytest.approx(601, rel=1e-3)
    assert result.paid.basis is Basis.MEASURED
