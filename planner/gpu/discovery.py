"""What is attached here: one look at this host and at every driver, none of which can hold us up or fail the rest."""

from __future__ import annotations

from dataclasses import replace

from planner.gpu import amd, cpu, nvidia, torch_devices
from planner.hardware.catalogue import DRIVER, Catalogue, load_catalogue
from planner.inventory.device import Backend, Discovery, SeenDevice


def discover() -> Discovery:
    """This node with its NVIDIA and AMD GPUs, whatever else torch computes on, and always its CPU as the last device.

    The drivers are asked in processes of their own with a deadline. A driver that cannot answer is a sentence in
    `problems`. A name that the catalogue's alias table does not hold is kept, with `gpu_key` None.
    """
    node = cpu.look_at_node()
    looks = [nvidia.ask(), amd.ask(), torch_devices.ask(node.machine_id)]
    seen = [device for look in looks for device in look.devices]
    problems = [problem for look in looks for problem in look.problems]
    catalogue = load_catalogue()
    devices = [with_gpu_key(device, catalogue) for device in seen]
    devices.append(with_gpu_key(cpu.look_at_cpu(), catalogue, cpu.whole_cores()))
    return Discovery(node, tuple(devices), tuple(problems))


def with_gpu_key(device: SeenDevice, catalogue: Catalogue, num_cores: int | None = None) -> SeenDevice:
    """The device with its catalogue key; a name that is not known for certain is said to be so and never guessed.

    An entry for a processor is one whole socket, so `num_cores` decides there and not the memory of the host.
    """
    is_cpu = device.backend is Backend.CPU
    key = catalogue.find(device.name, DRIVER, memory_bytes=None if is_cpu else device.memory_bytes, num_units=num_cores)
    if key is not None:
        return replace(device, gpu_key=key)
    reason = f"the catalogue does not list {device.name!r}"
    if is_cpu:
        reason += f" with {num_cores} cores" if num_cores else ", of which this process may use a part"
    return replace(device, gpu_key=None, unknown={**device.unknown, "gpu_key": reason})
