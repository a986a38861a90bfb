"""A step time that the user measured: it replaces what the model says there and moves what it says elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from planner.estimates.outcome import Outcome
from planner.quantity import Basis, Cause, Quantity

MEASURED_SPREAD = 0.05  # two honest measurements of the same thing differ by so much (our design notes: 4 to 5 %)
# What is left of the model's own range where only the ratio of two of its figures is used. Assumed: half of a cause is
# shared by both GPUs (the job, the software) and cancels, so that √½ of the width stays.
RATIO_SHARE = math.sqrt(0.5)


@dataclass(frozen=True, slots=True)
class OwnStep:
    """One optimizer step of this very job took so long on so many GPUs of a model."""

    seconds: float
    gpu_key: str
    num_gpus: int
    num_nodes: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0) or self.num_gpus < 1 or self.num_nodes < 1:
            raise ValueError(f"a measured step takes some time on at least one GPU, not {self}")

    def is_here(self, gpu_key: str, num_gpus: int) -> bool:
        """Whether it was measured on that hardware."""
        return (self.gpu_key, self.num_gpus) == (gpu_key, num_gpus)


def with_own_step(outcome: Outcome, own: OwnStep, modelled_seconds: float, *, is_here: bool) -> Outcome:
    """The outcome moved by measured ÷ modelled, `modelled_seconds` being what the model says where it was measured.

    There the step is the measured one. Elsewhere it is transferred, by a ratio that shares part of the model's error.
    """
    ratio = own.seconds / modelled_seconds
    if is_here:
        causes: tuple[Cause, ...] = (Cause("your measurement", MEASURED_SPREAD),)
        basis = Basis.MEASURED
        note = f"One step is the {own.seconds:.4g} s that you measured on this hardware."
    else:
        kept = tuple(Cause(cause.name, cause.spread * RATIO_SHARE) for cause in outcome.step_seconds.causes)
        causes = (Cause("your measurement", MEASURED_SPREAD), *kept)
        basis = Basis.TRANSFERRED
        note = (
            f"Taken from the {own.seconds:.4g} s that you measured on {own.num_gpus} × {own.gpu_key}: "
            f"the published model says {modelled_seconds:.4g} s there, so all its times are multiplied by {ratio:.3g}."
        )

    def moved(quantity: Quantity | None, factor: float) -> Quantity | None:
        return None if quantity is None else Quantity.around(quantity.mid * factor, quantity.unit, basis, causes)

    step = moved(outcome.step_seconds, ratio)
    tokens = moved(outcome.tokens_per_second, 1 / ratio)
    if step is None or tokens is None:
        raise ValueError("an outcome always has a step and a rate")
    energy = outcome.energy_joules
    return replace(
        outcome,
        step_seconds=step,
        seconds=moved(outcome.seconds, ratio),
        tokens_per_second=tokens,
        energy_joules=None if energy is None else energy.times(ratio),
        basis=basis,
        notes=(*outcome.notes, note),
    )
