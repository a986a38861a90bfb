"""Ask for calibration runs: what one would measure, queue it, call it off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ulid import ULID

from planner import units
from planner.calibration.chosen import OwnSuite
from planner.calibration.run_states import RunState
from planner.calibration.sample import WORDS, Bench, Operation
from planner.calibration.suites import Suite, total_expected_seconds
from planner.errors import Conflict, InvalidInput, NotFound
from planner.inventory.device import DeviceState
from planner.services.aftermath import make_way
from planner.services.claims import mark_lost
from planner.services.devices import device_row
from planner.services.limits import Cost, cost_of_use
from planner.services.node_groups import devices_of, why_alone
from planner.services.owned_offers import owned_hours
from planner.services.runs import RunView, run_view
from planner.services.suites import benches_for, chosen_suite
from planner.store import devices as device_store
from planner.store import runs as store
from planner.store.engine import Session
from planner.store.tables import DeviceRow, RunRow


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """What a run would measure, how long it takes on typical devices of the kind, and when it stops at the latest.

    `num_devices` are held at once, by suites about what they tell each other; the costs are of all together.
    """

    device_id: str
    num_devices: int
    suite: str
    suite_version: int
    benches: tuple[Bench, ...]
    num_benches: int
    expected_seconds: float
    time_limit_seconds: float
    sentence: str
    expected_cost: Cost
    most_cost: Cost  # where it is stopped at its time limit


def plan_calibration(session: Session, device_id: str, suite_name: str) -> CalibrationPlan:
    """What measuring this device with that suite would do. Raises NotFound, or InvalidInput for a suite that there is
    not or that measures nothing from this device."""
    device = device_row(session, device_id)
    suite = chosen_suite(session, suite_name)
    alone = why_alone(session, device, suite)
    if alone:
        raise InvalidInput.of("suite", alone)
    devices = devices_of(session, device, suite)
    benches = benches_for(device, suite, len(devices))
    expected = total_expected_seconds(benches)
    hours = owned_hours(session)
    return CalibrationPlan(
        device_id=device.id,
        num_devices=len(devices),
        suite=suite.name,
        suite_version=suite.version,
        benches=benches,
        num_benches=len(benches),
        expected_seconds=expected,
        time_limit_seconds=suite.time_limit_seconds,
        sentence=_plan_sentence(benches, len(devices)),
        expected_cost=cost_of_use([(one, expected) for one in devices], hours),
        most_cost=cost_of_use([(one, suite.time_limit_seconds) for one in devices], hours),
    )


def request_run(
    session: Session,
    device_id: str,
    suite_name: str,
    now: datetime,
    *,
    code_version: str,
    actor: str = "user",
    is_check: bool = False,
) -> RunView:
    """Queue a run. Raises Conflict while the device has one under way, or is not fit for work, and InvalidInput for a
    suite that there is not or that measures nothing from this device.

    A run whose worker is gone is ended first: it must not keep the device from work where no worker looks after it. A
    check may be asked for in quarantine; if it succeeds the device is let out. A run that only waits to be tried again
    gives way.
    """
    device = device_row(session, device_id)
    suite = chosen_suite(session, suite_name)
    if device.state != DeviceState.OK and not (is_check and device.state == DeviceState.QUARANTINED):
        raise Conflict(f"{device.name} is {device.state}: {device.state_reason}")
    mark_lost(session, now, actor)
    device_store.take_turns(session, device_id)
    under_way = make_way(session, device_id, now, actor)
    if under_way is not None:
        raise Conflict(f"{device.name} has a calibration under way ({under_way.id}, {under_way.state})")
    alone = why_alone(session, device, suite)
    if alone:
        raise InvalidInput.of("suite", alone)
    run = new_run_row(device, suite, now, code_version, len(devices_of(session, device, suite)))
    run.is_check = is_check
    store.add_run(session, run, now, actor, "asked for, as a check" if is_check else "asked for")
    return run_view(run, device)


def new_run_row(
    device: DeviceRow, suite: Suite | OwnSuite, now: datetime, code_version: str, num_devices: int = 1
) -> RunRow:
    """A queued run of this device (of so many at once, by a suite about several), not yet stored."""
    return RunRow(
        id=str(ULID.from_datetime(now)),
        num_missed=0,
        device_id=device.id,
        suite=suite.name,
        suite_version=suite.version,
        time_limit_seconds=suite.time_limit_seconds,
        state=RunState.QUEUED.value,
        created_at=now,
        num_benches=len(benches_for(device, suite, num_devices)),
        num_done=0,
        conditions={},
        code_version=code_version,
        attempt=1,
        is_check=False,
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
    return run_view(run, device_row(session, run.device_id))


def _plan_sentence(benches: Sequence[Bench], num_devices: int) -> str:
    counts = {operation: sum(bench.operation is operation for bench in benches) for operation in Operation}
    parts = [f"{WORDS[operation]} ({number})" for operation, number in counts.items() if number]
    dtypes = ", ".join(sorted({bench.dtype.value for bench in benches}))
    among = f" among {num_devices} devices of the node at once" if num_devices > 1 else ""
    return f"{units.format_count(len(benches))} benches in {dtypes}{among}: {', '.join(parts)}"
