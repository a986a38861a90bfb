"""Memory against usable memory, links, power and money, part by part."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from planner.calibration.sample import Operation
from planner.estimates.communication import all_gather_seconds, all_reduce_seconds, node_links
from planner.estimates.cost import hours_cost
from planner.estimates.energy import average_power
from planner.estimates.memory import bill, shortfall, usable_bytes
from planner.estimates.priors import load_priors
from planner.estimates.profile import Profile, profile_from_priors
from planner.estimates.ranges import unfamiliar
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype, GpuKind, LinkTopology
from planner.quantity import Basis
from tests.estimates.makers import cpu, figure, gpu


def test_usable_memory_is_less_than_nominal_and_taken_from_the_device_where_it_tells() -> None:
    share = 1 - load_priors().figures["fragmentation_share"]
    assert usable_bytes(gpu(), None) == pytest.approx(80 * 2**30 * 0.995 * share)  # gigabytes of 2^30 bytes
    assert usable_bytes(gpu(), 85_520_809_984) == pytest.approx(85_520_809_984 * share)
    assert usable_bytes(gpu(memory_bytes=None), None) is None
    kept = 1 - load_priors().figures["host_reserve_share"]
    assert usable_bytes(cpu(), 16_000_000_000) == pytest.approx(16e9 * kept)


def test_a_shortfall_names_the_largest_item() -> None:
    items = {"weights": 13.2e9, "optimizer states": np.array([48e9, 24e9]), "logits": 0.0}
    assert shortfall(bill(items, 0), 23e9) == (
        "needs 61.2 GB of 23 GB usable per GPU; largest item: optimizer states, 48 GB"
    )
    assert [item.name for item in bill(items, 1)] == ["optimizer states", "weights"]


def test_an_all_reduce_moves_twice_what_an_all_gather_moves() -> None:
    links = node_links(gpu(), 8)
    assert links is not None
    ranks = np.array([1.0, 2.0, 8.0])
    reduce, gather = all_reduce_seconds(1e9, ranks, links), all_gather_seconds(1e9, ranks, links)
    assert reduce[0] == gather[0] == 0.0
    bandwidth = 450e9 * load_priors().figures["link_share"]
    latency = links.latency * (1 + np.log2(ranks[1:]))
    assert reduce[1:] - latency == pytest.approx([1e9 / bandwidth, 2 * 7 / 8 * 1e9 / bandwidth])
    assert gather[1:] - latency == pytest.approx([0.5e9 / bandwidth, 7 / 8 * 1e9 / bandwidth])


def test_groups_beyond_a_bridge_go_over_the_slot() -> None:
    bridged = gpu(link_domain_gpus=2, link_topology=LinkTopology.MESH, pcie_generation=4.0)
    links = node_links(bridged, 4)
    assert links is not None
    share = load_priors().figures
    assert links.by_size[2] == pytest.approx(share["link_share"] * 450e9)
    assert links.by_size[4] == pytest.approx(share["pcie_share"] * 31.5e9, rel=0.01)


def test_unknown_links_are_none_and_not_zero_seconds() -> None:
    unknown = gpu(link_bandwidth=None, link_topology=LinkTopology.UNKNOWN, pcie_generation=None, pcie_lanes=None)
    assert node_links(unknown, 2) is None


def test_power_is_a_share_of_the_limit_and_unknown_without_one() -> None:
    known, unknown = (profile_from_priors(gpu(power_watts=watts), Dtype.BF16) for watts in (figure(700.0), None))
    assert isinstance(known, Profile)
    assert isinstance(unknown, Profile)
    power = average_power(known, Operation.TRAIN_STEP, 8)
    assert power is not None
    assert power.mid == pytest.approx(8 * 700 * load_priors().figures["power_share"])
    assert power.basis is Basis.DERIVED
    assert power.high > power.mid > power.low
    assert average_power(unknown, Operation.TRAIN_STEP, 8) is None


def test_cost_is_exact_decimal_arithmetic() -> None:
    assert hours_cost(Decimal("0.10"), 3 * 3600.0) == Decimal("0.30")
    assert hours_cost(Decimal("55.04"), 1800.0) == Decimal("27.52")


def test_every_catalogue_entry_has_a_family_of_priors_with_a_source() -> None:
    priors = load_priors()
    for entry in load_catalogue().gpus.values():
        prior = priors.of(entry)
        assert prior.source
        assert 0 < prior.matmul <= 1
        assert 0 < prior.bandwidth <= 1
        assert set(prior.factors) == {Operation.TRAIN_STEP, Operation.PREFILL, Operation.DECODE}
        assert (prior.name == "CPUs") == (entry.kind is GpuKind.CPU)


def test_families_that_were_measured_have_narrower_ranges_than_those_that_were_not() -> None:
    catalogue, priors = load_catalogue(), load_priors()
    hopper, kepler = (priors.of(catalogue.get(key)) for key in ("H100-80GB-SXM", "K80"))
    assert (hopper.name, kepler.name) == ("NVIDIA Hopper", "NVIDIA, other generations")
    for operation in (Operation.PREFILL, Operation.DECODE):
        assert hopper.spreads[operation] < kepler.spreads[operation]
    assert unfamiliar(priors.told[hopper.name]) < unfamiliar(priors.told.get(kepler.name, 0.0))
