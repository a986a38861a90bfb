"""Passes of other shapes: well formed, several widths of each family, all within the time of the suite."""

from __future__ import annotations

import pytest

from planner.calibration.correction import block_shape, family_of
from planner.calibration.passes import PHASES
from planner.calibration.sample import Operation
from planner.calibration.served_load import request_lengths
from planner.calibration.suites import get_suite
from planner.calibration.theory import bench_network, bench_works
from planner.inventory.device import Backend


@pytest.mark.parametrize(("backend", "memory_bytes"), [(Backend.CPU, 16_000_000_000), (Backend.CUDA, 80_000_000_000)])
def test_training_runs_several_shapes_of_every_family_that_suites_hold(backend: Backend, memory_bytes: int) -> None:
    benches = get_suite("standard").benches_for(backend, memory_bytes)
    steps = [bench for bench in benches if PHASES.get(bench.operation) is Operation.TRAIN_STEP]
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for bench in steps:
        network = bench_network(bench)
        shapes.setdefault(family_of(network), set()).add(block_shape(network))
        assert bench_works(bench)
    assert len(shapes) == 4
    assert all(len(found) > 1 for found in shapes.values())


@pytest.mark.parametrize("memory_bytes", [2_000_000_000, 24_000_000_000, 80_000_000_000])
def test_heads_divide_widths_whatever_the_device_holds(memory_bytes: int) -> None:
    for bench in get_suite("standard").benches_for(Backend.CUDA, memory_bytes):
        inside = bench.parameters
        if "heads" in inside and "hidden" in inside:
            assert inside["hidden"] % inside["heads"] == 0, bench.key
            assert inside["heads"] % inside["kv_heads"] == 0, bench.key


def test_a_served_load_has_requests_of_several_lengths_around_the_usual_one() -> None:
    lengths = request_lengths({"requests": 12, "prompt": 33, "answer": 9})
    prompts, answers = zip(*lengths, strict=True)
    assert len(lengths) == 12
    assert sum(prompts) / 12 == pytest.approx(33, rel=0.02)
    assert sum(answers) / 12 == pytest.approx(9, rel=0.02)
    assert len(set(prompts)) > 1
    assert len(set(answers)) > 1
