"""The cheapest mix for a service: sizes to the kinds that serve them cheapest, within the level."""

from __future__ import annotations

import pytest

from planner.estimates.load.buckets import Bucket
from planner.estimates.load.engine import EnginePolicy
from planner.estimates.load.level import ServiceLevel
from planner.estimates.load.sizing import Way
from planner.plans.mix import NoMix
from planner.plans.service_mix import ServiceMix, service_mix
from tests.estimates.load.engines import linear_table

BUCKETS = (Bucket(100, 50, 0.8), Bucket(8_000, 500, 0.2))
LEVEL = ServiceLevel(95, per_token_seconds=0.05)
POLICY = EnginePolicy()
# A small kind whose cache is short, and a large one with a fast step: the former is cheap for short requests alone.
SMALL = Way("small", "TP 1", 1, linear_table(base=0.02, kv_capacity_tokens=9_000.0), cost_per_unit_hour=0.5)
LARGE = Way("large", "TP 1", 1, linear_table(base=0.008, prompt=1e-5), cost_per_unit_hour=4.0)


def mixed(*ways: Way, rate: float = 30.0, level: ServiceLevel = LEVEL) -> ServiceMix:
    found = service_mix(ways, BUCKETS, rate, level, POLICY)
    assert isinstance(found, ServiceMix)
    return found


def test_mix_is_never_dearer_than_either_kind_alone() -> None:
    both = mixed(SMALL, LARGE).mix
    alone = [cost for cost in both.alone_per_hour.values() if cost is not None]
    assert alone
    assert both.is_optimal
    assert both.cost_per_hour <= min(alone) + 1e-9


def test_every_bucket_is_served_and_none_by_a_kind_that_cannot() -> None:
    found = mixed(SMALL, LARGE)
    for place, bucket in enumerate(found.buckets):
        routed = {name: rates[place] for name, rates in found.mix.routed.items()}
        assert sum(routed.values()) == pytest.approx(30.0 * bucket.share)
        for name, rate in routed.items():
            if found.throughputs[found.names.index(name)][place] == 0:
                assert rate == 0


def test_tighter_level_never_makes_the_mix_cheaper() -> None:
    costs = [
        mixed(SMALL, LARGE, level=ServiceLevel(95, per_token_seconds=limit)).mix.cost_per_hour
        for limit in (0.08, 0.05, 0.03)
    ]
    assert costs == sorted(costs)


def test_of_equal_kinds_the_cheaper_offer_takes_part() -> None:
    dear = Way("dear", "TP 1", 1, SMALL.table, cost_per_unit_hour=0.6)
    assert mixed(dear, SMALL, LARGE).names == mixed(SMALL, LARGE).names


def test_level_that_no_kind_keeps_gives_no_mix() -> None:
    found = service_mix([SMALL, LARGE], BUCKETS, 1.0, ServiceLevel(95, first_token_seconds=1e-3), POLICY)
    assert isinstance(found, NoMix)


def test_replicas_over_several_nodes_take_part_as_groups_of_whole_nodes() -> None:
    nodes = Way("node", "TP 8, PP 2 over 2 nodes", 16, LARGE.table, unit_gpus=8, cost_per_unit_hour=2.0)
    found = mixed(nodes, SMALL)
    name = "node (TP 8, PP 2 over 2 nodes)"
    groups = found.mix.counts[name]
    assert found.throughputs[found.names.index(name)] == mixed(LARGE).throughputs[0]
    assert found.num_gpus == 16 * groups + found.mix.counts.get("small (TP 1)", 0)
    assert found.mix.cost_per_hour == pytest.approx(4.0 * groups + 0.5 * found.mix.counts.get("small (TP 1)", 0))
    # A group of two nodes at 2 an hour each is the large kind at 4.
    assert found.mix.cost_per_hour == pytest.approx(mixed(LARGE, SMALL).mix.cost_per_hour)


def test_nodes_that_can_be_had_bound_the_replicas_over_them() -> None:
    three = Way("node", "TP 8, PP 2", 16, LARGE.table, unit_gpus=8, cost_per_unit_hour=2.0, max_units=3)
    assert mixed(three, rate=0.1).mix.counts == {"node (TP 8, PP 2)": 1}
    found = service_mix([three], BUCKETS, 500.0, LEVEL, POLICY)
    assert isinstance(found, NoMix)


def test_units_hold_several_replicas() -> None:
    eight = Way("eight", "TP 2", 2, LARGE.table, unit_gpus=8, cost_per_unit_hour=16.0)
    found = mixed(eight)
    assert found.throughputs[0][0] == pytest.approx(4 * mixed(LARGE).throughputs[0][0])
    assert found.num_gpus == 8 * found.mix.counts["eight (TP 2)"]
