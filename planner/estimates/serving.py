"""Answering requests on the GPUs of one node: replicas × tensor parallel, a steady number of requests at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner import units
from planner.calibration.efficiency import Seconds
from planner.calibration.sample import Operation
from planner.estimates import memory
from planner.estimates.communication import Links, all_reduce_seconds, node_links
from planner.estimates.energy import with_energy
from planner.estimates.estimate import Bottleneck
from planner.estimates.layout import Layouts, inference_layouts
from planner.estimates.memory import pick
from planner.estimates.outcome import Outcome, bound_by, fastest, inverse, shared
from planner.estimates.priors import load_priors
from planner.estimates.profile import Lack, Profile
from planner.hardware.gpu import Dtype
from planner.jobs.footprint import inference_bytes
from planner.jobs.job import MAX_AUTO_CONCURRENCY, InferenceJob
from planner.jobs.operations import Amount, Pass, forward_work, side_dtype
from planner.quantity import Cause, Quantity

Array = NDArray[np.float64]
ITERATIONS = 8  # the balance of prefill and decode settles within six (our design notes)


@dataclass(frozen=True, slots=True)
class ServingTimes:
    """Per layout: seconds of a prompt, of a decoding step, per output token seen by a request, and what bounds them.

    `share` is the part of a replica's time that goes into decoding.
    """

    first_token: Array
    decode_step: Array
    per_token: Array
    requests_per_second: Array  # all replicas
    prefill: Seconds
    decode: Seconds
    communication: Array  # of a decoding step
    share: Array


def serve(job: InferenceJob, profile: Profile, num_gpus: int, usable: float) -> Outcome | Lack:
    """The layout with the most throughput of those that fit, or what keeps the job from running."""
    layouts = inference_layouts(job, num_gpus)
    links = node_links(profile.gpu, num_gpus) if num_gpus > 1 else None
    layouts = _reachable(layouts, links)
    sequences = _sequences(job, profile, layouts, usable)
    items = serving_items(job, profile, layouts, sequences)
    needed = np.broadcast_to(memory.total(items), sequences.shape)
    fits = (needed <= usable) & (sequences >= 1)
    if not fits.any():
        least = serving_items(job, profile, layouts, np.maximum(_wanted(job, layouts), 1.0))
        place = int(np.argmin(np.broadcast_to(memory.total(least), sequences.shape)))
        return Lack(Bottleneck.MEMORY, _too_large(job, layouts, least, place, usable))
    times = serving_times(job, profile, layouts, links, np.maximum(sequences, 1.0))
    place = fastest(1.0 / times.requests_per_second, fits, layouts.simplicity)
    return _outcome(job, profile, layouts, items, times, sequences, place, num_gpus, usable)


def serving_items(job: InferenceJob, profile: Profile, layouts: Layouts, sequences: Array) -> dict[str, Amount]:
    """The memory bill per layout with so many sequences on each replica at their full length."""
    items = inference_bytes(
        job.architecture,
        job.dtype,
        kv_dtype(job),
        sequences,
        job.prompt_tokens + job.output_tokens,
        job.prompt_tokens,
        layouts.tensor_parallel,
    )
    groups = (layouts.tensor_parallel > 1).astype(float)
    return memory.with_runtime(items, profile.gpu, groups)


def kv_dtype(job: InferenceJob) -> Dtype:
    """The format of the cache: as asked, else 16 bits beside 8- and 4-bit weights."""
    return job.kv_dtype or side_dtype(job.dtype)


def serving_times(
    job: InferenceJob, profile: Profile, layouts: Layouts, links: Links | None, sequences: Array
) -> ServingTimes:
    """A steady state of `sequences` requests per replica, each replaced when it ends.

    Per output token a request waits for a decoding step and for its share of the others' prompts (short ones share a
    pass); the part of the requests that decodes at a moment follows from both, by iteration.
    """
    prefill, first = _prefill(job, profile, layouts, links, 1.0)
    together = np.clip(load_priors().figures["prefill_batch_tokens"] // job.prompt_tokens, 1.0, sequences)
    _, shared_pass = _prefill(job, profile, layouts, links, together)
    prompt_seconds = shared_pass / together
    context = job.prompt_tokens + job.output_tokens / 2.0
    active: Array = sequences
    decode, step, each = _decode(job, profile, layouts, links, active, context)
    for _ in range(ITERATIONS):
        per_token = step + active / job.output_tokens * prompt_seconds
        answering = job.output_tokens * per_token
        active = np.asarray(sequences * answering / (answering + first))
        decode, step, each = _decode(job, profile, layouts, links, active, context)
    per_token = step + active / job.output_tokens * prompt_seconds
    rate: Array = _in_flight(job, layouts, sequences) / (job.output_tokens * per_token + first)
    return ServingTimes(
        first_token=first,
        decode_step=step,
        per_token=per_token,
        requests_per_second=rate,
        prefill=prefill,
        decode=decode,
        communication=each,
        share=step / per_token,
    )


def _prefill(
    job: InferenceJob, profile: Profile, layouts: Layouts, links: Links | None, prompts: Amount
) -> tuple[Seconds, Array]:
    """A pass over so many prompts: its operations, and its seconds with the exchange among tensor-parallel GPUs."""
    through = Pass(
        prompts, float(job.prompt_tokens), job.dtype, 0.0, layouts.tensor_parallel, kv_dtype(job), head_tokens=1.0
    )
    parts = profile.seconds(Operation.PREFILL, forward_work(job.architecture, through), through.rows)
    total: Array = parts.total + _exchange(job, layouts, links, through.rows)
    return parts, total


def _decode(
    job: InferenceJob, profile: Profile, layouts: Layouts, links: Links | None, active: Array, context: float
) -> tuple[Seconds, Array, Array]:
    """A decoding step of `active` requests: its operations, its seconds, and the exchange among them."""
    figures = load_priors().figures
    step = Pass(active, 1.0, job.dtype, context, layouts.tensor_parallel, kv_dtype(job))
    parts = profile.seconds(Operation.DECODE, forward_work(job.architecture, step), active)
    exchange = _exchange(job, layouts, links, active)
    host = 0.0 if profile.fit is not None else figures["decode_step_ms"] * 1e-3
    per_request = 0.0 if profile.fit is not None else figures["decode_request_us"] * 1e-6
    total: Array = parts.total + exchange + host + per_request * active
    return parts, total, exchange


def _exchange(job: InferenceJob, layouts: Layouts, links: Links | None, rows: Amount) -> Array:
    """Two all-reduces of the hidden state per block among tensor-parallel GPUs."""
    if links is None:
        return np.zeros(layouts.size)
    num_bytes = rows * job.architecture.hidden * side_dtype(job.dtype).num_bytes
    total: Array = 2.0 * job.architecture.num_layers * all_reduce_seconds(num_bytes, layouts.tensor_parallel, links)
    return total


def _wanted(job: InferenceJob, layouts: Layouts) -> Array:
    """Requests per replica that are asked for, 1 where the planner may choose."""
    if job.concurrency is None:
        return np.ones(layouts.size)
    return np.ceil(job.concurrency / layouts.data_parallel)


def _in_flight(job: InferenceJob, layouts: Layouts, sequences: Array) -> Array:
    """Requests at a time on all replicas; replicas beyond the asked concurrency stand idle."""
    total = layouts.data_parallel * sequences
    return total if job.concurrency is None else np.minimum(total, float(job.concurrency))


def _sequences(job: InferenceJob, profile: Profile, layouts: Layouts, usable: float) -> Array:
    """Requests per replica: as asked, or as many as memory holds up to a limit for all replicas together."""
    if job.concurrency is not None:
        return _wanted(job, layouts)
    none = memory.total(serving_items(job, profile, layouts, np.zeros(layouts.size)))
    one = memory.total(serving_items(job, profile, layouts, np.ones(layouts.size)))
    most = np.floor((usable - none) / (one - none))
    limit = max(1.0, MAX_AUTO_CONCURRENCY)
    sequences: Array = np.minimum(most, np.ceil(limit / layouts.data_parallel))
    if job.num_requests is not None:
        sequences = np.minimum(sequences, np.ceil(job.num_requests / layouts.data_parallel))
    return np.maximum(sequences, 0.0)


def _reachable(layouts: Layouts, links: Links | None) -> Layouts:
    """Without the tensor-parallel splits whose links are not known."""
    keep = layouts.tensor_parallel == 1
    if links is not None:
        keep = keep | (links.bandwidth(layouts.tensor_parallel) > 0)
    return layouts.only(keep)


def _outcome(
    job: InferenceJob,
    profile: Profile,
    layouts: Layouts,
    items: dict[str, Amount],
    times: ServingTimes,
    sequences: Array,
    place: int,
    num_gpus: int,
    usable: float,
) -> Outcome:
    layout = layouts.at(place)
    basis = profile.basis
    share = pick(times.share, place)
    step, first = pick(times.decode_step, place), pick(times.first_token, place)
    exchange = pick(times.communication, place)
    decode_causes = _phase_causes(
        job, profile, Operation.DECODE, pick(sequences, place), pick(times.decode.total, place), exchange / step
    )
    prefill_causes = _phase_causes(
        job, profile, Operation.PREFILL, float(job.prompt_tokens), pick(times.prefill.total, place), 0.0
    )
    both = shared(decode_causes, share, "decode: ") + shared(prefill_causes, 1.0 - share, "prefill: ")
    rate = pick(times.requests_per_second, place)
    concurrency = pick(_in_flight(job, layouts, sequences), place)
    per_request = Quantity.around(1.0 / rate, "s", basis, both)
    seconds = None
    if job.num_requests is not None:
        seconds = per_request.times(max(job.num_requests, min(concurrency, rate * _latency(job, times, place))))
    bill = memory.bill(items, place)
    outcome = Outcome(
        layout=layout,
        seconds=seconds,
        step_seconds=Quantity.around(step, "s", basis, decode_causes),
        tokens_per_second=inverse(per_request, job.output_tokens, "tokens/s"),
        memory_bytes=memory.quantity(bill, is_measured=False),
        memory_items=bill,
        usable_memory_bytes=usable,
        bottleneck=bound_by((times.decode if share >= 0.5 else times.prefill,), exchange, place),
        basis=basis,
        fit_id=profile.fit_id,
        extras={
            "first_token_seconds": Quantity.around(first, "s", basis, prefill_causes),
            "token_seconds": Quantity.around(pick(times.per_token, place), "s", basis, both),
            "request_seconds": Quantity.around(_latency(job, times, place), "s", basis, both),
            "requests_per_second": inverse(per_request, 1.0, "1/s"),
            "concurrency": Quantity.exact(concurrency, "requests", basis),
        },
        notes=(*_notes(job, layouts, items, usable, place), *_missing(profile)),
        unknown={} if seconds is not None else {"seconds": "a service without a number of requests has no end"},
    )
    return with_energy(outcome, profile, Operation.DECODE if share >= 0.5 else Operation.PREFILL, num_gpus)


def _latency(job: InferenceJob, times: ServingTimes, place: int) -> float:
    """Seconds from a request's start to its last token."""
    return pick(times.first_token, place) + job.output_tokens * pick(times.per_token, place)


def _phase_causes(
    job: InferenceJob, profile: Profile, operation: Operation, rows: float, seconds: float, exchange: float
) -> tuple[Cause, ...]:
    figures = load_priors().figures
    found = shared(profile.phase_causes(operation, job.architecture, rows, seconds), 1.0 - exchange)
    found += shared((Cause("communication", figures["communication_spread"]),), exchange)
    if job.architecture.num_experts > 1:
        found += (Cause("uneven experts", figures["expert_imbalance_spread"]),)
    return found


def _missing(profile: Profile) -> tuple[str, ...]:
    return profile.phase_notes((Operation.PREFILL, Operation.DECODE))


def _notes(job: InferenceJob, layouts: Layouts, items: dict[str, Amount], usable: float, place: int) -> tuple[str, ...]:
    layout = layouts.at(place)
    notes = [
        "The time to the first token is that of a request which does not wait; under load it waits for others' prompts."
    ]
    if job.concurrency is None:
        notes.append(f"As many requests at a time as memory holds, at most {MAX_AUTO_CONCURRENCY} in all.")
    if layouts.size > 1:
        text = f"The most throughput: {_counted(layout.data_parallel, 'replica')} of "
        text += (
            f"{_counted(layout.tensor_parallel, 'GPU')}{' in tensor parallel' if layout.tensor_parallel > 1 else ''}"
        )
        alone = layouts.tensor_parallel == 1
        least = float(np.min(np.broadcast_to(memory.total(items), layouts.data_parallel.shape)[alone]))
        if least > usable:
            text += f"; one GPU alone would need {units.format_bytes(least)} of {units.format_bytes(usable)} usable"
        notes.append(f"{text}.")
    return tuple(notes)


def _too_large(job: InferenceJob, layouts: Layouts, items: dict[str, Amount], place: int, usable: float) -> str:
    text = memory.shortfall(memory.bill(items, place), usable)
    sequences = math.ceil(pick(np.maximum(_wanted(job, layouts), 1.0), place))
    split = layouts.at(place).tensor_parallel
    return f"{text}, with {_counted(sequences, 'request')} at a time on {_counted(split, 'GPU')}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
