"""Items of a single pass: against closed forms, monotone in GPUs and in the deadline, and refused below the floor."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.estimates.answer import profiles
from planner.estimates.estimate import Placement
from planner.estimates.load.batching import BatchTimes, serve_batches
from planner.estimates.load.items import Frames, RandomItems
from planner.estimates.load.pass_networks import named_networks, pass_network
from planner.estimates.load.pass_sizing import (
    Batching,
    Deadline,
    PassWay,
    SizedPasses,
    UnfitPasses,
    on_replicas,
    size_pass_way,
    size_passes,
)
from planner.estimates.load.pass_ways import PassWays, find_pass_ways
from planner.estimates.load.queues import md1_wait_seconds
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.jobs.engine import Engine
from planner.jobs.job import InferenceJob

ALONE = BatchTimes((0.010,))
SHARED = BatchTimes(tuple(0.004 + 0.002 * batch for batch in range(1, 65)))
SEARCHED = Batching()


def way(times: BatchTimes = SHARED, **changes: object) -> PassWay:
    fields: dict[str, object] = {"title": "1 × A", "times": times, "cost_per_unit_hour": 2.0}
    return PassWay(**{**fields, **changes})  # type: ignore[arg-type]


def sized(items: RandomItems | Frames, deadline: Deadline, times: BatchTimes = SHARED) -> SizedPasses:
    found = size_pass_way(way(times), items, deadline, SEARCHED)
    assert isinstance(found, SizedPasses), found
    return found


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_batches_of_one_are_a_queue_with_constant_service(busy: float) -> None:
    rate = busy / 0.010
    stream = RandomItems(rate, number=80_000).on_one_of(1)
    served = serve_batches(stream.arrivals, ALONE)
    waits = served.done - stream.arrivals - 0.010
    assert waits.mean() == pytest.approx(md1_wait_seconds(rate, 0.010), rel=0.06)
    assert served.busy_share == pytest.approx(busy, rel=0.02)


def test_no_load_gives_every_item_the_time_of_a_pass_alone() -> None:
    stream = RandomItems(1e-3, number=200).on_one_of(1)
    assert np.allclose(serve_batches(stream.arrivals, SHARED).done - stream.arrivals, SHARED.seconds[0])


def test_items_that_come_at_once_share_full_batches() -> None:
    served = serve_batches(np.zeros(640), SHARED)
    assert served.num_passes == 10
    assert served.done[-1] == pytest.approx(10 * SHARED.seconds[63])
    assert 640 / served.done[-1] == pytest.approx(SHARED.most_per_second)


def test_a_batch_that_is_held_waits_for_others_and_no_longer() -> None:
    arrivals = np.array([0.0, 0.002, 0.050])
    held = serve_batches(arrivals, SHARED.up_to(2), wait_seconds=0.005)
    assert held.done.tolist() == pytest.approx([0.002 + 0.008, 0.002 + 0.008, 0.055 + 0.006])
    at_once = serve_batches(arrivals, SHARED.up_to(2))
    assert at_once.done[0] == pytest.approx(0.006)


def test_cameras_that_show_at_one_moment_wait_for_each_others_batch() -> None:
    together = sized(Frames(8, 30.0), Deadline(0.030))
    assert together.replicas == 1
    assert together.waited.p99 == pytest.approx(SHARED.seconds[7])
    assert together.late_share == 0.0
    spread = on_replicas(way(), Frames(8, 30.0, is_spread=True), Deadline(0.030), SEARCHED, 1, 64)
    assert spread.waited.p50 < together.waited.p50


def test_jitter_counts_from_the_moment_that_a_frame_shows() -> None:
    calm = on_replicas(way(), Frames(1, 10.0), Deadline(0.02), SEARCHED, 1, 1)
    late = on_replicas(way(), Frames(1, 10.0, jitter_seconds=0.02), Deadline(0.02), SEARCHED, 1, 1)
    assert calm.waited.p99 == pytest.approx(SHARED.seconds[0])
    assert late.waited.p99 == pytest.approx(SHARED.seconds[0] + 0.02, rel=0.03)
    # Late are those whose jitter leaves less than the pass takes.
    assert late.late_share == pytest.approx(SHARED.seconds[0] / 0.02, rel=0.1)


def test_a_deadline_below_one_pass_is_refused_with_the_floor() -> None:
    refused = size_pass_way(way(), Frames(4, 30.0), Deadline(0.005), SEARCHED)
    assert isinstance(refused, UnfitPasses)
    assert "a deadline of 5 ms is below the floor: one item with the GPU to itself takes 6 ms" in refused.reason
    assert refused.ratio == pytest.approx(0.006 / 0.005)


def test_a_camera_that_gives_more_than_a_gpu_answers_is_refused() -> None:
    refused = size_pass_way(way(ALONE), Frames(2, 200.0), Deadline(1.0), SEARCHED)
    assert isinstance(refused, UnfitPasses)
    assert "one camera gives 200 frames a second" in refused.reason


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(50, 3_000), limit=st.floats(0.008, 0.2), tighter=st.floats(0.3, 1.0))
def test_a_tighter_deadline_never_needs_fewer_gpus(rate: float, limit: float, tighter: float) -> None:
    def gpus(seconds: float) -> float:
        found = size_pass_way(way(), RandomItems(rate), Deadline(seconds, 95), SEARCHED)
        return found.num_gpus if isinstance(found, SizedPasses) else float("inf")

    assert gpus(limit * tighter) >= gpus(limit)


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(50, 2_000), number=st.integers(5, 12), more=st.integers(1, 8))
def test_more_gpus_never_raise_a_percentile_of_batches_of_one_size(rate: float, number: int, more: int) -> None:
    def p95(gpus: int) -> float:
        return on_replicas(way(ALONE), RandomItems(0.09 * rate), Deadline(None), SEARCHED, gpus, 1).waited.p95

    assert p95(number + more) <= p95(number) * (1 + 1e-9)


def test_spare_and_head_room_are_kept_and_paid() -> None:
    plain = sized(RandomItems(2_000.0), Deadline(0.1))
    spare = sized(RandomItems(2_000.0), Deadline(0.1, spare=2))
    roomy = sized(RandomItems(2_000.0), Deadline(0.1, headroom=0.6))
    assert spare.num_gpus == plain.num_gpus + 2
    assert spare.cost_per_hour == pytest.approx((plain.cost_per_hour or 0.0) + 4.0)
    assert roomy.replicas > plain.replicas
    assert f"= ({spare.replicas} + 2 spare)" in spare.sentence


def test_every_losing_way_says_what_it_lost_on() -> None:
    ways = [
        way(title="best"),
        way(title="dear", cost_per_unit_hour=2.2),
        way(BatchTimes((0.5,)), title="slow"),
        way(BatchTimes((0.009,)), title="hopeless", cost_per_unit_hour=30.0),
        way(title="unpriced", cost_per_unit_hour=None),
        way(title="few", max_units=1),
    ]
    found = size_passes(ways, RandomItems(3_000.0), Deadline(0.1), SEARCHED)
    why = {option.way.title: option.why_not for option in found.options}
    why |= {other.way.title: other.reason for other in found.others}
    assert why["best"] == ""
    assert "is the least" in why["dear"]
    assert "below the floor" in why["slow"]
    assert "even at its best" in why["hopeless"]
    assert why["unpriced"] == "its price is not known"
    assert "1 can be had" in why["few"]


@pytest.mark.parametrize("name", [*(key for key, _ in named_networks()), "ResNet-50", "YOLOv5m6", "ViT-huge-patch14"])
def test_every_named_network_is_found(name: str) -> None:
    found = pass_network(name)
    assert found is not None
    assert found.assumed  # the usual size of its items is told
    assert pass_network(f"no {name}") is None


def gpus(name: str, passes: int = 1, image: int | None = None) -> PassWays:
    network = pass_network(name, image)
    assert network is not None
    job = InferenceJob(
        "answer",
        network.network,
        network.positions,
        0,
        concurrency=1,
        dtype=Dtype.FP16,
        engine=Engine.TENSORRT,
        tensor_parallel=1,
    )
    placements = [Placement(gpu=load_catalogue().gpus["L4"], num_gpus=Decimal(1))]
    return find_pass_ways(job, network, passes, placements, profiles(job, placements, {}), "USD")


def test_passes_grow_with_the_batch_and_each_item_gets_cheaper() -> None:
    times = gpus("ResNet-50").ways[0].times
    assert all(later >= earlier for earlier, later in zip(times.seconds, times.seconds[1:], strict=False))
    assert times.seconds[31] / 32 < times.seconds[0]


def test_networks_run_one_after_the_other_on_an_item() -> None:
    once, thrice = gpus("YOLOv5m").ways[0].times, gpus("YOLOv5m", 3).ways[0].times
    assert thrice.seconds[0] == pytest.approx(3 * once.seconds[0])
    assert gpus("YOLOv5m", image=1_280).ways[0].times.seconds[0] > once.seconds[0]


def test_a_drawing_takes_all_its_steps_and_energy_is_known() -> None:
    found = gpus("stable-diffusion-v1-5")
    network = pass_network("stable-diffusion-v1-5", steps=60)
    assert network is not None
    assert (network.together, network.in_turn) == (2, 60)
    assert found.ways[0].times.seconds[0] > 0.1
    watts = found.gpus[0].watts_at(3.0)
    assert watts is not None
    assert 0 < watts.mid <= 72.0
