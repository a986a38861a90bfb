"""The AMD driver through amdsmi, which comes with ROCm and need not be there: devices, readings, conditions.

As with NVIDIA's, nothing here is called in the service itself; `ask` runs this module as a process with a deadline.
A device is known by the UUID that HIP gives it, since that is how one is made visible to torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from planner.calibration.conditions import DeviceConditions, DeviceProcess
from planner.gpu.events import AMD, Reading
from planner.gpu.look import Look, look_in_process, print_look
from planner.hardware.gpu import Vendor
from planner.inventory.device import Backend, SeenDevice

DEADLINE_SECONDS = 15.0
PCI_DEVICES = Path("/sys/bus/pci/devices")
PCI_VENDOR = "0x1002"
ACCELERATORS = ("0x0300", "0x0302", "0x0380", "0x1200")  # PCI classes: display, 3D, other display, processing
MIB = 1 << 20  # amdsmi counts video memory in these
MICRO = 1e-6  # power caps come in microwatts, energy in microjoules

# amdsmi's status codes (amdsmi.h) in words, each said once.
_WORDS = {
    1: "the driver refuses the question",
    2: "not supported by this device",
    3: "not supported by this driver yet",
    4: "the driver's library cannot be loaded",
    5: "this driver is too old to tell",
    8: "the driver did not answer in time",
    10: "no permission",
    12: "the driver could not read from the device",
    30: "the device is in use",
    31: "not found by the driver",
    32: "the driver connection is not open",
    34: "the driver is not loaded",
    40: "no value at present",
    51: "the driver is not loaded",
}
_REMEDIES = {
    10: "give this user read and write access to /dev/kfd and /dev/dri (the groups render and video)",
    34: "load it (modprobe amdgpu) or install it for the running kernel",
    51: "load it (modprobe amdgpu) or install it for the running kernel",
}


class NoReadings(Exception):
    """The driver gives no readings of this device; the message says why in words."""


def ask(deadline_seconds: float = DEADLINE_SECONDS) -> Look:
    """The AMD devices here; nothing is started where there is neither such a card nor amdsmi."""
    if importlib.util.find_spec("amdsmi") is None:
        if not has_amd_card():
            return Look()
        return Look(problems=("AMD: there is a card in this machine but no amdsmi; it comes with ROCm",))
    return look_in_process("planner.gpu.amd", "AMD", deadline_seconds)


def has_amd_card(folder: Path = PCI_DEVICES) -> bool:
    """Whether the bus shows a display or processing device of AMD's."""
    for device in folder.glob("*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == PCI_VENDOR and kind[:6] in ACCELERATORS:
            return True
    return False


def main() -> None:
    """Look and print what was seen as JSON."""
    print_look(look_here())


def look_here() -> Look:
    """The AMD devices here, asked in this process. The catalogue key is left to the caller."""
    try:
        with _driver() as smi:
            return Look(tuple(_seen(smi, index, handle) for index, handle in enumerate(_handles(smi))))
    except Exception as error:
        if not _is_driver_error(error):
            raise
        remedy = _REMEDIES.get(_code(error))
        return Look(problems=(f"AMD: {in_words(error)}" + (f"; {remedy}" if remedy else ""),))


def in_words(error: Exception) -> str:
    """The driver's reason in words, with its number where it has one."""
    if isinstance(error, ImportError | OSError | KeyError):
        return f"amdsmi cannot be used: {error}"
    code = _code(error)
    return f"{_WORDS.get(code, 'the driver reports an error that is not known')} (amdsmi {code})"


def conditions(uuid: str) -> DeviceConditions:
    """One look at the device around a run; a driver that cannot be asked is a `problem`."""
    try:
        with _driver() as smi:
            return _conditions(_Told(smi, _find(smi, uuid)))
    except NoReadings as error:
        return DeviceConditions(problem=str(error))
    except Exception as error:
        if not _is_driver_error(error):
            raise
        remedy = _REMEDIES.get(_code(error))
        return DeviceConditions(problem=in_words(error) + (f"; {remedy}" if remedy else ""))


class AmdReader:
    """Readings of one AMD device. `absent` says why a field is not told."""

    def __init__(self, uuid: str) -> None:
        import amdsmi

        try:
            amdsmi.amdsmi_init()
            self._told = _Told(amdsmi, _find(amdsmi, uuid))
        except amdsmi.AmdSmiException as error:
            raise NoReadings(in_words(error)) from error
        self._smi = amdsmi
        self._energy_at_start: float | None = None
        self.absent = self._told.absent
        self.absent["throttle_reasons"] = "amdsmi tells them in no form that compares with NVIDIA's"

    def read(self, seconds_in: float) -> Reading:
        """One look at the device."""
        told = self._told
        energy = told.energy_joules()
        if energy is not None:
            if self._energy_at_start is None:
                self._energy_at_start = energy
            energy -= self._energy_at_start
        return Reading(
            seconds_in=seconds_in,
            power_watts=told.power_watts(),
            energy_joules=energy,
            temperature_celsius=told.temperature_celsius(),
            clock_hz=told.clock_hz("clock_hz", "GFX", "clk"),
            memory_clock_hz=told.clock_hz("memory_clock_hz", "MEM", "clk"),
            utilization=told.utilization(),
            memory_used_bytes=told.memory_bytes("memory_used_bytes", "vram_used"),
        )

    def incidents(self) -> list[tuple[str, int | None, str]]:
        """amdsmi's events are not watched."""
        return []

    def close(self) -> None:
        self._smi.amdsmi_shut_down()


class _Told:
    """Answers about one device in SI units; None with the driver's reason in `absent`."""

    def __init__(self, smi: Any, handle: Any) -> None:
        self.smi, self.handle = smi, handle
        self.absent: dict[str, str] = {}

    def number(self, field: str, call: Callable[[], Any]) -> float | None:
        value = self.value(field, call)
        if value is None or isinstance(value, int | float):
            return value
        self.absent[field] = f"the driver says {value!r}"  # amdsmi puts "N/A" where a number would stand
        return None

    def value(self, field: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (self.smi.AmdSmiException, AttributeError, KeyError) as error:
            is_old = isinstance(error, AttributeError | KeyError)
            self.absent[field] = "this amdsmi is too old to tell" if is_old else in_words(error)
            return None

    def power_watts(self) -> float | None:
        """The present draw of the package; older cards tell the mean of the last moments only."""
        told = self.value("power_watts", lambda: self.smi.amdsmi_get_power_info(self.handle))
        for name in ("current_socket_power", "average_socket_power"):
            if told is not None and isinstance(told.get(name), int | float):
                return float(told[name])
        self.absent.setdefault("power_watts", "the driver gives no number")
        return None

    def energy_joules(self) -> float | None:
        told = self.value("energy_joules", lambda: self.smi.amdsmi_get_energy_count(self.handle))
        return None if told is None else told["energy_accumulator"] * told["counter_resolution"] * MICRO

    def temperature_celsius(self) -> float | None:
        """At the hottest point where that is told, else at the edge of the chip."""
        kinds = self.smi.AmdSmiTemperatureType
        for kind in ("HOTSPOT", "EDGE"):
            found = self.number("temperature_celsius", partial(self._temperature, getattr(kinds, kind, None)))
            if found is not None:
                self.absent.pop("temperature_celsius", None)
                return float(found)
        return None

    def _temperature(self, kind: Any) -> Any:
        return self.smi.amdsmi_get_temp_metric(self.handle, kind, self.smi.AmdSmiTemperatureMetric.CURRENT)

    def clock_hz(self, field: str, kind: str, name: str) -> float | None:
        clock = getattr(self.smi.AmdSmiClkType, kind)
        found = self.number(field, lambda: self.smi.amdsmi_get_clock_info(self.handle, clock)[name])
        return None if found is None else found * 1e6

    def utilization(self) -> float | None:
        found = self.number("utilization", lambda: self.smi.amdsmi_get_gpu_activity(self.handle)["gfx_activity"])
        return None if found is None else found / 100

    def memory_bytes(self, field: str, name: str) -> int | None:
        found = self.number(field, lambda: self.smi.amdsmi_get_gpu_vram_usage(self.handle)[name])
        return None if found is None else int(found) * MIB

    def watts(self, field: str, name: str) -> float | None:
        found = self.number(field, lambda: self.smi.amdsmi_get_power_cap_info(self.handle)[name])
        return None if found is None else found * MICRO

    def driver_version(self) -> str | None:
        told = self.value("driver_version", lambda: self.smi.amdsmi_get_gpu_driver_info(self.handle))
        return None if told is None or told["driver_version"] == "N/A" else str(told["driver_version"])


def _conditions(told: _Told) -> DeviceConditions:
    listed = told.value("processes", lambda: told.smi.amdsmi_get_gpu_process_list(told.handle))
    ecc = told.number(
        "ecc_volatile", lambda: told.smi.amdsmi_get_gpu_total_ecc_count(told.handle)["uncorrectable_count"]
    )
    locked = told.value("has_locked_clocks", lambda: _clock_locked(told))
    return DeviceConditions(
        driver_version=told.driver_version(),
        has_locked_clocks=locked if isinstance(locked, bool) else None,
        temperature_celsius=told.temperature_celsius(),
        power_limit_watts=told.watts("power_limit_watts", "power_cap"),
        power_default_watts=told.watts("power_default_watts", "default_power_cap"),
        clock_hz=told.clock_hz("clock_hz", "GFX", "clk"),
        max_clock_hz=told.clock_hz("max_clock_hz", "GFX", "max_clk"),
        memory_clock_hz=told.clock_hz("memory_clock_hz", "MEM", "clk"),
        max_memory_clock_hz=told.clock_hz("max_memory_clock_hz", "MEM", "max_clk"),
        memory_total_bytes=told.memory_bytes("memory_total_bytes", "vram_total"),
        memory_used_bytes=told.memory_bytes("memory_used_bytes", "vram_used"),
        ecc_volatile=None if ecc is None else int(ecc),
        processes=None if listed is None else tuple(_process(one) for one in listed),
        absent=told.absent,
    )


def _clock_locked(told: _Told) -> Any:
    return told.smi.amdsmi_get_clock_info(told.handle, told.smi.AmdSmiClkType.GFX)["clk_locked"]


def _process(one: dict[str, Any]) -> DeviceProcess:
    held = one.get("memory_usage", {}).get("vram_mem")
    return DeviceProcess(int(one["pid"]), "compute", int(held) if isinstance(held, int) else None)


@contextmanager
def _driver() -> Iterator[Any]:
    import amdsmi

    amdsmi.amdsmi_init()
    try:
        yield amdsmi
    finally:
        amdsmi.amdsmi_shut_down()


def _handles(smi: Any) -> list[Any]:
    return list(smi.amdsmi_get_processor_handles())


def _find(smi: Any, uuid: str) -> Any:
    for handle in _handles(smi):
        if _uuid(smi, handle) == uuid:
            return handle
    raise NoReadings("not found by the driver")


def _uuid(smi: Any, handle: Any) -> str:
    """HIP's UUID where this amdsmi tells it; the driver's own otherwise, by which torch cannot be given the device."""
    try:
        told = smi.amdsmi_get_gpu_enumeration_info(handle)["hip_uuid"]
    except (AttributeError, KeyError, smi.AmdSmiException):
        told = "N/A"
    return f"{AMD}{told if told != 'N/A' else smi.amdsmi_get_gpu_device_uuid(handle)}"


def _seen(smi: Any, index: int, handle: Any) -> SeenDevice:
    """One device. Without UUID and name it has no identity, so those two raise; anything else is None with a reason."""
    told = _Told(smi, handle)
    memory = told.memory_bytes("memory_bytes", "vram_total")
    limit = told.watts("power_limit_watts", "power_cap")
    version = told.driver_version()
    asic = smi.amdsmi_get_gpu_asic_info(handle)
    return SeenDevice(
        uuid=_uuid(smi, handle),
        backend=Backend.CUDA,  # ROCm's torch answers to the same name
        index=index,
        name=str(asic["market_name"]),
        gpu_key=None,
        vendor=Vendor.AMD.value,
        memory_bytes=memory,
        power_limit_watts=limit,
        compute_capability=None,
        driver_version=version,
        unknown={**told.absent, "compute_capability": "an AMD device has none"},
    )


def _is_driver_error(error: Exception) -> bool:
    """Whether amdsmi raised it, or could not even be loaded (it looks for its library when it is imported)."""
    names = {base.__name__ for base in type(error).__mro__}
    return "AmdSmiException" in names or isinstance(error, ImportError | OSError | KeyError)


def _code(error: Exception) -> int:
    return int(getattr(error, "err_code", 0))


if __name__ == "__main__":
    main()
