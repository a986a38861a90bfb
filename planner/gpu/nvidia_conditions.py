"""The state of one NVIDIA device around a run, as NVML tells it, field by field."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pynvml

from planner.calibration.conditions import DeviceConditions, DeviceProcess
from planner.gpu.nvidia_words import LOST, REMEDIES, as_text, asked, in_words

_COMPUTE_MODES = {0: "default", 1: "exclusive_thread", 2: "prohibited", 3: "exclusive_process"}
_RECOVERY_ACTIONS = {  # nvmlDeviceGpuRecoveryAction_t, nvml.h
    0: "none",
    1: "GPU reset",
    2: "node reboot",
    3: "drain peer-to-peer traffic",
    4: "drain and reset",
    5: "recover the IMEX domain",
    6: "bus reset",
    7: "system reboot",
}
_MAX_PLAUSIBLE = 1 << 62  # "no value" is the largest integer in some fields


class _Lost(Exception):
    pass


def conditions(uuid: str) -> DeviceConditions:
    """One look. Never raises for what a driver can say: a driver that cannot be asked is a `problem`."""
    try:
        asked(pynvml.nvmlInit)
    except pynvml.NVMLError as error:
        return DeviceConditions(problem=_sentence(error))
    try:
        handle = asked(lambda: pynvml.nvmlDeviceGetHandleByUUID(uuid))
        return _Look(handle, _whole(handle, uuid)).conditions()
    except pynvml.NVMLError as error:
        return DeviceConditions(problem=_sentence(error), is_lost=error.value in LOST)
    except _Lost as lost:
        return DeviceConditions(problem=str(lost), is_lost=True)
    finally:
        pynvml.nvmlShutdown()


def _sentence(error: pynvml.NVMLError) -> str:
    remedy = REMEDIES.get(error.value)
    return in_words(error) + (f"; {remedy}" if remedy else "")


def _whole(handle: Any, uuid: str) -> Any:
    """The card that a slice was cut from, the card itself otherwise."""
    if not uuid.startswith("MIG-"):
        return handle
    return asked(lambda: pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle))


class _Look:
    def __init__(self, handle: Any, card: Any) -> None:
        self._handle, self._card = handle, card
        self._absent: dict[str, str] = {}

    def conditions(self) -> DeviceConditions:
        card, handle = self._card, self._handle
        memory = self._told("memory_used_bytes", lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
        mig = self._told("has_mig", lambda: pynvml.nvmlDeviceGetMigMode(card))
        remap = self._told("has_remap_pending", lambda: pynvml.nvmlDeviceGetRemappedRows(card))
        told = self._told
        return DeviceConditions(
            driver_version=told("driver_version", lambda: as_text(pynvml.nvmlSystemGetDriverVersion())),
            cuda_driver=told("cuda_driver", lambda: _cuda_version(pynvml.nvmlSystemGetCudaDriverVersion())),
            vbios=told("vbios", lambda: as_text(pynvml.nvmlDeviceGetVbiosVersion(card))),
            num_devices=told("num_devices", pynvml.nvmlDeviceGetCount),
            compute_mode=told("compute_mode", lambda: _COMPUTE_MODES.get(pynvml.nvmlDeviceGetComputeMode(card))),
            has_persistence=told("has_persistence", lambda: bool(pynvml.nvmlDeviceGetPersistenceMode(card))),
            has_ecc=told("has_ecc", lambda: bool(pynvml.nvmlDeviceGetEccMode(card)[0])),
            has_mig=None if mig is None else bool(mig[0]),
            has_mig_pending=None if mig is None else bool(mig[1]),
            has_locked_clocks=told("has_locked_clocks", lambda: _has_locked_clocks(card)),
            performance_state=told("performance_state", lambda: pynvml.nvmlDeviceGetPerformanceState(card)),
            temperature_celsius=told(
                "temperature_celsius",
                lambda: float(pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU)),
            ),
            slowdown_celsius=told(
                "slowdown_celsius",
                lambda: float(
                    pynvml.nvmlDeviceGetTemperatureThreshold(card, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
                ),
            ),
            power_limit_watts=told("power_limit_watts", lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(card) / 1000),
            power_default_watts=told(
                "power_default_watts", lambda: pynvml.nvmlDeviceGetPowerManagementDefaultLimit(card) / 1000
            ),
            clock_hz=self._clock("clock_hz", pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_SM),
            max_clock_hz=self._clock("max_clock_hz", pynvml.nvmlDeviceGetMaxClockInfo, pynvml.NVML_CLOCK_SM),
            memory_clock_hz=self._clock("memory_clock_hz", pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_MEM),
            max_memory_clock_hz=self._clock(
                "max_memory_clock_hz", pynvml.nvmlDeviceGetMaxClockInfo, pynvml.NVML_CLOCK_MEM
            ),
            pcie_generation=told("pcie_generation", lambda: pynvml.nvmlDeviceGetCurrPcieLinkGeneration(card)),
            max_pcie_generation=told("max_pcie_generation", lambda: pynvml.nvmlDeviceGetMaxPcieLinkGeneration(card)),
            pcie_width=told("pcie_width", lambda: pynvml.nvmlDeviceGetCurrPcieLinkWidth(card)),
            max_pcie_width=told("max_pcie_width", lambda: pynvml.nvmlDeviceGetMaxPcieLinkWidth(card)),
            pcie_replays=told("pcie_replays", lambda: pynvml.nvmlDeviceGetPcieReplayCounter(card)),
            memory_total_bytes=None if memory is None else int(memory.total),
            memory_used_bytes=None if memory is None else int(memory.used),
            ecc_volatile=told("ecc_volatile", lambda: self._ecc(pynvml.NVML_VOLATILE_ECC)),
            ecc_aggregate=told("ecc_aggregate", lambda: self._ecc(pynvml.NVML_AGGREGATE_ECC)),
            has_remap_pending=None if remap is None else bool(remap[2]),
            has_remap_failure=None if remap is None else bool(remap[3]),
            has_retired_pending=told(
                "has_retired_pending", lambda: bool(pynvml.nvmlDeviceGetRetiredPagesPendingStatus(card))
            ),
            recovery_action=told("recovery_action", lambda: _recovery_action(card)),
            processes=self._processes(),
            absent=self._absent,
        )

    def _told(self, field: str, call: Callable[[], Any]) -> Any:
        try:
            value = asked(call)
        except pynvml.NVMLError as error:
            if error.value in LOST:
                raise _Lost(_sentence(error)) from error
            self._absent[field] = in_words(error)
            return None
        if isinstance(value, int | float) and value > _MAX_PLAUSIBLE:
            self._absent[field] = "the driver gives its mark for no value"
            return None
        return value

    def _clock(self, field: str, call: Callable[[Any, int], int], kind: int) -> float | None:
        megahertz = self._told(field, lambda: call(self._card, kind))
        return None if megahertz is None else megahertz * 1e6

    def _ecc(self, counter: int) -> int:
        return int(pynvml.nvmlDeviceGetTotalEccErrors(self._card, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, counter))

    def _processes(self) -> tuple[DeviceProcess, ...] | None:
        """All that hold the device; None where not even the list of computing ones can be had."""
        found: list[DeviceProcess] = []
        for kind, call in (
            ("compute", pynvml.nvmlDeviceGetComputeRunningProcesses),
            ("graphics", pynvml.nvmlDeviceGetGraphicsRunningProcesses),
            ("mps", pynvml.nvmlDeviceGetMPSComputeRunningProcesses),
        ):
            listed = self._told(f"{kind}_processes", partial(call, self._handle))
            if listed is None and kind == "compute":
                return None
            found += [DeviceProcess(int(one.pid), kind, _bytes(one.usedGpuMemory)) for one in listed or ()]
        return tuple(found)


def _bytes(told: int | None) -> int | None:
    return None if told is None or told > _MAX_PLAUSIBLE else int(told)


def _has_locked_clocks(card: Any) -> bool:
    """Whether the present clocks follow an administrator's setting (clock event reason 0x2)."""
    try:
        reasons = pynvml.nvmlDeviceGetCurrentClocksEventReasons(card)
    except pynvml.NVMLError_FunctionNotFound:
        reasons = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(card)
    return bool(reasons & 0x2)


def _recovery_action(card: Any) -> str:
    (value,) = pynvml.nvmlDeviceGetFieldValues(card, [pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION])
    if value.nvmlReturn != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(value.nvmlReturn)
    number = int(value.value.uiVal)
    return _RECOVERY_ACTIONS.get(number, f"action {number}")


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
