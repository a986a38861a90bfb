"""What follows from the way a run ended: whether it is tried again and when, and what keeps a device or a bench out.

The numbers are rules of ours (assumed): long enough for what passes by itself, and bounded, so that nothing is tried
for ever and nobody waits without being told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from planner.calibration.run_states import RunState
from planner.calibration.sample import Sample
from planner.calibration.xid import XidKind, xid
from planner.hardware.gpu import Gpu, GpuKind

LONGEST_WAIT_SECONDS = 900.0  # between two tries of a busy device: 60 s, doubled each time, up to this
BUSY_PATIENCE_SECONDS = 7200.0  # a busy device is waited for so long after the first try
MOST_COOL_DOWNS = 2  # runs after the one that was slowed by heat
MOST_TRIES_OF_LOST = 3  # of a run whose worker died, the first one counted
PROGRAM_FAULTS = 3  # runs with an Xid that is usually the program's fault …
PROGRAM_FAULT_DAYS = 7  # … within so many days keep the device from work
KILLS = 3  # runs in a row in which one bench ended its process or its worker keep that bench out
FAR = 10.0  # times slower or faster than before, or faster than the published peak: a person looks first
KILLING = ("crashed", "oom-host")  # failure classes that end the measuring process
LEFT_OUT = "left-out"  # the failure class of a bench that is not measured any more


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after so many seconds; the reason for people to read."""

    seconds: float
    reason: str


def retry_of(state: RunState, attempt: int, wait_seconds: float | None, patience_seconds: float) -> Retry | None:
    """Whether a run that ended so is tried again, None where it is not.

    `attempt` counts from 1; `wait_seconds` is what the verdict asks for (None: nothing); `patience_seconds` is what is
    left until nobody waits for a busy device any more.
    """
    if state is RunState.LOST:
        if attempt >= MOST_TRIES_OF_LOST:
            return None
        return Retry(0.0, f"its worker was lost: try {attempt + 1} of {MOST_TRIES_OF_LOST}")
    if wait_seconds is None:
        return None
    if state is RunState.SUSPECT:
        if attempt > MOST_COOL_DOWNS:
            return None
        return Retry(wait_seconds, f"slowed by heat: again after it has cooled, {attempt} of {MOST_COOL_DOWNS}")
    if state not in (RunState.BUSY, RunState.FAILED):
        return None
    wait = min(LONGEST_WAIT_SECONDS, wait_seconds * 2 ** (attempt - 1))
    return Retry(wait, f"the device was in other use: try {attempt + 1}") if wait <= patience_seconds else None


def has_program_fault(codes: Sequence[int]) -> bool:
    """Whether one of these Xid numbers is of the kind that is usually the program's own fault."""
    return any(xid(code).kind is XidKind.APPLICATION for code in codes)


def why_too_many_faults(num_runs: int) -> str:
    """Why so many runs with such a fault keep the device from work; empty where they do not."""
    if num_runs < PROGRAM_FAULTS:
        return ""
    return (
        f"{num_runs} runs within {PROGRAM_FAULT_DAYS} days met an Xid that is usually the program's fault: "
        "so often it may be the card's"
    )


def why_left_out(num_kills: int) -> str:
    """Why a bench that ended its process in so many runs in a row is not measured; empty where it is."""
    if num_kills < KILLS:
        return ""
    return (
        f"not measured: it ended its measuring process or its worker in each of the last {num_kills} runs that came "
        "to it; another version of the planner or of the suite tries it again"
    )


def why_held(samples: Sequence[Sample], earlier: Mapping[tuple[str, int], Sequence[float]], gpu: Gpu) -> str:
    """Why a person should look before these samples count: one of them is FAR from what is known. Empty where not.

    `earlier` are the seconds of the device's runs that count, by bench key and version.
    """
    for sample in samples:
        before = earlier.get((sample.bench.key, sample.bench.version), ())
        if before:
            ratio = sample.seconds / median(before)
            if ratio >= FAR or ratio <= 1 / FAR:
                words = f"{ratio:.3g} times the {median(before):.3g} s"
                return f"held for review: {sample.bench.key} took {sample.seconds:.3g} s, {words} of earlier runs"
        peak = gpu.peak(sample.bench.dtype) if gpu.kind is GpuKind.GPU else None
        if peak is not None and sample.flops / sample.seconds >= FAR * peak:
            share = sample.flops / sample.seconds / peak
            return f"held for review: {sample.bench.key} reached {share:.3g} times the published peak"
    return ""
