"""Power and energy of the GPUs (or the CPU) while a job runs; the rest of the host is not in it."""

from __future__ import annotations

from dataclasses import replace

from planner.calibration.sample import Operation
from planner.estimates.outcome import Outcome
from planner.estimates.priors import load_priors
from planner.estimates.profile import Profile
from planner.quantity import Basis, Cause, Quantity, weakest

MEASURED_POWER_SPREAD = 0.15  # assumed: another job draws another power than the bench


def with_energy(outcome: Outcome, profile: Profile, operation: Operation, num_gpus: int) -> Outcome:
    """The outcome with the power of all its GPUs and, where it has a duration, its energy; or why they are unknown."""
    power = average_power(profile, operation, num_gpus)
    if power is None:
        why = f"the power limit of {profile.gpu.key} is not known and its draw was not measured"
        return replace(outcome, unknown={**outcome.unknown, "average_power_watts": why, "energy_joules": why})
    if outcome.seconds is None:
        why = "a service without a number of requests has no end; see its power"
        return replace(outcome, average_power_watts=power, unknown={**outcome.unknown, "energy_joules": why})
    energy = Quantity.around(
        power.mid * outcome.seconds.mid,
        "J",
        weakest((power.basis, outcome.seconds.basis)),
        (*power.causes, *outcome.seconds.causes),
    )
    return replace(outcome, average_power_watts=power, energy_joules=energy)


def average_power(profile: Profile, operation: Operation, num_gpus: int) -> Quantity | None:
    """Watts of all GPUs: as measured beside the benches of that phase, else a share of the board's limit."""
    measured = None if profile.fit is None else profile.fit.power_watts.get(operation)
    if measured is not None:
        cause = Cause("power of another job", MEASURED_POWER_SPREAD)
        return Quantity.around(measured * num_gpus, "W", profile.basis, (cause,))
    if profile.gpu.power_watts is None:
        return None
    figures = load_priors().figures
    watts = profile.gpu.power_watts.value * figures["power_share"] * num_gpus
    return Quantity.around(watts, "W", Basis.DERIVED, (Cause("share of the power limit", figures["power_spread"]),))
