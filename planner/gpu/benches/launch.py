"""What it costs to start a kernel: many kernels that do next to nothing, one after the other or as one graph."""

from __future__ import annotations

import torch
from torch import Tensor

from planner.calibration.sample import Bench
from planner.gpu.benches.accelerator import Accelerator, InvalidResult
from planner.gpu.benches.prepared import Prepared


def prepare(bench: Bench, accelerator: Accelerator) -> Prepared:
    """`kernels` additions of one to one number; with graph = 1 captured and started at once."""
    kernels = bench.parameters["kernels"]
    number = torch.zeros(1, device=accelerator.device)

    def call() -> Tensor:
        for _ in range(kernels):
            number.add_(1.0)
        return number

    if float(call()) != kernels:
        raise InvalidResult(f"{kernels} additions of one gave {float(number)}")
    if bench.parameters["graph"]:
        return Prepared([accelerator.captured(call)])
    return Prepared([call])
