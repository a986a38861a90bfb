"""Nodes and devices: the hosts and the physical accelerators (or CPUs) that are attached, known by UUID."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Backend(StrEnum):
    """The torch device type that a device computes through."""

    CUDA = "cuda"
    CPU = "cpu"
    XPU = "xpu"
    MPS = "mps"


class DeviceState(StrEnum):
    OK = "ok"
    MISSING = "missing"  # was here, is not seen any more
    QUARANTINED = "quarantined"  # kept from work until a person looks


@dataclass(frozen=True, slots=True)
class SeenNode:
    """The host as discovery saw it. `boot_id` changes with each boot, `machine_id` does not."""

    machine_id: str
    boot_id: str
    hostname: str
    os_name: str
    cpu_name: str
    num_cpus: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """One device as discovery saw it; what the driver does not tell is None, with its reason in `unknown`.

    `gpu_key` is the catalogue key found through the alias table, None for a name that the table does not know.
    """

    uuid: str
    backend: Backend
    index: int  # the driver's index at this moment, for display; never an identity
    name: str  # as the driver reports it
    gpu_key: str | None
    vendor: str
    memory_bytes: int | None
    power_limit_watts: float | None
    compute_capability: str | None
    driver_version: str | None
    unknown: Mapping[str, str] = field(default_factory=dict)  # field name → the driver's reason


@dataclass(frozen=True, slots=True)
class Discovery:
    """One look at this host: the node, its devices, and what kept a driver from answering."""

    node: SeenNode
    devices: tuple[SeenDevice, ...]
    problems: tuple[str, ...] = ()
