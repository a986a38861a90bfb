"""What calibration measures: benches (what to run), samples (what came out) and their JSON line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from planner.hardware.gpu import Dtype


class Operation(StrEnum):
    """The kinds of work a bench measures."""

    MATMUL = "matmul"
    COPY = "copy"  # memory bandwidth
    TRAIN_STEP = "train_step"
    PREFILL = "prefill"
    DECODE = "decode"


@dataclass(frozen=True, slots=True)
class Bench:
    """One thing to measure. `version` is raised whenever the measuring changes; samples of two versions never mix."""

    operation: Operation
    version: int
    dtype: Dtype
    parameters: Mapping[str, int]  # matmul: m, n, k; copy: num_bytes; transformer benches: layers, hidden, …
    expected_seconds: float  # on a typical device, for the plan shown before the start

    @property
    def key(self) -> str:
        """ "matmul/bf16/m=1024,n=1024,k=1024": stable, unique within a suite."""
        inside = ",".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.operation}/{self.dtype}/{inside}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One bench measured on one device: the median of `repeats` timed windows and their spread.

    `flops` and `num_bytes` are what one execution does in theory; `seconds` is for one execution.
    `spread` is the interquartile range divided by the median. `steady` says whether the warm-up settled.
    """

    bench: Bench
    seconds: float
    spread: float
    repeats: int
    flops: float
    num_bytes: float
    steady: bool
    peak_memory_bytes: int | None = None
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BenchFailure:
    """A bench that raised: stored beside the samples with its class, never dropped."""

    bench: Bench
    error_class: str  # "oom", "unsupported", "invalid-result", "error"
    message: str
