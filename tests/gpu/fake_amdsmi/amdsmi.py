"""A stand-in for AMD's Python library with two healthy cards; FAKE_AMDSMI holds "function:code" or "function=value"."""

import os
from enum import Enum


class AmdSmiException(Exception):
    pass


class AmdSmiLibraryException(AmdSmiException):
    def __init__(self, err_code):
        super().__init__(err_code)
        self.err_code = err_code


class AmdSmiTemperatureType(Enum):
    EDGE = 0
    HOTSPOT = 1


class AmdSmiTemperatureMetric(Enum):
    CURRENT = 0


class AmdSmiClkType(Enum):
    GFX = 0
    MEM = 4


energy = [1_000_000]


def rule(function):
    for text in os.environ.get("FAKE_AMDSMI", "").split():
        name, mark, value = text.partition("=" if "=" in text else ":")
        if name == function and mark == ":":
            raise AmdSmiLibraryException(int(value))
        if name == function:
            return value
    return None


def amdsmi_init():
    rule("init")


def amdsmi_shut_down():
    pass


def amdsmi_get_processor_handles():
    rule("handles")
    return [0, 1]


def amdsmi_get_gpu_enumeration_info(handle):
    rule("enumeration")
    return {"hip_id": handle, "hip_uuid": f"GPU-00000000000000a{handle}"}


def amdsmi_get_gpu_device_uuid(handle):
    return f"53ff75a0-0000-1000-8000-00000000000{handle}"


def amdsmi_get_gpu_asic_info(handle):
    return {"market_name": "AMD Instinct MI300X"}


def amdsmi_get_gpu_driver_info(handle):
    rule("driver")
    return {"driver_name": "amdgpu", "driver_version": "6.12.12", "driver_date": "N/A"}


def amdsmi_get_gpu_vram_usage(handle):
    rule("vram")
    return {"vram_total": 196_592, "vram_used": int(rule("used") or 285)}


def amdsmi_get_power_cap_info(handle):
    rule("cap")
    return {"power_cap": 750_000_000, "default_power_cap": 750_000_000}


def amdsmi_get_power_info(handle):
    now = rule("power") or 412
    return {"current_socket_power": now if now == "N/A" else int(now), "average_socket_power": "N/A"}


def amdsmi_get_energy_count(handle):
    rule("energy")
    energy[0] += 4_000_000
    return {"energy_accumulator": energy[0], "counter_resolution": 15.3, "timestamp": 0}


def amdsmi_get_temp_metric(handle, kind, metric):
    if kind is AmdSmiTemperatureType.EDGE:
        raise AmdSmiLibraryException(2)
    rule("temperature")
    return 52


def amdsmi_get_clock_info(handle, kind):
    is_memory = kind is AmdSmiClkType.MEM
    return {"clk": 1300 if is_memory else 2100, "max_clk": 1300 if is_memory else 2100, "clk_locked": False}


def amdsmi_get_gpu_activity(handle):
    return {"gfx_activity": 93, "umc_activity": 40, "mm_activity": "N/A"}


def amdsmi_get_gpu_process_list(handle):
    pid = rule("process")
    return [{"pid": int(pid), "memory_usage": {"vram_mem": 1_000}}] if pid else []


def amdsmi_get_gpu_total_ecc_count(handle):
    return {"correctable_count": 0, "uncorrectable_count": 0, "deferred_count": 0}
