"""Suites that people put together: benches of their choice, with shapes of their own, checked before they are kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from planner.calibration.bench_time import bench_of
from planner.calibration.sample import COLLECTIVES, Bench, Operation
from planner.calibration.suites import SUITES
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from planner.units import GB

MOST_BENCHES = 200
LARGEST = 2**40  # of a parameter: above it is a slip, and its arithmetic would take hours
LONGEST_SECONDS = 600.0  # that one bench may be expected to take on a typical device of its kind
Kind = TypeVar("Kind", Operation, Dtype)
_LARGE_BYTES = int(80 * GB)
_TEXT = re.compile(r"[a-z0-9_]+=\d{1,13}(,[a-z0-9_]+=\d{1,13})*")


@dataclass(frozen=True, slots=True)
class OwnSuite:
    """A stored version of somebody's suite; `keys` are its benches in their order."""

    name: str
    version: int
    title: str
    time_limit_seconds: float
    keys: tuple[str, ...]

    @property
    def needs_several(self) -> bool:
        """Never: what devices tell each other cannot be chosen bench by bench."""
        return False

    def benches_on(self, backend: Backend) -> tuple[Bench, ...]:
        """All its benches, whatever the device: what it cannot do or hold becomes a stored failure."""
        return tuple(bench_of_key(key, backend) for key in self.keys)


def bench_of_key(key: str, backend: Backend) -> Bench:
    """The bench of "matmul/bf16/k=1024,m=1024,n=1024" on devices of that kind.

    Raises ValueError saying what is wrong: an operation, a number format or a parameter that there is not, a size that
    no bench takes.
    """
    parts = key.strip().split("/")
    if len(parts) != 3:
        raise ValueError(f"{key!r} is no bench; write it as matmul/bf16/k=1024,m=1024,n=1024")
    operation, dtype = _named(Operation, parts[0], "operation"), _named(Dtype, parts[1], "number format")
    parameters = _parameters(parts[2], operation)
    bench = bench_of(backend, operation, dtype, parameters)
    if bench.expected_seconds > LONGEST_SECONDS:
        raise ValueError(f"{key} would take about {bench.expected_seconds:.0f} s on a typical device; make it smaller")
    return bench


def checked_keys(keys: Sequence[str]) -> tuple[str, ...]:
    """The keys in the one form in which samples bear them, each once. Raises ValueError for the first that is none."""
    found = {bench_of_key(key, Backend.CUDA).key: None for key in keys}
    if not 0 < len(found) <= MOST_BENCHES:
        raise ValueError(f"a suite holds from 1 to {MOST_BENCHES} benches, not {len(found)}")
    return tuple(found)


def parameter_names(operation: Operation) -> tuple[str, ...]:
    """What a bench of that operation is told, as those of the standard suite are; empty where it has none there."""
    return tuple(sorted(_examples().get(operation, {})))


@cache
def _examples() -> Mapping[Operation, Mapping[str, int]]:
    """Parameters of a bench of each operation that one device can measure."""
    standard = SUITES["standard"]
    benches = (
        *standard.benches_for(Backend.CUDA, _LARGE_BYTES),
        *standard.benches_for(Backend.CPU, None),
    )
    return {
        bench.operation: bench.parameters
        for bench in reversed(benches)
        if bench.operation not in COLLECTIVES | {Operation.SENTINEL}
    }


def _named(kind: type[Kind], text: str, words: str) -> Kind:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is no {words}; there are: {', '.join(kind)}") from None


def _parameters(text: str, operation: Operation) -> dict[str, int]:
    wanted = parameter_names(operation)
    if not wanted:
        raise ValueError(f"{operation} needs several devices or belongs to a whole suite: it cannot be chosen alone")
    if not _TEXT.fullmatch(text):
        raise ValueError(f"{text!r} must be {','.join(f'{name}=…' for name in wanted)} with whole numbers")
    pairs = [part.split("=") for part in text.split(",")]
    given = {name: int(value) for name, value in pairs}
    if len(given) != len(pairs) or set(given) != set(wanted):
        raise ValueError(f"{operation} takes {', '.join(wanted)}, each once, not {text!r}")
    if max(given.values()) > LARGEST:
        raise ValueError(f"a parameter is at most {LARGEST}, not {max(given.values())}")
    return given
