"""What benches do in theory."""

from __future__ import annotations

import pytest

from planner.calibration.sample import Bench, Operation
from planner.calibration.theory import bench_theory
from planner.hardware.gpu import Dtype

SHAPE = {"layers": 2, "hidden": 64, "heads": 4, "kv_heads": 2, "ffn": 128, "gated": 1, "vocab": 100}
BLOCK = 64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 128  # q and o, k and v, gate, up and down


def _bench(operation: Operation, **parameters: int) -> Bench:
    return Bench(operation, 1, Dtype.BF16, parameters, 0.1)


def test_a_product_does_two_flops_per_pair_and_touches_three_matrices() -> None:
    theory = bench_theory(_bench(Operation.MATMUL, m=8, n=16, k=32))
    assert theory.flops == 2 * 8 * 16 * 32
    assert theory.num_bytes == 2 * (8 * 32 + 32 * 16 + 8 * 16)


def test_a_copy_reads_and_writes() -> None:
    theory = bench_theory(_bench(Operation.COPY, num_bytes=1000))
    assert (theory.flops, theory.num_bytes) == (0.0, 2000.0)


def test_prefill_counts_one_row_per_sequence_at_the_head() -> None:
    theory = bench_theory(_bench(Operation.PREFILL, **SHAPE, sequence=10, batch=3))
    pairs = 10 * 11 / 2
    assert theory.flops == pytest.approx(2 * (2 * 30 * BLOCK + 4 * 3 * 64 * pairs) + 2 * 3 * 64 * 100)


def test_decoding_attends_to_the_context_and_itself() -> None:
    theory = bench_theory(_bench(Operation.DECODE, **SHAPE, context=10, batch=3))
    assert theory.flops == pytest.approx(2 * (2 * 3 * BLOCK + 4 * 3 * 64 * 11) + 2 * 3 * 64 * 100)


def test_a_training_step_does_three_times_the_forward_flops() -> None:
    step = bench_theory(_bench(Operation.TRAIN_STEP, **SHAPE, sequence=10, micro_batch=3))
    forward = 2 * (2 * 30 * BLOCK + 4 * 3 * 64 * 55) + 2 * 30 * 64 * 100
    assert step.flops == pytest.approx(3 * forward)
    assert step.num_bytes > 28 * 2 * BLOCK  # the optimizer alone


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(ValueError, match="has no parameter 'k'"):
        bench_theory(_bench(Operation.MATMUL, m=1, n=1))
