"""Devices that only torch tells us of (Intel's xpu, Apple's mps), asked in a process of its own."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from planner.gpu.leash import leashed
from planner.gpu.look import Look
from planner.gpu.process import helper_environment
from planner.hardware.gpu import Vendor
from planner.inventory.device import Backend, SeenDevice

DEADLINE_SECONDS = 60.0  # torch is read from disk here, which can take long on a cold machine
RENDER_NODES = Path("/dev/dri")
_NO_DRIVER = "torch does not tell"


def ask(machine_id: str, deadline_seconds: float = DEADLINE_SECONDS) -> Look:
    """The xpu and mps devices that torch reports; nothing is started where this machine cannot have any."""
    if not may_have_any():
        return Look()
    command = leashed([sys.executable, "-m", "planner.gpu.torch_devices", machine_id])
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=deadline_seconds, env=helper_environment(), check=False
        )
    except subprocess.TimeoutExpired:
        return Look(problems=(f"torch did not name its devices within {deadline_seconds:g} s",))
    if done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        return Look(problems=(f"torch could not be asked for its devices: {tail[0][:300]}",))
    devices = json.loads(done.stdout.splitlines()[-1])
    return Look(tuple(SeenDevice(**(device | {"backend": Backend(device["backend"])})) for device in devices))


def may_have_any() -> bool:
    """Whether it is worth loading torch: macOS and Windows always, Linux where a graphics device node exists."""
    return platform.system() != "Linux" or any(RENDER_NODES.glob("renderD*"))


def main(machine_id: str) -> None:
    """Ask torch and print its devices as one JSON line."""
    import torch

    devices = [*_xpu_devices(torch, machine_id), *_mps_devices(torch, machine_id)]
    print(json.dumps([asdict(device) for device in devices], allow_nan=False))


def _xpu_devices(torch: Any, machine_id: str) -> list[SeenDevice]:
    if not torch.xpu.is_available():
        return []
    devices = []
    for index in range(torch.xpu.device_count()):
        properties = torch.xpu.get_device_properties(index)
        told = getattr(properties, "uuid", None)
        devices.append(
            SeenDevice(
                uuid=f"XPU-{told}" if told else f"XPU-{uuid5(NAMESPACE_URL, f'{machine_id}/xpu/{index}')}",
                backend=Backend.XPU,
                index=index,
                name=properties.name,
                gpu_key=None,
                vendor=Vendor.INTEL.value,
                memory_bytes=int(properties.total_memory),
                power_limit_watts=None,
                compute_capability=None,
                driver_version=getattr(properties, "driver_version", None),
                unknown={"power_limit_watts": _NO_DRIVER, "compute_capability": "an xpu has none"},
            )
        )
    return devices


def _mps_devices(torch: Any, machine_id: str) -> list[SeenDevice]:
    if not torch.backends.mps.is_available():
        return []
    return [
        SeenDevice(
            uuid=f"MPS-{uuid5(NAMESPACE_URL, f'{machine_id}/mps')}",
            backend=Backend.MPS,
            index=0,
            name=f"{platform.processor() or 'Apple'} GPU",
            gpu_key=None,
            vendor=Vendor.APPLE.value,
            memory_bytes=int(torch.mps.recommended_max_memory()),
            power_limit_watts=None,
            compute_capability=None,
            driver_version=platform.mac_ver()[0] or None,
            unknown={"power_limit_watts": _NO_DRIVER, "compute_capability": "an Apple GPU has none"},
        )
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
