"""What is attached here: one look at this host and at every driver, none of which can hold us up or fail the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from planner.gpu import cpu, nvidia, torch_devices
from planner.hardware.catalogue import DRIVER, Catalogue, load_catalogue
from planner.inventory.device import Discovery, SeenDevice


def discover() -> Discovery:
    """This node with its NVIDIA GPUs, whatever else torch computes on, and always its CPU as the last device.

    The drivers are asked in processes of their own with a deadline. A driver that cannot answer is a sentence in
    `problems`. A name that the catalogue's alias table does not hold is kept, with `gpu_key` None.
    """
    node = cpu.look_at_node()
    looks = [nvidia.ask(), torch_devices.ask(node.machine_id), nvidia.Look((cpu.look_at_cpu(),))]
    devices = [device for look in looks for device in look.devices]
    problems = [problem for look in looks for problem in look.problems]
    return Discovery(node, tuple(with_gpu_keys(devices, load_catalogue())), tuple(problems))


def with_gpu_keys(devices: Iterable[SeenDevice], catalogue: Catalogue) -> Iterable[SeenDevice]:
    """The devices with their catalogue keys; a name that is not known is said to be so and never guessed."""
    for device in devices:
        key = catalogue.find(device.name, DRIVER, memory_bytes=device.memory_bytes)
        unknown = dict(device.unknown)
        if key is None:
            unknown["gpu_key"] = f"the catalogue does not list {device.name!r}"
        yield replace(device, gpu_key=key, unknown=unknown)
