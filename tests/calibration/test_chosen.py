"""Suites of one's own: keys are read strictly, and every bench of the standard suite can be chosen by its key."""

from __future__ import annotations

import pytest

from planner.calibration.chosen import MOST_BENCHES, OwnSuite, bench_of_key, checked_keys, parameter_names
from planner.calibration.sample import Operation
from planner.calibration.suites import SUITES
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend


@pytest.mark.parametrize("backend", [Backend.CPU, Backend.CUDA])
def test_every_bench_of_the_standard_suite_is_the_one_that_its_key_says(backend: Backend) -> None:
    listed = [
        bench
        for bench in SUITES["standard"].benches_for(backend, 80 * 10**9)
        if bench.operation is not Operation.SENTINEL
    ]
    assert listed
    assert [bench_of_key(bench.key, backend) for bench in listed] == listed


def test_a_shape_of_ones_own_becomes_a_bench_with_an_expected_time() -> None:
    bench = bench_of_key(" matmul/bf16/m=96,n=4096,k=512 ", Backend.CPU)
    assert bench.key == "matmul/bf16/k=512,m=96,n=4096"
    assert bench.dtype is Dtype.BF16
    assert bench.expected_seconds > 0


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("matmul", "is no bench; write it as"),
        ("sort/bf16/k=1", "'sort' is no operation; there are: matmul"),
        ("matmul/fp12/k=1,m=1,n=1", "'fp12' is no number format"),
        ("matmul/bf16/k=1,m=1", "matmul takes k, m, n, each once"),
        ("matmul/bf16/k=1,m=1,n=1,o=1", "matmul takes k, m, n, each once"),
        ("matmul/bf16/k=1,m=1,n=1,n=2", "matmul takes k, m, n, each once"),
        ("matmul/bf16/k=-1,m=1,n=1", "with whole numbers"),
        ("matmul/bf16/k=9999999999999,m=1,n=1", "a parameter is at most"),
        ("matmul/bf16/k=1000000,m=1000000,n=1000000", "make it smaller"),
        ("all_reduce/bf16/num_bytes=1,ranks=2", "needs several devices"),
        ("sentinel/bf16/k=1,m=1,n=1,place=1", "cannot be chosen alone"),
    ],
)
def test_what_is_no_bench_is_refused_with_what_would_be_right(key: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        bench_of_key(key, Backend.CUDA)


def test_keys_are_kept_once_each_in_the_form_that_samples_bear() -> None:
    assert checked_keys(["matmul/bf16/n=3,m=1,k=2", "matmul/bf16/k=2,m=1,n=3"]) == ("matmul/bf16/k=2,m=1,n=3",)
    with pytest.raises(ValueError, match=f"from 1 to {MOST_BENCHES} benches"):
        checked_keys([])


def test_a_suite_of_ones_own_gives_its_benches_on_each_kind_of_device() -> None:
    suite = OwnSuite("mine", 3, "", 60.0, ("copy/fp32/num_bytes=1000000", "matmul/bf16/k=2,m=1,n=3"))
    assert [bench.key for bench in suite.benches_on(Backend.CPU)] == list(suite.keys)
    assert parameter_names(Operation.COPY) == ("num_bytes",)
