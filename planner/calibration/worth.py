"""The worth of a measurement: which bench would narrow a given answer most, for how many minutes of the device.

An answer's time is a sum of parts, each resting on one operation in one number format and known to within a half-width
(in logarithms). Its own half-width is that of the sum of independent parts. Measuring an operation brings its
half-width down to what measuring leaves; what the whole then loses is what the measurement is worth.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from planner.calibration.sample import Bench, Operation
from planner.hardware.gpu import Dtype

MEASURED_WIDTH = 0.06  # of an operation that was measured on the very device, held out (our fits: 2 % to 10 %)
# Which benches tell about which part of an answer.
TELLS: Mapping[str, frozenset[Operation]] = {
    "products": frozenset({Operation.MATMUL}),
    "attention": frozenset({Operation.ATTENTION}),
    "memory": frozenset({Operation.COPY, Operation.TRIAD, Operation.NORM, Operation.ELEMENTWISE}),
    "training": frozenset({Operation.TRAIN_STEP}),
    "prefill": frozenset({Operation.PREFILL}),
    "decode": frozenset({Operation.DECODE, Operation.GRAPH_DECODE}),
    "launch": frozenset({Operation.LAUNCH}),
    "exchange": frozenset({Operation.ALL_REDUCE, Operation.ALL_GATHER, Operation.ALL_TO_ALL, Operation.POINT_TO_POINT}),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an answer's time: its share, how far it is known (log half-width), and what it rests on."""

    kind: str  # a key of TELLS
    share: float
    width: float
    dtype: Dtype | None = None  # None: any format tells
    left: float = MEASURED_WIDTH  # how far it is known once measured, where the benches leave more open than usual


@dataclass(frozen=True, slots=True)
class Worth:
    """What measuring one kind of operation would do to an answer. Widths are log half-widths of the whole."""

    kind: str
    benches: tuple[Bench, ...]
    width_before: float
    width_after: float
    minutes: float

    @property
    def narrowing(self) -> float:
        """The share of the answer's range that goes."""
        return 0.0 if not self.width_before else 1 - self.width_after / self.width_before

    @property
    def sentence(self) -> str:
        return (
            f"Measuring {self.kind} takes {self.minutes:.1f} minutes and narrows ±{math.expm1(self.width_before):.0%} "
            f"to ±{math.expm1(self.width_after):.0%}"
        )


def worths(
    parts: Sequence[Part],
    benches: Collection[Bench],
    start_seconds: float = 4.0,
    *,
    are_whole: bool = True,
    needed: Collection[Operation] = (),
) -> tuple[Worth, ...]:
    """The kinds of measurement that narrow the answer, most narrowing per minute first.

    `benches` are those the device can run (a suite's list). A part that is known better than measuring would make it
    is left alone. `needed` are operations without which nothing can be drawn from the others: they are measured along.
    Raises ValueError for shares that are not those of a whole; with `are_whole` False the parts are reasons for doubt,
    each with the share of the answer that it reaches, and need not add up.
    """
    if are_whole and not math.isclose(sum(part.share for part in parts), 1.0, abs_tol=0.01):
        raise ValueError(f"the shares of the parts must add up to 1, not {sum(part.share for part in parts):.3f}")
    before = width_of(parts)
    along = [bench for bench in benches if bench.operation in needed]
    found = [
        worth for kind in TELLS if (worth := _worth(kind, parts, benches, before, start_seconds, along)) is not None
    ]
    return tuple(sorted(found, key=lambda worth: (-worth.narrowing / worth.minutes, worth.kind)))


def width_of(parts: Sequence[Part]) -> float:
    """The log half-width of the sum: √Σ(share · width)², parts independent."""
    return math.sqrt(sum((part.share * part.width) ** 2 for part in parts))


def _worth(
    kind: str,
    parts: Sequence[Part],
    benches: Collection[Bench],
    before: float,
    start_seconds: float,
    along: Sequence[Bench] = (),
) -> Worth | None:
    wanted = [part for part in parts if part.kind == kind and part.width > part.left]
    formats = {part.dtype for part in wanted}
    telling = tuple(
        bench for bench in benches if bench.operation in TELLS[kind] and (None in formats or bench.dtype in formats)
    )
    if not wanted or not telling:
        return None
    measured = {bench.dtype for bench in telling}
    after = width_of(
        [
            Part(part.kind, part.share, part.left, part.dtype, part.left)
            if part in wanted and (part.dtype is None or part.dtype in measured)
            else part
            for part in parts
        ]
    )
    run = (*telling, *(bench for bench in along if bench not in telling))
    seconds = start_seconds + sum(bench.expected_seconds for bench in run)
    return Worth(kind, run, before, after, seconds / 60)
