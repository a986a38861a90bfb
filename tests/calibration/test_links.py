"""Links as measured: the form comes back from samples made of it, groups stay apart, and a document loses nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from planner.calibration.links import MeasuredLinks, fit_links, links_from_document
from planner.calibration.sample import Bench, Operation, Sample
from planner.calibration.suites import collective_benches
from planner.calibration.theory import bench_theory
from planner.inventory.device import Backend
from tests.builders import sample

BANDWIDTH, LATENCY = 200e9, 8e-6


def exchange(bench: Bench, bandwidth: float = BANDWIDTH, latency: float = LATENCY, noise: float = 0.0) -> Sample:
    """The bench on links of that bandwidth and latency."""
    wire = bench_theory(bench).num_bytes
    seconds = wire / bandwidth + latency * (1 + math.log2(bench.parameters["ranks"]))
    return sample(bench=bench, seconds=seconds * (1 + noise), flops=0.0, num_bytes=wire)


def node(num_devices: int) -> list[Sample]:
    return [exchange(bench) for bench in collective_benches(Backend.CUDA, num_devices)]


def test_bandwidth_and_latency_come_back_from_samples_that_were_made_of_them() -> None:
    links = fit_links(node(4))
    assert links is not None
    assert [group.num_devices for group in links.groups] == [2, 4]
    for group in links.groups:
        assert group.bandwidth == pytest.approx(BANDWIDTH, rel=1e-6)
        assert group.latency_seconds == pytest.approx(LATENCY, rel=1e-4)
        assert group.error == pytest.approx(0.0, abs=1e-6)


def test_samples_that_scatter_say_how_far_they_miss() -> None:
    benches = [b for b in collective_benches(Backend.CUDA, 2) if b.operation is Operation.ALL_REDUCE]
    links = fit_links([exchange(bench, noise=0.1 * (-1) ** place) for place, bench in enumerate(benches)])
    assert links is not None
    assert links.error is not None
    assert 0.02 < links.error < 0.5


def test_other_work_tells_nothing_of_links() -> None:
    assert fit_links([sample()]) is None
    assert fit_links([]) is None


def test_one_message_gives_a_bandwidth_without_an_error() -> None:
    bench = next(b for b in collective_benches(Backend.CUDA, 2) if b.parameters["num_bytes"] > 1e8)
    links = fit_links([exchange(replace(bench, operation=Operation.ALL_REDUCE), latency=0.0)])
    assert links is not None
    assert links.error is None
    assert links.groups[0].bandwidth == pytest.approx(BANDWIDTH)


def test_a_size_between_two_groups_lies_between_them_and_one_outside_is_not_known() -> None:
    fast = [exchange(b) for b in collective_benches(Backend.CUDA, 2) if b.operation is Operation.ALL_REDUCE]
    slow = [exchange(b, 50e9) for b in collective_benches(Backend.CUDA, 8) if b.operation is Operation.ALL_GATHER]
    links = fit_links([*fast, *slow])
    assert links is not None
    assert links.bandwidth(4) == pytest.approx(math.sqrt(BANDWIDTH * 50e9), rel=1e-3)
    assert links.bandwidth(16) is None
    assert links.bandwidth(1) is None
    assert links.largest == 8


def test_links_survive_their_document() -> None:
    links = fit_links(node(8))
    assert isinstance(links, MeasuredLinks)
    assert links_from_document(json.loads(json.dumps(links.to_document()))) == links
    assert links_from_document(None) is None
