"""Suites: versioned lists of benches, chosen by what the device computes through, its memory and its number formats.

A suite's version is raised when its list changes; a bench's version when the way of measuring it changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from planner.calibration import bench_lists
from planner.calibration.bench_time import bench_of
from planner.calibration.sample import COLLECTIVES, Bench, Operation
from planner.errors import NotFound
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend

STARTUP_SECONDS = 4.0  # child start, torch import, first contact with the device
COLLECTIVE_BYTES = (65_536, 1_048_576, 16_777_216, 268_435_456)
HOST_COLLECTIVE_BYTES = COLLECTIVE_BYTES[:-1]  # between processes of a host, where a large one would take all the time
COLLECTIVE_SECONDS = 15.0  # mostly the start of the other ranks


class _Depth(StrEnum):
    """How much a suite measures."""

    SMOKE = "smoke"
    QUICK = "quick"
    STANDARD = "standard"
    LINKS = "links"  # between devices


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of benches with a hard stop; `operations` and `formats` narrow it where they hold any."""

    name: str
    version: int
    title: str
    time_limit_seconds: float
    depth: _Depth
    operations: frozenset[Operation] = frozenset()
    formats: frozenset[Dtype] = frozenset()

    @property
    def needs_several(self) -> bool:
        """Whether it is about several devices of a node at once, and measures nothing on a single one."""
        return self.depth is _Depth.LINKS

    def benches_for(
        self,
        backend: Backend,
        memory_bytes: int | None,
        dtypes: Collection[Dtype] | None = None,
        num_devices: int = 1,
    ) -> tuple[Bench, ...]:
        """The benches for one device, or for `num_devices` of a node at once where the suite is about several.

        `memory_bytes` None sizes them for the smallest device; `dtypes` (what the catalogue says the GPU has) None
        takes all that torch computes in there, and a format that turns out to be missing becomes a stored failure.
        """
        if self.needs_several:
            return tuple(bench for bench in collective_benches(backend, num_devices) if self._wants(bench))
        chosen = bench_lists.dtypes_for(backend, dtypes)
        benches: dict[str, Bench] = {}
        for bench in _MAKERS[self.depth](backend, memory_bytes, chosen):
            if self._wants(bench):
                benches.setdefault(bench.key, bench)
        listed = list(benches.values())
        if self.depth is not _Depth.SMOKE and listed:
            for number, place in enumerate((0, len(listed) // 2 + 1, len(listed) + 2), start=1):
                listed.insert(place, bench_lists.sentinel(backend, chosen, number))
        return tuple(listed)

    def _wants(self, bench: Bench) -> bool:
        is_chosen = not self.operations or bench.operation in self.operations
        return is_chosen and (not self.formats or bench.dtype in self.formats)

    def expected_seconds(
        self, backend: Backend, memory_bytes: int | None, dtypes: Collection[Dtype] | None = None
    ) -> float:
        """Seconds the whole suite takes on a typical device of this kind, start-up included."""
        return total_expected_seconds(self.benches_for(backend, memory_bytes, dtypes))


def total_expected_seconds(benches: Collection[Bench]) -> float:
    """Seconds for these benches with the start of the measuring process."""
    return STARTUP_SECONDS + sum(bench.expected_seconds for bench in benches)


SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        suite.name: suite
        for suite in (
            Suite("smoke", 2, "A few seconds: proves that measuring works here", 180.0, _Depth.SMOKE),
            Suite("quick", 4, "A minute or two: enough for estimates from this device", 300.0, _Depth.QUICK),
            Suite("standard", 5, "Under ten minutes: every kind of work at several sizes", 1200.0, _Depth.STANDARD),
            Suite("links", 1, "All equal devices of a node at once: what they tell each other", 1200.0, _Depth.LINKS),
        )
    }
)
FULL = frozenset({"quick", "standard"})  # those from which alone a fit can be drawn that estimates rest on
CUSTOM = "custom:"
CUSTOM_VERSION = 2


def get_suite(name: str) -> Suite:
    """The suite of that name, "custom:matmul+attention/bf16" among them. Raises NotFound naming those there are."""
    if name.startswith(CUSTOM):
        return _custom_of(name)
    try:
        return SUITES[name]
    except KeyError:
        raise NotFound(f"there is no suite {name!r}; there are: {', '.join(SUITES)}") from None


def is_suite(name: str) -> bool:
    """Whether this code knows a suite of that name."""
    try:
        get_suite(name)
    except NotFound:
        return False
    return True


def is_about_several(name: str) -> bool:
    """Whether the suite of that name measures what devices tell each other, and nothing of one by itself."""
    return is_suite(name) and get_suite(name).needs_several


def custom_suite(operations: Collection[Operation], formats: Collection[Dtype] = ()) -> Suite:
    """The part of the standard suite that measures these operations, in these formats or in all; its name says it.

    Of operations between devices it is a part of the suite that holds those. Raises ValueError without any operation (a
    suite of everything has a name already) and for a mixture of both kinds: they want other devices.
    """
    if not operations:
        raise ValueError("a custom suite needs an operation")
    is_between = COLLECTIVES.issuperset(operations)
    if not is_between and COLLECTIVES.intersection(operations):
        raise ValueError("what devices tell each other is measured apart from the work of one device")
    whole = SUITES["links" if is_between else "standard"]
    name = CUSTOM + "+".join(sorted(operation.value for operation in operations))
    if formats:
        name += "/" + "+".join(sorted(dtype.value for dtype in formats))
    return Suite(
        name,
        CUSTOM_VERSION,
        f"What you chose of the suite “{whole.name}”",
        whole.time_limit_seconds,
        whole.depth,
        frozenset(operations),
        frozenset(formats),
    )


def _custom_of(name: str) -> Suite:
    operations, _, formats = name.removeprefix(CUSTOM).partition("/")
    try:
        return custom_suite(
            [Operation(part) for part in operations.split("+")], [Dtype(part) for part in formats.split("+") if part]
        )
    except ValueError as error:
        raise NotFound(f"there is no suite {name!r}: {error}; operations: {', '.join(Operation)}") from None


def collective_benches(backend: Backend, num_devices: int) -> tuple[Bench, ...]:
    """What several devices of one node tell each other, by size: nothing for a single one.

    Sums, which tensor and data parallelism consist of, also among the first 2, 4, … of them: a group that does not
    reach all may have other links.
    """
    if num_devices < 2:
        return ()
    is_host = backend is Backend.CPU
    dtype = Dtype.FP32 if is_host else Dtype.BF16
    benches = []
    for operation in sorted(COLLECTIVES):
        groups = [num_devices]
        if operation is Operation.POINT_TO_POINT:
            groups = [2]
        elif operation is Operation.ALL_REDUCE:
            groups = [2**power for power in range(1, num_devices.bit_length()) if 2**power < num_devices] + groups
        for ranks in groups:
            for num_bytes in HOST_COLLECTIVE_BYTES if is_host else COLLECTIVE_BYTES:
                bench = bench_of(backend, operation, dtype, {"ranks": ranks, "num_bytes": num_bytes})
                benches.append(replace(bench, expected_seconds=COLLECTIVE_SECONDS))
    return tuple(benches)


_MAKERS = {
    _Depth.SMOKE: bench_lists.smoke,
    _Depth.QUICK: bench_lists.quick,
    _Depth.STANDARD: bench_lists.standard,
}
