"""Training beside inference on one device, and one job on the CPU beside the GPU: both as measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from planner import units
from planner.calibration.comparison import SIDES, Side, compare
from planner.calibration.fit import Fit
from planner.calibration.run_states import RunState
from planner.calibration.sample import Operation, Sample
from planner.errors import NotFound
from planner.estimates.answer import answer
from planner.estimates.estimate import Option, Placement
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from planner.jobs.document import job_sentence
from planner.jobs.job import Job
from planner.jobs.presets import JOBS
from planner.quantity import Basis, Quantity
from planner.services.devices import DeviceView, device_row, list_devices
from planner.services.estimates import device_gpu
from planner.services.fits import newest_fits
from planner.store import runs as store
from planner.store.engine import Session

NUM_RUNS = 20  # looked through for one that measured both sides
MEASURED = (Basis.MEASURED, Basis.INTERPOLATED)


@dataclass(frozen=True, slots=True)
class Sides:
    """Training and inference in one number format, each at its highest throughput; None is what was not measured.

    `names` are in words by operation; `unknown` says why a figure is missing.
    """

    dtype: Dtype
    sides: Mapping[Operation, Side]
    names: Mapping[Operation, str]
    sentence: str
    unknown: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TrainingAgainstInference:
    """What the device's newest run that measured both says; without one, `reason` says what is missing."""

    device_id: str
    run_id: str | None
    measured_at: datetime | None
    formats: tuple[Sides, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class OnDevice:
    """A job on one device, drawn from that device's own fit; without figures `reason` says why there are none."""

    device_id: str
    device_name: str
    backend: Backend
    seconds: Quantity | None
    tokens_per_second: Quantity | None
    energy_joules: Quantity | None
    fit_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class CpuAgainstGpu:
    """One job on every device measured here; `times_faster` is GPU ÷ CPU tokens per second, of the fastest each."""

    preset: str
    job: str
    devices: tuple[OnDevice, ...]
    times_faster: float | None
    sentence: str


def training_against_inference(session: Session, device_id: str) -> TrainingAgainstInference:
    """Training against inference on this device, in each number format that both were measured in. Raises NotFound."""
    device_row(session, device_id)
    rows = [run for run, _ in store.newest_runs(session, NUM_RUNS, device_id, RunState.SUCCEEDED.value)]
    samples = store.samples_by_run(session, [row.id for row in rows])
    for row in rows:
        formats = _formats(samples[row.id])
        if formats:
            return TrainingAgainstInference(device_id, row.id, row.started_at, formats, "")
    reason = "no run that succeeded measured both a training step and inference; the quick suite does"
    return TrainingAgainstInference(device_id, None, None, (), reason)


def _formats(samples: list[Sample]) -> tuple[Sides, ...]:
    found = []
    for dtype in sorted({sample.bench.dtype for sample in samples}):
        compared = compare(samples, dtype)
        if Operation.TRAIN_STEP in compared.sides and len(compared.sides) > 1:
            names = {operation: SIDES[operation] for operation in compared.sides}
            found.append(Sides(dtype, compared.sides, names, compared.sentence, _unknown(compared.sides)))
    return tuple(found)


def _unknown(sides: Mapping[Operation, Side]) -> dict[str, str]:
    found: dict[str, str] = {}
    if any(side.power_watts is None for side in sides.values()):
        no_power = "the driver told no power beside that run"
        found |= {"power_watts": no_power, "joules_per_token": no_power}
    if any(side.compute_share is None for side in sides.values()):
        found["compute_share"] = "the run measured no products in this format"
    if any(side.memory_share is None for side in sides.values()):
        found["memory_share"] = "the run measured no copies"
    if any(side.peak_memory_bytes is None for side in sides.values()):
        found["peak_memory_bytes"] = "the device does not tell how much memory was in use at most"
    return found


def cpu_against_gpu(session: Session, preset: str) -> CpuAgainstGpu:
    """A ready job on each measured device, from its own fit alone. Raises NotFound for a preset that there is not."""
    if preset not in JOBS:
        raise NotFound(f"there is no ready job {preset!r}; there are: {', '.join(JOBS)}")
    job, fits = JOBS[preset].job, newest_fits(session)
    devices = [device for device in list_devices(session) if device.id in fits]
    found = tuple(_on_device(job, device, fits) for device in devices)
    fastest = {
        is_cpu: min(
            (one for one in found if one.tokens_per_second is not None and (one.backend is Backend.CPU) == is_cpu),
            key=lambda one: -_rate(one),
            default=None,
        )
        for is_cpu in (True, False)
    }
    cpu, gpu = fastest[True], fastest[False]
    times = None if cpu is None or gpu is None else _rate(gpu) / _rate(cpu)
    return CpuAgainstGpu(preset, job_sentence(job), found, times, _sentence(cpu, gpu, times))


def _rate(one: OnDevice) -> float:
    return 0.0 if one.tokens_per_second is None else one.tokens_per_second.mid


def _on_device(job: Job, device: DeviceView, fits: Mapping[str, tuple[str, Fit]]) -> OnDevice:
    placement = Placement(
        gpu=device_gpu(device),
        num_gpus=Decimal(1),
        device_id=device.id,
        device_name=device.name,
        device_memory_bytes=device.memory_bytes,
    )
    made = answer(job, [placement], fits)
    option: Option | None = made.options[0] if made.options else None
    if option is None:
        return OnDevice(device.id, device.name, device.backend, None, None, None, None, made.rejections[0].reason)
    if option.basis not in MEASURED or option.fit_id != fits[device.id][0]:
        reason = f"its own measurements do not reach this job: what there is is {option.basis.value}"
        return OnDevice(device.id, device.name, device.backend, None, None, None, option.fit_id, reason)
    return OnDevice(
        device.id,
        device.name,
        device.backend,
        option.seconds,
        option.tokens_per_second,
        option.energy_joules,
        option.fit_id,
        option.unknown.get("seconds", ""),
    )


def _sentence(cpu: OnDevice | None, gpu: OnDevice | None, times: float | None) -> str:
    if times is None or cpu is None or gpu is None:
        missing = [name for name, one in (("CPU", cpu), ("GPU", gpu)) if one is None]
        return f"Unknown: no measured {' and no measured '.join(missing)} here does this job."
    factor = f"{times:.3g} times" if times >= 1 else f"{times:.2f} times"
    if cpu.seconds is None or gpu.seconds is None:
        return f"{gpu.device_name} gives {factor} the tokens per second of {cpu.device_name}."
    before, after = (units.format_seconds(one.seconds.mid) for one in (cpu, gpu) if one.seconds is not None)
    return f"{before} on {cpu.device_name} → {after} on {gpu.device_name}: {factor} as fast."
