"""What checkpoints, failures and spot interruptions add to a job's steady time, and whether it ends at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner import units
from planner.quantity import Basis, Cause, Quantity, weakest

# GPU-hours between unexpected failures on large clusters: Llama 3 405B 50,700 (419 interruptions in 54 days on 16,384
# H100, the Llama 3 paper), OPT-175B 24,900 (53 restarts in 56 days on 992 A100, its logbook). A cluster not known yet:
# 30,000, nine in ten between 10,000 and 80,000 (assumed from these).
GPU_HOURS_BETWEEN_FAILURES = Quantity(
    10_000.0, 30_000.0, 80_000.0, "h", Basis.ASSUMED, (Cause("failures of a cluster not known yet", 1.04),)
)
# Spot nodes with GPUs: 2.1 to 7.5 interruptions a day by zone, up to 15 for nodes of eight; then 0.8 to 3.6 h without
# one (availability of AWS zones, February 2023 and October 2022, measured every 3 to 10 minutes).
SPOT_INTERRUPTIONS_PER_HOUR = Quantity(
    0.09, 0.2, 0.62, "1/h", Basis.ASSUMED, (Cause("spot interruptions of a zone not known yet", 0.97),)
)
SPOT_WAIT_SECONDS = Quantity(
    0.5 * units.HOUR, 1.5 * units.HOUR, 3.6 * units.HOUR, "s", Basis.ASSUMED, (Cause("waits for spot capacity", 0.99),)
)
RESTART_SECONDS = 600.0  # to notice, place anew and load: 5 to 20 minutes are usual
# Of one node to storage while the job waits: assumed. Writing beside the work stalls it for a fraction of that, storage
# that many nodes share for longer, so the range runs from a quarter to twice the time.
WRITE_BYTES_PER_SECOND = 2e9
ASSUMED_STALL = (0.25, 1.0, 2.0)
HOPELESS = 20.0  # a job that takes so many times its steady time on average does not end in practice

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Resilience:
    """How a job survives: what a checkpoint stalls it for, what a restart takes, how often the hardware fails.

    None: worked out or assumed, and labelled so. `stall_seconds` is what one checkpoint keeps the job waiting.
    """

    stall_seconds: float | None = None
    restart_seconds: float | None = None
    gpu_hours_between_failures: float | None = None
    spot_interruptions_per_hour: float | None = None
    spot_wait_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class WallTime:
    """A job's time with all that interrupts it. Seconds; `paid` leaves out waiting for spot capacity.

    `parts` (steady steps, checkpoints, lost work, restarts, waiting) add up to the middle of `elapsed`.
    """

    elapsed: Quantity
    paid: Quantity
    parts: tuple[tuple[str, float], ...]
    checkpoint_interval_seconds: float
    interruptions: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NeverEnds:
    """Why a job does not end on such hardware."""

    reason: str


def checkpoint_interval(stall: float, between: float) -> float:
    """Seconds of work between two checkpoints that make the expected time least (Daly 2006, higher order).

    `stall` is what one checkpoint costs, `between` the mean time between interruptions, both in seconds and above 0.
    """
    if not stall > 0 or not between > 0:
        raise ValueError(f"stall and time between interruptions are above 0, not {stall} and {between}")
    if stall >= 2 * between:
        return between
    half = stall / (2 * between)
    return math.sqrt(2 * stall * between) * (1 + math.sqrt(half) / 3 + half / 9) - stall


def expected_seconds(work: float, interval: float, stall: float, restart: float, between: float) -> float:
    """Expected seconds of `work` seconds of steps with exponential interruptions (Daly 2006, complete form).

    M·e^(R/M)·(e^((τ+δ)/M) − 1)·T/τ. Infinite where the exponent leaves the range of floats.
    """
    interval = min(interval, work)
    exponent = (restart + interval + stall) / between
    if exponent > 700:
        return math.inf
    return between * math.exp(restart / between) * math.expm1((interval + stall) / between) * work / interval


def wall_time(
    steady: Quantity, num_gpus: float, num_nodes: int, checkpoint_bytes: float, is_spot: bool, known: Resilience
) -> WallTime | NeverEnds:
    """The steady time with checkpoints at the best interval, failures of any of the GPUs and, on spot, interruptions
    of any of the nodes. What `known` leaves out is assumed and told in the notes."""
    restart = RESTART_SECONDS if known.restart_seconds is None else known.restart_seconds
    stall, shares = known.stall_seconds, (1.0, 1.0, 1.0)
    if stall is None:
        shares = ASSUMED_STALL
        stall = max(checkpoint_bytes / (WRITE_BYTES_PER_SECOND * num_nodes), 1e-3)
    failing = _failures(num_gpus, known)
    taken = _interruptions(num_nodes, known) if is_spot else None
    waiting = _waits(known)
    (low, low_paid), (mid, mid_paid), (high, high_paid) = (
        _lucky(steady.mid, stall * share, restart, *rates)
        for share, *rates in (
            (shares[0], failing.high, *((0.0, 0.0) if taken is None else (taken.low, waiting.low))),
            (shares[1], failing.mid, *((0.0, 0.0) if taken is None else (taken.mid, waiting.mid))),
            (shares[2], failing.low, *((0.0, 0.0) if taken is None else (taken.high, waiting.high))),
        )
    )
    rate = (1 / failing.mid + (0.0 if taken is None else taken.mid)) / units.HOUR
    if not mid_paid <= HOPELESS * steady.mid:
        return NeverEnds(
            f"will not finish: interrupted every {units.format_seconds(1 / rate)} on average, while a checkpoint "
            f"stalls it for {units.format_seconds(stall)} and a restart takes {units.format_seconds(restart)}"
        )
    matters = mid_paid > 1.01 * steady.mid  # enough for what is assumed of interruptions to count for the whole
    basis = weakest((steady.basis, failing.basis)) if matters else steady.basis
    interval = min(checkpoint_interval(stall, 1 / rate), steady.mid)
    return WallTime(
        elapsed=_widened(steady, low, mid, high, weakest((basis, waiting.basis)) if is_spot else basis),
        paid=_widened(steady, low_paid, mid_paid, high_paid, basis),
        parts=_parts(steady.mid, mid, mid_paid, interval, stall, restart, mid_paid * rate),
        checkpoint_interval_seconds=interval,
        interruptions=mid_paid * rate,
        notes=_notes(known, stall, restart, failing, taken, mid_paid * rate, interval, steady.mid),
    )


def _lucky(
    work: float, stall: float, restart: float, hours_between: float, spot_per_hour: float, wait: float
) -> tuple[float, float]:
    """Expected seconds elapsed and paid at one rate of failures and of spot interruptions."""
    spot_rate = spot_per_hour / units.HOUR
    between = 1 / (1 / (hours_between * units.HOUR) + spot_rate)
    paid = expected_seconds(work, checkpoint_interval(stall, between), stall, restart, between)
    return paid + paid * spot_rate * wait, paid


def _failures(num_gpus: float, known: Resilience) -> Quantity:
    """Hours between failures of any of the GPUs."""
    given = known.gpu_hours_between_failures
    one = GPU_HOURS_BETWEEN_FAILURES if given is None else Quantity.exact(given, "h", Basis.MEASURED)
    return one.times(1 / num_gpus)


def _interruptions(num_nodes: int, known: Resilience) -> Quantity:
    """Spot interruptions an hour of any of the nodes."""
    given = known.spot_interruptions_per_hour
    one = SPOT_INTERRUPTIONS_PER_HOUR if given is None else Quantity.exact(given, "1/h", Basis.MEASURED)
    return one.times(num_nodes)


def _waits(known: Resilience) -> Quantity:
    given = known.spot_wait_seconds
    return SPOT_WAIT_SECONDS if given is None else Quantity.exact(given, "s", Basis.MEASURED)


def _widened(steady: Quantity, low: float, mid: float, high: float, basis: Basis) -> Quantity:
    """The steady range moved to the new middle, with the luck of interruptions as a further cause."""
    luck = max(math.log(high / mid), math.log(mid / low)) if math.isfinite(high) else math.log(HOPELESS)
    causes = (*steady.causes, *((Cause("checkpoints and interruptions", luck),) if luck > 1e-4 else ()))
    ratio = mid / steady.mid
    down, up = math.log(steady.mid / steady.low), math.log(steady.high / steady.mid)
    lucky = math.log(mid / low)
    unlucky = math.log(high / mid) if math.isfinite(high) else math.log(HOPELESS)
    return Quantity(
        steady.mid * ratio * math.exp(-math.hypot(down, lucky)),
        mid,
        mid * math.exp(math.hypot(up, unlucky)),
        steady.unit,
        basis,
        causes,
    )


def _parts(
    steady: float, elapsed: float, paid: float, interval: float, stall: float, restart: float, interruptions: float
) -> tuple[tuple[str, float], ...]:
    checkpoints = steady / interval * stall
    restarts = min(interruptions * restart, max(paid - steady - checkpoints, 0.0))
    lost = max(paid - steady - checkpoints - restarts, 0.0)
    checkpoints = paid - steady - restarts - lost
    return (
        ("steady steps", steady),
        ("checkpoints", checkpoints),
        ("lost work", lost),
        ("restarts", restarts),
        ("waiting for capacity", elapsed - paid),
    )


def _notes(
    known: Resilience,
    stall: float,
    restart: float,
    failing: Quantity,
    taken: Quantity | None,
    interruptions: float,
    interval: float,
    steady: float,
) -> tuple[str, ...]:
    notes = []
    if interval < steady:
        notes.append(
            f"A checkpoint every {units.format_seconds(interval)} makes the expected time least. "
            f"Interruptions expected: {interruptions:.2g}."
        )
    if known.stall_seconds is None:
        notes.append(
            f"A checkpoint is assumed to stall the job for {units.format_seconds(stall)}, a quarter to twice of it: "
            f"{units.format_bytes(WRITE_BYTES_PER_SECOND)}/s of each node to storage."
        )
    if known.gpu_hours_between_failures is None:
        notes.append(
            f"Failures are assumed: one every {units.format_seconds(failing.mid * units.HOUR)} on so many GPUs "
            f"({units.format_seconds(failing.low * units.HOUR)} to {units.format_seconds(failing.high * units.HOUR)}), "
            f"and {units.format_seconds(restart)} for a restart."
        )
    if taken is not None and known.spot_interruptions_per_hour is None:
        notes.append(
            f"How often this spot offer is taken away is not known; assumed {taken.mid * 24:.2g} times a day "
            f"({taken.low * 24:.2g} to {taken.high * 24:.2g}), as zones of one provider did in 2022 and 2023."
        )
    return tuple(notes)
