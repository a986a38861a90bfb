"""The torch device that benches run on: timing, memory, cache size and random data, the same words for each backend."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from planner.gpu import cpu
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

ASSUMED_CACHE_BYTES = 64_000_000  # where the last-level cache is not told: larger than that of most devices
CPU_CACHES = Path("/sys/devices/system/cpu")
REPEATED = 65_537  # random numbers after which they come again: a prime, so that no two rows are alike
TORCH_DTYPES = {
    Dtype.FP32: torch.float32,
    Dtype.TF32: torch.float32,
    Dtype.FP16: torch.float16,
    Dtype.BF16: torch.bfloat16,
}

# mallopt(3) of the GNU C library: how many blocks may be mapped by themselves, and how much may lie free at the top.
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1


class Unsupported(Exception):
    """This device, or the torch installed here, cannot do it."""


class InvalidResult(Exception):
    """The device computed, and what it computed is wrong."""


def fill_normal(tensor: torch.Tensor, scale: float, generator: torch.Generator) -> torch.Tensor:
    """The contiguous tensor, filled with normal random numbers of that standard deviation.

    A large one holds the same REPEATED numbers again and again, which come a dozen times faster: before each visit,
    buffers beyond twice the last-level cache are filled, which a host may state as some hundred MB.
    """
    with torch.no_grad():
        values = tensor.view(-1)
        known = values[:REPEATED].normal_(0.0, scale, generator=generator).numel()
        while known < values.numel():
            part = values[known : 2 * known]
            part.copy_(values[: part.numel()])
            known += part.numel()
    return tensor


class Accelerator:
    """One device as torch reaches it."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.device = torch.device(backend.value if backend is Backend.CPU else f"{backend.value}:0")
        self.generator = torch.Generator(device=self.device).manual_seed(seed)
        self.llc_bytes = self._last_level_cache() or ASSUMED_CACHE_BYTES
        self._resident_at_start = _status_bytes("VmRSS")

    @property
    def module(self) -> Any:
        """torch.cuda, torch.xpu, torch.mps or torch.cpu."""
        return getattr(torch, self.backend.value)

    def randn(self, *shape: int, dtype: torch.dtype, scale: float = 1.0) -> torch.Tensor:
        """Normal random numbers on the device; constant data would run up to 15 % faster on some cards."""
        return fill_normal(torch.empty(shape, device=self.device, dtype=dtype), scale, self.generator)

    def tokens(self, *shape: int, vocab: int) -> torch.Tensor:
        """Random token ids on the device."""
        return torch.randint(0, vocab, shape, device=self.device, generator=self.generator)

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked."""
        self.module.synchronize()

    def seconds(self, run: Callable[[], object]) -> float:
        """How long the device takes for what `run` asks: by its own events on cuda, else by the host's clock."""
        if self.backend is Backend.CUDA:
            make: Any = torch.cuda.Event
            before, after = make(enable_timing=True), make(enable_timing=True)
            before.record()
            run()
            after.record()
            after.synchronize()
            return float(before.elapsed_time(after)) / 1000
        self.synchronize()
        started_at = time.perf_counter()
        run()
        self.synchronize()
        return time.perf_counter() - started_at

    def waited_seconds(self) -> float | None:
        """Seconds that the threads that compute have waited for a processor so far; None on a device of its own, whose
        time others do not take, and where the system does not tell."""
        return cpu.waited_seconds() if self.backend is Backend.CPU else None

    def captured(self, call: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        """The call's kernels captured in a graph, to be started all at once. Raises Unsupported except on cuda.

        Capturing wants the call warm, on another stream than the usual one, and its buffers left where they are.
        """
        if self.backend is not Backend.CUDA:
            raise Unsupported(f"torch {torch.__version__} captures no graphs on {self.backend}")
        make: Any = torch.cuda.Stream
        stream = make()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        graph: Any = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = call()

        def replay() -> torch.Tensor:
            graph.replay()
            return result

        return replay

    def give_back_memory(self) -> None:
        """Give what the last bench left back to the device or the system."""
        gc.collect()
        if self.backend is not Backend.CPU:
            self.module.empty_cache()
        elif sys.platform == "linux":
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).malloc_trim(0)

    def start_counting_memory(self) -> None:
        """Start a new peak at what is in use now."""
        if self.backend in (Backend.CUDA, Backend.XPU):
            self.module.reset_peak_memory_stats()
        elif self.backend is Backend.CPU and sys.platform == "linux":
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # proc(5): sets VmHWM back to the present size

    def peak_memory_bytes(self) -> int | None:
        """The most memory in use since `start_counting_memory`; on the CPU resident memory above an idle child's."""
        if self.backend in (Backend.CUDA, Backend.XPU):
            return int(self.module.max_memory_allocated())
        if self.backend is Backend.MPS:
            return int(torch.mps.driver_allocated_memory())
        peak = _status_bytes("VmHWM")
        if peak is None or self._resident_at_start is None:
            return None
        return max(0, peak - self._resident_at_start)

    def free_memory_bytes(self) -> int | None:
        """Bytes that a bench may still take."""
        if self.backend is Backend.CUDA:
            return int(torch.cuda.mem_get_info()[0])
        if self.backend is Backend.CPU:
            import psutil

            return int(psutil.virtual_memory().available)
        return None

    def _last_level_cache(self) -> int | None:
        if self.backend is Backend.CUDA:
            return int(getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 0)) or None
        if self.backend is Backend.CPU:
            return cpu_cache_bytes()
        return None


def keep_freed_memory() -> bool:
    """Let this process keep what its tensors give back, for the next ones; whether the C library could be told so.

    Otherwise large tensors are returned to the system and mapped anew in every step, a fault per page: on two cores of
    a virtual machine that took 3 to 15 % of a small training step and 23 % of a large one (7,000 to 46,000 faults a
    step of the small ones). Libraries that long CPU jobs are advised to run with (jemalloc, tcmalloc) keep memory too.
    """
    if sys.platform != "linux":
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(tell(M_MMAP_MAX, 0)) and bool(tell(M_TRIM_THRESHOLD, -1))


def cpu_cache_bytes(folder: Path = CPU_CACHES) -> int | None:
    """Bytes of the highest cache level over all processors, each shared piece counted once; None where not told."""
    levels: dict[int, dict[str, int]] = {}
    for index in folder.glob("cpu[0-9]*/cache/index*"):
        with suppress(OSError, ValueError):
            level = int((index / "level").read_text())
            size = (index / "size").read_text().strip()
            factor = {"K": 1024, "M": 1024**2}[size[-1]] if size[-1] in "KM" else 1
            sharers = (index / "shared_cpu_list").read_text().strip()
            levels.setdefault(level, {})[sharers] = int(size.rstrip("KM")) * factor
    return sum(levels[max(levels)].values()) if levels else None


def _status_bytes(field: str) -> int | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return None
