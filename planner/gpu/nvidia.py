"""The NVIDIA driver through NVML: devices, readings, and its error codes in words.

A driver call can hang for good (a card that fell off the bus, a driver half unloaded), so nothing here is called in
the service itself: `ask` runs this module as a process with a deadline, and readings are taken by the telemetry helper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pynvml

from planner.gpu.events import Reading
from planner.gpu.look import Look, look_in_process, print_look
from planner.gpu.nvidia_watch import NvidiaWatch
from planner.gpu.nvidia_words import LASTING as _LASTING
from planner.gpu.nvidia_words import LOST, REMEDIES, as_text, asked, in_words
from planner.hardware.gpu import Vendor
from planner.inventory.device import Backend, SeenDevice

DEADLINE_SECONDS = 15.0  # the first call after boot can take several seconds with persistence mode off
PCI_DEVICES = Path("/sys/bus/pci/devices")
PCI_VENDOR = "0x10de"


def ask(deadline_seconds: float = DEADLINE_SECONDS) -> Look:
    """The NVIDIA devices here, asked in a process of their own; a driver that hangs is a problem in words."""
    return look_in_process("planner.gpu.nvidia", "NVIDIA", deadline_seconds)


def main() -> None:
    """Look and print what was seen as JSON."""
    print_look(look_here())


def look_here() -> Look:
    """The NVIDIA devices here, asked in this process. The catalogue key is left to the caller."""
    try:
        with _driver():
            return _look()
    except pynvml.NVMLError as error:
        sentence = _why_no_driver(error)
        return Look(problems=(sentence,) if sentence else ())


def has_nvidia_card() -> bool:
    """Whether the bus shows a device of NVIDIA's, driver or not."""
    try:
        vendors = [(device / "vendor").read_text().strip() for device in PCI_DEVICES.iterdir()]
    except OSError:
        return False
    return PCI_VENDOR in vendors


def _why_no_driver(error: pynvml.NVMLError) -> str:
    if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        if has_nvidia_card():
            return (
                "NVIDIA: there is a card in this machine but no driver library (libnvidia-ml.so.1); install the driver"
            )
        return "NVIDIA: no driver library on this machine, so no NVIDIA GPU can be used here"
    remedy = REMEDIES.get(error.value)
    return f"NVIDIA: {in_words(error)}" + (f"; {remedy}" if remedy else "")


@contextmanager
def _driver() -> Iterator[None]:
    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def _look() -> Look:
    devices, problems = [], []
    driver_version, version_reason = _told(lambda: as_text(pynvml.nvmlSystemGetDriverVersion()))
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            slices = list(_mig_slices(handle))
            if slices:
                problems.append(f"NVIDIA GPU {index} is cut into {len(slices)} MIG slices; each counts as a device")
            devices += [
                _seen(piece, index, driver_version, version_reason, piece is not handle) for piece in slices or [handle]
            ]
        except pynvml.NVMLError as error:
            remedy = REMEDIES.get(error.value)
            problems.append(f"NVIDIA GPU {index}: {in_words(error)}" + (f"; {remedy}" if remedy else ""))
    return Look(tuple(devices), tuple(problems))


def _mig_slices(handle: Any) -> Iterator[Any]:
    """The slices of a card in MIG mode; none where the mode is off or the card has no such mode."""
    mode, _ = _told(lambda: pynvml.nvmlDeviceGetMigMode(handle)[0])
    if mode != pynvml.NVML_DEVICE_MIG_ENABLE:
        return
    for number in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except pynvml.NVMLError as error:
            if error.value != pynvml.NVML_ERROR_NOT_FOUND:  # an unused place
                raise


def _seen(handle: Any, index: int, driver_version: str | None, version_reason: str, is_slice: bool) -> SeenDevice:
    """One device. Without UUID and name it has no identity, so those two raise; anything else is None with a reason."""
    unknown: dict[str, str] = {}

    def told(field: str, call: Callable[[], Any]) -> Any:
        value, reason = _told(call)
        if value is None:
            unknown[field] = reason
        return value

    if driver_version is None:
        unknown["driver_version"] = version_reason
    memory = told("memory_bytes", lambda: int(pynvml.nvmlDeviceGetMemoryInfo(handle).total))
    limit = told("power_limit_watts", lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000)
    capability = told("compute_capability", lambda: "{}.{}".format(*pynvml.nvmlDeviceGetCudaComputeCapability(handle)))
    return SeenDevice(
        uuid=as_text(pynvml.nvmlDeviceGetUUID(handle)),
        backend=Backend.CUDA,
        index=index,
        name=_name(handle, is_slice),
        gpu_key=None,
        vendor=Vendor.NVIDIA.value,
        memory_bytes=memory,
        power_limit_watts=limit,
        compute_capability=capability,
        driver_version=driver_version,
        unknown=unknown,
    )


def _name(handle: Any, is_slice: bool) -> str:
    """The name as told; a slice's always says so, since a slice is not the card it was cut from."""
    name = as_text(pynvml.nvmlDeviceGetName(handle))
    return f"{name} MIG slice" if is_slice and "MIG" not in name else name


def _told(call: Callable[[], Any]) -> tuple[Any, str]:
    """The answer, or None with the driver's reason."""
    try:
        return asked(call), ""
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
            raise
        return None, in_words(error)


class NoReadings(Exception):
    """The driver gives no readings of this device (any more); the message says why in words."""

    def __init__(self, reason: str, is_lost: bool = False) -> None:
        super().__init__(reason)
        self.is_lost = is_lost


class NvidiaReader:
    """Readings of one NVIDIA device. `absent` says why a field is not told."""

    def __init__(self, uuid: str, own_pid: int | None = None) -> None:
        try:
            asked(pynvml.nvmlInit)
            self._handle = asked(lambda: pynvml.nvmlDeviceGetHandleByUUID(uuid))
        except pynvml.NVMLError as error:
            raise NoReadings(in_words(error)) from error
        self._watch = NvidiaWatch(self._handle, own_pid)
        self._energy_at_start: float | None = None
        self._lasting: set[str] = set()
        self.absent: dict[str, str] = {}

    def read(self, seconds_in: float) -> Reading:
        """One look at the device. Raises NoReadings where the card is lost."""
        handle = self._handle
        energy = self._told("energy_joules", lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000)
        if energy is not None:
            if self._energy_at_start is None:
                self._energy_at_start = energy
            energy -= self._energy_at_start
        return Reading(
            seconds_in=seconds_in,
            power_watts=self._told("power_watts", lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000),
            energy_joules=energy,
            temperature_celsius=self._told(
                "temperature_celsius",
                lambda: float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
            ),
            clock_hz=self._told("clock_hz", lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) * 1e6),
            memory_clock_hz=self._told(
                "memory_clock_hz", lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM) * 1e6
            ),
            utilization=self._told("utilization", lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),
            memory_used_bytes=self._told("memory_used_bytes", lambda: int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)),
            throttle_reasons=self._told("throttle_reasons", lambda: _throttle_reasons(handle)),
        )

    def incidents(self) -> list[tuple[str, int | None, str]]:
        """What has happened to the device since the last call: (kind, the driver's number, sentence)."""
        return self._watch.incidents()

    def close(self) -> None:
        self._watch.close()
        pynvml.nvmlShutdown()

    def _told(self, field: str, call: Callable[[], Any]) -> Any:
        if field in self._lasting:
            return None
        try:
            return asked(call)
        except pynvml.NVMLError as error:
            if error.value in LOST:
                raise NoReadings(in_words(error), is_lost=True) from error
            self.absent[field] = in_words(error)
            if error.value in _LASTING:
                self._lasting.add(field)
            return None


def _throttle_reasons(handle: Any) -> int:
    """The bits, under the function's name of today or that of drivers before 535."""
    try:
        return int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    except pynvml.NVMLError_FunctionNotFound:
        return int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))


if __name__ == "__main__":
    main()
