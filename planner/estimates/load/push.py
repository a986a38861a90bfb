"""Training against inference of one model on one kind of GPU: which of them pushes it harder, and where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from planner.calibration.sample import Operation
from planner.estimates.answer import work_out
from planner.estimates.estimate import Placement
from planner.estimates.load.demand import Demand
from planner.estimates.load.replica import Replica
from planner.estimates.load.sizing import Sized
from planner.estimates.outcome import Outcome
from planner.hardware.gpu import Dtype
from planner.jobs.job import TrainingJob
from planner.jobs.operations import model_forward_flops, model_training_flops

TRAINED_SEQUENCE = 2_048
TRAINED_BATCH = 8
NO_LIMIT = 1e18  # bytes: what fits is another question than how hard it works


@dataclass(frozen=True, slots=True)
class Push:
    """Shares of the published peak: arithmetic of training, of serving while it steps, and the memory bandwidth that
    decoding takes. None where a figure is not known. Watts per GPU are as measured beside each, None: not measured."""

    sentence: str
    training_compute: float | None
    serving_compute: float | None
    decoding_bandwidth: float | None
    training_watts: float | None = None
    decoding_watts: float | None = None


def push(option: Sized, replica: Replica, placement: Placement, demand: Demand) -> Push:
    """How hard the sized replica works beside a training step of the same model in the same format."""
    gpu, job = placement.gpu, replica.job
    peak = gpu.peak(job.dtype)
    bandwidth = None if gpu.memory_bandwidth is None else gpu.memory_bandwidth.value
    training = None if peak is None else _training(replica, placement, peak)
    serving = None if peak is None else _serving(option, replica, demand, peak)
    decoding = None if bandwidth is None else _decoding(option, replica, demand, bandwidth)
    fit = replica.profile.fit
    watts: tuple[float | None, float | None] = (None, None)
    if fit is not None:
        watts = fit.power_watts.get(Operation.TRAIN_STEP), fit.power_watts.get(Operation.DECODE)
    sentence = _sentence(replica, gpu.key, training, serving, decoding, watts)
    return Push(sentence, training, serving, decoding, *watts)


def _training(replica: Replica, placement: Placement, peak: float) -> float | None:
    network, profile = replica.architecture, replica.profile
    sequence = min(TRAINED_SEQUENCE, network.max_positions or TRAINED_SEQUENCE)
    job = TrainingJob(
        name="the same model, trained",
        architecture=network,
        num_tokens=float(sequence * TRAINED_BATCH),
        sequence_length=sequence,
        global_batch=TRAINED_BATCH,
        dtype=replica.job.dtype if replica.job.dtype in (Dtype.BF16, Dtype.FP16, Dtype.FP32, Dtype.FP8) else Dtype.BF16,
    )
    if job.dtype is not replica.job.dtype:
        return None
    alone = replace(placement, num_gpus=Decimal(1), num_nodes=1)
    chosen = None
    if profile.fit is not None and profile.fit_id is not None:
        chosen = (profile.fit_id, profile.fit, placement.device_id is not None)
    found = work_out(job, alone, chosen, NO_LIMIT)
    if not isinstance(found, Outcome):
        return None
    flops = float(model_training_flops(network, TRAINED_BATCH, sequence))
    return flops / (found.step_seconds.mid * peak)


def _serving(option: Sized, replica: Replica, demand: Demand, peak: float) -> float:
    prompt, output = demand.sizes.mean_prompt, demand.sizes.mean_output
    flops = float(model_forward_flops(replica.architecture, 1.0, prompt, 0.0, 1.0))
    flops += (output - 1.0) * float(model_forward_flops(replica.architecture, 1.0, 1.0, prompt + 0.5 * output))
    busy = max(option.busy_share, 1e-9)
    return flops * option.rate_per_replica / (busy * option.way.gpus_per_replica * peak)


def _decoding(option: Sized, replica: Replica, demand: Demand, bandwidth: float) -> float:
    batch = max(1, round(option.concurrent))
    cached = batch * (demand.sizes.mean_prompt + 0.5 * demand.sizes.mean_output)
    num_bytes = replica.weight_bytes + cached * replica.steps.kv_bytes_per_token / replica.num_gpus
    seconds = option.way.table.decode(min(batch, option.way.table.max_batch), cached)
    return num_bytes / (seconds * bandwidth)


def _sentence(
    replica: Replica,
    key: str,
    training: float | None,
    serving: float | None,
    decoding: float | None,
    watts: tuple[float | None, float | None],
) -> str:
    name = replica.architecture.name
    if training is None or serving is None:
        return f"Whether training or serving {name} pushes the {key} harder is not known: a peak or format is missing."
    harder, factor = ("training", training / serving) if training >= serving else ("serving", serving / training)
    text = (
        f"On the {key}, training {name} uses {training:.0%} of the published arithmetic and serving these requests "
        f"{serving:.0%} while it steps: {harder} pushes it {factor:.1f} times as hard"
    )
    if decoding is not None:
        text += f"; decoding uses {decoding:.0%} of the memory bandwidth instead"
    if watts[0] is not None and watts[1] is not None:
        more = "training" if watts[0] >= watts[1] else "decoding"
        text += f". Measured draw: {watts[0]:.0f} W in training steps, {watts[1]:.0f} W in decoding: {more} draws more"
    else:
        text += ". The draw of both was not measured here"
    return text + "."
