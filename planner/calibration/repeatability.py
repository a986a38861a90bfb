"""Repeatability: whether two runs of one suite agree within what each says of its own spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from planner.calibration.sample import Sample

WANTED = 0.95  # nineteen of twenty
QUARTILES = 1.349  # interquartile ranges per standard deviation of a normal distribution
# Standard deviations that hold nineteen of twenty where the deviation itself is told by five pairs of visits (a bench's
# own and USUAL_WEIGHT usual ones of planner.calibration.visits): Student's t with five degrees of freedom.
WITHIN = 2.571
LEAST_SPREAD = 0.01  # two processes differ by as much in what memory they get, whatever one says of itself


@dataclass(frozen=True, slots=True)
class Pair:
    """One bench measured twice: by how much the two differ and how much they may."""

    key: str
    difference: float
    allowed: float

    @property
    def agrees(self) -> bool:
        return self.difference <= self.allowed


@dataclass(frozen=True, slots=True)
class Repeatability:
    """All benches that both runs measured steadily."""

    pairs: tuple[Pair, ...]

    @property
    def share(self) -> float | None:
        """Of the benches that agree; None without any."""
        return None if not self.pairs else sum(pair.agrees for pair in self.pairs) / len(self.pairs)

    def report(self) -> str:
        """In words and a table of what does not agree, worst first."""
        if self.share is None:
            return "No bench was measured steadily in both runs.\n"
        middle = statistics.median(pair.difference for pair in self.pairs)
        lines = [
            f"{sum(pair.agrees for pair in self.pairs)} of {len(self.pairs)} samples agree within their stated spread "
            f"({self.share:.0%}; wanted {WANTED:.0%}); median difference {middle:.1%}.",
            "",
        ]
        apart = sorted((pair for pair in self.pairs if not pair.agrees), key=lambda pair: -pair.difference)
        if apart:
            lines += ["| bench | differs by | allowed |", "|---|---|---|"]
            lines += [f"| `{pair.key}` | {pair.difference:.1%} | {pair.allowed:.1%} |" for pair in apart]
        return "\n".join(lines) + "\n"


def repeatability(first: Sequence[Sample], second: Sequence[Sample]) -> Repeatability:
    """Each bench of both runs: the difference may be 2.57 standard deviations of the difference of two medians.

    A sample's `spread` is an interquartile range over the median, of windows and of visits; the standard deviation of
    one visit follows from it, and that of a run's mean of visits is taken to be no less: what drifts slowly is shared
    by the visits of one run. Two runs may differ by √2 of that.
    """
    others = {(sample.bench.key, sample.bench.version): sample for sample in second if sample.steady}
    pairs = []
    for one in first:
        other = others.get((one.bench.key, one.bench.version))
        if other is None or not one.steady:
            continue
        difference = abs(one.seconds - other.seconds) / min(one.seconds, other.seconds)
        deviations = [max(LEAST_SPREAD, sample.spread / QUARTILES) for sample in (one, other)]
        allowed = WITHIN * (deviations[0] ** 2 + deviations[1] ** 2) ** 0.5
        pairs.append(Pair(one.bench.key, difference, allowed))
    return Repeatability(tuple(pairs))
