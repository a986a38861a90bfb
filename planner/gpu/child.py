"""The process that measures: `python -m planner.gpu.child`, a JSON job on standard input, a JSON line per event out.

It goes through the benches in rounds (planner.calibration.visits): a line per visit, the samples after the last one.
A bench runs or raises. What it raises becomes a failure line with its class, and the next bench goes on. Standard
output carries our lines alone: what a library prints there goes to standard error.
"""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import torch

from planner.calibration.passes import PHASES
from planner.calibration.sample import COLLECTIVES, Bench, Operation, Sample, sample_to_document
from planner.calibration.theory import bench_theory
from planner.calibration.visits import NUM_VISITS, Visit, merged, patience_seconds, settled, wants_another
from planner.gpu import cpu
from planner.gpu.benches import attention, collective, copy, feed, launch, matmul, memory, serve, served, train, vision
from planner.gpu.benches.accelerator import Accelerator, InvalidResult, Unsupported, keep_freed_memory
from planner.gpu.benches.prepared import Prepared, require_finite
from planner.gpu.benches.timing import time_calls
from planner.gpu.events import ChildJob, event_line, job_from_json
from planner.inventory.device import Backend

BENCHES: Mapping[Operation, Callable[[Bench, Accelerator], Prepared]] = {
    Operation.MATMUL: matmul.prepare,
    Operation.COPY: copy.prepare,
    Operation.TRAIN_STEP: train.prepare,
    Operation.PREFILL: serve.prepare_prefill,
    Operation.DECODE: serve.prepare_decode,
    Operation.GRAPH_DECODE: serve.prepare_graph_decode,
    Operation.ATTENTION: attention.prepare,
    Operation.TRIAD: memory.prepare_triad,
    Operation.ELEMENTWISE: memory.prepare_elementwise,
    Operation.NORM: memory.prepare_norm,
    Operation.LAUNCH: launch.prepare,
    Operation.HOST_COPY: memory.prepare_host_copy,
    Operation.MOE_STEP: train.prepare_moe,
    Operation.RECOMPUTE_STEP: train.prepare_recompute,
    Operation.ENCODER_STEP: train.prepare_encoder,
    Operation.VIT_STEP: vision.prepare_step,
    Operation.CNN_STEP: vision.prepare_step,
    Operation.VIT_FORWARD: vision.prepare_forward,
    Operation.CNN_FORWARD: vision.prepare_forward,
    Operation.SERVE: served.prepare,
    Operation.FEED: feed.prepare,
    **dict.fromkeys(COLLECTIVES, collective.prepare),
    Operation.SENTINEL: matmul.prepare,
}
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def main() -> None:
    lines = _own_standard_output()
    _be_the_first_to_go()
    job = job_from_json(sys.stdin.read())

    def tell(event: str, **rest: Any) -> None:
        lines.write(event_line(event, **rest) + "\n")
        lines.flush()

    try:
        accelerator = reach(job)
    except Unsupported as error:
        tell("started", conditions=software())
        for position in range(len(job.benches)):
            tell("failure", position=position, error_class="unsupported", message=str(error))
    else:
        tell("started", conditions=conditions(job, accelerator))
        _Rounds(job.benches, accelerator, tell).go(patience_seconds(job.time_limit_seconds))
    tell("finished")
    lines.close()


def reach(job: ChildJob) -> Accelerator:
    """The job's device. Raises Unsupported, naming what is installed, where torch does not reach it."""
    if job.backend is Backend.CPU:
        threads = job.num_threads or min(torch.get_num_threads(), cpu.usable_cpus())
        torch.set_num_threads(threads)
        keep_freed_memory()
        return Accelerator(job.backend, job.seed)
    module = torch.backends.mps if job.backend is Backend.MPS else getattr(torch, job.backend.value)
    if not module.is_available():
        built_for = torch.version.cuda or torch.version.hip or "the CPU only"
        raise Unsupported(
            f"torch {torch.__version__}, built for {built_for}, reaches no {job.backend} device here "
            f"(CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')})"
        )
    accelerator = Accelerator(job.backend, job.seed)
    if job.backend is Backend.CUDA:
        _require_same_device(job.device)
        _refuse_if(
            what_torch_lacks(
                str(torch.__version__),
                torch.cuda.device_count(),
                torch.cuda.get_device_capability(0),
                torch.cuda.get_arch_list(),
                1 + len(job.peers),
            )
        )
    return accelerator


def what_torch_lacks(
    version: str, num_seen: int, capability: tuple[int, int], built_for: Sequence[str], num_meant: int = 1
) -> str:
    """Why this torch cannot measure the devices made visible to it, empty where it can.

    Code for an older minor version of the same architecture runs; so does code that is compiled on the spot (PTX,
    "compute_90") for a newer one. HIP names architectures (gfx942) and is left to torch itself.
    """
    if num_seen != num_meant:
        meant = "one was" if num_meant == 1 else f"{num_meant} were"
        return f"torch {version} sees {num_seen} devices where {meant} made visible: the driver and torch disagree"
    cubins = [name.removeprefix("sm_").rstrip("af") for name in built_for if name.startswith("sm_")]
    texts = [name.removeprefix("compute_").rstrip("af") for name in built_for if name.startswith("compute_")]
    if not cubins and not texts:
        return ""
    major, minor = capability
    fits = any(int(name[:-1]) == major and int(name[-1]) <= minor for name in cubins)
    fits = fits or any((int(name[:-1]), int(name[-1])) <= capability for name in texts)
    if fits:
        return ""
    return f"torch {version} is built for {', '.join(built_for)}, this device is of architecture sm_{major}{minor}"


def _refuse_if(reason: str) -> None:
    if reason:
        raise Unsupported(reason)


def measure(bench: Bench, accelerator: Accelerator) -> Sample:
    """Measure one bench on a single visit. Raises what went wrong."""
    return _sample(bench, [visit(bench, accelerator)])


def visit(bench: Bench, accelerator: Accelerator) -> Visit:
    """Make a bench ready, time it, and leave nothing of it behind. Raises what went wrong."""
    accelerator.give_back_memory()
    prepared = BENCHES[bench.operation](bench, accelerator)
    with prepared.around:
        require_finite(prepared.calls[0]())
        accelerator.start_counting_memory()
        timing = time_calls(prepared.calls, accelerator.seconds, accelerator.waited_seconds)
        peak = accelerator.peak_memory_bytes()
        require_finite(prepared.calls[0]())
    details = {"executions": float(timing.executions), "warm_up_seconds": timing.warm_up_seconds}
    if timing.waited_share is not None:
        details["waited_share"] = timing.waited_share
    if not all(math.isfinite(number) for number in (*timing.windows, *prepared.details.values())):
        raise InvalidResult("a time that was taken is no number")
    return Visit(timing.windows, timing.steady, peak, {**prepared.details, **details})


def _sample(bench: Bench, visits: Sequence[Visit]) -> Sample:
    theory = bench_theory(bench)
    return merged(bench, theory.flops, theory.num_bytes, visits)


LONG_VISIT_SECONDS = 1.5


class _Rounds:
    """All benches visited one after the other, NUM_VISITS times; one that failed is not visited again.

    Nor is one whose first visit was long, unless there is time: then it, and whatever lies apart, is visited further.
    """

    def __init__(self, benches: Sequence[Bench], accelerator: Accelerator, tell: Callable[..., None]) -> None:
        self._benches, self._accelerator, self._tell = benches, accelerator, tell
        self._visits: dict[int, list[Visit]] = {position: [] for position in range(len(benches))}
        self._seconds: dict[int, float] = {}  # of the first visit, its preparation included

    def go(self, patience: float = 0.0) -> None:
        """Two rounds, and more of what wants another visit until `patience` seconds are over."""
        begun = time.perf_counter()
        for number in range(1, NUM_VISITS + 1):
            for position in tuple(self._visits):
                if self._seconds.get(position, 0.0) <= LONG_VISIT_SECONDS:
                    self._tell("bench", position=position)
                    self._visit(position, number)
        while restless := [place for place, visits in self._visits.items() if visits and wants_another(visits)]:
            for position in sorted(restless, key=self._is_part):
                if time.perf_counter() - begun + self._seconds.get(position, 0.0) > patience:
                    break
                self._tell("bench", position=position)
                self._visit(position, len(self._visits[position]) + 1)
            else:
                continue
            break
        samples = [_sample(self._benches[position], visits) for position, visits in self._visits.items()]
        for position, sample in zip(self._visits, settled(samples), strict=True):
            self._tell("sample", position=position, sample=sample_to_document(sample))

    def _is_part(self, position: int) -> bool:
        """Whole passes are visited again before their parts: most of an estimate hangs on them."""
        return self._benches[position].operation not in PHASES

    def _visit(self, position: int, number: int) -> None:
        bench = self._benches[position]
        begun = time.perf_counter()
        try:
            self._visits[position].append(visit(bench, self._accelerator))
            self._seconds.setdefault(position, time.perf_counter() - begun)
            document = sample_to_document(_sample(bench, self._visits[position]))
            self._tell("visit", position=position, number=number, of=max(number, NUM_VISITS), sample=document)
        except Exception as error:  # noqa: BLE001 - whatever a bench raises is a result of measuring it
            del self._visits[position]
            message = f"{type(error).__name__}: {error}"
            self._tell("failure", position=position, error_class=classify(error), message=message[:1_000])


def classify(error: Exception) -> str:
    """The class of failure that an exception stands for."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        return "oom"
    if isinstance(error, InvalidResult):
        return "invalid-result"
    if isinstance(error, Unsupported | NotImplementedError) or "not implemented for" in text:
        return "unsupported"
    return "error"


def software() -> dict[str, Any]:
    """What is installed."""
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def conditions(job: ChildJob, accelerator: Accelerator) -> dict[str, Any]:
    """What was found on reaching the device: None is what cannot be told here."""
    found = software() | {
        "device": job.device,
        "backend": job.backend.value,
        "device_name": _device_name(job.backend),
        "cpu_name": cpu.cpu_name(),
        "num_threads": torch.get_num_threads(),
        "num_cpus": cpu.usable_cpus(),
        "llc_bytes": accelerator.llc_bytes,
        "free_memory_bytes": accelerator.free_memory_bytes(),
        "load_average": _load_average(),
        "governor": _governor(),
        "driver": platform.release() if job.backend is Backend.CPU else None,
        "seed": job.seed,
    }
    if job.peers:
        found |= among(job)
    if job.backend is Backend.CPU:
        found["clock_hz"] = cpu.CpuReader().read(0.0).clock_hz
        found["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
    return found


def among(job: ChildJob) -> dict[str, Any]:
    """How many devices the run holds, what carries their exchange, and how many pairs reach each other's memory."""
    num_devices = 1 + len(job.peers)
    if job.backend is not Backend.CUDA:
        return {"num_devices": num_devices, "carrier": "gloo between processes of one host"}
    pairs = [(one, other) for one in range(num_devices) for other in range(num_devices) if one != other]
    reached = sum(torch.cuda.can_device_access_peer(one, other) for one, other in pairs)
    version = ".".join(map(str, torch.cuda.nccl.version()))  # type: ignore[no-untyped-call]
    told = {"num_pairs": len(pairs), "num_pairs_with_peer_access": reached}
    return {"num_devices": num_devices, "carrier": f"nccl {version}", **told}


def _require_same_device(uuid: str) -> None:
    """The one device that is visible must be the one meant; a MIG slice has no UUID of its own in torch."""
    told = str(getattr(torch.cuda.get_device_properties(0), "uuid", ""))
    if uuid.startswith("GPU-") and told and told.removeprefix("GPU-") != uuid.removeprefix("GPU-"):
        raise Unsupported(f"torch {torch.__version__} reaches device {told}, not {uuid}")


def _device_name(backend: Backend) -> str:
    if backend in (Backend.CUDA, Backend.XPU):
        return str(getattr(torch, backend.value).get_device_name(0))
    return cpu.cpu_name()


def _load_average() -> float | None:
    with suppress(OSError, AttributeError):
        return os.getloadavg()[0]
    return None


def _governor() -> str | None:
    with suppress(OSError):
        return GOVERNOR.read_text().strip()
    return None


def _be_the_first_to_go() -> None:
    """When the host's memory runs out this process is ended, and not the worker; its memory is written to no file."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(ImportError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _own_standard_output() -> TextIO:
    """Standard output kept for our lines; whatever else writes to it goes to standard error from now on."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return lines


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # every line is written; taking torch apart would cost half a second and gives nothing
