"""The benches themselves: our transformer against float64 and itself, the checks, and how time is taken."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from planner.calibration.sample import Bench, Operation
from planner.gpu.benches import copy, matmul, serve, train
from planner.gpu.benches.accelerator import REPEATED, Accelerator, InvalidResult, Unsupported
from planner.gpu.benches.prepared import num_rotations, require_close, require_finite
from planner.gpu.benches.timing import MORE_WINDOWS, REPEATS, SLOW_REPEATS, time_calls
from planner.gpu.benches.transformer import (
    INITIAL_SCALE,
    KvCache,
    Shape,
    Transformer,
    random_transformer,
    rotary_angles,
    rotate,
)
from planner.gpu.child import classify, measure
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from planner.jobs.architecture import Transformer as Architecture

CPU = torch.device("cpu")
PARAMETERS = {"layers": 2, "hidden": 48, "heads": 6, "kv_heads": 2, "ffn": 80, "gated": 1, "vocab": 50}


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(Backend.CPU, seed=7)


def small(seed: int = 3, **changes: int) -> Transformer:
    shape = Shape.of(PARAMETERS | changes)
    return random_transformer(shape, CPU, torch.float64, torch.Generator().manual_seed(seed)).requires_grad_(False)


def some_tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(0, PARAMETERS["vocab"], (batch, length), generator=torch.Generator().manual_seed(5))


def test_decoding_token_by_token_gives_what_the_whole_sequence_gives() -> None:
    model, tokens = small(), some_tokens(3, 9)
    whole = model(tokens)
    cache = KvCache.empty(model.shape, 3, 9, model.head.weight)
    parts = [model(tokens[:, :4], cache)] + [model(tokens[:, i : i + 1], cache, i) for i in range(4, 9)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)


def test_a_later_token_changes_no_earlier_score() -> None:
    model, tokens = small(), some_tokens(1, 8)
    changed = tokens.clone()
    changed[0, 5] = (tokens[0, 5] + 1) % PARAMETERS["vocab"]
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_the_last_position_alone_scores_as_in_the_whole() -> None:
    model, tokens = small(), some_tokens(2, 6)
    torch.testing.assert_close(model(tokens, last_only=True), model(tokens)[:, -1:])


def test_several_tokens_behind_a_filled_cache_are_refused() -> None:
    model = small()
    cache = KvCache.empty(model.shape, 1, 8, model.head.weight)
    with pytest.raises(ValueError, match="empty cache"):
        model(some_tokens(1, 2), cache, 3)


def test_grouped_heads_equal_full_heads_with_repeated_keys_and_values() -> None:
    grouped, tokens = small(), some_tokens(1, 7)
    full = small(kv_heads=PARAMETERS["heads"])
    state = grouped.state_dict()
    width, heads, kv_heads = grouped.shape.head_width, grouped.shape.heads, grouped.shape.kv_heads
    for name, weight in state.items():
        if name.endswith("query_key_value.weight"):
            query, key, value = weight.view(-1, width, grouped.shape.hidden).split((heads, kv_heads, kv_heads))
            repeated = [part.repeat_interleave(heads // kv_heads, dim=0) for part in (key, value)]
            state[name] = torch.cat([query, *repeated]).view(-1, grouped.shape.hidden)
    full.load_state_dict(state)
    torch.testing.assert_close(full(tokens), grouped(tokens))


def test_rotation_keeps_length_and_depends_on_distance_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    query, key = (torch.randn(1, 1, 1, 16, dtype=torch.float64, generator=generator) for _ in range(2))

    def product(query_at: int, key_at: int) -> torch.Tensor:
        turned = rotate(query, rotary_angles(query_at, 1, 16, CPU)), rotate(key, rotary_angles(key_at, 1, 16, CPU))
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(rotate(query, rotary_angles(11, 1, 16, CPU)).norm(), query.norm(), rtol=1e-6, atol=0)
    torch.testing.assert_close(product(9, 4), product(105, 100), rtol=1e-4, atol=1e-5)
    assert not torch.isclose(product(9, 4), product(9, 5), rtol=1e-3)


@pytest.mark.parametrize("changes", [{}, {"gated": 0}, {"tied": 1}, {"kv_heads": 6}])
def test_weights_are_those_that_the_architecture_counts(changes: dict[str, int]) -> None:
    model = small(**changes)
    shape = model.shape
    architecture = Architecture(
        "test", shape.layers, shape.hidden, shape.heads, shape.kv_heads, shape.ffn, shape.vocab, shape.gated, shape.tied
    )
    matrices = sum(weight.numel() for weight in model.parameters() if weight.dim() > 1)
    assert matrices == architecture.num_parameters
    assert (model.head.weight is model.embedding.weight) == shape.tied


def test_training_lowers_the_loss_on_the_tokens_it_sees(accelerator: Accelerator) -> None:
    model = random_transformer(Shape.of(PARAMETERS), CPU, torch.float32, torch.Generator().manual_seed(3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    tokens, losses = some_tokens(2, 12), []
    for _ in range(20):
        loss = train.loss(model, tokens)
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("dtype", [Dtype.FP32, Dtype.BF16])
def test_every_operation_passes_its_check_against_float64(accelerator: Accelerator, dtype: Dtype) -> None:
    matmul.check(dtype, accelerator)
    train.check(dtype, accelerator)
    serve.check(dtype, accelerator)


def test_a_wrong_product_is_caught(accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.mm
    monkeypatch.setattr(torch, "mm", lambda left, other, out: right(left, other, out=out).mul_(1.001))
    with pytest.raises(InvalidResult, match="off a float64 reference"):
        matmul.check(Dtype.FP32, accelerator)


def test_a_result_with_nan_or_infinity_is_no_result() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(InvalidResult):
            require_finite(torch.tensor([1.0, value], dtype=torch.bfloat16))
    with pytest.raises(InvalidResult):
        require_close(torch.tensor([float("nan")]), torch.tensor([1.0], dtype=torch.float64), 0.1, "a thing")


@pytest.mark.parametrize("dtype", [Dtype.TF32, Dtype.FP8, Dtype.INT8])
def test_a_format_that_the_cpu_lacks_is_unsupported(accelerator: Accelerator, dtype: Dtype) -> None:
    with pytest.raises(Unsupported, match=dtype.value):
        matmul.prepare(Bench(Operation.MATMUL, 1, dtype, {"m": 16, "n": 16, "k": 16}, 0.1), accelerator)


def test_matmul_takes_different_buffers_in_turn_beyond_twice_the_cache(accelerator: Accelerator) -> None:
    bench = Bench(Operation.MATMUL, 1, Dtype.FP32, {"m": 64, "n": 1024, "k": 1024}, 0.1)
    prepared = matmul.prepare(bench, accelerator)
    assert prepared.details["rotated_bytes"] >= 2 * accelerator.llc_bytes
    outputs = {call().data_ptr() for call in prepared.calls}
    assert len(outputs) == len(prepared.calls) > 1


def test_rotations_stop_at_a_quarter_of_the_free_memory() -> None:
    assert num_rotations(10, llc_bytes=100, budget_bytes=None) == 21
    assert num_rotations(10, llc_bytes=100, budget_bytes=200) == 5
    assert num_rotations(10, llc_bytes=100, budget_bytes=1) == 1
    assert num_rotations(1000, llc_bytes=100, budget_bytes=None) == 1


def test_copy_moves_the_bytes_it_says(accelerator: Accelerator) -> None:
    bench = Bench(Operation.COPY, 1, Dtype.FP32, {"num_bytes": 4096}, 0.1)
    (call,) = copy.prepare(bench, accelerator).calls
    assert call().numel() * 4 == 4096


class Clock:
    """Says times from a list, the last one for ever, and counts the executions."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)
        self.executions = 0

    def call(self) -> None:
        self.executions += 1

    def __call__(self, run: object) -> float:
        before = self.executions
        run()  # type: ignore[operator]
        once = self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        return once * (self.executions - before)


def test_a_short_execution_is_repeated_until_a_window_is_long_enough() -> None:
    clock = Clock(0.001)
    timing = time_calls([clock.call], clock)
    assert timing.executions == 10
    assert (timing.windows, timing.steady) == (pytest.approx([0.001] * REPEATS), True)


def test_warming_up_goes_on_until_the_windows_agree() -> None:
    clock = Clock(0.9, 0.02, 0.020, 0.018, 0.016, 0.0100, 0.0101, 0.0100, 0.01)
    timing = time_calls([clock.call], clock)
    assert timing.steady
    assert timing.windows[-1] == pytest.approx(0.01)


def test_windows_that_never_agree_are_measured_and_called_unsteady() -> None:
    clock = Clock(*[0.02, 0.04] * 200)
    timing = time_calls([clock.call], clock)
    assert not timing.steady
    assert set(timing.windows) == {0.02, 0.04}


def test_a_slow_execution_is_repeated_less() -> None:
    clock = Clock(2.0)
    timing = time_calls([clock.call], clock)
    assert (len(timing.windows), timing.executions, timing.steady) == (SLOW_REPEATS, 1, True)
    assert clock.executions == 2 + 2 + SLOW_REPEATS


def test_large_random_weights_come_again_and_no_two_rows_are_alike() -> None:
    shape = Shape.of(PARAMETERS | {"hidden": 384, "ffn": 2048, "layers": 1, "heads": 6})
    model = random_transformer(shape, CPU, torch.float32, torch.Generator().manual_seed(5))
    rows = model.blocks[0].feed_forward.up.weight
    assert rows.numel() > REPEATED
    assert torch.equal(rows.flatten()[: rows.numel() - REPEATED], rows.flatten()[REPEATED:])
    assert len({tuple(row[:4].tolist()) for row in rows.detach()}) == len(rows)
    assert float(rows.detach().std()) == pytest.approx(INITIAL_SCALE, rel=0.01)


def test_disturbed_windows_are_taken_again_and_the_least_disturbed_count() -> None:
    # Twice for the size, three windows to warm up; then two disturbed ones among those that are taken.
    clock = Clock(0.02, 0.02, 0.02, 0.02, 0.02, 0.05, 0.02, 0.04, 0.021, 0.022, 0.3)
    waited = iter((0.0, 0.0, 0.03, 0.03, 0.03, 0.03, 0.05, 0.05, 0.05, 0.05, 0.05))
    timing = time_calls([clock.call], clock, lambda: next(waited))
    assert timing.windows == pytest.approx((0.02, 0.021, 0.022))
    assert timing.waited_share == 0.0


def test_on_a_machine_that_is_never_quiet_the_windows_are_told_as_disturbed() -> None:
    clock, waited = Clock(0.02), count(0)
    timing = time_calls([clock.call], clock, lambda: 0.005 * next(waited))
    assert len(timing.windows) == REPEATS
    assert timing.waited_share == pytest.approx(0.25)
    assert clock.executions == 2 + 3 + REPEATS * (1 + MORE_WINDOWS)


def test_slow_windows_are_not_taken_again_for_long() -> None:
    clock, waited = Clock(2.0), count(0)
    timing = time_calls([clock.call], clock, lambda: 0.5 * next(waited))
    assert clock.executions == 2 + 2 + SLOW_REPEATS + 1
    assert timing.waited_share == pytest.approx(0.25)


def test_a_machine_without_a_free_processor_is_not_waited_for() -> None:
    clock, waited = Clock(0.02), count(0)
    timing = time_calls([clock.call], clock, lambda: 0.02 * next(waited))
    assert clock.executions == 2 + 3 + REPEATS
    assert timing.waited_share == pytest.approx(1.0)


def test_calls_are_taken_in_turn() -> None:
    clock, order = Clock(0.02), []
    time_calls([lambda: order.append("a"), lambda: order.append("b")], lambda run: (run(), 0.02)[1])
    assert order[:6] == ["a", "b"] * 3
    assert clock.executions == 0


def test_a_sample_carries_theory_memory_and_how_it_was_taken(accelerator: Accelerator) -> None:
    bench = Bench(Operation.COPY, 1, Dtype.FP32, {"num_bytes": 80_000_000}, 0.1)
    sample = measure(bench, accelerator)
    assert (sample.flops, sample.num_bytes) == (0.0, 160_000_000.0)
    assert sample.seconds > 0
    assert sample.details["executions"] >= 1
    assert sample.peak_memory_bytes is None or sample.peak_memory_bytes >= 160_000_000


def test_too_large_a_bench_is_out_of_memory_and_not_an_error(accelerator: Accelerator) -> None:
    bench = Bench(Operation.COPY, 1, Dtype.FP32, {"num_bytes": 1 << 60}, 0.1)
    with pytest.raises(RuntimeError) as caught:
        measure(bench, accelerator)
    assert classify(caught.value) == "oom"


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "oom"),
        (MemoryError(), "oom"),
        (Unsupported("no"), "unsupported"),
        (NotImplementedError("no kernel"), "unsupported"),
        (RuntimeError("\"addmm_impl\" not implemented for 'Float8'"), "unsupported"),
        (InvalidResult("NaN"), "invalid-result"),
        (RuntimeError("device-side assert"), "error"),
    ],
)
def test_what_is_raised_is_put_into_its_class(error: Exception, error_class: str) -> None:
    assert classify(error) == error_class
