"""Every operation as a bench on this CPU: it runs, its theory holds, and a wrong answer is caught."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from planner.calibration.sample import COLLECTIVES, Bench, Operation
from planner.calibration.theory import bench_theory, convolutions
from planner.gpu.benches import attention, feed, memory, vision
from planner.gpu.benches import timing as timing_module
from planner.gpu.benches.accelerator import Accelerator, InvalidResult, Unsupported
from planner.gpu.benches.train import check as check_step
from planner.gpu.benches.transformer import Mixture, Shape, random_transformer
from planner.gpu.child import BENCHES, measure
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

MODEL = {"layers": 1, "hidden": 32, "heads": 4, "kv_heads": 2, "ffn": 64, "gated": 1, "vocab": 64}
ENCODER = MODEL | {"kv_heads": 4, "gated": 0}
VIT = ENCODER | {"vocab": 10, "image": 16, "patch": 8}
CNN = {"width": 4, "image": 32, "blocks": 1, "classes": 10}
STEP = {"sequence": 8, "micro_batch": 2}
ATTENTION = {"batch": 1, "heads": 4, "kv_heads": 2, "head_width": 16, "queries": 32, "keys": 32, "causal": 1}
SMALL: dict[Operation, dict[str, int]] = {
    Operation.MATMUL: {"m": 16, "n": 16, "k": 16},
    Operation.COPY: {"num_bytes": 4096},
    Operation.TRAIN_STEP: MODEL | STEP,
    Operation.PREFILL: MODEL | {"sequence": 8, "batch": 1},
    Operation.DECODE: MODEL | {"context": 8, "batch": 1},
    Operation.ATTENTION: ATTENTION | {"backward": 1},
    Operation.TRIAD: {"num_bytes": 65536},
    Operation.ELEMENTWISE: {"rows": 16, "columns": 64},
    Operation.NORM: {"rows": 16, "columns": 64},
    Operation.LAUNCH: {"kernels": 10, "graph": 0},
    Operation.MOE_STEP: MODEL | STEP | {"experts": 4, "experts_per_token": 2},
    Operation.RECOMPUTE_STEP: MODEL | STEP,
    Operation.ENCODER_STEP: ENCODER | STEP,
    Operation.VIT_STEP: VIT | {"batch": 2},
    Operation.CNN_STEP: CNN | {"batch": 2},
    Operation.VIT_FORWARD: VIT | {"batch": 1},
    Operation.CNN_FORWARD: CNN | {"batch": 1},
    Operation.SERVE: MODEL | {"requests": 4, "slots": 2, "prompt": 8, "answer": 4},
    Operation.FEED: {"batch": 4, "image": 28, "workers": 2},
    Operation.SENTINEL: {"m": 16, "n": 16, "k": 16, "place": 1},
    **{operation: {"ranks": 2, "num_bytes": 4096} for operation in COLLECTIVES},
}
NEEDS_A_GPU = {
    Operation.GRAPH_DECODE: MODEL | {"context": 8, "batch": 1},
    Operation.HOST_COPY: {"num_bytes": 4096, "pinned": 1, "to_device": 1},
}


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Accelerator:
    """The CPU, with windows so short that a bench proves itself in no time."""
    monkeypatch.setattr(timing_module, "WINDOW_SECONDS", 0.0)
    monkeypatch.setattr(timing_module, "WARM_UP_SECONDS", 0.0)
    found = Accelerator(Backend.CPU, seed=7)
    found.llc_bytes = 1024
    return found


def bench(operation: Operation, parameters: dict[str, int], dtype: Dtype = Dtype.FP32) -> Bench:
    return Bench(operation, 1, dtype, parameters, 0.1)


def test_every_operation_has_a_bench_and_a_small_case_here() -> None:
    assert set(BENCHES) == set(Operation) == set(SMALL) | set(NEEDS_A_GPU)


@pytest.mark.parametrize("operation", sorted(SMALL), ids=str)
def test_a_small_case_of_every_operation_is_measured_with_its_theory(
    accelerator: Accelerator, operation: Operation
) -> None:
    sample = measure(bench(operation, SMALL[operation]), accelerator)
    theory = bench_theory(sample.bench)
    assert (sample.flops, sample.num_bytes) == (theory.flops, theory.num_bytes)
    assert sample.seconds > 0
    assert theory.flops + theory.num_bytes > 0


@pytest.mark.parametrize("operation", sorted(NEEDS_A_GPU), ids=str)
def test_what_needs_a_gpu_says_so_on_a_cpu(accelerator: Accelerator, operation: Operation) -> None:
    with pytest.raises(Unsupported):
        measure(bench(operation, NEEDS_A_GPU[operation]), accelerator)


@pytest.mark.parametrize("dtype", [Dtype.FP32, Dtype.BF16])
def test_the_new_checks_pass_in_both_formats(accelerator: Accelerator, dtype: Dtype) -> None:
    attention.check(dtype, accelerator, backward=True)
    for operation in (Operation.VIT_STEP, Operation.CNN_STEP):
        vision.check(operation, dtype, accelerator, backward=True)
    for operation in (Operation.VIT_FORWARD, Operation.CNN_FORWARD):
        vision.check(operation, dtype, accelerator, backward=False)


def test_a_wrong_attention_is_caught(accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    right = functional.scaled_dot_product_attention
    monkeypatch.setattr(
        functional, "scaled_dot_product_attention", lambda *parts, **rest: right(*parts, **rest | {"is_causal": False})
    )
    with pytest.raises(InvalidResult, match="attention is off"):
        attention.check(Dtype.FP32, accelerator, backward=False)


def test_a_wrong_norm_triad_and_convolution_are_caught(
    accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(memory, "SCALE", 3.0)
        right = torch.add
        patch.setattr(torch, "add", lambda left, other, alpha, out: right(left, other, alpha=alpha + 1, out=out))
        with pytest.raises(InvalidResult, match="triad is off"):
            memory.prepare_triad(bench(Operation.TRIAD, {"num_bytes": 4096}), accelerator)
    with monkeypatch.context() as patch:
        wrong = functional.relu
        calls = []

        def sometimes(x: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            return wrong(x) * (1.01 if len(calls) % 2 else 1.0)

        patch.setattr(functional, "relu", sometimes)
        with pytest.raises(InvalidResult, match="cnn_forward is off"):
            vision.check(Operation.CNN_FORWARD, Dtype.FP32, accelerator, backward=False)


def test_computing_again_gives_the_same_gradients(accelerator: Accelerator) -> None:
    check_step(Dtype.FP32, accelerator, recomputes=True)


def test_a_mixture_of_one_chosen_expert_is_that_expert() -> None:
    shape = Shape.of(MODEL | {"experts": 3, "experts_per_token": 1})
    torch.manual_seed(1)
    mixture = Mixture(shape).double().requires_grad_(False)
    x = torch.randn(2, 5, shape.hidden, dtype=torch.float64)
    chosen = mixture.router(x).argmax(dim=-1)
    rows = zip(x.view(-1, 32), chosen.view(-1), strict=True)
    expected = torch.stack([mixture.experts[int(expert)](row) for row, expert in rows])
    torch.testing.assert_close(mixture(x).view(-1, 32), expected)


def test_a_mixture_holds_every_expert_and_trains_them() -> None:
    shape = Shape.of(MODEL | {"experts": 4, "experts_per_token": 4})
    model = random_transformer(shape, torch.device("cpu"), torch.float32, torch.Generator().manual_seed(1))
    torch.autograd.backward(model(torch.randint(0, 64, (2, 6))).square().sum())
    grown = [name for name, weight in model.named_parameters() if "experts" in name and weight.grad is not None]
    assert len(grown) == 8


def test_an_encoder_sees_what_comes_after() -> None:
    shape = Shape.of(ENCODER, causal=False)
    model = random_transformer(shape, torch.device("cpu"), torch.float64, torch.Generator().manual_seed(1))
    tokens = torch.arange(6).unsqueeze(0)
    changed = tokens.clone()
    changed[0, 5] = 9
    assert not torch.allclose(model(tokens)[:, 0], model(changed)[:, 0])


@pytest.mark.parametrize(("width", "image", "blocks"), [(4, 32, 1), (8, 64, 2), (4, 33, 1)])
def test_the_network_of_the_theory_is_the_network_that_runs(width: int, image: int, blocks: int) -> None:
    seen: list[tuple[int, int, int, int]] = []

    def note(conv: nn.Conv2d, _: object, out: torch.Tensor) -> None:
        seen.append((out.shape[-1], conv.in_channels, conv.out_channels, conv.kernel_size[0]))

    model = vision.SmallResNet({"width": width, "image": image, "blocks": blocks, "classes": 10}).eval()
    for part in model.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(note)
    model(torch.zeros(1, 3, image, image))
    counted = [(conv.size, conv.inputs, conv.outputs, conv.kernel) for conv in convolutions(width, image, blocks)]
    assert sorted(seen) == sorted(counted)


def test_resnet_18_does_the_flops_that_its_paper_says() -> None:
    parameters = {"width": 64, "image": 224, "blocks": 2, "classes": 1000, "batch": 1}
    flops = bench_theory(bench(Operation.CNN_FORWARD, parameters)).flops
    assert flops / 2 == pytest.approx(1.8e9, rel=0.02), "He et al. 2016, table 1: multiply-adds"


def test_vit_base_does_the_flops_that_are_published() -> None:
    parameters = {"layers": 12, "hidden": 768, "heads": 12, "kv_heads": 12, "ffn": 3072, "gated": 0, "vocab": 1000}
    flops = bench_theory(bench(Operation.VIT_FORWARD, parameters | {"image": 224, "patch": 16, "batch": 1})).flops
    assert flops / 2 == pytest.approx(17.6e9, rel=0.03), "Touvron et al. 2021, table 5: multiply-adds of DeiT-B"


def test_attention_counts_the_lower_triangle_and_the_backward_pass() -> None:
    whole = bench_theory(bench(Operation.ATTENTION, ATTENTION | {"causal": 0, "backward": 0}))
    assert whole.flops == 4 * 4 * 16 * 32 * 32
    half = bench_theory(bench(Operation.ATTENTION, ATTENTION | {"backward": 0}))
    assert half.flops / whole.flops == pytest.approx(33 / 64)
    both = bench_theory(bench(Operation.ATTENTION, ATTENTION | {"backward": 1}))
    assert (both.flops / half.flops, both.num_bytes / half.num_bytes) == (3.5, 3.0)


def test_an_all_reduce_sends_twice_what_an_all_gather_does() -> None:
    inside = {"ranks": 4, "num_bytes": 4000}
    sent = {operation: bench_theory(bench(operation, inside)).num_bytes for operation in COLLECTIVES}
    assert sent == {
        Operation.ALL_REDUCE: 6000.0,
        Operation.ALL_GATHER: 3000.0,
        Operation.ALL_TO_ALL: 3000.0,
        Operation.POINT_TO_POINT: 8000.0,
    }


def test_a_served_load_tells_its_latencies(accelerator: Accelerator) -> None:
    sample = measure(bench(Operation.SERVE, SMALL[Operation.SERVE]), accelerator)
    first, token = (sample.details[f"{name}_p50_seconds"] for name in ("first_token", "per_token"))
    assert token > 0
    assert 0 < first <= sample.details["first_token_p95_seconds"] <= sample.details["first_token_p99_seconds"]


def test_pictures_are_cut_mirrored_and_scaled() -> None:
    picture = torch.arange(5 * 5 * 3, dtype=torch.uint8).view(5, 5, 3)
    plain = feed.ready(picture, 1, 2, 3, mirrored=False)
    assert plain.shape == (3, 3, 3)
    assert float(plain[0, 0, 0]) == pytest.approx((picture[1, 2, 0] / 255 - feed.MEAN) / feed.SPREAD)
    torch.testing.assert_close(feed.ready(picture, 1, 2, 3, mirrored=True), plain.flip(2))


def test_more_ranks_than_devices_is_unsupported_and_not_a_hang(accelerator: Accelerator) -> None:
    accelerator.backend = Backend.XPU
    with pytest.raises(Unsupported, match="joins no xpu devices"):
        BENCHES[Operation.ALL_REDUCE](bench(Operation.ALL_REDUCE, {"ranks": 2, "num_bytes": 64}), accelerator)


def test_an_fp16_step_trains_with_a_scaled_loss(accelerator: Accelerator) -> None:
    check_step(Dtype.FP16, accelerator)
    bench = Bench(Operation.TRAIN_STEP, 2, Dtype.FP16, SMALL[Operation.TRAIN_STEP], 0.1)
    assert measure(bench, accelerator).seconds > 0
