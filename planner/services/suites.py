"""Suites as a device sees them: the benches of one that this device can run."""

from __future__ import annotations

from planner.calibration.sample import Bench
from planner.calibration.suites import Suite, get_suite
from planner.errors import InvalidInput, NotFound
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Dtype
from planner.inventory.device import Backend
from planner.store.tables import DeviceRow


def chosen_suite(name: str) -> Suite:
    try:
        return get_suite(name)
    except NotFound as error:
        raise InvalidInput.of("suite", str(error)) from None


def benches_for(device: DeviceRow, suite: Suite) -> tuple[Bench, ...]:
    listed = load_catalogue().gpus.get(device.gpu_key) if device.gpu_key is not None else None
    dtypes: tuple[Dtype, ...] | None = None if listed is None else tuple(listed.peak_flops)
    return suite.benches_for(Backend(device.backend), device.memory_bytes, dtypes)
