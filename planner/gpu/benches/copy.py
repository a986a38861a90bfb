"""Copying memory to memory on the device: every byte of the source read once, every byte of the target written once."""

from __future__ import annotations

import torch

from planner.calibration.sample import Bench
from planner.gpu.benches.accelerator import TORCH_DTYPES, Accelerator, InvalidResult
from planner.gpu.benches.prepared import Prepared


def prepare(bench: Bench, accelerator: Accelerator) -> Prepared:
    """Copies of bench.parameters num_bytes from one buffer to another.

    The same two buffers each time: small ones stay in the cache on purpose, large ones exceed it by themselves.
    """
    kind = TORCH_DTYPES[bench.dtype]
    count = bench.parameters["num_bytes"] // kind.itemsize
    source = accelerator.randn(count, dtype=kind)
    target = torch.empty_like(source)
    target.copy_(source)
    if not torch.equal(source, target):
        raise InvalidResult("the copy differs from its source")
    return Prepared([lambda: target.copy_(source)])
