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
from planner.estimates.profile import Lack
from planner.hardware.gpu import Dtype
from planner.jobs.architecture import Transformer
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
class Press:
    """One phase on one GPU. `compute_share` of the peak of its format, `memory_share` of the bandwidth (of the bytes
    that the work must move); None: not known. `watts` says by its basis whether it was measured."""

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
    found = [_trained(question, alone, train, chosen)]
    for phase in (Phase.PROMPTS, Phase.DECODING, Phase.SERVING):
        served = work_out(_inference(question, phase), alone, chosen, NO_LIMIT)
        if isinstance(served, Lack):
            return served.reason
        found.append(_served(question, alone, phase, served, chosen))
    phases = tuple(found)
    return Pressure(
        title=placement.title,
        gpu_key=placement.gpu.key,
        phases=phases,
        sentence=_sentence(question, placement.gpu.key, phases),
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


def _trained(question: Question, placement: Placement, outcome: Outcome, chosen: Chosen) -> Press:
    network, seconds = question.architecture, outcome.step_seconds
    tokens = question.sequence_length * question.batch
    flops = float(model_training_flops(network, question.batch, question.sequence_length))
    through = Pass(float(question.batch), float(question.sequence_length), question.dtype)
    work = training_work(network, through, float(network.num_parameters))
    parts = (*work.forward, *work.backward, *work.recompute, *work.optimizer)
    num_bytes = float(np.sum(total_bytes(parts)))
    found = _press(Phase.TRAINING, placement, question, outcome, seconds, tokens, flops, num_bytes)
    return replace(found, is_draw_measured=_measured_watts(chosen, Operation.TRAIN_STEP, outcome) is not None)


def _served(question: Question, placement: Placement, phase: Phase, outcome: Outcome, chosen: Chosen) -> Press:
    network, prompt, output = question.architecture, question.prompt_tokens, question.output_tokens
    weights = float(np.sum(weight_bytes(network, question.dtype)))
    cached = float(np.sum(kv_bytes_per_token(network, question.dtype)))
    context = prompt + 0.5 * output
    taken = float(model_forward_flops(network, 1.0, prompt, 0.0, 1.0))
    step = float(model_forward_flops(network, 1.0, 1.0, context))
    if phase is Phase.PROMPTS:
        seconds = outcome.extras["first_token_seconds"]
        return _press(phase, placement, question, outcome, seconds, prompt, taken, weights + prompt * cached)
    if phase is Phase.DECODING:
        batch = question.concurrency
        moved = weights + batch * context * cached
        found = _press(phase, placement, question, outcome, outcome.step_seconds, batch, batch * step, moved)
        watts = _measured_watts(chosen, Operation.DECODE, outcome)
        return replace(found, watts=watts, joules_per_token=None, is_draw_measured=watts is not None)
    rate = outcome.extras["requests_per_second"].mid
    steps = rate * output / question.concurrency
    flops = rate * (taken + (output - 1.0) * step)
    moved = rate * (weights + prompt * cached) + steps * (weights + question.concurrency * context * cached)
    second = Quantity.exact(1.0, "s", outcome.basis)
    found = _press(phase, placement, question, outcome, second, rate * (prompt + output), flops, moved)
    measured = _measured_watts(chosen, Operation.DECODE, outcome)
    return replace(found, seconds=outcome.extras["request_seconds"], is_draw_measured=measured is not None)


def _measured_watts(chosen: Chosen, operation: Operation, outcome: Outcome) -> Quantity | None:
    """Watts beside the measured benches of that kind; None where they were not measured."""
    watts = None if chosen is None else chosen[1].power_watts.get(operation)
    return None if watts is None else Quantity.exact(watts, "W", outcome.basis)


def _press(
    phase: Phase,
    placement: Placement,
    question: Question,
    outcome: Outcome,
    seconds: Quantity,
    tokens: float,
    flops: float,
    num_bytes: float,
) -> Press:
    peak = placement.gpu.peak(question.dtype)
    bandwidth = None if placement.gpu.memory_bandwidth is None else placement.gpu.memory_bandwidth.value
    watts = outcome.average_power_watts
    rate = tokens / seconds.mid
    return Press(
        phase=phase,
        seconds=seconds,
        tokens_per_second=rate,
        compute_share=None if peak is None else flops / (seconds.mid * peak),
        memory_share=None if bandwidth is None else num_bytes / (seconds.mid * bandwidth),
        watts=watts,
        joules_per_token=None if watts is None else watts.mid / rate,
        bound=outcome.bottleneck,
    )


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


def _sentence(question: Question, key: str, phases: tuple[Press, ...]) -> str:
    by = {press.phase: press for press in phases}
    train, serve, decode = by[Phase.TRAINING], by[Phase.SERVING], by[Phase.DECODING]
    name = question.architecture.name
    if train.compute_share is None or serve.compute_share is None:
        return f"Whether training or serving {name} presses the {key} harder is not known: a published peak is missing."
    harder, factor = ("Training", train.compute_share / serve.compute_share)
    if factor < 1.0:
        harder, factor = "Serving", 1.0 / factor
    text = (
        f"{harder} {name} presses the arithmetic of the {key} {factor:.1f} times as hard: "
        f"{train.compute_share:.0%} of the published peak in training, {serve.compute_share:.0%} in serving"
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
