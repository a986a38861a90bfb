"""What a measurement is worth to an estimate: which benches would narrow it most, for how many minutes of a device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from planner.calibration.correction import block_shape, family_of
from planner.calibration.sample import Bench, Operation
from planner.calibration.suites import Suite, custom_suite, get_suite, total_expected_seconds
from planner.calibration.theory import bench_architecture
from planner.calibration.worth import MEASURED_WIDTH, TELLS, Part, width_of, worths
from planner.estimates.communication import BESIDE_A_JOB, communication_cause
from planner.estimates.estimate import Option
from planner.estimates.profile import OTHER_SHAPE
from planner.hardware.gpu import Dtype
from planner.inventory.device import DeviceState
from planner.jobs.architecture import Transformer
from planner.jobs.job import Job, TrainingJob
from planner.quantity import Cause, Quantity
from planner.services.devices import device_row, list_devices
from planner.services.estimates import get_estimate
from planner.services.fits import newest_fits
from planner.services.node_groups import devices_of, leads
from planner.services.suites import benches_for
from planner.store.engine import Session
from planner.store.tables import DeviceRow

# What can be measured away, by how the cause of a range ends: the kinds of bench that tell about it.
OPERATIONS = {"training": Operation.TRAIN_STEP, "prefill": Operation.PREFILL, "decode": Operation.DECODE}
PHASES = {"prefill": "prefill", "decode": "decode", "train_step": "training"}
MEASURED_AWAY = (
    "not measured",
    "only one sample",
    "published efficiency",
    "published runs of this kind",
    "another card of the same model",
)
BETWEEN_SHAPES = 0.10  # what several measured shapes leave open of another one (assumed)
LEAST_NARROWING = 0.05  # of the range's width; less is not worth a run
NEEDED = frozenset({Operation.MATMUL, Operation.COPY})  # without them no efficiency can be drawn from anything else


@dataclass(frozen=True, slots=True)
class Measurement:
    """A run worth making: its suite's name says what it measures; widths are log half-widths of the estimate."""

    device_id: str
    device_name: str
    suite: str
    kind: str
    num_benches: int
    minutes: float
    width_before: float
    width_after: float
    sentence: str


@dataclass(frozen=True, slots=True)
class EstimateWorth:
    """What would narrow an estimate, most per minute first; `stays` are causes that no bench here takes away."""

    estimate_id: str
    measurements: tuple[Measurement, ...]
    stays: tuple[Cause, ...]
    reason: str  # why there is nothing to measure; empty where there is


def estimate_worth(session: Session, estimate_id: str) -> EstimateWorth:
    """The measurements that would narrow the estimate's options on attached devices. Raises NotFound."""
    view = get_estimate(session, estimate_id)
    phases = ("train_step",) if isinstance(view.job, TrainingJob) else ("prefill", "decode")
    found: list[Measurement] = []
    stays: tuple[Cause, ...] = ()
    attached = [option for option in view.answer.options if option.placement.device_id is not None]
    can_help = False
    for option in attached:
        if option.placement.num_gpus != 1:
            continue
        device = device_row(session, option.placement.device_id or "")
        listed = benches_for(device, get_suite("standard")) if device.state == DeviceState.OK else ()
        parts, rest = _parts(option, phases, view.job, listed)
        stays, can_help = stays or rest, can_help or bool(parts)
        found += _measurements(_Place(device, listed, option.fit_id is not None), [*parts, *_unmoved(rest)], view.job)
    found += _between(session, view.answer.options)
    found.sort(key=lambda one: (one.width_after - one.width_before) / one.minutes)
    return EstimateWorth(estimate_id, tuple(found), stays, _reason(found, attached, can_help))


def _between(session: Session, options: Sequence[Option]) -> list[Measurement]:
    """What measuring the exchange between the equal devices of a node would do to the best option that rests on it.

    Only where one of them has a fit already: the exchange alone gives none.
    """
    suite, fits = get_suite("links"), newest_fits(session)
    found = []
    for listed in list_devices(session):
        device = device_row(session, listed.id)
        if device.gpu_key is None or device.state != DeviceState.OK or not leads(session, device, suite):
            continue
        equals = devices_of(session, device, suite)
        option = next((one for one in options if _is_among(one, device.gpu_key)), None)
        if option is None or not any(one.id in fits for one in equals):
            continue
        benches = benches_for(device, suite, len(equals))
        known = worths(_exchange_parts(option), benches, are_whole=False)
        found += [
            Measurement(
                device_id=device.id,
                device_name=f"{len(equals)} × {device.name} together",
                suite=suite.name,
                kind=worth.kind,
                num_benches=len(benches),
                minutes=total_expected_seconds(benches) / 60,
                width_before=worth.width_before,
                width_after=worth.width_after,
                sentence=_sentence(
                    f"the exchange between {len(equals)} × {device.name}",
                    total_expected_seconds(benches) / 60,
                    worth.width_before,
                    worth.width_after,
                ),
            )
            for worth in known
            if worth.narrowing >= LEAST_NARROWING
        ]
    return found


def _is_among(option: Option, gpu_key: str) -> bool:
    """Whether an option is of several such GPUs and rests on what they exchange."""
    is_measured = option.fit_id is not None and option.placement.gpu.key == gpu_key
    return is_measured and option.placement.num_gpus > 1 and any(map(_is_exchange, _quantity(option).causes))


def _is_exchange(cause: Cause) -> bool:
    """Whether a cause is that nobody measured what the GPUs exchange."""
    return cause.name.removeprefix("decode: ").removeprefix("prefill: ") == communication_cause(None).name


def _exchange_parts(option: Option) -> list[Part]:
    """The causes of an option's range: what its GPUs exchange, which measuring leaves as wide as a job beside it
    makes it, and all others, which stay."""
    guessed = communication_cause(None)
    left = math.hypot(MEASURED_WIDTH, BESIDE_A_JOB) / guessed.spread
    causes = _quantity(option).causes
    ours = [cause for cause in causes if _is_exchange(cause)]
    parts = [Part("exchange", 1.0, cause.spread, left=cause.spread * min(left, 1.0)) for cause in ours]
    return [*parts, *_unmoved([cause for cause in causes if cause not in ours])]


@dataclass(frozen=True, slots=True)
class _Place:
    """A device, the benches it can run, and whether it has a fit that a part can be added to."""

    device: DeviceRow
    benches: tuple[Bench, ...]
    has_fit: bool

    @property
    def needed(self) -> frozenset[Operation]:
        return frozenset() if self.has_fit else NEEDED

    def suite_of(self, operations: frozenset[Operation], dtype: Dtype) -> tuple[Suite, tuple[Bench, ...]]:
        """The custom suite that measures them in that format; the quick one where there is no fit to add to."""
        suite = get_suite("quick")
        if self.has_fit:
            suite = custom_suite(operations & {bench.operation for bench in self.benches}, {dtype})
        return suite, benches_for(self.device, suite)


def _reason(found: Sequence[Measurement], attached: Sequence[Option], can_help: bool) -> str:
    if found:
        return ""
    if not attached:
        return "no attached device can do this job, so there is nothing to measure it on"
    if can_help:
        return "the suite's benches are too unlike this job: what they would leave open is as wide as this range"
    return "what widens this estimate is no lack of measurements: repeating them would not narrow it"


def _quantity(option: Option) -> Quantity:
    return option.seconds if option.seconds is not None else option.tokens_per_second


def _parts(
    option: Option, phases: Sequence[str], job: Job, benches: Sequence[Bench]
) -> tuple[list[Part], tuple[Cause, ...]]:
    """The causes of the range that measuring would reduce, as parts, and those that it would not."""
    reached: list[tuple[Cause, list[str]]] = []
    rest: list[Cause] = []
    for cause in _quantity(option).causes:
        kinds = _kinds(cause.name, phases)
        if kinds:
            reached.append((cause, kinds))
        else:
            rest.append(cause)
    whole = sum(cause.spread for cause, _ in reached) if len(phases) > 1 else 0.0
    parts = []
    for cause, kinds in reached:
        share = cause.spread / whole if whole else 1.0  # the phases' widths are alike, so their parts tell their shares
        width = cause.spread / share / len(kinds) ** 0.5
        parts += [Part(kind, share, width, job.dtype, left_open(kind, job, benches)) for kind in kinds]
    return parts, tuple(rest)


def left_open(kind: str, job: Job, benches: Sequence[Bench]) -> float:
    """The log half-width that a fit leaves a phase with: more where the job's blocks are none of the benches'."""
    operation = OPERATIONS.get(kind)
    if operation is None or not isinstance(job.architecture, Transformer):
        return MEASURED_WIDTH
    family = family_of(job.architecture)
    networks = [bench_architecture(bench) for bench in benches if bench.operation is operation]
    shapes = {block_shape(network) for network in networks if family_of(network) is family}
    if block_shape(job.architecture) in shapes:
        return MEASURED_WIDTH
    num_widths = len({hidden for hidden, *_ in shapes})
    return math.hypot(MEASURED_WIDTH, OTHER_SHAPE[operation] if num_widths < 2 else BETWEEN_SHAPES)


def _kinds(name: str, phases: Sequence[str]) -> list[str]:
    """Which kinds of bench speak of a cause, by its name; none where measuring does not help."""
    own = [phase for phase in phases if name.startswith((f"{phase}: ", f"{phase} not measured"))]
    reached = [PHASES[phase] for phase in own or phases]
    if name.endswith("products not measured"):
        return ["products"]
    return reached if name.endswith(MEASURED_AWAY) else []


def _unmoved(causes: Sequence[Cause]) -> list[Part]:
    return [Part("rest", 1.0, cause.spread) for cause in causes]


def _measurements(place: _Place, parts: Sequence[Part], job: Job) -> list[Measurement]:
    """A run for each kind of bench that narrows the estimate, and one of all of them where there are several.

    Without a fit a part alone gives none: then it is all of them, by the quick suite.
    """
    single = [
        _measurement(place, worth.kind, TELLS[worth.kind], worth.width_before, worth.width_after, job.dtype)
        for worth in worths(parts, place.benches, are_whole=False, needed=place.needed)
        if worth.narrowing >= LEAST_NARROWING
    ]
    if len(single) < 2:
        return single
    gone = sum(one.width_before**2 - one.width_after**2 for one in single)
    before = width_of(parts)
    operations = frozenset[Operation]().union(*(TELLS[one.kind] for one in single))
    after = max(0.0, before**2 - gone) ** 0.5
    together = _measurement(place, " and ".join(one.kind for one in single), operations, before, after, job.dtype)
    return [*single, together] if place.has_fit else [together]


def _measurement(
    place: _Place, kind: str, operations: frozenset[Operation], before: float, after: float, dtype: Dtype
) -> Measurement:
    suite, benches = place.suite_of(operations, dtype)
    minutes = total_expected_seconds(benches) / 60
    return Measurement(
        device_id=place.device.id,
        device_name=place.device.name,
        suite=suite.name,
        kind=kind,
        num_benches=len(benches),
        minutes=minutes,
        width_before=before,
        width_after=after,
        sentence=_sentence(kind, minutes, before, after),
    )


def _sentence(kind: str, minutes: float, before: float, after: float) -> str:
    return f"Measuring {kind} takes about {minutes:.1f} minutes and narrows ±{before:.0%} to ±{after:.0%}."
