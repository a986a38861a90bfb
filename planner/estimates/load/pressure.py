"""How hard training and inference of one architecture press one GPU: arithmetic, memory and power, side by side.

A training step, a pass over prompts, decoding and the mix that a service does are worked out on one GPU as if its
memory held them all, so that what differs is the work. Shares are of the published peak and bandwidth.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

import numpy as np

from planner.calibration.fit import Fit
from planner.calibration.sample import Operation
from planner.estimates.answer import work_out
from planner.estimates.estimate import Bottleneck, Placement
from planner.estimates.outcome import Outcome
from planner.estimates.priors.serving import load_serving_priors
from planner.estimates.profile import Lack
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
from planner.jobs.blocks import touched_experts
from planner.jobs.engine import Engine
from planner.jobs.footprint import weight_bytes
from planner.jobs.job import InferenceJob, Stack, TrainingJob
from planner.jobs.operations import kv_bytes_per_token, model_forward_flops, model_training_flops, training_work
from planner.jobs.work import Pass, total_bytes
from planner.quantity import Basis, Quantity

NO_LIMIT = 1e18  # bytes: what fits is another question than how hard it works
TRAINED_IN = (Dtype.FP32, Dtype.TF32, Dtype.FP16, Dtype.BF16, Dtype.FP8)
Chosen = tuple[str, Fit, bool] | None


class Phase(StrEnum):
    """What a GPU does."""

    TRAINING = "training"
    PROMPTS = "prompts"  # taken in, one at a time
    DECODING = "decoding"  # so many requests at a time
    SERVING = "serving"  # both, as a busy service mixes them


PHASE_NAMES = {
    Phase.TRAINING: "a training step",
    Phase.PROMPTS: "taking prompts in",
    Phase.DECODING: "decoding",
    Phase.SERVING: "serving, prompts and decoding together",
}


@dataclass(frozen=True, slots=True)
class Question:
    """One architecture in one format: sequences per step in training, requests of a size at a time in serving."""

    architecture: Transformer
    dtype: Dtype
    sequence_length: int
    batch: int
    prompt_tokens: int
    output_tokens: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Ceilings:
    """FLOP/s of the format and bytes/s of the memory that shares are taken of: as published, or as the best that was
    measured on the device where its model has no published figure. None: not known."""

    peak: float | None
    bandwidth: float | None
    is_measured: bool


@dataclass(frozen=True, slots=True)
class _Done:
    """What was done in so many seconds."""

    seconds: Quantity
    tokens: float
    flops: float
    num_bytes: float


@dataclass(frozen=True, slots=True)
class Press:
    """One phase on one GPU. `compute_share` of the peak of its format, `memory_share` of the bandwidth (of the bytes
    that the work must move at least); None: not known."""

    phase: Phase
    seconds: Quantity  # of a step, a prompt, a decoding step, a request
    tokens_per_second: float
    compute_share: float | None
    memory_share: float | None
    watts: Quantity | None
    joules_per_token: float | None
    bound: Bottleneck
    is_draw_measured: bool = False  # beside this device's own calibration, or that of one of its model


@dataclass(frozen=True, slots=True)
class Pressure:
    """The phases on one GPU, and which of training and serving presses it harder in each respect (None: not known)."""

    title: str
    gpu_key: str
    phases: tuple[Press, ...]
    sentence: str
    ceilings: Ceilings
    more_arithmetic: Phase | None
    more_memory: Phase | None
    more_power: Phase | None  # None too where the ranges of both overlap
    basis: Basis
    fit_id: str | None
    device_id: str | None


def pressure(question: Question, placement: Placement, chosen: Chosen) -> Pressure | str:
    """Training and inference on one GPU of the placement, or why they cannot be told."""
    alone = replace(placement, num_gpus=Decimal(1), num_nodes=1)
    train = work_out(_training(question), alone, chosen, NO_LIMIT)
    if isinstance(train, Lack):
        return train.reason
    ceilings = _ceilings(alone, question.dtype, chosen)
    found = [_trained(question, train, ceilings, chosen)]
    for phase in (Phase.PROMPTS, Phase.DECODING, Phase.SERVING):
        served = work_out(_inference(question, phase), alone, chosen, NO_LIMIT)
        if isinstance(served, Lack):
            return served.reason
        found.append(_served(question, phase, served, ceilings, chosen))
    phases = tuple(found)
    return Pressure(
        title=placement.title,
        gpu_key=placement.gpu.key,
        phases=phases,
        sentence=_sentence(question, placement.gpu.key, phases, ceilings),
        ceilings=ceilings,
        more_arithmetic=_harder(phases, "compute_share"),
        more_memory=_harder(phases, "memory_share"),
        more_power=_draws_more(phases),
        basis=train.basis,
        fit_id=train.fit_id,
        device_id=placement.device_id,
    )


def hardware_key(placement: Placement, chosen: Chosen) -> Hashable:
    """What two placements must share to be pressed alike."""
    memory = placement.gpu.memory_bytes and placement.gpu.memory_bytes.value
    return placement.gpu.key, memory, None if chosen is None else (chosen[0], chosen[2])


def _ceilings(placement: Placement, dtype: Dtype, chosen: Chosen) -> Ceilings:
    gpu = placement.gpu
    peak = gpu.peak(dtype)
    bandwidth = None if gpu.memory_bandwidth is None else gpu.memory_bandwidth.value
    if chosen is None or (peak is not None and bandwidth is not None):
        return Ceilings(peak, bandwidth, is_measured=False)
    fit = chosen[1]
    if peak is None and dtype in fit.matmul:
        peak = float(np.max(fit.matmul[dtype].peak))
    if bandwidth is None and fit.bandwidth is not None:
        bandwidth = fit.bandwidth.far
    return Ceilings(peak, bandwidth, is_measured=True)


def _training(question: Question) -> TrainingJob:
    return TrainingJob(
        name=f"Train {question.architecture.name}",
        architecture=question.architecture,
        num_tokens=float(question.sequence_length * question.batch),
        sequence_length=question.sequence_length,
        global_batch=question.batch,
        micro_batch=question.batch,
        dtype=question.dtype,
        stack=Stack.FUSED,
    )


def _inference(question: Question, phase: Phase) -> InferenceJob:
    is_prompt = phase is Phase.PROMPTS
    return InferenceJob(
        name=f"Serve {question.architecture.name}",
        architecture=question.architecture,
        prompt_tokens=question.prompt_tokens,
        output_tokens=1 if is_prompt else question.output_tokens,
        concurrency=1 if is_prompt else question.concurrency,
        dtype=question.dtype,
    )


def _trained(question: Question, outcome: Outcome, ceilings: Ceilings, chosen: Chosen) -> Press:
    network = question.architecture
    through = Pass(float(question.batch), float(question.sequence_length), question.dtype)
    work = training_work(network, through, float(network.num_parameters))
    parts = (*work.forward, *work.backward, *work.recompute, *work.optimizer)
    done = _Done(
        outcome.step_seconds,
        question.sequence_length * question.batch,
        float(model_training_flops(network, question.batch, question.sequence_length)),
        float(np.sum(total_bytes(parts))),
    )
    found = _press(Phase.TRAINING, done, outcome, ceilings)
    return replace(found, is_draw_measured=_measured_watts(chosen, Operation.TRAIN_STEP, outcome) is not None)


def _served(question: Question, phase: Phase, outcome: Outcome, ceilings: Ceilings, chosen: Chosen) -> Press:
    network, prompt, output = question.architecture, question.prompt_tokens, question.output_tokens
    batch, context = question.concurrency, prompt + 0.5 * output
    cached = float(np.sum(kv_bytes_per_token(network, question.dtype)))
    taken = float(model_forward_flops(network, 1.0, prompt, 0.0, 1.0))
    step = float(model_forward_flops(network, 1.0, 1.0, context))
    prompt_bytes = _read_weights(question, prompt) + prompt * cached
    step_bytes = _read_weights(question, batch) + batch * context * cached
    if phase is Phase.PROMPTS:
        done = _Done(outcome.extras["first_token_seconds"], prompt, taken, prompt_bytes)
        found = _press(phase, done, outcome, ceilings)
        return replace(found, bound=_nearer_ceiling(found) or outcome.bottleneck)
    watts = _measured_watts(chosen, Operation.DECODE, outcome)
    if phase is Phase.DECODING:
        found = _press(phase, _Done(outcome.step_seconds, batch, batch * step, step_bytes), outcome, ceilings)
        return replace(found, watts=watts, joules_per_token=None, is_draw_measured=watts is not None)
    rate = outcome.extras["requests_per_second"].mid
    second = Quantity.exact(1.0, "s", outcome.basis)
    flops = rate * (taken + (output - 1.0) * step)
    shared = min(batch, max(1, int(_pass_tokens() // prompt)))  # short prompts share a pass, and its reading of weights
    together = _read_weights(question, shared * prompt) / shared + prompt * cached
    moved = rate * together + rate * output / batch * step_bytes
    found = _press(phase, _Done(second, rate * (prompt + output), flops, moved), outcome, ceilings)
    return replace(found, seconds=outcome.extras["request_seconds"], is_draw_measured=watts is not None)


def _pass_tokens() -> float:
    """Tokens of one pass over prompts, as engines are usually set."""
    return load_serving_priors().engines[Engine.UNSTATED].prompt_tokens


def _read_weights(question: Question, rows: float) -> float:
    """Bytes of the weights that a pass over so many rows reads: of experts those that get a row."""
    network = question.architecture
    whole = float(np.sum(weight_bytes(network, question.dtype)))
    if network.num_experts == 1:
        return whole
    experts = network.expert_layers * network.num_experts * network.ffn_parameters * question.dtype.num_bytes
    untouched = 1.0 - float(np.sum(touched_experts(network, rows))) / network.num_experts
    return whole - untouched * experts


def _measured_watts(chosen: Chosen, operation: Operation, outcome: Outcome) -> Quantity | None:
    """Watts beside the measured benches of that kind; None where they were not measured."""
    watts = None if chosen is None else chosen[1].power_watts.get(operation)
    return None if watts is None else Quantity.exact(watts, "W", outcome.basis)


def _press(phase: Phase, done: _Done, outcome: Outcome, ceilings: Ceilings) -> Press:
    watts, seconds = outcome.average_power_watts, done.seconds.mid
    return Press(
        phase=phase,
        seconds=done.seconds,
        tokens_per_second=done.tokens / seconds,
        compute_share=None if ceilings.peak is None else done.flops / (seconds * ceilings.peak),
        memory_share=None if ceilings.bandwidth is None else done.num_bytes / (seconds * ceilings.bandwidth),
        watts=watts,
        joules_per_token=None if watts is None else watts.mid * seconds / done.tokens,
        bound=outcome.bottleneck,
    )


def _nearer_ceiling(press: Press) -> Bottleneck | None:
    """Arithmetic or memory, whichever the phase uses the larger share of: what a whole request is bound by says
    nothing of its prompt."""
    if press.compute_share is None or press.memory_share is None:
        return None
    return Bottleneck.COMPUTE if press.compute_share >= press.memory_share else Bottleneck.BANDWIDTH


def _harder(phases: tuple[Press, ...], name: str) -> Phase | None:
    """Of training and serving the one with the larger figure."""
    found = {press.phase: getattr(press, name) for press in phases}
    train, serve = found[Phase.TRAINING], found[Phase.SERVING]
    if train is None or serve is None:
        return None
    return Phase.TRAINING if train >= serve else Phase.SERVING


def _draws_more(phases: tuple[Press, ...]) -> Phase | None:
    """Of training and serving the one whose power is above the other's, ranges and all."""
    watts = {press.phase: press.watts for press in phases}
    train, serve = watts[Phase.TRAINING], watts[Phase.SERVING]
    if train is None or serve is None:
        return None
    if train.low > serve.high:
        return Phase.TRAINING
    return Phase.SERVING if serve.low > train.high else None


def _sentence(question: Question, key: str, phases: tuple[Press, ...], ceilings: Ceilings) -> str:
    by = {press.phase: press for press in phases}
    train, serve, decode = by[Phase.TRAINING], by[Phase.SERVING], by[Phase.DECODING]
    name = question.architecture.name
    if train.compute_share is None or serve.compute_share is None:
        return f"Whether training or serving {name} presses the {key} harder is not known: its peak is missing."
    harder, factor = ("Training", train.compute_share / serve.compute_share)
    if factor < 1.0:
        harder, factor = "Serving", 1.0 / factor
    text = (
        f"{harder} {name} presses the arithmetic of the {key} {factor:.1f} times as hard: "
        f"{train.compute_share:.0%} of {'the best measured rate' if ceilings.is_measured else 'the published peak'} in "
        f"training, {serve.compute_share:.0%} in serving"
    )
    if decode.memory_share is not None and train.memory_share is not None:
        more = "decoding" if decode.memory_share >= train.memory_share else "training"
        text += (
            f". The memory is pressed harder by {more}: "
            f"{decode.memory_share:.0%} of its bandwidth in decoding, {train.memory_share:.0%} in training"
        )
    if train.watts is not None and serve.watts is not None:
        told = "Measured" if train.is_draw_measured and serve.is_draw_measured else "Estimated"
        text += f". {told} draw: {train.watts.mid:.0f} W in training, {serve.watts.mid:.0f} W in serving"
        text += "" if _draws_more(phases) else ", which their ranges do not tell apart"
    return f"{text}."
