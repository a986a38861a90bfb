"""Ask for calibration runs, carry them through their states, and draw a new fit from what they measured.

The worker's three steps are here as well: `claim_run` and `begin_run` (load), `note_progress` (a short transaction a
second while the child measures), `finish_run` (apply: samples, the rest of the telemetry, final state and fit in one
transaction, and only while the claim's fence is the newest). docs/worker.md tells the whole of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from ulid import ULID

from planner import units
from planner.calibration.fit import FIT_FORM, Fit, fit_samples
from planner.calibration.run_states import RunState
from planner.calibration.sample import WORDS, Bench, BenchFailure, Operation, Sample
from planner.calibration.suites import SUITES, Suite, get_suite, total_expected_seconds
from planner.calibration.verdict import why_restless
from planner.errors import Conflict, InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue, unlisted_gpu
from planner.hardware.gpu import Dtype, Gpu, GpuKind
from planner.inventory.device import Backend, DeviceState
from planner.store import devices as device_store
from planner.store import fits as fit_store
from planner.store import leases
from planner.store import runs as store
from planner.store.engine import Session
from planner.store.tables import DeviceRow, RunRow

WATTS = "power_watts"  # mean power while the bench ran, among the details of its sample


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """What a run would measure, how long it takes on a typical device of the kind, and when it stops at the latest."""

    device_id: str
    suite: str
    suite_version: int
    benches: tuple[Bench, ...]
    num_benches: int
    expected_seconds: float
    time_limit_seconds: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a run: when, to which state, by whom, under which fence, why."""

    at: datetime
    state: RunState
    actor: str
    fence: int | None
    reason: str


class Reading(Protocol):
    """A look at the device beside the run (see planner.store.runs.READING_FIELDS)."""

    @property
    def seconds_in(self) -> float: ...
    @property
    def power_watts(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class TelemetryPoint:
    """One reading beside a run; None is what the driver did not tell."""

    seconds_in: float
    power_watts: float | None
    energy_joules: float | None
    temperature_celsius: float | None
    clock_hz: float | None
    memory_clock_hz: float | None
    utilization: float | None
    memory_used_bytes: int | None
    throttle_reasons: int | None


@dataclass(frozen=True, slots=True)
class RunView:
    """A run for lists; `RunDetail` adds what it measured."""

    id: str
    device_id: str
    device_name: str
    suite: str
    suite_version: int
    state: RunState
    schedule_id: str | None
    due_at: datetime | None
    num_missed: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    num_benches: int
    num_done: int
    current_bench: str | None
    time_limit_seconds: float
    error: str | None
    worker_id: str | None
    code_version: str

    @property
    def is_final(self) -> bool:
        return self.state.is_final

    @property
    def seconds(self) -> float | None:
        """How long it ran, None while it has not ended or never started."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class RunDetail(RunView):
    """A run with its samples and failures (in the suite's order), telemetry, conditions and history."""

    samples: tuple[Sample, ...]
    failures: tuple[BenchFailure, ...]
    telemetry: tuple[TelemetryPoint, ...]
    conditions: Mapping[str, Any]
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that a worker holds, with all it needs to measure without the database."""

    run_id: str
    device_id: str
    device_uuid: str
    backend: Backend
    benches: tuple[Bench, ...]
    time_limit_seconds: float
    lease: leases.Lease


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a worker learns when it reports: the lease as renewed (None: lost it), and whether to stop."""

    lease: leases.Lease | None
    cancel_requested: bool


def plan_calibration(session: Session, device_id: str, suite_name: str) -> CalibrationPlan:
    """What measuring this device with that suite would do. Raises NotFound or InvalidInput."""
    device = _device(session, device_id)
    suite = _suite(suite_name)
    benches = _benches(device, suite)
    expected = total_expected_seconds(benches)
    return CalibrationPlan(
        device_id=device.id,
        suite=suite.name,
        suite_version=suite.version,
        benches=benches,
        num_benches=len(benches),
        expected_seconds=expected,
        time_limit_seconds=suite.time_limit_seconds,
        sentence=_plan_sentence(benches),
    )


def request_run(
    session: Session,
    device_id: str,
    suite_name: str,
    now: datetime,
    *,
    code_version: str,
    actor: str = "user",
) -> RunView:
    """Queue a run. Raises Conflict while the device has one under way, or is not fit for work.

    A run whose worker is gone is ended first: it must not keep the device from work where no worker looks after it.
    """
    device = _device(session, device_id)
    suite = _suite(suite_name)
    if device.state != DeviceState.OK:
        raise Conflict(f"{device.name} is {device.state}: {device.state_reason}")
    mark_lost(session, now, actor)
    device_store.take_turns(session, device_id)
    under_way = store.active_run(session, device_id)
    if under_way is not None:
        raise Conflict(f"{device.name} has a calibration under way ({under_way.id}, {under_way.state})")
    run = new_run_row(device, suite, now, code_version)
    store.add_run(session, run, now, actor, "asked for")
    return run_view(run, device)


def new_run_row(device: DeviceRow, suite: Suite, now: datetime, code_version: str) -> RunRow:
    """A queued run of this device, not yet stored."""
    return RunRow(
        id=str(ULID.from_datetime(now)),
        num_missed=0,
        device_id=device.id,
        suite=suite.name,
        suite_version=suite.version,
        time_limit_seconds=suite.time_limit_seconds,
        state=RunState.QUEUED.value,
        created_at=now,
        num_benches=len(_benches(device, suite)),
        num_done=0,
        conditions={},
        code_version=code_version,
    )


def cancel_run(session: Session, run_id: str, now: datetime, actor: str = "user") -> RunView:
    """End a queued run at once, or ask a running one's worker to stop. Raises NotFound, or Conflict after its end."""
    run = store.get_run(session, run_id, lock=True)
    if run is None:
        raise NotFound(f"there is no calibration run {run_id!r}")
    state = RunState(run.state)
    if state.is_final:
        raise Conflict(f"run {run_id} has ended already ({state})")
    if state is RunState.QUEUED:
        store.move(session, run, RunState.CANCELLED, now, actor, "cancelled before it began")
    elif run.cancel_requested_at is None:
        run.cancel_requested_at = now
        session.flush()
    return run_view(run, _device(session, run.device_id))


def list_runs(
    session: Session,
    limit: int = 50,
    device_id: str | None = None,
    state: str | None = None,
    after: str | None = None,
) -> list[RunView]:
    """The newest first; `after` is the id of the last one already seen."""
    return [run_view(run, device) for run, device in store.newest_runs(session, limit, device_id, state, after)]


def get_run(session: Session, run_id: str) -> RunDetail:
    """The run with all that it measured; raises NotFound."""
    run = store.get_run(session, run_id)
    if run is None:
        raise NotFound(f"there is no calibration run {run_id!r}")
    view = run_view(run, _device(session, run.device_id))
    outcomes = [stored.outcome for stored in store.samples_of(session, [run_id])]
    return RunDetail(
        **{name: getattr(view, name) for name in RunView.__dataclass_fields__},
        samples=tuple(outcome for outcome in outcomes if isinstance(outcome, Sample)),
        failures=tuple(outcome for outcome in outcomes if isinstance(outcome, BenchFailure)),
        telemetry=tuple(
            TelemetryPoint(**{name: getattr(row, name) for name in store.READING_FIELDS})
            for row in store.readings_of(session, run_id)
        ),
        conditions=run.conditions,
        transitions=tuple(
            Transition(row.at, RunState(row.state), row.actor, row.fence, row.reason)
            for row in store.transitions(session, run_id)
        ),
    )


def claim_run(
    session: Session,
    node_id: str,
    worker_id: str,
    boot_id: str,
    term: timedelta,
    now: datetime,
    run_id: str | None = None,
) -> ClaimedRun | None:
    """The node's oldest queued run (or the one of `run_id`), claimed with a new fence; None where none can be taken.

    A node does one run at a time: a run on the CPU would disturb one on a GPU beside it. A queued run that cannot be
    done any more, because its device is gone or this code knows its suite no longer, is cancelled and says so.
    """
    queued = store.queued_runs(session, node_id)
    if store.num_held_runs(session, node_id):
        return None
    for run, device in queued:
        if run_id is not None and run.id != run_id:
            continue
        obstacle = _obstacle(run, device)
        if obstacle:
            run.error = obstacle
            store.move(session, run, RunState.CANCELLED, now, worker_id, obstacle)
            continue
        lease = leases.claim(session, store.lease_name(device.uuid), worker_id, boot_id, term, run.id)
        if lease is not None:
            return _claimed(session, run, device, lease, now)
    return None


def _obstacle(run: RunRow, device: DeviceRow) -> str:
    if device.state != DeviceState.OK:
        return f"the device is {device.state}: {device.state_reason}"
    if run.suite not in SUITES:
        return f"there is no suite {run.suite!r} any more"
    return ""


def _claimed(session: Session, run: RunRow, device: DeviceRow, lease: leases.Lease, now: datetime) -> ClaimedRun:
    """The run as taken: with the suite of the code that measures, which may be newer than the code that asked."""
    suite = SUITES[run.suite]
    benches = _benches(device, suite)
    run.worker_id, run.fence = lease.holder, lease.fence
    run.suite_version, run.num_benches, run.time_limit_seconds = suite.version, len(benches), suite.time_limit_seconds
    store.move(session, run, RunState.CLAIMED, now, lease.holder)
    return ClaimedRun(
        run_id=run.id,
        device_id=device.id,
        device_uuid=device.uuid,
        backend=Backend(device.backend),
        benches=benches,
        time_limit_seconds=run.time_limit_seconds,
        lease=lease,
    )


def begin_run(session: Session, claim: ClaimedRun, now: datetime) -> bool:
    """Mark the claimed run as running; False where the claim is not the newest any more."""
    run = _held(session, claim)
    if run is None:
        return False
    store.move(session, run, RunState.RUNNING, now, claim.lease.holder)
    return True


def note_progress(
    session: Session,
    claim: ClaimedRun,
    num_done: int,
    current_bench: str | None,
    term: timedelta,
    readings: Sequence[Reading] = (),
) -> Pulse:
    """Show how far the run is and what was read beside it, and renew the lease.

    A lost lease (nothing is stored then) or a request to cancel means: stop the child.
    """
    lease = leases.renew(session, claim.lease, term)
    if lease is None or not store.set_progress(session, claim.run_id, claim.lease.fence, num_done, current_bench):
        return Pulse(None, False)
    store.add_readings(session, claim.run_id, readings)
    run = store.get_run(session, claim.run_id)
    return Pulse(lease, run is not None and run.cancel_requested_at is not None)


def finish_run(
    session: Session,
    claim: ClaimedRun,
    state: RunState,
    outcomes: Mapping[int, Sample | BenchFailure],
    readings: Sequence[Reading],
    power_watts: Mapping[str, float],
    conditions: Mapping[str, Any],
    error: str,
    now: datetime,
    code_version: str,
) -> bool:
    """Store what the run gave, its final state and, if it succeeded, a new fit; with an old fence, nothing of it.

    `readings` are those not noted yet; `power_watts` holds the mean power by bench key, where it was read. Returns
    False where another claim has come since or the run was given up: what a zombie measured is not taken. To say it
    twice, because the answer to the first commit was lost, is True twice and stores once.
    """
    run = _held(session, claim)
    if run is None:
        return _is_stored(session, claim, state)
    store.add_samples(session, run.id, claim.lease.fence, _with_power(outcomes, power_watts), now)
    store.add_readings(session, run.id, readings)
    run.num_done = len(outcomes)
    run.current_bench = None
    run.conditions = dict(conditions)
    run.error = error or None
    run.code_version = code_version
    store.move(session, run, state, now, claim.lease.holder, error)
    leases.release(session, claim.lease)
    if _deserves_fit(session, run, outcomes):
        _append_fit(session, run, code_version, now)
    return True


def mark_lost(session: Session, now: datetime, actor: str) -> list[str]:
    """End the runs whose worker died or fell silent and free their devices; returns their ids."""
    lost = store.abandoned_runs(session)
    for run, lease, reason in lost:
        run.error = reason
        run.current_bench = None
        store.move(session, run, RunState.LOST, now, actor, reason)
        if lease.fence == run.fence:
            leases.revoke(session, lease.name, lease.fence)
    return [run.id for run, _, _ in lost]


def held_until(session: Session, device_id: str) -> datetime | None:
    """When the lease on the device runs out unless its worker renews it; None while no worker holds it."""
    return leases.end_of(session, store.lease_name(_device(session, device_id).uuid))


def newest_fits(session: Session) -> dict[str, tuple[str, Fit]]:
    """(fit id, fit) by device id, the newest of each device; those of another form wait for `refit_outdated`."""
    rows = [row for row in device_store.newest_fit_rows(session) if row.document.get("form") == FIT_FORM]
    return {row.device_id: (row.id, Fit.from_document(row.document)) for row in rows}


def refit_outdated(session: Session, now: datetime, code_version: str) -> list[str]:
    """Draw fits anew, from the stored samples, where the newest one was written in a form this code does not read.

    Returns the ids of the appended fits. The old ones stay: estimates made from them are read, not computed again.
    """
    appended = []
    for row in device_store.newest_fit_rows(session):
        if row.document.get("form") != FIT_FORM:
            fit = _fit(session, _device(session, row.device_id), row.run_ids)
            appended.append(
                fit_store.add_fit(
                    session, row.device_id, row.gpu_key, row.run_ids, fit.to_document(), code_version, now
                )
            )
    return appended


def device_gpu(device_name: str, vendor: str, backend: str, gpu_key: str | None, memory_bytes: int | None) -> Gpu:
    """The catalogue entry of a device, or one without figures where the catalogue does not know its name."""
    listed = load_catalogue().gpus.get(gpu_key) if gpu_key is not None else None
    if listed is not None:
        return listed
    kind = GpuKind.CPU if backend == Backend.CPU else GpuKind.GPU
    return unlisted_gpu(device_name, vendor, kind, memory_bytes)


def _deserves_fit(session: Session, run: RunRow, outcomes: Mapping[int, Sample | BenchFailure]) -> bool:
    """A run that succeeded does; one cut at its time limit only where the device has no fit yet and was left in peace.

    Each of its samples is whole, so a slow machine gets estimates of its own, but never in place of a full suite's.
    """
    if RunState(run.state) is RunState.TIMED_OUT:
        samples = [outcome for outcome in outcomes.values() if isinstance(outcome, Sample)]
        return bool(samples) and not why_restless(samples) and run.device_id not in newest_fits(session)
    return RunState(run.state) is RunState.SUCCEEDED


def _append_fit(session: Session, run: RunRow, code_version: str, now: datetime) -> None:
    device = _device(session, run.device_id)
    fit = _fit(session, device, [run.id])
    fit_store.add_fit(session, device.id, device.gpu_key, [run.id], fit.to_document(), code_version, now)


def _fit(session: Session, device: DeviceRow, run_ids: Sequence[str]) -> Fit:
    outcomes = [stored.outcome for stored in store.samples_of(session, run_ids)]
    samples = [outcome for outcome in outcomes if isinstance(outcome, Sample)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, BenchFailure)]
    gpu = device_gpu(device.name, device.vendor, device.backend, device.gpu_key, device.memory_bytes)
    watts = {sample.bench.key: sample.details[WATTS] for sample in samples if WATTS in sample.details}
    return fit_samples(samples, gpu, watts, failures)


def _with_power(
    outcomes: Mapping[int, Sample | BenchFailure], watts: Mapping[str, float]
) -> dict[int, Sample | BenchFailure]:
    """The outcomes with the mean power of each sample among its details, where it was read."""
    return {
        position: replace(outcome, details={**outcome.details, WATTS: watts[outcome.bench.key]})
        if isinstance(outcome, Sample) and outcome.bench.key in watts
        else outcome
        for position, outcome in outcomes.items()
    }


def _held(session: Session, claim: ClaimedRun) -> RunRow | None:
    """The run, locked, if the claim's fence is the newest of its device and the run is still this claim's."""
    if not leases.is_current(session, claim.lease.name, claim.lease.fence):
        return None
    run = store.get_run(session, claim.run_id, lock=True)
    if run is None or run.fence != claim.lease.fence or RunState(run.state).is_final:
        return None
    return run


def _is_stored(session: Session, claim: ClaimedRun, state: RunState) -> bool:
    run = store.get_run(session, claim.run_id)
    return (
        run is not None
        and run.fence == claim.lease.fence
        and run.state == state
        and store.was_ended_by(session, run, state, claim.lease.holder)
    )


def _device(session: Session, device_id: str) -> DeviceRow:
    found = device_store.get_device(session, device_id)
    if found is None:
        raise NotFound(f"there is no device {device_id!r}")
    return found[0]


def _suite(name: str) -> Suite:
    try:
        return get_suite(name)
    except NotFound as error:
        raise InvalidInput.of("suite", str(error)) from None


def _benches(device: DeviceRow, suite: Suite) -> tuple[Bench, ...]:
    listed = load_catalogue().gpus.get(device.gpu_key) if device.gpu_key is not None else None
    dtypes: tuple[Dtype, ...] | None = None if listed is None else tuple(listed.peak_flops)
    return suite.benches_for(Backend(device.backend), device.memory_bytes, dtypes)


def _plan_sentence(benches: Sequence[Bench]) -> str:
    counts = {operation: sum(bench.operation is operation for bench in benches) for operation in Operation}
    parts = [f"{WORDS[operation]} ({number})" for operation, number in counts.items() if number]
    dtypes = ", ".join(sorted({bench.dtype.value for bench in benches}))
    return f"{units.format_count(len(benches))} benches in {dtypes}: {', '.join(parts)}"


def run_view(run: RunRow, device: DeviceRow) -> RunView:
    """The row as a view."""
    return RunView(
        id=run.id,
        device_id=run.device_id,
        device_name=device.name,
        suite=run.suite,
        suite_version=run.suite_version,
        state=RunState(run.state),
        schedule_id=run.schedule_id,
        due_at=run.due_at,
        num_missed=run.num_missed,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        num_benches=run.num_benches,
        num_done=run.num_done,
        current_bench=run.current_bench,
        time_limit_seconds=run.time_limit_seconds,
        error=run.error,
        worker_id=run.worker_id,
        code_version=run.code_version,
    )
