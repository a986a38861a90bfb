"""Work that memory bounds: the triad, element-wise work, a norm; and copies between host and device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from planner.calibration.sample import Bench
from planner.gpu.benches import matmul
from planner.gpu.benches.accelerator import TORCH_DTYPES, Accelerator, InvalidResult, Unsupported
from planner.gpu.benches.prepared import Prepared, num_rotations, require_close
from planner.gpu.benches.transformer import NORM_EPSILON
from planner.inventory.device import Backend

SCALE = 3.0
CHECKED_SHAPE = (16, 48)


def prepare_triad(bench: Bench, accelerator: Accelerator) -> Prepared:
    """a = b + 3·c on arrays of num_bytes each; the same arrays each time, as in the copy."""
    kind = TORCH_DTYPES[bench.dtype]
    count = bench.parameters["num_bytes"] // kind.itemsize
    left, right = (accelerator.randn(count, dtype=kind) for _ in range(2))
    result = torch.empty_like(left)

    def call() -> Tensor:
        return torch.add(left, right, alpha=SCALE, out=result)

    part = slice(0, 4096)
    reference = left[part].double().cpu() + SCALE * right[part].double().cpu()
    require_close(call()[part], reference, matmul.TOLERANCES[bench.dtype], f"a {bench.dtype} triad")
    return Prepared([call])


def prepare_elementwise(bench: Bench, accelerator: Accelerator) -> Prepared:
    """silu(gate) · up on rows × columns, as inside a gated feed-forward network."""
    _check(bench, accelerator, 2, _gate)
    return _in_turn(bench, accelerator, 2, _gate)


def prepare_norm(bench: Bench, accelerator: Accelerator) -> Prepared:
    """RMS norm over `columns`, for each row."""
    _check(bench, accelerator, 1, _norm)
    return _in_turn(bench, accelerator, 1, _norm)


def prepare_host_copy(bench: Bench, accelerator: Accelerator) -> Prepared:
    """Copies of num_bytes over the link: to the device or (to_device = 0) from it, from pinned memory or not."""
    if accelerator.backend in (Backend.CPU, Backend.MPS):
        raise Unsupported(f"{accelerator.backend} computes in the host's own memory: there is no link to measure")
    count, pinned = bench.parameters["num_bytes"], bool(bench.parameters["pinned"])
    here = torch.randint(0, 256, (count,), dtype=torch.uint8)
    here = here.pin_memory() if pinned else here
    there = torch.empty(count, dtype=torch.uint8, device=accelerator.device)
    source, target = (here, there) if bench.parameters["to_device"] else (there, here)
    there.copy_(here)

    def call() -> Tensor:
        return target.copy_(source, non_blocking=pinned)

    call()
    accelerator.synchronize()
    if not torch.equal(target.cpu(), source.cpu()):
        raise InvalidResult("the copy over the link differs from its source")
    return Prepared([call])


def _gate(gate: Tensor, up: Tensor) -> Tensor:
    return functional.silu(gate) * up


def _norm(x: Tensor) -> Tensor:
    return functional.rms_norm(x, (x.shape[-1],), eps=NORM_EPSILON)


def _check(bench: Bench, accelerator: Accelerator, num_inputs: int, call: Callable[..., Tensor]) -> None:
    inputs = [accelerator.randn(*CHECKED_SHAPE, dtype=TORCH_DTYPES[bench.dtype]) for _ in range(num_inputs)]
    reference = call(*(part.double().cpu() for part in inputs))
    result = call(*inputs)
    require_close(result, reference, matmul.TOLERANCES[bench.dtype], f"{bench.dtype} {bench.operation}")


def _in_turn(bench: Bench, accelerator: Accelerator, num_inputs: int, call: Callable[..., Tensor]) -> Prepared:
    """The call on sets of random inputs that together exceed twice the last-level cache."""
    kind, shape = TORCH_DTYPES[bench.dtype], (bench.parameters["rows"], bench.parameters["columns"])
    bytes_of_one = (num_inputs + 1) * shape[0] * shape[1] * kind.itemsize
    copies = num_rotations(bytes_of_one, accelerator.llc_bytes, accelerator.free_memory_bytes())
    sets = [[accelerator.randn(*shape, dtype=kind) for _ in range(num_inputs)] for _ in range(copies)]
    return Prepared(
        [partial(call, *inputs) for inputs in sets], details={"rotated_bytes": float(copies * bytes_of_one)}
    )
