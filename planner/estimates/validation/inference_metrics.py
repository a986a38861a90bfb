"""Where the metric of a row of an inference table stands in an outcome."""

from __future__ import annotations

import re
from collections.abc import Callable

from planner.estimates.estimate import Placement
from planner.estimates.outcome import Outcome, inverse
from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row
from planner.jobs.job import InferenceJob
from planner.quantity import Quantity

STEPS = re.compile(r"(\d+) denoising steps")
SHARE_OF_LIMIT = "avg_power_frac_tdp"
# Standard deviations of a normal distribution below each percentile ÷ those below the 99th.
DEVIATIONS = {"50": 0.0, "90": 1.2816 / 2.3263, "95": 1.6449 / 2.3263, "97": 1.8808 / 2.3263, "99": 1.0}
Reader = Callable[[Outcome], Quantity | Declined]


def _tokens(divisor: Callable[[int], float]) -> Callable[[Row, InferenceJob, int], Reader]:
    def make(row: Row, _job: InferenceJob, num_gpus: int) -> Reader:
        share = _server_share(row) / divisor(num_gpus)
        return lambda outcome: outcome.tokens_per_second.times(share)

    return make


def _server_share(row: Row) -> float:
    """The rate that a benchmark's latency limits leave of the highest."""
    return load_serving_priors().figures["server_share"] if row.text("scenario") == "server" else 1.0


def _all_tokens(divisor: Callable[[int], float]) -> Callable[[Row, InferenceJob, int], Reader]:
    """Prompt and output tokens together."""

    def make(_row: Row, job: InferenceJob, num_gpus: int) -> Reader:
        factor = (job.prompt_tokens + job.output_tokens) / job.output_tokens / divisor(num_gpus)
        return lambda outcome: outcome.tokens_per_second.times(factor)

    return make


def _extra(name: str, factor: float = 1.0) -> Callable[[Row, InferenceJob, int], Reader]:
    return lambda _row, _job, _num_gpus: lambda outcome: _named(outcome, name, factor)


def _named(outcome: Outcome, name: str, factor: float) -> Quantity | Declined:
    found = outcome.extras.get(name)
    return Declined(f"{name} is not estimated") if found is None else found.times(factor)


def _first_token(_row: Row, job: InferenceJob, _num_gpus: int) -> Reader:
    """Of the requests that run; those beyond what memory holds first wait for others to end."""

    def read(outcome: Outcome) -> Quantity | Declined:
        is_loaded = "loaded_first_token_seconds" in outcome.extras
        found = _named(outcome, "loaded_first_token_seconds" if is_loaded else "first_token_seconds", 1e3)
        if isinstance(found, Declined):
            return found
        waiting = (job.concurrency or 0) - outcome.extras["concurrency"].mid
        queued = max(waiting, 0.0) / outcome.extras["requests_per_second"].mid
        return found.times(1.0 + 1e3 * queued / found.mid)

    return read


def _prefill_rate(_row: Row, job: InferenceJob, _num_gpus: int) -> Reader:
    def read(outcome: Outcome) -> Quantity | Declined:
        found = outcome.extras.get("first_token_seconds")
        if found is None:
            return Declined("first_token_seconds is not estimated")
        amount = float(job.prompt_tokens * (job.concurrency or 1))
        return Quantity(
            amount / found.high, amount / found.mid, amount / found.low, "tokens/s", found.basis, found.causes
        )

    return read


def _user_rate(_row: Row, _job: InferenceJob, _num_gpus: int) -> Reader:
    """What one request sees: the inverse of its time per token."""

    def read(outcome: Outcome) -> Quantity | Declined:
        found = outcome.extras.get("token_seconds")
        return Declined("token_seconds is not estimated") if found is None else inverse(found, 1.0, "tokens/s")

    return read


def _decode_rate(_row: Row, job: InferenceJob, _num_gpus: int) -> Reader:
    def read(outcome: Outcome) -> Quantity | Declined:
        found = outcome.step_seconds
        amount = float(job.concurrency or outcome.extras["concurrency"].mid)
        return Quantity(
            amount / found.high, amount / found.mid, amount / found.low, "tokens/s", found.basis, found.causes
        )

    return read


def _samples(row: Row, _job: InferenceJob, _num_gpus: int) -> Reader:
    share = _server_share(row)
    return lambda outcome: _named(outcome, "requests_per_second", share)


def _latency(row: Row, _job: InferenceJob, _num_gpus: int) -> Reader:
    """Of a pass alone; under a server's load, of the 99th percentile at the highest rate that its limit allows."""
    figures = load_serving_priors().figures
    percentile = re.search(r"_p(\d+)$", row.metric)
    factor = 1e3 * _steps(row) * figures["percentile_99"] ** (DEVIATIONS[percentile[1]] if percentile else 0.0)
    if row.text("scenario") == "server":
        return lambda _outcome: Declined("the latency limit decides a server's percentile, not the machine")
    return lambda outcome: _named(outcome, "request_seconds", factor)


def _steps(row: Row) -> float:
    """Passes one after the other that a picture takes: the steps of a diffusion model, which notes state."""
    found = STEPS.search(row.text("notes"))
    return float(found[1]) if found and row.text("model_family") == "diffusion" else 1.0


def _iterations(_row: Row, _job: InferenceJob, _num_gpus: int) -> Reader:
    """Steps per second of the whole batch."""

    def read(outcome: Outcome) -> Quantity | Declined:
        found = outcome.extras["request_seconds"]
        return Quantity(1.0 / found.high, 1.0 / found.mid, 1.0 / found.low, "1/s", found.basis, found.causes)

    return read


def _sample_energy(row: Row, job: InferenceJob, _num_gpus: int) -> Reader:
    """Of all passes of a picture."""
    asked = row.whole("batch_or_concurrency") or 1
    passes = _steps(row) * (job.concurrency or asked) / asked
    return lambda outcome: _named(outcome, "joules_per_request", passes)


def _per_sample(_row: Row, job: InferenceJob, _num_gpus: int) -> Reader:
    return lambda outcome: _named(outcome, "request_seconds", 1e3 / (job.concurrency or 1))


def _power(divisor: Callable[[Outcome, int], float]) -> Callable[[Row, InferenceJob, int], Reader]:
    def make(_row: Row, _job: InferenceJob, num_gpus: int) -> Reader:
        def read(outcome: Outcome) -> Quantity | Declined:
            found = outcome.average_power_watts
            return (
                Declined("the power is not known") if found is None else found.times(1.0 / divisor(outcome, num_gpus))
            )

        return read

    return make


def limit_share(placement: Placement) -> Reader:
    """Of a GPU's power limit."""

    def read(outcome: Outcome) -> Quantity | Declined:
        limit = placement.gpu.power_watts
        if outcome.average_power_watts is None or limit is None:
            return Declined(f"the power limit of {placement.gpu.key} is not known")
        return outcome.average_power_watts.times(1.0 / (limit.value * float(placement.num_gpus)), "1")

    return read


READERS: dict[str, Callable[[Row, InferenceJob, int], Reader]] = {
    "output_tokens_per_s_total": _tokens(lambda _num_gpus: 1.0),
    "output_tokens_per_s_per_gpu": _tokens(float),
    "total_tokens_per_s_per_gpu": _all_tokens(float),
    "total_tokens_per_s": _all_tokens(lambda _num_gpus: 1.0),
    "output_tokens_per_s_per_user": _user_rate,
    "tpot_ms": _extra("token_seconds", 1e3),
    "ttft_ms": _first_token,
    "requests_per_s": _extra("requests_per_second", 1.0),
    "samples_per_s": _samples,
    "decode_tokens_per_s": _decode_rate,
    "prefill_tokens_per_s": _prefill_rate,
    **{f"latency_ms_p{percentile}": _latency for percentile in DEVIATIONS},
    "latency_ms_avg": _latency,
    "latency_ms_per_sample": _per_sample,
    "energy_j_per_request": _extra("joules_per_request"),
    "energy_j_per_sample": _sample_energy,
    "iterations_per_s": _iterations,
    "energy_j_per_token": _extra("joules_per_token"),
    "avg_power_w": _power(lambda _outcome, _num_gpus: 1.0),
}
