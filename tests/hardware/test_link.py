"""What joins the GPUs of a node, and how long collectives take over it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.hardware.catalogue import load_catalogue, unlisted_gpu
from planner.hardware.gpu import Gpu, GpuKind, LinkTopology
from planner.hardware.link import (
    all_gather_seconds,
    all_reduce_seconds,
    all_to_all_seconds,
    link_among,
    node_link,
    pcie_bandwidth,
    reduce_scatter_seconds,
    send_seconds,
    slot_link,
)

UNLISTED = unlisted_gpu("some card", "NVIDIA", GpuKind.GPU, None)
SIZES = st.floats(min_value=0, max_value=1e12)
RANKS = st.integers(min_value=1, max_value=72)
COLLECTIVES = [all_reduce_seconds, all_gather_seconds, reduce_scatter_seconds, all_to_all_seconds]


def gpu(key: str) -> Gpu:
    return load_catalogue().get(key)


def bandwidth_among(key: str, num_ranks: int) -> float:
    link = link_among(gpu(key), num_ranks)
    assert link is not None
    return link.bandwidth_among(num_ranks)


def test_a_switch_gives_any_group_the_whole_bandwidth() -> None:
    assert [bandwidth_among("H100-80GB-SXM", n) for n in (2, 4, 8)] == [450e9] * 3
    assert bandwidth_among("GB200", 72) == 900e9


def test_a_mesh_gives_a_group_its_share_of_the_links() -> None:
    # MI300X: 64 GB/s to each of seven peers
    assert [bandwidth_among("MI300X", n) for n in (2, 4, 8)] == pytest.approx([64e9, 192e9, 448e9])


def test_a_bridge_joins_two_cards_and_more_go_over_the_slot() -> None:
    assert bandwidth_among("A40", 2) == 56.25e9
    four = link_among(gpu("A40"), 4)
    assert four is not None
    assert (four.name, four.topology) == ("PCIe", LinkTopology.BUS)
    assert four.bandwidth_among(4) == pytest.approx(31.5e9, rel=1e-3)


def test_ports_that_leave_the_node_do_not_count_inside_it() -> None:
    # Gaudi 2: 21 of 24 ports of 100 Gbit/s stay inside, three to each of seven peers
    assert bandwidth_among("GAUDI2", 8) == pytest.approx(262.5e9)
    assert bandwidth_among("GAUDI2", 2) == pytest.approx(37.5e9)


def test_a_link_to_the_cpu_joins_no_gpus() -> None:
    link = node_link(gpu("GH200-96GB"))
    assert link is not None
    assert link.name == "PCIe"


@pytest.mark.parametrize("key", ["MI300A", "MAX-1550", "MI250X-GCD", "CPU-EPYC-9654", "MI455X"])
def test_a_link_of_unknown_bandwidth_is_unknown_and_not_the_slot(key: str) -> None:
    assert node_link(gpu(key)) is None
    assert link_among(gpu(key), 2) is None


def test_nothing_is_known_of_the_links_of_an_unlisted_gpu() -> None:
    assert node_link(UNLISTED) is None
    assert slot_link(UNLISTED) is None
    assert link_among(UNLISTED, 2) is None


ON_A_BUS = [listed for listed in load_catalogue().gpus.values() if listed.link_topology is LinkTopology.BUS]


@pytest.mark.parametrize("listed", [one for one in ON_A_BUS if one.link_bandwidth], ids=lambda listed: listed.key)
def test_the_slot_agrees_with_the_nominal_figure(listed: Gpu) -> None:
    link = node_link(listed)
    assert link is not None
    assert listed.link_bandwidth is not None
    assert link.bandwidth.value == pytest.approx(listed.link_bandwidth.value, rel=0.02)


def test_a_group_is_at_least_two_and_within_reach() -> None:
    link = node_link(gpu("A100-80GB-SXM"))
    assert link is not None
    with pytest.raises(ValueError, match="at least 2 ranks, not 1"):
        link.bandwidth_among(1)
    with pytest.raises(ValueError, match="joins 8 GPUs, not 9"):
        link.bandwidth_among(9)


@pytest.mark.parametrize(
    ("generation", "lanes", "gigabytes"),
    # the usual table of one-way rates: x16 slots of generations 1 to 6, and a x8 one
    [
        (1.0, 16, 4.0),
        (2.0, 16, 8.0),
        (3.0, 16, 15.754),
        (4.0, 16, 31.508),
        (5.0, 16, 63.015),
        (6.0, 16, 121),
        (4.0, 8, 15.754),
    ],
)
def test_slots_carry_what_their_generation_says(generation: float, lanes: int, gigabytes: float) -> None:
    assert pcie_bandwidth(generation, lanes) == pytest.approx(gigabytes * 1e9, rel=1e-3)


def test_slots_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="no PCIe generation 9"):
        pcie_bandwidth(9.0, 16)
    with pytest.raises(ValueError, match="at least 1 lane"):
        pcie_bandwidth(4.0, 0)
    assert slot_link(replace(gpu("L4"), pcie_lanes=None)) is None


def test_a_ring_all_reduce_moves_nearly_twice_the_bytes() -> None:
    # 1 GB over 8 ranks at 450 GB/s: 2·7/8·1e9/450e9 s, and 14 steps of 2 µs
    assert all_reduce_seconds(1e9, 8, 450e9, 0) == pytest.approx(3.8889e-3, rel=1e-4)
    assert all_reduce_seconds(0, 8, 450e9, 2e-6) == pytest.approx(28e-6)


def test_the_other_collectives_move_the_bytes_of_the_other_ranks() -> None:
    for collective in (all_gather_seconds, reduce_scatter_seconds, all_to_all_seconds):
        assert collective(8e9, 4, 100e9, 1e-6) == pytest.approx(0.06 + 3e-6)
    assert send_seconds(1e9, 50e9, 5e-6) == pytest.approx(0.020005)


@given(SIZES, RANKS)
def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather(num_bytes: float, num_ranks: int) -> None:
    halves = reduce_scatter_seconds(num_bytes, num_ranks, 1e11, 1e-6) + all_gather_seconds(
        num_bytes, num_ranks, 1e11, 1e-6
    )
    assert all_reduce_seconds(num_bytes, num_ranks, 1e11, 1e-6) == pytest.approx(halves)


@pytest.mark.parametrize("collective", COLLECTIVES)
@given(num_bytes=SIZES, num_ranks=RANKS)
def test_more_bytes_or_ranks_take_no_less_time(collective, num_bytes: float, num_ranks: int) -> None:  # type: ignore[no-untyped-def]
    seconds = collective(num_bytes, num_ranks, 1e11, 1e-6)
    assert collective(num_bytes * 2, num_ranks, 1e11, 1e-6) >= seconds
    assert collective(num_bytes, num_ranks + 1, 1e11, 1e-6) >= seconds
    assert collective(num_bytes, 1, 1e11, 1e-6) == 0


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((-1, 8, 1e11, 0), "num_bytes"),
        ((math.nan, 8, 1e11, 0), "num_bytes"),
        ((1, 0, 1e11, 0), "num_ranks"),
        ((1, 8, 0, 0), "bandwidth"),
        ((1, 8, math.inf, 0), "bandwidth"),
        ((1, 8, 1e11, -1), "latency"),
    ],
)
def test_impossible_collectives_are_refused(collective, arguments, complaint: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=complaint):
        collective(*arguments)
