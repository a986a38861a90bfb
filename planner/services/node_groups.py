"""Which devices a run holds: one, or for suites about several all equal ones of a node that work."""

from __future__ import annotations

from planner.calibration.chosen import OwnSuite
from planner.calibration.suites import Suite
from planner.errors import InvalidInput
from planner.inventory.device import DeviceState
from planner.services.devices import DeviceView, device_row
from planner.services.suites import chosen_suite
from planner.store import devices as store
from planner.store.engine import Session
from planner.store.tables import DeviceRow

SLICE = "MIG-"  # how the UUID of a part of a card begins: such parts cannot be joined


def devices_of(session: Session, device: DeviceRow, suite: Suite | OwnSuite) -> tuple[DeviceRow, ...]:
    """The devices that a run of this suite on this device holds, that device first."""
    if not suite.needs_several:
        return (device,)
    return (device, *(other for other in _equals(session, device) if other.id != device.id))


def why_alone(session: Session, device: DeviceRow, suite: Suite | OwnSuite) -> str:
    """Why a suite about several devices measures nothing from this one; empty where it does."""
    if not suite.needs_several or len(devices_of(session, device, suite)) > 1:
        return ""
    if device.uuid.startswith(SLICE):
        return f"the suite {suite.name!r} needs whole devices: {device.name} is a part of one"
    return (
        f"the suite {suite.name!r} measures what equal devices of one node tell each other: "
        f"{device.name} is the only one of its kind that works on its node"
    )


def leads(session: Session, device: DeviceRow, suite: Suite | OwnSuite) -> bool:
    """Whether of the devices that a run of this suite holds this one is the first: one run is enough for all."""
    if not suite.needs_several:
        return True
    equals = _equals(session, device)
    return len(equals) > 1 and equals[0].id == device.id


def one_of_each_group(session: Session, devices: list[DeviceView], suite_name: str) -> list[DeviceView]:
    """The devices that a run each is asked for: all, or by a suite about several the first of those that it holds.

    Raises InvalidInput where that leaves none, or where there is no such suite.
    """
    suite = chosen_suite(session, suite_name)
    first = [device for device in devices if leads(session, device_row(session, device.id), suite)]
    if devices and not first:
        raise InvalidInput.of("suite", why_alone(session, device_row(session, devices[0].id), suite))
    return first


def _equals(session: Session, device: DeviceRow) -> list[DeviceRow]:
    """The working devices of the node that are like this one, itself among them, by their number."""
    if device.uuid.startswith(SLICE):
        return []
    found = [
        other
        for other, node in store.all_devices(session)
        if node.id == device.node_id
        and (other.backend, other.name, other.memory_bytes) == (device.backend, device.name, device.memory_bytes)
        and other.state == DeviceState.OK
        and not other.uuid.startswith(SLICE)
    ]
    return sorted(found, key=lambda other: (other.device_index, other.uuid))
