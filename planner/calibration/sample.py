"""What calibration measures: benches (what to run), samples (what came out) and their JSON line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from planner.hardware.gpu import Dtype

ERROR_CLASSES = ("oom", "oom-host", "unsupported", "invalid-result", "timed-out", "crashed", "error", "left-out")


class Operation(StrEnum):
    """The kinds of work a bench measures."""

    MATMUL = "matmul"
    COPY = "copy"  # memory bandwidth
    TRAIN_STEP = "train_step"
    PREFILL = "prefill"
    DECODE = "decode"
    GRAPH_DECODE = "graph_decode"  # decode replayed from a captured graph, as serving engines do
    ATTENTION = "attention"
    TRIAD = "triad"  # memory bandwidth with two reads to a write
    ELEMENTWISE = "elementwise"
    NORM = "norm"
    LAUNCH = "launch"  # the host's time per kernel
    HOST_COPY = "host_copy"  # between host and device
    MOE_STEP = "moe_step"
    RECOMPUTE_STEP = "recompute_step"
    ENCODER_STEP = "encoder_step"
    VIT_STEP = "vit_step"
    CNN_STEP = "cnn_step"
    VIT_FORWARD = "vit_forward"
    CNN_FORWARD = "cnn_forward"
    SERVE = "serve"  # a small served load, with latency percentiles
    FEED = "feed"  # how fast the host makes batches ready
    ALL_REDUCE = "all_reduce"
    ALL_GATHER = "all_gather"
    ALL_TO_ALL = "all_to_all"
    POINT_TO_POINT = "point_to_point"
    SENTINEL = "sentinel"  # the same product at the start, middle and end of a run: what drifts is the device


COLLECTIVES = frozenset({Operation.ALL_REDUCE, Operation.ALL_GATHER, Operation.ALL_TO_ALL, Operation.POINT_TO_POINT})
WORDS: Mapping[Operation, str] = MappingProxyType(
    {
        Operation.MATMUL: "matrix products",
        Operation.COPY: "memory bandwidth",
        Operation.TRAIN_STEP: "a training step",
        Operation.PREFILL: "reading prompts (prefill)",
        Operation.DECODE: "writing answers (decode)",
        Operation.GRAPH_DECODE: "writing answers from a captured graph",
        Operation.ATTENTION: "attention",
        Operation.TRIAD: "memory bandwidth with two reads to a write",
        Operation.ELEMENTWISE: "element-wise work",
        Operation.NORM: "normalisation",
        Operation.LAUNCH: "the time to start a kernel",
        Operation.HOST_COPY: "copies between host and device",
        Operation.MOE_STEP: "a training step of a mixture of experts",
        Operation.RECOMPUTE_STEP: "a training step that computes activations again",
        Operation.ENCODER_STEP: "a training step of an encoder",
        Operation.VIT_STEP: "a training step of a vision transformer",
        Operation.CNN_STEP: "a training step of a convolutional network",
        Operation.VIT_FORWARD: "pictures through a vision transformer",
        Operation.CNN_FORWARD: "pictures through a convolutional network",
        Operation.SERVE: "a small served load",
        Operation.FEED: "making batches ready on the host",
        Operation.ALL_REDUCE: "sums over devices (all-reduce)",
        Operation.ALL_GATHER: "gathering over devices (all-gather)",
        Operation.ALL_TO_ALL: "exchange between all devices (all-to-all)",
        Operation.POINT_TO_POINT: "sending from one device to another",
        Operation.SENTINEL: "the same product again, to see drift",
    }
)


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
        """ "matmul/bf16/k=1024,m=1024,n=1024": stable whatever the order of the parameters, unique within a suite."""
        inside = ",".join(f"{name}={value}" for name, value in sorted(self.parameters.items()))
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
    error_class: str  # one of ERROR_CLASSES
    message: str


def bench_to_document(bench: Bench) -> dict[str, object]:
    """The bench as JSON."""
    return {
        "operation": bench.operation.value,
        "version": bench.version,
        "dtype": bench.dtype.value,
        "parameters": dict(bench.parameters),
        "expected_seconds": bench.expected_seconds,
    }


def bench_from_document(document: Mapping[str, object]) -> Bench:
    """The bench back from JSON. Raises ValueError for anything that is no bench."""
    parameters = document.get("parameters")
    if not isinstance(parameters, dict) or not all(
        isinstance(value, int) and not isinstance(value, bool) for value in parameters.values()
    ):
        raise ValueError(f"parameters must be whole numbers by name, not {parameters!r}")
    return Bench(
        Operation(str(document.get("operation"))),
        _whole(document, "version"),
        Dtype(str(document.get("dtype"))),
        parameters,
        _number(document, "expected_seconds", above_zero=False),
    )


def sample_to_document(sample: Sample) -> dict[str, object]:
    """The sample as JSON, without its bench (the reader knows it by position)."""
    return {
        "seconds": sample.seconds,
        "spread": sample.spread,
        "repeats": sample.repeats,
        "flops": sample.flops,
        "num_bytes": sample.num_bytes,
        "steady": sample.steady,
        "peak_memory_bytes": sample.peak_memory_bytes,
        "details": dict(sample.details),
    }


def sample_from_document(bench: Bench, document: Mapping[str, object]) -> Sample:
    """The sample back from JSON. Raises ValueError, naming the field, for what no honest measurement can say:
    NaN, infinity, a negative number, no time at all, a missing or unknown field."""
    unknown = sorted(set(document) - _SAMPLE_FIELDS)
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(unknown)}")
    steady = document.get("steady")
    if not isinstance(steady, bool):
        raise ValueError(f"steady must be true or false, not {steady!r}")
    details = document.get("details", {})
    if not isinstance(details, dict):
        raise ValueError(f"details must be numbers by name, not {details!r}")
    peak = document.get("peak_memory_bytes")
    return Sample(
        bench=bench,
        seconds=_number(document, "seconds", above_zero=True),
        spread=_number(document, "spread", above_zero=False),
        repeats=_whole(document, "repeats"),
        flops=_number(document, "flops", above_zero=False),
        num_bytes=_number(document, "num_bytes", above_zero=False),
        steady=steady,
        peak_memory_bytes=None if peak is None else _whole(document, "peak_memory_bytes", least=0),
        details={str(name): _number(details, name, above_zero=False) for name in details},
    )


_SAMPLE_FIELDS = {
    "seconds",
    "spread",
    "repeats",
    "flops",
    "num_bytes",
    "steady",
    "peak_memory_bytes",
    "details",
}


def _number(document: Mapping[str, object], name: str, *, above_zero: bool) -> float:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    if value < 0 or (above_zero and value == 0):
        raise ValueError(f"{name} must be {'above 0' if above_zero else 'at least 0'}, not {value!r}")
    return float(value)


def _whole(document: Mapping[str, object], name: str, least: int = 1) -> int:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number from {least} up, not {value!r}")
    return value
