"""The state a device was in: what the driver said just before and just after a run, and what sets two runs apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# What must agree for the samples of two runs to be mixed: another driver, limit or clock rule is another machine.
SETTING_APART = (
    "driver_version",
    "cuda_driver",
    "memory_total_bytes",
    "power_limit_watts",
    "has_ecc",
    "has_mig",
    "has_locked_clocks",
)
SOFTWARE_APART = ("torch", "cuda", "num_threads", "cpu_capability")  # of what the measuring process tells


@dataclass(frozen=True, slots=True)
class DeviceProcess:
    """A process that holds the device. In a container the number may be the host's, and unknown here."""

    pid: int
    kind: str  # compute, graphics or mps
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class DeviceConditions:
    """One look at a device around a run; None is what the driver does not tell, with its reason in `absent`.

    `compute_mode` is default, prohibited or exclusive_process; `recovery_action` the driver's own advice in words,
    "none" where it has none. ECC counts are of uncorrected errors. `processes` None: the list could not be had.
    """

    driver_version: str | None = None
    cuda_driver: str | None = None
    vbios: str | None = None
    num_devices: int | None = None
    compute_mode: str | None = None
    has_persistence: bool | None = None
    has_ecc: bool | None = None
    has_mig: bool | None = None
    has_mig_pending: bool | None = None
    has_locked_clocks: bool | None = None
    performance_state: int | None = None
    temperature_celsius: float | None = None
    slowdown_celsius: float | None = None
    power_limit_watts: float | None = None
    power_default_watts: float | None = None
    clock_hz: float | None = None
    max_clock_hz: float | None = None
    memory_clock_hz: float | None = None
    max_memory_clock_hz: float | None = None
    pcie_generation: int | None = None
    max_pcie_generation: int | None = None
    pcie_width: int | None = None
    max_pcie_width: int | None = None
    pcie_replays: int | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    ecc_volatile: int | None = None
    ecc_aggregate: int | None = None
    has_remap_pending: bool | None = None
    has_remap_failure: bool | None = None
    has_retired_pending: bool | None = None
    recovery_action: str | None = None
    processes: tuple[DeviceProcess, ...] | None = None
    problem: str = ""  # why the driver could not be asked at all, or lost the device while it was
    is_lost: bool = False
    absent: Mapping[str, str] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """The conditions as JSON."""
        document = asdict(self)
        if self.processes is not None:
            document["processes"] = [asdict(process) for process in self.processes]
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> DeviceConditions:
        """The conditions back from JSON. Fields of a later version are ignored, those that are missing are None."""
        known = {name: value for name, value in document.items() if name in cls.__dataclass_fields__}
        if known.get("processes") is not None:
            known["processes"] = tuple(DeviceProcess(**process) for process in known["processes"])
        return cls(**known)


def what_differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Field → (before, after) for what sets the stored conditions of two runs apart.

    Takes what a run stores: the measuring process's own fields with the driver's under "device_before". A field that
    either run does not know says nothing.
    """
    pairs = {name: (before.get(name), after.get(name)) for name in SOFTWARE_APART}
    here, there = (found.get("device_before") or {} for found in (before, after))
    pairs |= {name: (here.get(name), there.get(name)) for name in SETTING_APART}
    return {name: (old, new) for name, (old, new) in pairs.items() if None not in (old, new) and old != new}
