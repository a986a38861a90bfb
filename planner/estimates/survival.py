"""A training outcome as it goes on a placement that fails and is taken away now and then."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from planner.estimates.estimate import Bottleneck, Placement
from planner.estimates.interruptions import NeverEnds, Resilience, wall_time
from planner.estimates.outcome import Outcome
from planner.estimates.profile import Lack
from planner.estimates.step import trained_parameters
from planner.estimates.surroundings import AMONG_STEPS, steps_alone
from planner.jobs.job import TrainingJob
from planner.offers.offer import OfferKind
from planner.quantity import Quantity

# A checkpoint of mixed-precision Adam: 2 bytes of weights, 4 of their full-precision copy and 8 of moments.
CHECKPOINT_BYTES_PER_PARAMETER = 14.0
SHOWN = 1e-3  # parts of the time below this share are left out


def risk(placement: Placement) -> tuple[Hashable, ...]:
    """What two placements of the same hardware must share to be interrupted alike."""
    offer = placement.offer
    return (None,) if offer is None else (offer.kind is OfferKind.SPOT, offer.interruptions_per_hour)


def with_interruptions(
    job: TrainingJob, outcome: Outcome, placement: Placement, resilience: Resilience
) -> Outcome | Lack:
    """The outcome with the time that checkpoints, failures and spot interruptions add, or why it never ends.

    `seconds` becomes the time until the end and `paid_seconds` what is paid of it; energy grows with what is paid.
    """
    if outcome.seconds is None:
        return outcome
    offer = placement.offer
    is_spot = offer is not None and offer.kind is OfferKind.SPOT
    known = resilience
    if offer is not None and offer.interruptions_per_hour is not None and known.spot_interruptions_per_hour is None:
        known = replace(known, spot_interruptions_per_hour=float(offer.interruptions_per_hour))
    num_bytes = trained_parameters(job) * CHECKPOINT_BYTES_PER_PARAMETER
    found = wall_time(outcome.seconds, float(placement.num_gpus), placement.num_nodes, num_bytes, is_spot, known)
    if isinstance(found, NeverEnds):
        return Lack(Bottleneck.INTERRUPTIONS, found.reason)
    more = found.paid.mid / outcome.seconds.mid
    among = [name for name in AMONG_STEPS if name in outcome.extras]
    alone = {"steady steps": steps_alone(outcome.seconds.mid, outcome.extras)}
    parts = {
        f"{name.replace(' ', '_')}_seconds": Quantity.exact(alone.get(name, seconds), "s", found.elapsed.basis)
        for name, seconds in found.parts
        if seconds > SHOWN * found.elapsed.mid
    }
    return replace(
        outcome,
        seconds=found.elapsed,
        paid_seconds=found.paid,
        energy_joules=None if outcome.energy_joules is None else outcome.energy_joules.times(more),
        extras={**outcome.extras, **(parts if len(parts) > 1 or among else {})},
        notes=(*outcome.notes, *found.notes),
    )
