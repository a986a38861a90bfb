"""One look at a device around a run, taken by a process of its own (this module run as one) with a deadline."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from planner.calibration.conditions import DeviceConditions
from planner.calibration.verdict import BASELINE_BYTES
from planner.gpu.events import AMD, REPLAY
from planner.gpu.leash import leashed
from planner.gpu.process import helper_environment
from planner.inventory.device import Backend

DEADLINE_SECONDS = 15.0
SETTLE_SECONDS = 10.0  # for the driver to take back the memory of a process that has ended
LOOK_AGAIN_SECONDS = 0.2
NO_DRIVER = DeviceConditions(absent={"conditions": "no driver of this kind of device tells them"})


def inspect(backend: Backend, uuid: str, deadline_seconds: float | None = None) -> DeviceConditions:
    """The device's state now; a backend without such a driver tells nothing, a driver that hangs is a problem."""
    if not has_driver(backend, uuid):
        return NO_DRIVER
    deadline_seconds = deadline_seconds or DEADLINE_SECONDS
    command = leashed([sys.executable, "-m", "planner.gpu.inspection", backend.value, uuid])
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=deadline_seconds, env=helper_environment(), check=False
        )
    except subprocess.TimeoutExpired:
        return DeviceConditions(problem=f"the driver did not answer within {deadline_seconds:g} s")
    if done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        return DeviceConditions(problem=f"asking the driver ended with code {done.returncode}: {tail[0][:300]}")
    return DeviceConditions.from_document(json.loads(done.stdout))


def inspect_until_clean(backend: Backend, uuid: str, before: DeviceConditions) -> tuple[DeviceConditions, bool]:
    """The device's state after a run, and whether its memory came back to what was in use before it.

    Where either look does not tell the memory in use there is nothing to compare, and the device counts as clean.
    """
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        after = inspect(backend, uuid)
        is_clean = _is_clean(before, after)
        if is_clean or after.problem or time.monotonic() >= until:
            return after, is_clean or bool(after.problem)
        time.sleep(LOOK_AGAIN_SECONDS)


def has_driver(backend: Backend, uuid: str) -> bool:
    """Whether there is a driver that tells the conditions of such a device."""
    return backend is Backend.CUDA and not uuid.startswith(REPLAY)


def _is_clean(before: DeviceConditions, after: DeviceConditions) -> bool:
    if before.memory_used_bytes is None or after.memory_used_bytes is None:
        return True
    return after.memory_used_bytes <= before.memory_used_bytes + BASELINE_BYTES


def main(backend: str, uuid: str) -> None:
    if Backend(backend) is not Backend.CUDA:
        sys.exit(f"no driver of {backend} tells conditions")
    if uuid.startswith(AMD):
        from planner.gpu.amd import conditions
    else:
        from planner.gpu.nvidia_conditions import conditions

    json.dump(conditions(uuid).to_document(), sys.stdout, allow_nan=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
