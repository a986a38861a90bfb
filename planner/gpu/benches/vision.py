"""Pictures: a vision transformer and a small residual network, trained and used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from planner.calibration.sample import Bench, Operation
from planner.calibration.theory import CHANNELS
from planner.gpu.benches import matmul
from planner.gpu.benches.accelerator import TORCH_DTYPES, Accelerator, Unsupported, fill_normal
from planner.gpu.benches.prepared import Prepared, require_close
from planner.gpu.benches.train import LEARNING_RATE, autocast
from planner.gpu.benches.transformer import INITIAL_SCALE, Block, RmsNorm, Shape, rotary_angles
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

VIT_CHECKED = {
    "layers": 2, "hidden": 32, "heads": 4, "kv_heads": 4, "ffn": 64, "gated": 0, "vocab": 10, "image": 16, "patch": 4,
}  # fmt: skip
CNN_CHECKED = {"width": 4, "image": 32, "blocks": 1, "classes": 10}
CHECKED_BATCH = 2


class VisionTransformer(nn.Module):
    """Patches as rows of one product, blocks in which every patch sees all others, the mean, and a head."""

    def __init__(self, parameters: dict[str, int]) -> None:
        super().__init__()
        shape = Shape.of(parameters, causal=False)
        self.shape, self.patch = shape, parameters["patch"]
        self.embedding = nn.Linear(CHANNELS * self.patch**2, shape.hidden, bias=False)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = RmsNorm(shape.hidden)
        self.head = nn.Linear(shape.hidden, shape.vocab, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Scores [B, classes] of images [B, 3, H, W]."""
        size = self.patch
        patches = images.unfold(2, size, size).unfold(3, size, size).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        x = self.embedding(patches)  # B S E
        angles = rotary_angles(0, x.shape[1], self.shape.head_width, x.device)
        for layer, block in enumerate(self.blocks):
            x = block(x, angles, None, layer, 0)
        scores: Tensor = self.head(self.norm(x.mean(dim=1)))
        return scores


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions with their norms, and the input taken along."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.along = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inside = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(inside)) + self.along(x))


class SmallResNet(nn.Module):
    """The network whose convolutions `planner.calibration.theory.convolutions` counts."""

    def __init__(self, parameters: dict[str, int]) -> None:
        super().__init__()
        width, blocks = parameters["width"], parameters["blocks"]
        self.stem = nn.Conv2d(CHANNELS, width, 7, 2, 3, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        layers: list[nn.Module] = []
        inputs = width
        for stage in range(4):
            outputs = width * 2**stage
            for block in range(blocks):
                layers.append(BasicBlock(inputs, outputs, 2 if stage and not block else 1))
                inputs = outputs
        self.stages = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, parameters["classes"])

    def forward(self, images: Tensor) -> Tensor:
        """Scores [B, classes] of images [B, 3, H, W]."""
        x = functional.max_pool2d(functional.relu(self.stem_norm(self.stem(images))), 3, 2, 1)
        scores: Tensor = self.head(self.stages(x).mean(dim=(2, 3)))
        return scores


def prepare_step(bench: Bench, accelerator: Accelerator) -> Prepared:
    """Training steps on `batch` random pictures: forward, cross-entropy, backward, AdamW."""
    if bench.dtype not in (Dtype.FP32, Dtype.BF16):
        raise Unsupported(f"a training step in {bench.dtype} is not measured; fp32 and bf16 are")
    build, classes = _network(bench.operation), _classes(bench)
    check(bench.operation, bench.dtype, accelerator, backward=True)
    model = _random(build(dict(bench.parameters)), accelerator, torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    batches = [(_images(bench, accelerator, torch.float32), _labels(bench, accelerator, classes)) for _ in range(2)]

    def step(images: Tensor, labels: Tensor) -> Tensor:
        with autocast(bench.dtype, accelerator):
            result = functional.cross_entropy(model(images).float(), labels)
        torch.autograd.backward(result)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return result.detach()

    return Prepared([partial(step, *batch) for batch in batches], matmul.precision(bench.dtype))


def prepare_forward(bench: Bench, accelerator: Accelerator) -> Prepared:
    """Scores of `batch` random pictures, weights in the measured format."""
    if bench.dtype not in (Dtype.FP32, Dtype.FP16, Dtype.BF16):
        raise Unsupported(f"pictures in {bench.dtype} are not measured; fp32, fp16 and bf16 are")
    check(bench.operation, bench.dtype, accelerator, backward=False)
    kind = TORCH_DTYPES[bench.dtype]
    model = _random(_network(bench.operation)(dict(bench.parameters)), accelerator, kind).eval()
    batches = [_images(bench, accelerator, kind) for _ in range(2)]
    return Prepared([partial(model, images) for images in batches], _without_gradients(bench.dtype))


def check(operation: Operation, dtype: Dtype, accelerator: Accelerator, *, backward: bool) -> None:
    """Compare scores, or the gradients of a training step, of a small network with float64 on the host."""
    is_vit = operation in (Operation.VIT_STEP, Operation.VIT_FORWARD)
    parameters = dict(VIT_CHECKED if is_vit else CNN_CHECKED)
    on_host = Accelerator(Backend.CPU, seed=1)
    host = _random(_network(operation)(parameters), on_host, torch.float64)
    kind = torch.float32 if backward else TORCH_DTYPES[dtype]
    model = _network(operation)(parameters).to(accelerator.device, kind)
    model.load_state_dict(host.state_dict())
    if not backward:
        host, model = host.eval(), model.eval()
    images = on_host.randn(CHECKED_BATCH, CHANNELS, parameters["image"], parameters["image"], dtype=torch.float64)
    here = images.to(accelerator.device, kind)
    if not backward:
        with _without_gradients(dtype):
            result, reference = model(here), host(images)
    else:
        torch.autograd.backward(host(images).square().sum())
        with matmul.precision(dtype), autocast(dtype, accelerator):
            torch.autograd.backward(model(here).float().square().sum())
        result, reference = (_gradients(one) for one in (model, host))
    # Batch norms over two small pictures divide by small spreads, so rounding shows more than in products alone.
    room = 5 if is_vit else 10
    require_close(result, reference.detach(), room * matmul.TOLERANCES[dtype], f"{dtype} {operation}")


def _network(operation: Operation) -> Callable[[dict[str, int]], nn.Module]:
    return VisionTransformer if operation in (Operation.VIT_STEP, Operation.VIT_FORWARD) else SmallResNet


def _classes(bench: Bench) -> int:
    return bench.parameters["vocab" if bench.operation is Operation.VIT_STEP else "classes"]


def _random(model: nn.Module, accelerator: Accelerator, kind: torch.dtype) -> nn.Module:
    """Normal random weights; norms as they are made."""
    model = model.to(accelerator.device, kind)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 4:  # He et al. 2015: keeps the size of activations through rectified layers
                spread = (2.0 / parameter[0].numel()) ** 0.5
                fill_normal(parameter, spread, accelerator.generator)
            elif parameter.dim() > 1:
                fill_normal(parameter, INITIAL_SCALE, accelerator.generator)
    return model


def _images(bench: Bench, accelerator: Accelerator, kind: torch.dtype) -> Tensor:
    size = bench.parameters["image"]
    return accelerator.randn(bench.parameters["batch"], CHANNELS, size, size, dtype=kind)


def _labels(bench: Bench, accelerator: Accelerator, classes: int) -> Tensor:
    return accelerator.tokens(bench.parameters["batch"], vocab=classes)


@contextmanager
def _without_gradients(dtype: Dtype) -> Iterator[None]:
    with torch.no_grad(), matmul.precision(dtype):
        yield


def _gradients(model: nn.Module) -> Tensor:
    return torch.cat([_gradient(parameter).flatten() for parameter in model.parameters()])


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise AssertionError("every weight has a gradient after backward")
    return parameter.grad.double().cpu()
