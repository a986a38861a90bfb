"""What the devices of one node tell each other: this process is rank 0, the other ranks are processes beside it.

The others repeat the operation for ever and so wait for rank 0 each time; when it has measured enough they are ended.
NCCL between cuda devices, Gloo between processes on the CPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from planner.calibration.sample import Bench, Operation
from planner.gpu.benches.accelerator import TORCH_DTYPES, Accelerator, InvalidResult, Unsupported
from planner.gpu.benches.prepared import Prepared
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

MEETING_SECONDS = 60.0  # for all ranks to start and find one another
CARRIERS = {Backend.CUDA: "nccl", Backend.CPU: "gloo"}


def prepare(bench: Bench, accelerator: Accelerator) -> Prepared:
    """The operation between `ranks` devices on a buffer of num_bytes each (point_to_point: there and back)."""
    ranks = bench.parameters["ranks"]
    if accelerator.backend not in CARRIERS or not dist.is_available():
        raise Unsupported(f"torch {torch.__version__} joins no {accelerator.backend} devices here")
    if accelerator.backend is Backend.CUDA and torch.cuda.device_count() < ranks:
        raise Unsupported(f"{ranks} devices are needed and {torch.cuda.device_count()} are visible")
    turn = _Turn(bench.operation, ranks, bench.parameters["num_bytes"], bench.dtype, accelerator.backend)
    return Prepared([turn], _meeting(turn))


class _Turn:
    """One rank's part in the operation; made ready by `meet`."""

    def __init__(self, operation: Operation, ranks: int, num_bytes: int, dtype: Dtype, backend: Backend) -> None:
        self.operation, self.ranks, self.backend, self.dtype = operation, ranks, backend, dtype
        self.count = max(1, num_bytes // TORCH_DTYPES[dtype].itemsize // ranks) * ranks
        self._run: Callable[[], Tensor] | None = None

    def __call__(self) -> Tensor:
        if self._run is None:
            raise AssertionError("the ranks have not met")
        return self._run()

    def meet(self, rank: int, folder: str) -> None:
        """Join the others, prove the sum, and be ready."""
        if self.backend is Backend.CUDA:
            torch.cuda.set_device(rank)
        dist.init_process_group(
            CARRIERS[self.backend],
            init_method=f"file://{folder}/meeting",
            rank=rank,
            world_size=self.ranks,
            timeout=timedelta(seconds=MEETING_SECONDS),
        )
        device = torch.device(f"cuda:{rank}" if self.backend is Backend.CUDA else "cpu")
        self._prove(rank, device)
        self._run = self._made(rank, device)

    def _prove(self, rank: int, device: torch.device) -> None:
        total = torch.full((self.ranks * 8,), float(rank + 1), device=device)
        dist.all_reduce(total)
        expected = self.ranks * (self.ranks + 1) / 2
        if not bool((total == expected).all()):
            raise InvalidResult(f"the sum over {self.ranks} ranks is {float(total[0])}, not {expected}")

    def _made(self, rank: int, device: torch.device) -> Callable[[], Tensor]:
        kind = TORCH_DTYPES[self.dtype]
        own = torch.randn(self.count, device=device).to(kind)
        other = torch.empty_like(own)
        piece = torch.randn(self.count // self.ranks, device=device).to(kind)
        pieces = list(other.chunk(self.ranks))

        def all_reduce() -> Tensor:
            dist.all_reduce(own, op=dist.ReduceOp.MAX)  # costs what a sum does, and never grows
            return own

        def all_gather() -> Tensor:
            dist.all_gather(pieces, piece)
            return other

        def all_to_all() -> Tensor:
            dist.all_to_all_single(other, own)
            return other

        def point_to_point() -> Tensor:
            if rank == 0:
                dist.send(own, 1)
                dist.recv(other, 1)
            elif rank == 1:
                dist.recv(other, 0)
                dist.send(other, 0)
            return own

        return {
            Operation.ALL_REDUCE: all_reduce,
            Operation.ALL_GATHER: all_gather,
            Operation.ALL_TO_ALL: all_to_all,
            Operation.POINT_TO_POINT: point_to_point,
        }[self.operation]


@contextmanager
def _meeting(turn: _Turn) -> Iterator[None]:
    """The other ranks, started, met, and ended."""
    job = {"operation": turn.operation, "ranks": turn.ranks, "count": turn.count, "dtype": turn.dtype}
    others: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for rank in range(1, turn.ranks):
                text = json.dumps({**job, "backend": turn.backend, "rank": rank, "folder": folder})
                command = [sys.executable, "-m", "planner.gpu.benches.collective", text]
                others.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            turn.meet(0, folder)
            yield
        finally:
            for other in others:
                other.kill()
                other.wait()
            if dist.is_initialized():
                dist.destroy_process_group()


def main(text: str) -> None:
    """Another rank: the operation again and again until this process is ended."""
    job: dict[str, Any] = json.loads(text)
    dtype, backend = Dtype(job["dtype"]), Backend(job["backend"])
    num_bytes = job["count"] * TORCH_DTYPES[dtype].itemsize
    turn = _Turn(Operation(job["operation"]), job["ranks"], num_bytes, dtype, backend)
    turn.meet(job["rank"], job["folder"])
    is_idle = turn.operation is Operation.POINT_TO_POINT and job["rank"] > 1
    while Path(job["folder"]).exists() and not is_idle:
        turn()


if __name__ == "__main__":
    main(sys.argv[1])
