"""Links that were measured count before published ones, are told, and leave less open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.calibration.links import GroupRate, MeasuredLinks
from planner.estimates.communication import communication_cause, node_links, training_share, with_measured
from planner.estimates.outcome import Outcome
from planner.estimates.priors import load_priors
from planner.estimates.profile import Profile, profile_from_fit
from planner.estimates.serving import serve, serving_links
from planner.estimates.training import Nodes, train, training_links
from planner.hardware.gpu import Dtype, Gpu, LinkTopology
from planner.quantity import Quantity
from tests.builders import inference_job, training_job
from tests.estimates.makers import cpu_fit, gpu

SLOW, FAST = 2e9, 400e9


def links(bandwidth: float, *sizes: int) -> MeasuredLinks:
    return MeasuredLinks(tuple(GroupRate(size, bandwidth, 1e-5, 8, 0.1) for size in sizes or (2, 4)))


def profile(measured: MeasuredLinks | None, card: Gpu | None = None, *, own: bool = True) -> Profile:
    """A card with somebody's fit, its links measured so."""
    found = profile_from_fit(card or gpu(), Dtype.BF16, replace(cpu_fit(), links=measured), "fit", is_own_device=own)
    assert isinstance(found, Profile)
    return found


def trained(measured: MeasuredLinks | None, card: Gpu | None = None, *, own: bool = True) -> Outcome:
    job = training_job(tensor_parallel=4)  # whose exchanges hide behind nothing
    found = train(job, profile(measured, card, own=own), Nodes(4), 70e9)
    assert isinstance(found, Outcome), found
    return found


def step(outcome: Outcome) -> Quantity:
    assert outcome.step_seconds is not None
    return outcome.step_seconds


def test_the_measured_bandwidth_takes_the_place_of_the_published_one_within_what_was_measured() -> None:
    published = node_links(gpu(), 8)
    found = with_measured(published, links(FAST, 2, 4), 0.5, 8)
    assert found is not None
    assert published is not None
    assert found.bandwidth(np.array([2.0, 3.0, 4.0])) == pytest.approx([0.5 * FAST] * 3)
    assert found.by_size[8] == published.by_size[8], "eight were not measured"
    assert with_measured(published, None, 0.5, 8) is published


def test_links_that_nobody_published_are_known_once_measured() -> None:
    unknown = gpu(link_topology=LinkTopology.UNKNOWN, pcie_generation=None, pcie_lanes=None)
    assert training_links(unknown, Nodes(4)) is None
    assert serving_links(unknown, 4) is None
    assert training_links(unknown, Nodes(4), links(FAST)) is not None
    found = serving_links(unknown, 4, None, links(FAST))
    assert found is not None
    assert found.bandwidth(np.array([4.0])) > 0
    assert with_measured(None, links(FAST, 8), 1.0, 4) is None, "what was measured among eight says nothing of four"


def test_a_job_reaches_the_part_of_a_bare_exchange_that_published_runs_show() -> None:
    figures = load_priors().figures
    assert training_share(gpu()) == figures["training_link_share"] / figures["link_share"]
    on_a_bus = gpu(link_topology=LinkTopology.BUS)
    assert training_share(on_a_bus) == figures["training_pcie_share"] / figures["pcie_share"]


def test_slower_links_than_published_make_training_and_serving_slower_and_say_so() -> None:
    published, slow = trained(None), trained(links(SLOW))
    assert step(slow).mid > step(published).mid
    (note,) = [note for note in slow.notes if "GB/s one way" in note]
    assert note == "What GPUs exchange was measured on this node: 2 GB/s one way among 4, ±10% over message sizes."
    assert not any("GB/s one way" in note for note in published.notes)
    job = replace(inference_job(), tensor_parallel=4)
    served = [serve(job, profile(found), 4, 70e9) for found in (None, links(SLOW))]
    assert all(isinstance(one, Outcome) for one in served)
    before, after = (one for one in served if isinstance(one, Outcome))
    assert after.tokens_per_second is not None
    assert before.tokens_per_second is not None
    assert after.tokens_per_second.mid < before.tokens_per_second.mid
    assert any("GB/s one way" in note for note in after.notes)


def test_another_nodes_measurement_is_called_that() -> None:
    assert any("on another node with such GPUs" in note for note in trained(links(FAST), own=False).notes)


def test_measured_links_leave_less_open() -> None:
    assert communication_cause(links(FAST)).spread < communication_cause(None).spread
    assert any("measured" in cause.name for cause in step(trained(links(SLOW))).causes)


def test_faster_links_are_never_slower() -> None:
    times = [step(trained(links(bandwidth))).mid for bandwidth in (1e9, 1e10, 1e11, 1e12)]
    assert times == sorted(times, reverse=True)
