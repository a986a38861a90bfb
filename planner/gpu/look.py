"""What one look at a driver gives, and how it is taken: by a process of its own with a deadline."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass

from planner.gpu.leash import leashed
from planner.gpu.process import helper_environment
from planner.inventory.device import Backend, SeenDevice


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a driver gave."""

    devices: tuple[SeenDevice, ...] = ()
    problems: tuple[str, ...] = ()


def look_in_process(module: str, vendor: str, deadline_seconds: float) -> Look:
    """Run the module, which prints its look as JSON; a driver that hangs is a problem in words."""
    command = leashed([sys.executable, "-m", module])
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=deadline_seconds, env=helper_environment(), check=False
        )
    except subprocess.TimeoutExpired:
        return Look(
            problems=(f"{vendor}: the driver did not answer within {deadline_seconds:g} s; reboot if it stays so",)
        )
    if done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        return Look(problems=(f"{vendor}: asking the driver ended with code {done.returncode}: {tail[0][:300]}",))
    document = json.loads(done.stdout)
    devices = (SeenDevice(**(device | {"backend": Backend(device["backend"])})) for device in document["devices"])
    return Look(tuple(devices), tuple(document["problems"]))


def print_look(look: Look) -> None:
    """The look as JSON on standard output."""
    document = {"devices": [asdict(device) for device in look.devices], "problems": look.problems}
    sys.stdout.write(json.dumps(document, allow_nan=False))
