"""The chosen layout of an inference job as quantities with their ranges, causes and notes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner import units
from planner.calibration.sample import Operation
from planner.estimates import memory
from planner.estimates.communication import communication_cause
from planner.estimates.energy import average_power, with_energy
from planner.estimates.memory import pick
from planner.estimates.outcome import Outcome, bound_by, inverse, shared
from planner.estimates.priors import load_priors
from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.serving_ranges import ServingClass, published_causes, token_class
from planner.estimates.serving_steps import Deployment, StepParts
from planner.estimates.serving_times import ServingTimes
from planner.jobs.architecture import Transformer
from planner.jobs.engine import Batching
from planner.jobs.operations import Amount
from planner.quantity import Basis, Cause, Quantity, weakest

Array = NDArray[np.float64]
Causes = tuple[Cause, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A layout, by its place, with everything that was worked out about all of them."""

    deployment: Deployment
    items: dict[str, Amount]
    times: ServingTimes
    sequences: Array
    in_flight: Array
    place: int
    num_gpus: int
    usable: float

    def at(self, amount: Amount) -> float:
        return pick(amount, self.place)

    @property
    def front_seconds(self) -> float:
        """What a request alone takes in a server in front of the engine."""
        per_request_ms = load_serving_priors().figures["frontend_request_ms"]
        return 1e-3 * (self.deployment.engine.front_ms + per_request_ms)


@dataclass(frozen=True, slots=True)
class Widths:
    """Causes of the ranges of a decoding step, a prompt, a whole request, and of a first token under load."""

    decode: Causes
    prefill: Causes
    both: Causes
    loaded: Causes


def outcome_of(chosen: Chosen) -> Outcome:
    """What the chosen layout takes."""
    job, times = chosen.deployment.job, chosen.times
    basis = chosen.deployment.profile.basis
    widths = _widths(chosen)
    rate = chosen.at(times.requests_per_second)
    concurrency = chosen.at(chosen.in_flight)
    per_request = Quantity.around(1.0 / rate, "s", basis, widths.both)
    seconds = None
    if job.num_requests is not None:
        whole = rate * chosen.at(times.request)
        seconds = per_request.times(max(job.num_requests, min(concurrency, whole)))
    step = times.decode_step if job.output_tokens else times.request
    bill = memory.bill(chosen.items, chosen.place)
    share = chosen.at(times.share)
    bounding = times.decode if share >= 0.5 else times.prefill
    outcome = Outcome(
        layout=chosen.deployment.layouts.at(chosen.place),
        seconds=seconds,
        step_seconds=Quantity.around(chosen.at(step), "s", basis, widths.decode),
        tokens_per_second=inverse(per_request, job.output_tokens or job.prompt_tokens, "tokens/s"),
        memory_bytes=memory.quantity(bill, is_measured=False),
        memory_items=bill,
        usable_memory_bytes=chosen.usable,
        bottleneck=bound_by((bounding.operations,), chosen.at(bounding.exchange), chosen.place),
        basis=basis,
        fit_id=chosen.deployment.profile.fit_id,
        extras=_extras(chosen, widths, per_request),
        notes=(*_notes(chosen), *chosen.deployment.profile.phase_notes((Operation.PREFILL, Operation.DECODE))),
        unknown={} if seconds is not None else {"seconds": "a service without a number of requests has no end"},
    )
    return _with_energy(outcome, chosen, share)


def _extras(chosen: Chosen, widths: Widths, per_request: Quantity) -> dict[str, Quantity]:
    job, times = chosen.deployment.job, chosen.times
    basis = chosen.deployment.profile.basis
    found = {
        "request_seconds": Quantity.around(chosen.at(times.request), "s", basis, widths.both),
        "requests_per_second": inverse(per_request, 1.0, "1/s"),
        "concurrency": Quantity.exact(chosen.at(chosen.in_flight), "requests", basis),
    }
    if not job.output_tokens:
        return found
    first = Quantity.around(chosen.at(times.first_token), "s", basis, widths.prefill)
    found = {
        "first_token_seconds": first,
        "token_seconds": Quantity.around(chosen.at(times.per_token), "s", basis, widths.both),
        **found,
    }
    if job.batching is Batching.CONTINUOUS and chosen.at(chosen.sequences) > 1:
        loaded = chosen.at(times.loaded_first_token)
        found["loaded_first_token_seconds"] = Quantity.around(loaded, "s", basis, widths.loaded)
    return found


def _widths(chosen: Chosen) -> Widths:
    """Of a measured device from its fit, phase by phase; else what published runs of the kind missed."""
    job, profile, times = chosen.deployment.job, chosen.deployment.profile, chosen.times
    if profile.fit is None:
        tokens = published_causes(job, profile, token_class(job))
        first = tokens if not job.output_tokens else published_causes(job, profile, ServingClass.FIRST_TOKEN)
        loaded = published_causes(job, profile, ServingClass.FIRST_TOKEN_LOADED)
        return Widths(tokens, first, tokens, loaded)
    share = chosen.at(times.share)
    prompts = chosen.deployment.job.prompt_tokens * (1.0 if job.output_tokens else chosen.at(chosen.sequences))
    prefill = _phase_causes(chosen, Operation.PREFILL, float(prompts), times.prefill.operations.total, 0.0)
    if not job.output_tokens:
        return Widths(prefill, prefill, prefill, prefill)
    exchange = chosen.at(times.decode.exchange) / chosen.at(times.decode.total)
    active = chosen.at(chosen.sequences)
    decode = _phase_causes(chosen, Operation.DECODE, active, times.decode.operations.total, exchange)
    both = shared(decode, share, "decode: ") + shared(prefill, 1.0 - share, "prefill: ")
    waiting = Cause("waiting for other prompts", load_serving_priors().ranges["first_token_loaded"])
    return Widths(decode, prefill, both, (*prefill, waiting))


def _phase_causes(chosen: Chosen, operation: Operation, rows: float, seconds: Amount, exchange: float) -> Causes:
    figures, network = load_priors().figures, chosen.deployment.job.architecture
    profile = chosen.deployment.profile
    found = shared(profile.phase_causes(operation, network, rows, chosen.at(seconds)), 1.0 - exchange)
    found += shared((communication_cause(profile.links),), exchange)
    if isinstance(network, Transformer) and network.num_experts > 1:
        found += (Cause("uneven experts", figures["expert_imbalance_spread"]),)
    return found


def _with_energy(outcome: Outcome, chosen: Chosen, share: float) -> Outcome:
    """Power by how much of the products' and the memory's rate is used, where nothing was measured."""
    profile = chosen.deployment.profile
    operation = Operation.DECODE if share >= 0.5 else Operation.PREFILL
    outcome = with_energy(outcome, profile, operation, chosen.num_gpus)
    rate = outcome.extras["requests_per_second"]
    per_request = Quantity.around(1.0 / rate.mid, "s", outcome.basis, rate.causes)
    if profile.fit is None and profile.gpu.power_watts is not None:
        return _with_published_energy(outcome, chosen, profile.gpu.power_watts.value, per_request)
    power_now = outcome.average_power_watts or average_power(profile, operation, chosen.num_gpus)
    return outcome if power_now is None else _with_joules(outcome, chosen, _energy(power_now, per_request))


def _with_published_energy(outcome: Outcome, chosen: Chosen, limit_watts: float, per_request: Quantity) -> Outcome:
    """What published runs missed in energy is the range of tokens; of single passes it is that of power and seconds."""
    job, profile = chosen.deployment.job, chosen.deployment.profile
    watts = limit_watts * chosen.at(power_share(chosen.times)) * chosen.num_gpus
    power = Quantity.around(watts, "W", Basis.DERIVED, published_causes(job, profile, ServingClass.POWER))
    joules = _energy(power, per_request)
    if job.output_tokens:
        joules = Quantity.around(joules.mid, "J", joules.basis, published_causes(job, profile, ServingClass.ENERGY))
    whole = None if outcome.seconds is None else joules.times(outcome.seconds.mid / per_request.mid)
    outcome = replace(outcome, average_power_watts=power, energy_joules=whole)
    return _with_joules(outcome, chosen, joules)


def _with_joules(outcome: Outcome, chosen: Chosen, per_request: Quantity) -> Outcome:
    extras = {**outcome.extras, "joules_per_request": per_request}
    if chosen.deployment.job.output_tokens:
        extras["joules_per_token"] = per_request.times(1.0 / chosen.deployment.job.output_tokens)
    return replace(outcome, extras=extras)


def power_share(times: ServingTimes) -> Array:
    """Share of the board's limit that is drawn on average over prompts and decoding, per layout."""
    decode, prefill = _used_power(times.decode), _used_power(times.prefill)
    found: Array = times.share * decode + (1.0 - times.share) * prefill
    return found


def _used_power(parts: StepParts) -> Array:
    """A floor, and what full use of memory and of products adds."""
    figures = load_serving_priors().figures
    memory_use = np.minimum(parts.operations.memory / parts.total, 1.0)
    product_use = np.minimum(parts.operations.compute / parts.total, 1.0)
    used = figures["idle_power"] + figures["memory_power"] * memory_use + figures["product_power"] * product_use
    found: Array = np.minimum(used, 1.0)
    return found


def _energy(power: Quantity, seconds: Quantity) -> Quantity:
    causes = (*power.causes, *seconds.causes)
    return Quantity.around(power.mid * seconds.mid, "J", weakest((power.basis, seconds.basis)), causes)


def _notes(chosen: Chosen) -> tuple[str, ...]:
    job, layouts = chosen.deployment.job, chosen.deployment.layouts
    layout = layouts.at(chosen.place)
    notes = []
    if job.output_tokens and job.batching is Batching.CONTINUOUS:
        notes.append(
            "The time to the first token is that of a request which does not wait; under load it waits for others' "
            f"prompts. A server in front of the engine adds about {units.format_seconds(chosen.front_seconds)}, which "
            "the time among others and sizings count."
        )
    if job.concurrency is None:
        most = units.format_count(chosen.deployment.engine.max_requests)
        notes.append(f"As many requests at a time as memory holds, at most {most} per replica.")
    if layouts.size > 1:
        text = f"The most throughput: {counted(layout.data_parallel, 'replica')} of "
        text += f"{counted(layout.tensor_parallel, 'GPU')}{' in tensor parallel' if layout.tensor_parallel > 1 else ''}"
        if layout.expert_parallel > 1:
            text += f", the experts spread over {counted(layout.expert_parallel, 'replica')} that attend for themselves"
        alone = (layouts.tensor_parallel == 1) & (layouts.expert_parallel == 1)
        needs = np.broadcast_to(memory.total(chosen.items), layouts.data_parallel.shape)[alone]
        if needs.size and float(np.min(needs)) > chosen.usable:
            least, usable = units.format_bytes(float(np.min(needs))), units.format_bytes(chosen.usable)
            text += f"; one GPU alone would need {least} of {usable} usable"
        notes.append(f"{text}.")
    return tuple(notes)


def counted(number: int, noun: str) -> str:
    """ "1 GPU", "3 GPUs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
