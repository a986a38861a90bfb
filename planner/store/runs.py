"""Runs of calibration with their transitions, samples and telemetry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, insert, or_, select, update
from sqlalchemy.orm import Session

from planner.calibration.run_states import ACTIVE, HELD, RunState, may_follow
from planner.calibration.sample import Bench, BenchFailure, Operation, Sample
from planner.hardware.gpu import Dtype
from planner.store.engine import database_now
from planner.store.span import EVER, Span
from planner.store.tables import (
    DeviceRow,
    LeaseRow,
    NodeRow,
    RunPeerRow,
    RunRow,
    RunTransitionRow,
    SampleRow,
    TelemetryRow,
)

LEASE_PREFIX = "device:"
READING_FIELDS = (
    "seconds_in",
    "power_watts",
    "energy_joules",
    "temperature_celsius",
    "clock_hz",
    "memory_clock_hz",
    "utilization",
    "memory_used_bytes",
    "throttle_reasons",
)


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A row of `samples` with its place in the run: a sample, or the failure in its stead."""

    position: int
    outcome: Sample | BenchFailure


def lease_name(device_uuid: str) -> str:
    """The name of the lease that guards a device."""
    return LEASE_PREFIX + device_uuid


def add_run(session: Session, run: RunRow, at: datetime, actor: str, reason: str) -> None:
    """Insert a queued run with its first transition."""
    session.add(run)
    session.flush()
    session.add(RunTransitionRow(run_id=run.id, at=at, state=run.state, actor=actor, fence=None, reason=reason))
    session.flush()


def move(session: Session, run: RunRow, state: RunState, at: datetime, actor: str, reason: str = "") -> None:
    """Take the run to another state and write down who did it and why. Raises ValueError for an illegal step."""
    before = RunState(run.state)
    if not may_follow(before, state):
        raise ValueError(f"run {run.id} cannot go from {before} to {state}")
    run.state = state.value
    if state is RunState.RUNNING:
        run.started_at = at
    if state.is_final:
        run.finished_at = at
    session.add(RunTransitionRow(run_id=run.id, at=at, state=state.value, actor=actor, fence=run.fence, reason=reason))
    session.flush()


def get_run(session: Session, run_id: str, *, lock: bool = False) -> RunRow | None:
    """The run's row, locked until the transaction ends where asked."""
    query = select(RunRow).where(RunRow.id == run_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return session.execute(query).scalar_one_or_none()


def retry_of(session: Session, run_id: str) -> str | None:
    """The id of the run that tries that one again."""
    return session.execute(select(RunRow.id).where(RunRow.retry_of == run_id)).scalar_one_or_none()


def active_run(session: Session, device_id: str) -> RunRow | None:
    """The device's queued, claimed or running run."""
    query = select(RunRow).where(RunRow.device_id == device_id, RunRow.state.in_(ACTIVE))
    return session.execute(query.order_by(RunRow.id).limit(1)).scalar_one_or_none()


def queued_runs(session: Session, node_id: str) -> list[tuple[RunRow, DeviceRow]]:
    """The node's queued runs, oldest first.

    Locks the node's row, so that two workers of one node take turns, and the runs, so that none is cancelled meanwhile.
    """
    session.execute(select(NodeRow.id).where(NodeRow.id == node_id).with_for_update())
    query = select(RunRow, DeviceRow).join(DeviceRow, DeviceRow.id == RunRow.device_id)
    query = query.where(DeviceRow.node_id == node_id, RunRow.state == RunState.QUEUED).order_by(RunRow.id)
    query = query.with_for_update(of=RunRow).execution_options(populate_existing=True)
    return [(run, device) for run, device in session.execute(query)]


def num_held_runs(session: Session, node_id: str) -> int:
    """How many runs of the node a worker holds now."""
    query = select(func.count()).select_from(RunRow).join(DeviceRow, DeviceRow.id == RunRow.device_id)
    return session.execute(query.where(DeviceRow.node_id == node_id, RunRow.state.in_(HELD))).scalar_one()


def add_peers(session: Session, run_id: str, peers: Iterable[tuple[str, int]]) -> None:
    """The further devices that the run holds, as (device id, fence), in their order."""
    for position, (device_id, fence) in enumerate(peers, start=1):
        session.add(RunPeerRow(run_id=run_id, device_id=device_id, position=position, fence=fence))
    session.flush()


def peers_of(session: Session, run_ids: Iterable[str]) -> dict[str, list[DeviceRow]]:
    """The further devices that runs held, by run id, in their order; runs of a single device are absent."""
    query = select(RunPeerRow.run_id, DeviceRow).join(DeviceRow, DeviceRow.id == RunPeerRow.device_id)
    query = query.where(RunPeerRow.run_id.in_(list(run_ids))).order_by(RunPeerRow.run_id, RunPeerRow.position)
    found: dict[str, list[DeviceRow]] = {}
    for run_id, device in session.execute(query):
        found.setdefault(run_id, []).append(device)
    return found


def abandoned_runs(session: Session) -> list[tuple[RunRow, list[tuple[str, int]], str]]:
    """Held runs whose worker has gone, with what it still holds as (lease, fence) and the reason: the lease ended, is
    another's, or is of an earlier boot. Each run and all its leases are locked and looked at again, so that a run that
    ends just now is left alone.
    """
    now = database_now(session)
    query = (
        select(RunRow.id, RunRow.fence, LeaseRow.name, NodeRow.boot_id)
        .join(DeviceRow, DeviceRow.id == RunRow.device_id)
        .join(NodeRow, NodeRow.id == DeviceRow.node_id)
        .join(LeaseRow, LeaseRow.name == LEASE_PREFIX + DeviceRow.uuid)
        .where(RunRow.state.in_(HELD))
        .where(_is_gone(now))
        .order_by(LeaseRow.name)
    )
    found = []
    for run_id, fence, name, boot_id in session.execute(query).all():
        fences = {name: fence, **_peer_fences(session, run_id)}
        again = select(LeaseRow).where(LeaseRow.name.in_(fences)).order_by(LeaseRow.name).with_for_update()
        rows = session.execute(again, execution_options={"populate_existing": True}).scalars().all()
        lease = next(row for row in rows if row.name == name)
        run = get_run(session, run_id, lock=True)
        if run is None or run.state not in HELD or run.fence != fence:
            continue
        held = [(row.name, row.fence) for row in rows if row.fence == fences[row.name]]
        if lease.fence == fence and lease.holder is not None and lease.boot_id != boot_id:
            found.append((run, held, "its node was started anew since"))
        elif lease.fence != fence or lease.holder is None or lease.expires_at <= now:
            found.append((run, held, "its worker let the lease run out"))
    return found


def _peer_fences(session: Session, run_id: str) -> dict[str, int]:
    """The fences of the run's further devices, by the name of their lease."""
    query = select(DeviceRow.uuid, RunPeerRow.fence).join(DeviceRow, DeviceRow.id == RunPeerRow.device_id)
    return {lease_name(uuid): fence for uuid, fence in session.execute(query.where(RunPeerRow.run_id == run_id))}


def _is_gone(now: datetime) -> ColumnElement[bool]:
    """What a look without locks can tell: the lease has ended, is another's, or is of an earlier boot of the node."""
    return or_(
        LeaseRow.fence != RunRow.fence,
        LeaseRow.holder.is_(None),
        LeaseRow.expires_at <= now,
        LeaseRow.boot_id != NodeRow.boot_id,
    )


def newest_runs(
    session: Session,
    limit: int | None,
    device_id: str | None = None,
    state: str | None = None,
    after: str | None = None,
    span: Span = EVER,
) -> list[tuple[RunRow, DeviceRow]]:
    """The newest first; `after` leaves out that run and all newer ones."""
    query = select(RunRow, DeviceRow).join(DeviceRow, DeviceRow.id == RunRow.device_id)
    query = query.where(*span.holds(RunRow.created_at))
    if device_id is not None:
        query = query.where(RunRow.device_id == device_id)
    if state is not None:
        query = query.where(RunRow.state == state)
    if after is not None:
        query = query.where(RunRow.id < after)
    return [(run, device) for run, device in session.execute(query.order_by(RunRow.id.desc()).limit(limit))]


def last_run_of_each_device(session: Session) -> dict[str, RunRow]:
    """The newest run by device id."""
    newest = select(func.max(RunRow.id)).group_by(RunRow.device_id)
    return {row.device_id: row for row in session.execute(select(RunRow).where(RunRow.id.in_(newest))).scalars()}


def transitions(session: Session, run_id: str) -> list[RunTransitionRow]:
    """The run's history, oldest first."""
    query = select(RunTransitionRow).where(RunTransitionRow.run_id == run_id).order_by(RunTransitionRow.id)
    return list(session.execute(query).scalars())


def add_samples(
    session: Session, run_id: str, fence: int, outcomes: Mapping[int, Sample | BenchFailure], at: datetime
) -> None:
    """All samples and failures of a run, by their position in it."""
    rows = [_sample_row(run_id, fence, position, outcome, at) for position, outcome in sorted(outcomes.items())]
    if rows:
        session.execute(insert(SampleRow), rows)


def add_readings(session: Session, run_id: str, readings: Iterable[object]) -> None:
    """Telemetry readings of a run, in time order; they have the fields READING_FIELDS. Those stored already are left
    out, so that a batch whose commit was not answered may be sent again.
    """
    rows = [{"run_id": run_id, **{name: getattr(item, name) for name in READING_FIELDS}} for item in readings]
    if rows:
        query = select(func.max(TelemetryRow.seconds_in)).where(TelemetryRow.run_id == run_id)
        latest = session.execute(query).scalar_one()
        rows = [row for row in rows if latest is None or row["seconds_in"] > latest]
    if rows:
        session.execute(insert(TelemetryRow), rows)


def was_ended_by(session: Session, run: RunRow, state: RunState, actor: str) -> bool:
    """Whether that actor took the run to that state already, under the run's fence."""
    query = select(RunTransitionRow.id).where(
        RunTransitionRow.run_id == run.id,
        RunTransitionRow.state == state,
        RunTransitionRow.actor == actor,
        RunTransitionRow.fence == run.fence,
    )
    return session.execute(query).first() is not None


def samples_of(session: Session, run_ids: Iterable[str]) -> list[StoredSample]:
    """The samples and failures of those runs, in their order."""
    query = select(SampleRow).where(SampleRow.run_id.in_(list(run_ids)))
    rows = session.execute(query.order_by(SampleRow.run_id, SampleRow.position)).scalars()
    return [StoredSample(row.position, _outcome(row)) for row in rows]


def samples_by_run(session: Session, run_ids: Iterable[str]) -> dict[str, list[Sample]]:
    """The samples of those runs by run id, in their order; failures are left out."""
    found: dict[str, list[Sample]] = {run_id: [] for run_id in run_ids}
    query = select(SampleRow).where(SampleRow.run_id.in_(list(found)), SampleRow.error_class.is_(None))
    for row in session.execute(query.order_by(SampleRow.run_id, SampleRow.position)).scalars():
        outcome = _outcome(row)
        if isinstance(outcome, Sample):
            found[row.run_id].append(outcome)
    return found


def readings_of(session: Session, run_id: str) -> list[TelemetryRow]:
    """The run's telemetry in time order."""
    query = select(TelemetryRow).where(TelemetryRow.run_id == run_id).order_by(TelemetryRow.seconds_in)
    return list(session.execute(query).scalars())


def set_progress(session: Session, run_id: str, fence: int, num_done: int, current_bench: str | None) -> bool:
    """Show how far the run is; False where it is not the worker's any more."""
    change = update(RunRow).where(RunRow.id == run_id, RunRow.fence == fence, RunRow.state == RunState.RUNNING)
    change = change.values(num_done=num_done, current_bench=current_bench)
    return session.execute(change.returning(RunRow.id)).first() is not None


def _sample_row(
    run_id: str, fence: int, position: int, outcome: Sample | BenchFailure, at: datetime
) -> dict[str, object]:
    bench = outcome.bench
    row: dict[str, object] = {
        "run_id": run_id,
        "fence": fence,
        "position": position,
        "operation": bench.operation.value,
        "version": bench.version,
        "dtype": bench.dtype.value,
        "parameters": dict(bench.parameters),
        "details": {"expected_seconds": bench.expected_seconds},
        "recorded_at": at,
        **dict.fromkeys(("seconds", "spread", "repeats", "flops", "num_bytes", "steady", "peak_memory_bytes"), None),
        "error_class": None,
        "error": None,
    }
    if isinstance(outcome, BenchFailure):
        return row | {"error_class": outcome.error_class, "error": outcome.message}
    return row | {
        "seconds": outcome.seconds,
        "spread": outcome.spread,
        "repeats": outcome.repeats,
        "flops": outcome.flops,
        "num_bytes": outcome.num_bytes,
        "steady": outcome.steady,
        "peak_memory_bytes": outcome.peak_memory_bytes,
        "details": {"expected_seconds": bench.expected_seconds, **outcome.details},
    }


def _outcome(row: SampleRow) -> Sample | BenchFailure:
    details = dict(row.details)
    expected = details.pop("expected_seconds")
    bench = Bench(Operation(row.operation), row.version, Dtype(row.dtype), row.parameters, expected)
    if row.error_class is not None:
        return BenchFailure(bench, row.error_class, row.error or "")
    return Sample(
        bench=bench,
        seconds=_present(row.seconds),
        spread=_present(row.spread),
        repeats=int(_present(row.repeats)),
        flops=_present(row.flops),
        num_bytes=_present(row.num_bytes),
        steady=bool(row.steady),
        peak_memory_bytes=row.peak_memory_bytes,
        details=details,
    )


def _present(value: float | None) -> float:
    if value is None:
        raise ValueError("a measured sample has all its figures")
    return value
