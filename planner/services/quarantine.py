"""Quarantine: a device kept from work until a person looks or a check passes; every step is a row that stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from planner.errors import Conflict
from planner.inventory.device import DeviceState
from planner.services.devices import device_row
from planner.store import devices as store
from planner.store.engine import Session
from planner.store.tables import DeviceRow, DeviceTransitionRow


@dataclass(frozen=True, slots=True)
class DeviceTransition:
    """One step into quarantine or out of it: when, by whom, why, and after which run (None: a person's own)."""

    at: datetime
    state: DeviceState
    actor: str
    reason: str
    run_id: str | None


def quarantine_device(
    session: Session, device_id: str, reason: str, now: datetime, actor: str = "user", run_id: str | None = None
) -> bool:
    """Keep the device from work; False where it is kept already: the first reason stays. Raises NotFound."""
    device = device_row(session, device_id)
    if device.state == DeviceState.QUARANTINED:
        return False
    _move(session, device, DeviceState.QUARANTINED, reason, now, actor, run_id)
    return True


def release_device(
    session: Session, device_id: str, reason: str, now: datetime, actor: str = "user", run_id: str | None = None
) -> None:
    """Let a quarantined device work again (or be missing, where it is not seen). Raises NotFound or Conflict."""
    device = device_row(session, device_id)
    if device.state != DeviceState.QUARANTINED:
        raise Conflict(f"{device.name} is not in quarantine: it is {device.state}")
    state = DeviceState.OK if device.missing_since is None else DeviceState.MISSING
    _move(session, device, state, reason, now, actor, run_id)


def quarantine_history(session: Session, device_id: str) -> list[DeviceTransition]:
    """The device's steps into quarantine and out of it, newest first. Raises NotFound."""
    device_row(session, device_id)
    return [
        DeviceTransition(row.at, DeviceState(row.state), row.actor, row.reason, row.run_id)
        for row in store.transitions_of(session, device_id)
    ]


def _move(
    session: Session, device: DeviceRow, state: DeviceState, reason: str, now: datetime, actor: str, run_id: str | None
) -> None:
    device.state = state.value
    device.state_reason = None if state is DeviceState.OK else reason
    session.add(
        DeviceTransitionRow(device_id=device.id, at=now, state=state.value, actor=actor, reason=reason, run_id=run_id)
    )
    session.flush()
