"""What a training job takes beside its own steps: data that must arrive, evaluation, start-up, a queue, a delivery."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from planner import units
from planner.estimates.estimate import Bottleneck, Placement
from planner.estimates.outcome import Outcome, inverse
from planner.jobs.convnet import ConvNet
from planner.jobs.job import TrainingJob
from planner.quantity import Basis, Cause, Quantity, weakest

# Two honest measurements of one rate differ by 4 to 5 % (our design notes); that of a loader also follows the files.
FEED_SPREAD = 0.10
# Seconds of the job that are no steps of its own but lie among them.
AMONG_STEPS = ("evaluation_seconds", "data_loading_seconds")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the user knows of it. None is not stated: not counted, and the estimate says so.

    `samples_per_second` is what data loading delivers to one node, in sequences or pictures; every `evaluate_every`
    steps `evaluation_samples` of them go forward through the network. Start-up is paid, waiting in a queue is not.
    """

    samples_per_second: float | None = None
    evaluate_every: int | None = None
    evaluation_samples: int | None = None
    startup_seconds: float | None = None
    queue_seconds: float | None = None

    @property
    def evaluates(self) -> bool:
        return self.evaluate_every is not None and self.evaluation_samples is not None


def fed_and_evaluated(
    job: TrainingJob, outcome: Outcome, placement: Placement, known: Surroundings, forward_share: float | None
) -> Outcome:
    """The outcome with steps no faster than their data arrives, and with the evaluations among them.

    A step takes the longer of its own time and its data's: loaders work ahead. An evaluation is the forward part
    (`forward_share` of a step; None where nothing is evaluated) of as many micro-batches as its samples make."""
    if outcome.seconds is None:
        return outcome
    own, num_steps = outcome.step_seconds, outcome.extras["num_steps"].mid
    step = _no_sooner(own, _arrival(job.global_batch, placement, known))
    waited = step.mid - own.mid
    seconds, extras = step.times(num_steps), dict(outcome.extras)
    if waited > 0:
        least, most = max(step.low - own.mid, 0.0), step.high - own.mid
        late = Quantity(least, waited, most, "s", step.basis, step.causes)
        extras["data_loading_seconds"] = late.times(num_steps)
    num_evaluations = num_steps // (known.evaluate_every or math.inf)
    if num_evaluations and known.evaluates and forward_share is not None:
        evaluated = _evaluation(job, outcome, placement, known, forward_share).times(num_evaluations)
        seconds = _sum(seconds, evaluated)
        extras["evaluation_seconds"] = evaluated
    energy = outcome.energy_joules
    return replace(
        outcome,
        step_seconds=step,
        seconds=seconds,
        tokens_per_second=inverse(step, job.global_batch * job.sequence_length, "tokens/s"),
        bottleneck=Bottleneck.DATA if waited > own.mid * 0.01 else outcome.bottleneck,
        energy_joules=None if energy is None else energy.times(seconds.mid / outcome.seconds.mid),
        extras=extras,
        notes=(*outcome.notes, *_notes(job, own, placement, known, waited > 0)),
    )


def with_waits(outcome: Outcome, placement: Placement, known: Surroundings) -> Outcome:
    """The outcome with its start-up, its queue and the time until its GPUs are there; start-up alone is paid."""
    if outcome.seconds is None:
        return outcome
    lead = lead_seconds(placement)
    stated = {
        "start_up_seconds": known.startup_seconds,
        "queue_seconds": known.queue_seconds,
        "lead_time_seconds": lead,
    }
    parts = {name: value for name, value in stated.items() if value}
    if not parts:
        return outcome
    started = known.startup_seconds or 0.0
    paid = outcome.paid_seconds or outcome.seconds
    extras = {**_steps_among(outcome), **outcome.extras}
    return replace(
        outcome,
        seconds=_later(outcome.seconds, sum(parts.values())),
        paid_seconds=_later(paid, started),
        extras=extras | {name: Quantity.exact(value, "s", Basis.MEASURED) for name, value in parts.items()},
    )


def lead_seconds(placement: Placement) -> float | None:
    """Seconds until the offer's GPUs can be used, as its source states; None where it does not."""
    lead = None if placement.offer is None else placement.offer.lead_time_seconds
    return None if lead is None else float(lead)


def steps_alone(seconds: float, extras: Mapping[str, Quantity]) -> float:
    """Seconds of a job's own steps in those of steps, evaluations and late data."""
    return seconds - sum(extras[name].mid for name in AMONG_STEPS if name in extras)


def _steps_among(outcome: Outcome) -> dict[str, Quantity]:
    """The job's own steps as a part, where nothing told the parts apart before."""
    if outcome.seconds is None or "steady_steps_seconds" in outcome.extras:
        return {}
    alone = steps_alone(outcome.seconds.mid, outcome.extras)
    return {"steady_steps_seconds": Quantity.exact(alone, "s", outcome.seconds.basis)}


def _arrival(num_samples: float, placement: Placement, known: Surroundings) -> Quantity | None:
    """Seconds in which so many samples arrive at all nodes together; None where the rate is not stated."""
    if known.samples_per_second is None:
        return None
    seconds = num_samples / (known.samples_per_second * placement.num_nodes)
    return Quantity.around(seconds, "s", Basis.MEASURED, (Cause("rate of data loading", FEED_SPREAD),))


def _evaluation(
    job: TrainingJob, outcome: Outcome, placement: Placement, known: Surroundings, forward_share: float
) -> Quantity:
    """Seconds of one evaluation."""
    samples = float(known.evaluation_samples or 0)
    at_once = outcome.layout.data_parallel * outcome.layout.micro_batch
    share = math.ceil(samples / at_once) / math.ceil(job.global_batch / at_once)
    return _no_sooner(outcome.step_seconds.times(forward_share * share), _arrival(samples, placement, known))


def _no_sooner(own: Quantity, arrival: Quantity | None) -> Quantity:
    """The later of two, end by end; the causes are those of the one that decides, in their proportions."""
    if arrival is None or arrival.high <= own.low:
        return own
    decides = own if own.mid >= arrival.mid else arrival
    other = arrival if decides is own else own
    ends = [max(getattr(own, end), getattr(arrival, end)) for end in ("low", "mid", "high")]
    causes = decides.causes if decides.high >= other.high else (*decides.causes, *other.causes)
    return _with_ends(ends, decides.basis, causes)


def _sum(first: Quantity, second: Quantity) -> Quantity:
    """Of two that miss together: the ends add."""
    ends = [getattr(first, end) + getattr(second, end) for end in ("low", "mid", "high")]
    return _with_ends(ends, weakest((first.basis, second.basis)), first.causes)


def _later(seconds: Quantity, more: float) -> Quantity:
    """So many seconds more, which are exact."""
    if not more:
        return seconds
    return _with_ends([end + more for end in (seconds.low, seconds.mid, seconds.high)], seconds.basis, seconds.causes)


def _with_ends(ends: Sequence[float], basis: Basis, causes: Sequence[Cause]) -> Quantity:
    """A quantity of seconds whose causes keep their proportions and add up to its upper end."""
    low, mid, high = ends
    together = math.sqrt(sum(cause.spread**2 for cause in causes))
    share = math.log(high / mid) / together if together else 0.0
    kept = tuple(Cause(cause.name, cause.spread * share) for cause in causes) if share else ()
    return Quantity(low, mid, high, "s", basis, kept)


def _notes(
    job: TrainingJob, own: Quantity, placement: Placement, known: Surroundings, is_late: bool
) -> tuple[str, ...]:
    """What the data must do, and what nothing was said of."""
    kind = "pictures" if isinstance(job.architecture, ConvNet) else "sequences"
    needed = job.global_batch / own.mid / placement.num_nodes
    what = f"{units.format_count(needed)} {kind} a second for each node"
    notes = []
    if known.samples_per_second is not None:
        delivered = f"{units.format_count(known.samples_per_second)} are delivered"
        word = "so steps wait for their data" if is_late else "so no step waits for its data"
        notes.append(f"The GPUs take {what}; {delivered} (as you state), {word}.")
    silent = []
    if known.samples_per_second is None:
        silent.append(f"data loading (the GPUs take {what})")
    silent += [] if known.evaluates else ["evaluation"]
    silent += [] if known.startup_seconds is not None else ["start-up"]
    silent += [] if known.queue_seconds is not None else ["a queue"]
    if silent:
        listed = " and ".join([", ".join(silent[:-1]), silent[-1]] if len(silent) > 1 else silent)
        notes.append(f"Not counted, for nothing was said of it: {listed}.")
    return tuple(notes)
