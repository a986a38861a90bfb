"""A service over the hours of a day: the busiest hour decides, quieter ones wait less and need fewer replicas."""

from __future__ import annotations

import pytest

from planner.estimates.load.demand import RandomDemand
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.hours import over_hours
from planner.estimates.load.sizing import Terms
from tests.estimates.load.test_sizing import LEVEL, MIXED, POLICY, demand, sized, way

DAY = [0.2] * 6 + [0.5, 0.8, 1.0, 1.0, 0.9, 0.9, 0.8, 0.9, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.0]
RATES = [60.0 * share for share in DAY]


def test_the_busiest_hour_takes_every_replica_and_quiet_ones_fewer() -> None:
    option = sized(way(), demand(60.0), Terms(LEVEL), POLICY)
    found = over_hours(option, RATES, demand(60.0), LEVEL, POLICY)
    assert len(found.hours) == 24
    assert max(hour.replicas for hour in found.hours) == option.replicas
    assert found.hours[0].replicas < option.replicas
    assert found.hours[23].found is None
    assert found.hours[23].replicas == 1
    replicas = {hour.requests_per_second: hour.replicas for hour in found.hours}
    assert [replicas[rate] for rate in sorted(replicas)] == sorted(replicas.values())


def test_no_hour_misses_the_level_and_quiet_ones_wait_less() -> None:
    option = sized(way(), demand(60.0), Terms(LEVEL), POLICY)
    hours = over_hours(option, RATES, demand(60.0), LEVEL, POLICY).hours
    quiet, busy = hours[0].found, hours[8].found
    assert quiet is not None
    assert busy is not None
    assert LEVEL.missed(busy) == ()
    assert quiet.whole.p95 < busy.whole.p95
    assert busy.whole == option.found.whole


def test_following_the_hours_pays_less_and_spare_ones_stay_on() -> None:
    option = sized(way(), demand(60.0), Terms(LEVEL, spare=1), POLICY)
    found = over_hours(option, RATES, demand(60.0), LEVEL, POLICY)
    assert found.fixed_gpu_hours == 24 * option.num_gpus
    assert found.followed_gpu_hours == sum(2 * (hour.replicas + 1) for hour in found.hours)
    assert found.fixed_cost == pytest.approx(24 * (option.cost_per_hour or 0.0))
    assert found.followed_cost is not None
    assert found.followed_cost < (found.fixed_cost or 0.0)


def test_a_replica_less_in_an_hour_would_miss_the_level() -> None:
    option = sized(way(), demand(60.0), Terms(LEVEL), POLICY)
    hour = over_hours(option, RATES, demand(60.0), LEVEL, POLICY).hours[7]
    fewer = sized(way(), demand(hour.requests_per_second), Terms(LEVEL), POLICY)
    assert fewer.replicas in (hour.replicas, hour.replicas + 1)


def test_a_week_is_no_slower_than_its_different_loads() -> None:
    option = sized(way(), RandomDemand(60.0, MIXED, number=300), Terms(LEVEL), EnginePolicy())
    found = over_hours(option, RATES * 7, RandomDemand(60.0, MIXED, number=300), LEVEL, POLICY)
    assert len(found.hours) == 168
    assert len({id(hour.found) for hour in found.hours}) <= 25
