"""What a worker does with a queued run: claim it, begin it, tell how far it is, finish it; and what is done without it.

`claim_run` and `begin_run` load, `note_progress` is a short transaction a second while the child measures, and
`finish_run` applies: samples, the rest of the telemetry, final state and fit in one transaction, and only while the
claim's fence is the newest. docs/worker.md tells the whole of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from planner.calibration.aftermath import LEFT_OUT
from planner.calibration.chosen import OwnSuite
from planner.calibration.run_states import RunState
from planner.calibration.sample import Bench, BenchFailure, Sample, sample_to_document
from planner.calibration.suites import Suite
from planner.inventory.device import Backend, DeviceState
from planner.services.aftermath import AT_LOSS, follow_up, why_held, why_left_out
from planner.services.devices import device_row
from planner.services.fits import WATTS, append_fit, deserves_fit
from planner.services.limits import why_to_wait
from planner.services.node_groups import devices_of, why_alone
from planner.services.quarantine import quarantine_device
from planner.services.suites import benches_for, find_suite
from planner.store import aftermath as ends
from planner.store import leases
from planner.store import runs as store
from planner.store.engine import Session
from planner.store.tables import DeviceRow, RunRow


class Reading(Protocol):
    """A look at the device beside the run (see planner.store.runs.READING_FIELDS)."""

    @property
    def seconds_in(self) -> float: ...
    @property
    def power_watts(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """A further device of the node that a run holds, under a lease of its own."""

    device_id: str
    device_uuid: str
    lease: leases.Lease


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
    left_out: tuple[BenchFailure, ...] = ()  # benches of the suite that are not measured on this device any more
    peers: tuple[Peer, ...] = ()  # for suites about what several devices tell each other

    @property
    def all_leases(self) -> tuple[leases.Lease, ...]:
        """All that is held, in the order in which whoever takes or renews several does it."""
        return tuple(sorted((self.lease, *(peer.lease for peer in self.peers)), key=lambda lease: lease.name))


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a worker learns when it reports: the lease as renewed (None: lost it), and whether to stop."""

    lease: leases.Lease | None
    cancel_requested: bool


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
        if (run_id is not None and run.id != run_id) or why_to_wait(session, run, now):
            continue
        obstacle = _obstacle(session, run, device)
        if obstacle:
            run.error = obstacle
            store.move(session, run, RunState.CANCELLED, now, worker_id, obstacle)
            continue
        suite = _suite_of(session, run)
        devices = devices_of(session, device, suite)
        names = [store.lease_name(one.uuid) for one in devices]
        held = leases.claim_all(session, names, worker_id, boot_id, term, run.id)
        if held is not None:
            return _claimed(session, run, suite, devices, held, now)
    return None


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
    renewed = [leases.renew(session, held, term) for held in claim.all_leases]
    lease = None if None in renewed else next(one for one in renewed if one and one.name == claim.lease.name)
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
    *,
    quarantine: str = "",
    wait_seconds: float | None = None,
    peer_quarantine: Mapping[str, str] | None = None,
) -> bool:
    """Store what the run gave, its final state and, if it succeeded, a new fit; then what follows from it.

    `readings` are those not noted yet; `power_watts` holds the mean power by bench key, where it was read;
    `quarantine` and `wait_seconds` are what the verdict asks for, `peer_quarantine` for which of the further devices by
    UUID. Returns False where another claim has come since or
    the run was given up: what a zombie measured is kept as evidence and used for nothing. To say it twice, because the
    answer to the first commit was lost, is True twice and stores once.
    """
    run = _held(session, claim)
    if run is None:
        if _is_stored(session, claim, state):
            return True
        keep_late_result(session, claim, state, outcomes, conditions, error, now)
        return False
    device = device_row(session, run.device_id)
    held = why_held(session, device, outcomes) if state is RunState.SUCCEEDED else ""
    if held:
        state, error = RunState.SUSPECT, held
    outcomes = dict(outcomes) | dict(enumerate(claim.left_out, len(claim.benches)))
    store.add_samples(session, run.id, claim.lease.fence, _with_power(outcomes, power_watts), now)
    store.add_readings(session, run.id, readings)
    run.num_done = len(outcomes) - len(claim.left_out)
    run.current_bench = None
    run.conditions = dict(conditions)
    run.error = error or None
    run.code_version = code_version
    store.move(session, run, state, now, claim.lease.holder, error)
    for held_lease in claim.all_leases:
        leases.release(session, held_lease)
    if deserves_fit(session, run, outcomes):
        append_fit(session, run, code_version, now)
    follow_up(session, run, device, now, claim.lease.holder, quarantine, wait_seconds)
    for peer in claim.peers:
        reason = (peer_quarantine or {}).get(peer.device_uuid, "")
        if reason:
            quarantine_device(session, peer.device_id, reason, now, claim.lease.holder, run.id)
    return True


def mark_lost(session: Session, now: datetime, actor: str) -> list[str]:
    """End the runs whose worker died or fell silent, free their devices and queue another try; returns their ids."""
    lost = store.abandoned_runs(session)
    for run, held, reason in lost:
        run.error = reason
        if run.current_bench is not None:
            run.conditions = {**run.conditions, AT_LOSS: run.current_bench}
        run.current_bench = None
        store.move(session, run, RunState.LOST, now, actor, reason)
        for name, fence in held:
            leases.revoke(session, name, fence)
        follow_up(session, run, device_row(session, run.device_id), now, actor)
    return [run.id for run, _, _ in lost]


def held_until(session: Session, device_id: str) -> datetime | None:
    """When the lease on the device runs out unless its worker renews it; None while no worker holds it."""
    return leases.end_of(session, store.lease_name(device_row(session, device_id).uuid))


def _obstacle(session: Session, run: RunRow, device: DeviceRow) -> str:
    if device.state != DeviceState.OK and not (run.is_check and device.state == DeviceState.QUARANTINED):
        return f"the device is {device.state}: {device.state_reason}"
    suite = find_suite(session, run.suite, run.suite_version)
    if suite is None:
        return f"there is no suite {run.suite!r} any more"
    alone = why_alone(session, device, suite)
    if alone:
        return alone
    benches = benches_for(device, suite, len(devices_of(session, device, suite)))
    if benches and len(why_left_out(session, device.id, benches, run.code_version)) == len(benches):
        return "each bench of the suite ended its measuring process again and again on this device"
    return ""


def _suite_of(session: Session, run: RunRow) -> Suite | OwnSuite:
    """The suite of the code that measures, which may be newer than the code that asked."""
    suite = find_suite(session, run.suite, run.suite_version)
    if suite is None:
        raise AssertionError(f"the suite {run.suite!r} was there a moment ago")
    return suite


def _claimed(
    session: Session,
    run: RunRow,
    suite: Suite | OwnSuite,
    devices: Sequence[DeviceRow],
    held: Sequence[leases.Lease],
    now: datetime,
) -> ClaimedRun:
    """The run as taken, with the leases of its devices, its own device and lease first."""
    device, lease = devices[0], held[0]
    listed = benches_for(device, suite, len(devices))
    reasons = why_left_out(session, device.id, listed, run.code_version)
    benches = tuple(bench for bench in listed if bench.key not in reasons)
    left_out = [bench for bench in listed if bench.key in reasons]
    peers = tuple(Peer(one.id, one.uuid, its) for one, its in zip(devices[1:], held[1:], strict=True))
    store.add_peers(session, run.id, [(peer.device_id, peer.lease.fence) for peer in peers])
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
        left_out=tuple(BenchFailure(bench, LEFT_OUT, reasons[bench.key]) for bench in left_out),
        peers=peers,
    )


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
    """The run, locked, if the claim's fences are the newest of its devices and the run is still this claim's."""
    current = [leases.is_current(session, lease.name, lease.fence) for lease in claim.all_leases]
    if not all(current):
        return None
    run = store.get_run(session, claim.run_id, lock=True)
    if run is None or run.fence != claim.lease.fence or RunState(run.state).is_final:
        return None
    return run


def _is_stored(session: Session, claim: ClaimedRun, state: RunState) -> bool:
    """Whether this was stored already; a run that would have succeeded may be held for review."""
    run = store.get_run(session, claim.run_id)
    if run is None or run.fence != claim.lease.fence:
        return False
    states = {state, RunState.SUSPECT} if state is RunState.SUCCEEDED else {state}
    ended = RunState(run.state)
    return ended in states and store.was_ended_by(session, run, ended, claim.lease.holder)


def keep_late_result(
    session: Session,
    claim: ClaimedRun,
    state: RunState,
    outcomes: Mapping[int, Sample | BenchFailure],
    conditions: Mapping[str, Any],
    error: str,
    now: datetime,
) -> None:
    """Keep what was measured under a claim that does not count (any more) as evidence; it is used for nothing."""
    told = [
        {"bench": outcome.bench.key, "sample": sample_to_document(outcome)}
        if isinstance(outcome, Sample)
        else {"bench": outcome.bench.key, "error_class": outcome.error_class, "error": outcome.message}
        for _, outcome in sorted(outcomes.items())
    ]
    document = {"outcomes": told, "conditions": dict(conditions)}
    lease = claim.lease
    ends.add_late_result(session, claim.run_id, lease.fence, lease.holder, state, error, document, now)
