"""The suites: unique benches, sized by device, within their limits."""

from __future__ import annotations

import pytest

from planner.calibration.sample import COLLECTIVES, Bench, Operation
from planner.calibration.suites import (
    SUITES,
    Suite,
    collective_benches,
    custom_suite,
    get_suite,
    is_suite,
    total_expected_seconds,
)
from planner.errors import NotFound
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

H100 = {Dtype.FP32, Dtype.TF32, Dtype.FP16, Dtype.BF16, Dtype.FP8, Dtype.INT8}
ESTIMATED = {Operation.MATMUL, Operation.COPY, Operation.TRAIN_STEP, Operation.PREFILL, Operation.DECODE}
MEMORIES = [None, 2_000_000_000, 24_000_000_000, 80_000_000_000]


ALONE = {name: suite for name, suite in SUITES.items() if not suite.needs_several}


@pytest.mark.parametrize("suite", ALONE.values(), ids=list(ALONE))
@pytest.mark.parametrize("backend", Backend)
@pytest.mark.parametrize("memory_bytes", MEMORIES)
def test_every_suite_measures_every_operation_once_per_key_within_its_limit(
    suite: Suite, backend: Backend, memory_bytes: int | None
) -> None:
    benches = suite.benches_for(backend, memory_bytes)
    assert len({bench.key for bench in benches}) == len(benches)
    assert {bench.operation for bench in benches} >= ESTIMATED
    assert all(bench.expected_seconds > 0 for bench in benches)
    assert total_expected_seconds(benches) < suite.time_limit_seconds / 2
    assert suite.benches_for(backend, memory_bytes) == benches, "the same list every time"


def test_the_quick_suite_is_expected_to_take_under_two_minutes() -> None:
    quick = get_suite("quick")
    assert quick.expected_seconds(Backend.CPU, 16_000_000_000) < 120
    assert quick.expected_seconds(Backend.CUDA, 80_000_000_000, H100) < 120


def test_smoke_is_much_shorter_than_quick() -> None:
    smoke, quick = (get_suite(name).expected_seconds(Backend.CPU, None) for name in ("smoke", "quick"))
    assert smoke < 10 < quick


def test_a_gpu_is_measured_in_the_formats_that_it_has() -> None:
    quick = get_suite("quick")
    a100 = {bench.dtype for bench in quick.benches_for(Backend.CUDA, 80_000_000_000, H100 - {Dtype.FP8})}
    assert a100 == {Dtype.FP32, Dtype.TF32, Dtype.FP16, Dtype.BF16}
    t4 = quick.benches_for(Backend.CUDA, 16_000_000_000, {Dtype.FP16, Dtype.FP32})
    assert {bench.dtype for bench in t4} == {Dtype.FP16, Dtype.FP32}
    assert {bench.dtype for bench in t4 if bench.operation is Operation.TRAIN_STEP} == {Dtype.FP16, Dtype.FP32}
    mac = quick.benches_for(Backend.MPS, None)
    assert {bench.dtype for bench in mac if bench.operation is Operation.TRAIN_STEP} == {Dtype.FP32}
    standard = get_suite("standard").benches_for(Backend.CUDA, 80_000_000_000, H100)
    assert {b.dtype for b in standard if b.operation is Operation.TRAIN_STEP} == {Dtype.BF16, Dtype.FP16}
    assert Dtype.INT8 in {bench.dtype for bench in standard if bench.operation is Operation.MATMUL}


def test_a_cpu_is_measured_in_bf16_whatever_the_catalogue_says() -> None:
    benches = get_suite("quick").benches_for(Backend.CPU, 16_000_000_000, {Dtype.FP32})
    assert {bench.dtype for bench in benches} == {Dtype.BF16, Dtype.FP32}


def test_more_memory_gets_a_larger_transformer_and_unknown_memory_the_smallest() -> None:
    def hidden(memory_bytes: int | None) -> int:
        benches = get_suite("quick").benches_for(Backend.CUDA, memory_bytes)
        return next(bench.parameters["hidden"] for bench in benches if bench.operation is Operation.DECODE)

    assert hidden(None) == hidden(8_000_000_000) < hidden(24_000_000_000) < hidden(80_000_000_000)


@pytest.mark.parametrize("memory_bytes", MEMORIES)
@pytest.mark.parametrize("backend", [Backend.CPU, Backend.CUDA])
def test_decoding_is_also_measured_with_eight_query_heads_to_a_key_value_head(
    backend: Backend, memory_bytes: int | None
) -> None:
    decodes = [
        bench.parameters
        for bench in get_suite("quick").benches_for(backend, memory_bytes)
        if bench.operation is Operation.DECODE
    ]
    grouped = [inside for inside in decodes if inside["heads"] == 8 * inside["kv_heads"]]
    assert grouped
    assert all(inside["hidden"] % inside["heads"] == 0 for inside in grouped)
    assert len(grouped) < len(decodes) / 2, "the fit keeps to the grouping that most were measured with"


def test_copies_never_crowd_the_memory() -> None:
    for memory_bytes in (1_000_000_000, 4_000_000_000):
        benches = get_suite("quick").benches_for(Backend.CPU, memory_bytes)
        sizes = [bench.parameters["num_bytes"] for bench in benches if bench.operation is Operation.COPY]
        assert max(sizes) <= memory_bytes / 8
        assert all(size % 4 == 0 for size in sizes)


def test_an_unknown_suite_is_not_found_and_the_known_ones_are_named() -> None:
    with pytest.raises(NotFound, match="smoke, quick"):
        get_suite("thorough")


def test_standard_holds_quick_and_every_kind_of_work_of_one_device_within_ten_minutes() -> None:
    quick, standard = get_suite("quick"), get_suite("standard")
    for backend, memory_bytes in ((Backend.CPU, 16_000_000_000), (Backend.CUDA, 80_000_000_000)):
        listed = standard.benches_for(backend, memory_bytes)
        assert {bench.key for bench in quick.benches_for(backend, memory_bytes)} <= {bench.key for bench in listed}
        assert standard.expected_seconds(backend, memory_bytes) < 600
    on_gpu = {bench.operation for bench in standard.benches_for(Backend.CUDA, 80_000_000_000)}
    assert on_gpu == set(Operation) - COLLECTIVES
    on_cpu = {bench.operation for bench in standard.benches_for(Backend.CPU, 16_000_000_000)}
    assert set(Operation) - COLLECTIVES - on_cpu == {Operation.HOST_COPY, Operation.GRAPH_DECODE}


@pytest.mark.parametrize("name", ["quick", "standard"])
def test_the_same_product_stands_at_the_start_in_the_middle_and_at_the_end(name: str) -> None:
    benches = get_suite(name).benches_for(Backend.CUDA, 80_000_000_000)
    places = [place for place, bench in enumerate(benches) if bench.operation is Operation.SENTINEL]
    assert (places[0], places[2]) == (0, len(benches) - 1)
    assert len(benches) * 0.4 < places[1] < len(benches) * 0.6
    assert [benches[place].parameters["place"] for place in places] == [1, 2, 3]


def test_a_custom_suite_is_a_part_of_the_standard_one_and_its_name_tells_it_all() -> None:
    suite = custom_suite([Operation.MATMUL, Operation.ATTENTION], [Dtype.BF16])
    assert suite.name == "custom:attention+matmul/bf16"
    assert get_suite(suite.name) == suite
    benches = suite.benches_for(Backend.CPU, 16_000_000_000)
    kinds = {(bench.operation, bench.dtype) for bench in benches if bench.operation is not Operation.SENTINEL}
    assert kinds == {(Operation.MATMUL, Dtype.BF16), (Operation.ATTENTION, Dtype.BF16)}
    assert [is_suite(name) for name in (suite.name, "quick", "custom:juggling", "thorough")] == [
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(NotFound, match="operations: matmul"):
        get_suite("custom:juggling")
    with pytest.raises(ValueError, match="needs an operation"):
        custom_suite([])


def test_a_custom_suite_of_what_a_device_cannot_do_is_empty() -> None:
    assert custom_suite([Operation.HOST_COPY]).benches_for(Backend.CPU, None) == ()


def test_collectives_are_measured_between_all_devices_and_not_on_a_single_one() -> None:
    assert collective_benches(Backend.CUDA, 1) == ()
    links = get_suite("links")
    assert links.benches_for(Backend.CUDA, 80_000_000_000) == ()
    benches = links.benches_for(Backend.CUDA, 80_000_000_000, num_devices=4)
    assert benches == collective_benches(Backend.CUDA, 4)
    assert {bench.operation for bench in benches} == COLLECTIVES
    assert total_expected_seconds(links.benches_for(Backend.CUDA, None, num_devices=8)) < links.time_limit_seconds / 2
    sums = {bench.parameters["ranks"] for bench in collective_benches(Backend.CUDA, 6) if _sums(bench)}
    assert sums == {2, 4, 6}
    assert {bench.parameters["ranks"] for bench in benches if bench.operation is Operation.POINT_TO_POINT} == {2}
    assert len({bench.key for bench in benches}) == len(benches)


def _sums(bench: Bench) -> bool:
    return bench.operation is Operation.ALL_REDUCE


def test_a_custom_suite_of_exchanges_is_a_part_of_the_links_and_never_mixed_with_other_work() -> None:
    suite = custom_suite([Operation.ALL_REDUCE])
    assert get_suite("custom:all_reduce") == suite
    assert suite.needs_several
    assert all(_sums(bench) for bench in suite.benches_for(Backend.CUDA, None, num_devices=2))
    with pytest.raises(NotFound, match="measured apart"):
        get_suite("custom:all_reduce+matmul")
