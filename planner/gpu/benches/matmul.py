"""Matrix multiplication as a linear layer does it: activations [m, k] times weights [n, k] transposed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from planner.calibration.sample import Bench
from planner.gpu.benches.accelerator import TORCH_DTYPES, Accelerator, Unsupported
from planner.gpu.benches.prepared import Prepared, num_rotations, require_close
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

# Largest relative error (Frobenius) allowed against float64 at k = 128: a few units of the format's rounding.
TOLERANCES = {Dtype.FP32: 1e-5, Dtype.TF32: 3e-3, Dtype.FP16: 3e-3, Dtype.BF16: 2e-2, Dtype.FP8: 1e-1, Dtype.INT8: 1e-9}
CHECKED_SHAPE = (64, 96, 128)  # m, n, k of the comparison with float64


def prepare(bench: Bench, accelerator: Accelerator) -> Prepared:
    """Multiplications of bench.parameters m, n, k on buffers taken in turn."""
    m, n, k = (bench.parameters[name] for name in "mnk")
    check(bench.dtype, accelerator)
    bytes_of_one = int((m * k + n * k) * bench.dtype.num_bytes + m * n * 4)
    rotations = num_rotations(bytes_of_one, accelerator.llc_bytes, accelerator.free_memory_bytes())
    calls = [_multiplication(bench.dtype, m, n, k, accelerator)[0] for _ in range(rotations)]
    return Prepared(calls, precision(bench.dtype), {"rotated_bytes": float(rotations * bytes_of_one)})


def check(dtype: Dtype, accelerator: Accelerator) -> None:
    """Compare one small product with float64 on the host. Raises InvalidResult or Unsupported."""
    call, left, right = _multiplication(dtype, *CHECKED_SHAPE, accelerator)
    with precision(dtype):
        result = call()
    reference = left.to("cpu", torch.float64) @ right.to("cpu", torch.float64).t()
    require_close(result, reference, TOLERANCES[dtype], f"a {dtype} product")


@contextmanager
def precision(dtype: Dtype) -> Iterator[None]:
    """fp32 means fp32: shortened products only where tf32 is what is measured."""
    torch.set_float32_matmul_precision("high" if dtype is Dtype.TF32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


def _multiplication(
    dtype: Dtype, m: int, n: int, k: int, accelerator: Accelerator
) -> tuple[Callable[[], Tensor], Tensor, Tensor]:
    """A call that multiplies fresh random matrices, with the two."""
    if dtype is Dtype.FP8:
        return _fp8_multiplication(m, n, k, accelerator)
    if dtype is Dtype.INT8:
        return _int8_multiplication(m, n, k, accelerator)
    if dtype not in TORCH_DTYPES or (dtype is Dtype.TF32 and accelerator.backend is not Backend.CUDA):
        raise Unsupported(f"torch {torch.__version__} multiplies no {dtype} on {accelerator.backend}")
    kind = TORCH_DTYPES[dtype]
    left, right = accelerator.randn(m, k, dtype=kind), accelerator.randn(n, k, dtype=kind)
    product = torch.empty(m, n, device=accelerator.device, dtype=kind)
    return lambda: torch.mm(left, right.t(), out=product), left, right


def _fp8_multiplication(
    m: int, n: int, k: int, accelerator: Accelerator
) -> tuple[Callable[[], Tensor], Tensor, Tensor]:
    if accelerator.backend is not Backend.CUDA:
        raise Unsupported(f"torch {torch.__version__} multiplies no fp8 on {accelerator.backend}")
    left = accelerator.randn(m, k, dtype=torch.bfloat16).to(torch.float8_e4m3fn)
    right = accelerator.randn(n, k, dtype=torch.bfloat16).to(torch.float8_e4m3fn)
    one = torch.ones((), device=accelerator.device, dtype=torch.float32)

    def call() -> Tensor:
        return torch._scaled_mm(left, right.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

    return call, left, right


def _int8_multiplication(
    m: int, n: int, k: int, accelerator: Accelerator
) -> tuple[Callable[[], Tensor], Tensor, Tensor]:
    """Whole numbers multiplied and summed in 32 bits: exact, so the comparison leaves no room."""
    if accelerator.backend is not Backend.CUDA:
        raise Unsupported(f"torch {torch.__version__} multiplies no int8 on {accelerator.backend} at full speed")

    def whole(*shape: int) -> Tensor:
        return torch.randint(-127, 128, shape, device=accelerator.device, dtype=torch.int8, generator=random)

    random = accelerator.generator
    left, right = whole(m, k), whole(n, k)
    return lambda: torch._int_mm(left, right.t()), left, right
