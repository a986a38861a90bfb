"""What is said between the worker and the measuring process: the job, the events, and their JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.calibration.sample import Bench, BenchFailure, Sample, bench_from_document, bench_to_document
from planner.calibration.verdict import Incident, Verdict
from planner.inventory.device import Backend

AMD = "AMD-"  # how the UUID of a device under AMD's driver begins; what HIP calls it follows
REPLAY = "REPLAY-"  # how the UUID of a recorded device begins; its path follows
EVENT_MARK = b'{"event"'  # how each of our lines begins; anything else on the stream is noise


@dataclass(frozen=True, slots=True)
class ChildJob:
    """What one measuring process does: these benches on this device, within this time.

    `device` is the UUID; `telemetry_seconds` the time between two readings beside the run, None for no readings.
    """

    device: str
    backend: Backend
    benches: tuple[Bench, ...]
    time_limit_seconds: float
    telemetry_seconds: float | None = 0.5
    grace_seconds: float = 1.0  # between SIGTERM and SIGKILL
    num_threads: int | None = None  # None: what torch takes, within the processors that this process may use
    seed: int = 20_261_120
    peers: tuple[str, ...] = ()  # UUIDs of further devices of the node that the process may see, for collectives

    def __post_init__(self) -> None:
        if self.time_limit_seconds <= 0:
            raise ValueError(f"time_limit_seconds must be above 0, not {self.time_limit_seconds}")


@dataclass(frozen=True, slots=True)
class Started:
    """The process has reached its device; `conditions` is what it found there."""

    conditions: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BenchStarted:
    """The bench at this position of the job is being measured now."""

    position: int


@dataclass(frozen=True, slots=True)
class Visited:
    """The bench at this position was visited once more, `number` times of `of`; it has given no sample yet."""

    position: int
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Measured:
    """The bench at this position gave a sample."""

    position: int
    sample: Sample


@dataclass(frozen=True, slots=True)
class Failed:
    """The bench at this position gave no sample, and why."""

    position: int
    failure: BenchFailure


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the device beside the run; None is what the driver does not tell.

    `seconds_in` counts from the start of the run; `energy_joules` from the first reading. `utilization` is the busy
    share, 0 to 1. `throttle_reasons` are NVML's bits.
    """

    seconds_in: float
    power_watts: float | None = None
    energy_joules: float | None = None
    temperature_celsius: float | None = None
    clock_hz: float | None = None
    memory_clock_hz: float | None = None
    utilization: float | None = None
    memory_used_bytes: int | None = None
    throttle_reasons: int | None = None


Event = Started | BenchStarted | Visited | Measured | Failed | Reading | Incident


@dataclass(frozen=True, slots=True)
class ChildResult:
    """How a measuring process ended.

    `outcome`: finished (every bench has its sample or failure), timed_out, crashed, cancelled, or not started at all:
    busy (somebody else has the device) and refused (not as the device stands). `reason` says it in a sentence, empty
    for finished. `conditions` are the child's, with what the runner adds: `telemetry_absent` (field → reason),
    `noise_bytes` (what stood on its output that was no event of ours), `device_before` and `device_after`, `trust`,
    `reasons`, `flags` and `quarantine`. `verdict` says how far to trust what came, whatever the outcome, and whether
    the device is to be kept from work; `peer_quarantine` says so of the job's peers, UUID → reason.
    """

    outcome: str
    reason: str
    exit_code: int | None
    signal: int | None
    stderr_tail: str
    seconds: float
    conditions: Mapping[str, Any] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)
    peer_quarantine: Mapping[str, str] = field(default_factory=dict)


FINISHED, TIMED_OUT, CRASHED, CANCELLED = "finished", "timed_out", "crashed", "cancelled"
BUSY, REFUSED = "busy", "refused"
LOST = "lost"  # of an engine that measures elsewhere: the node is gone, and with it all it had not told


def job_to_json(job: ChildJob) -> str:
    """The job as the child reads it on its standard input."""
    document = {
        "device": job.device,
        "backend": job.backend.value,
        "benches": [bench_to_document(bench) for bench in job.benches],
        "num_threads": job.num_threads,
        "seed": job.seed,
        "time_limit_seconds": job.time_limit_seconds,
        "peers": list(job.peers),
    }
    return json.dumps(document, allow_nan=False)


def job_from_json(text: str) -> ChildJob:
    """The job back from JSON."""
    document = json.loads(text)
    return ChildJob(
        device=document["device"],
        backend=Backend(document["backend"]),
        benches=tuple(bench_from_document(bench) for bench in document["benches"]),
        time_limit_seconds=document["time_limit_seconds"],
        num_threads=document["num_threads"],
        seed=document["seed"],
        peers=tuple(document["peers"]),
    )


def event_line(event: str, **rest: Any) -> str:
    """One JSON line. NaN and infinity are refused here already: they are no JSON."""
    return json.dumps({"event": event, **rest}, allow_nan=False)
