"""Act on the way a run ended: quarantine or release its device, queue another try, leave a killing bench out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ulid import ULID

from planner.calibration import aftermath as rules
from planner.calibration.run_states import RunState
from planner.calibration.sample import Bench, BenchFailure, Sample
from planner.inventory.device import DeviceState
from planner.services.fits import named_gpu
from planner.services.quarantine import quarantine_device, release_device
from planner.store import aftermath as store
from planner.store import runs as run_store
from planner.store.engine import Session
from planner.store.tables import DeviceRow, RunRow

AT_LOSS = "bench_at_loss"  # among the conditions of a lost run: what it was measuring
XIDS = "xids"  # among the conditions of a run: the Xid numbers seen beside it
NUM_LOOKED_AT = 12  # earlier runs, for what kills and for what is usual
PATIENCE = timedelta(seconds=rules.BUSY_PATIENCE_SECONDS)


def why_held(session: Session, device: DeviceRow, outcomes: Mapping[int, Sample | BenchFailure]) -> str:
    """Why a person should look before this run counts; empty where its figures are of the usual size."""
    ids = [
        run.id for run in store.newest_ended_runs(session, device.id, NUM_LOOKED_AT) if run.state == RunState.SUCCEEDED
    ]
    earlier: dict[tuple[str, int], list[float]] = {}
    for stored in run_store.samples_of(session, ids):
        if isinstance(stored.outcome, Sample):
            bench = stored.outcome.bench
            earlier.setdefault((bench.key, bench.version), []).append(stored.outcome.seconds)
    gpu = named_gpu(device.name, device.vendor, device.backend, device.gpu_key, device.memory_bytes)
    return rules.why_held([outcome for outcome in outcomes.values() if isinstance(outcome, Sample)], earlier, gpu)


def follow_up(
    session: Session,
    run: RunRow,
    device: DeviceRow,
    now: datetime,
    actor: str,
    quarantine: str = "",
    wait_seconds: float | None = None,
) -> RunRow | None:
    """Do what the end of this run asks for; the run that tries it again, None where there is none.

    `quarantine` and `wait_seconds` are the verdict's. A check that succeeded lets its device out of quarantine.
    """
    reason = quarantine or _too_many_faults(session, run, now)
    if reason:
        quarantine_device(session, device.id, reason, now, actor, run.id)
    elif run.is_check and RunState(run.state) is RunState.SUCCEEDED and device.state == DeviceState.QUARANTINED:
        release_device(session, device.id, f"the check of run {run.id} passed", now, actor, run.id)
    if device.state != DeviceState.OK and not run.is_check:
        return None
    return _try_again(session, run, now, actor, wait_seconds)


def why_left_out(session: Session, device_id: str, benches: Sequence[Bench], code_version: str) -> dict[str, str]:
    """Why benches are not measured on that device any more, by bench key: each ended so many runs of this code."""
    kills: Counter[str] = Counter()
    settled: set[str] = set()
    for run in store.newest_ended_runs(session, device_id, NUM_LOOKED_AT):
        if run.code_version != code_version:
            break
        outcomes = [stored.outcome for stored in run_store.samples_of(session, [run.id])]
        settled |= {outcome.bench.key for outcome in outcomes if isinstance(outcome, Sample)}
        ended = {o.bench.key for o in outcomes if isinstance(o, BenchFailure) and o.error_class in rules.KILLING}
        ended |= {str(run.conditions[AT_LOSS])} if AT_LOSS in run.conditions else set()
        kills.update(ended - settled)
    reasons = {bench.key: rules.why_left_out(kills[bench.key]) for bench in benches}
    return {key: reason for key, reason in reasons.items() if reason}


def make_way(session: Session, device_id: str, now: datetime, actor: str) -> RunRow | None:
    """The run that is under way on the device; one that only waits to be tried again gives way and is cancelled."""
    under_way = run_store.active_run(session, device_id)
    waits = under_way is not None and under_way.state == RunState.QUEUED and under_way.retry_of is not None
    if under_way is None or not waits:
        return under_way
    under_way.error = "another run was asked for meanwhile"
    run_store.move(session, under_way, RunState.CANCELLED, now, actor, under_way.error)
    return None


def _too_many_faults(session: Session, run: RunRow, now: datetime) -> str:
    if not _has_program_fault(run):
        return ""
    recent = store.runs_ended_since(session, run.device_id, now - timedelta(days=rules.PROGRAM_FAULT_DAYS))
    return rules.why_too_many_faults(len({run.id} | {other.id for other in recent if _has_program_fault(other)}))


def _has_program_fault(run: RunRow) -> bool:
    return rules.has_program_fault([int(code) for code in run.conditions.get(XIDS, ())])


def _try_again(session: Session, run: RunRow, now: datetime, actor: str, wait_seconds: float | None) -> RunRow | None:
    until = run.retry_until or now + PATIENCE
    retry = rules.retry_of(RunState(run.state), run.attempt, wait_seconds, (until - now).total_seconds())
    if retry is None or run_store.active_run(session, run.device_id) is not None:
        return None
    again = RunRow(
        id=str(ULID.from_datetime(now)),
        schedule_id=run.schedule_id,
        num_missed=0,
        device_id=run.device_id,
        suite=run.suite,
        suite_version=run.suite_version,
        time_limit_seconds=run.time_limit_seconds,
        state=RunState.QUEUED.value,
        created_at=now,
        num_benches=run.num_benches,
        num_done=0,
        conditions={},
        code_version=run.code_version,
        attempt=run.attempt + 1,
        retry_of=run.id,
        not_before=now + timedelta(seconds=retry.seconds),
        retry_until=until,
        is_check=run.is_check,
    )
    run_store.add_run(session, again, now, actor, retry.reason)
    return again
