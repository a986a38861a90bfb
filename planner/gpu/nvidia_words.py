"""NVML's return codes in words, each said once, and how often a call is tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml

# NVML's return codes (nvml.h) in words, each said once.
_WORDS = {
    pynvml.NVML_ERROR_UNINITIALIZED: "the driver connection is not open",
    pynvml.NVML_ERROR_INVALID_ARGUMENT: "the driver refuses the question",
    pynvml.NVML_ERROR_NOT_SUPPORTED: "not supported by this device",
    pynvml.NVML_ERROR_NO_PERMISSION: "no permission",
    pynvml.NVML_ERROR_NOT_FOUND: "not found by the driver",
    pynvml.NVML_ERROR_INSUFFICIENT_POWER: "the card's power cable is not connected properly",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the driver is not loaded",
    pynvml.NVML_ERROR_TIMEOUT: "the driver did not answer in time",
    pynvml.NVML_ERROR_IRQ_ISSUE: "the kernel reports an interrupt problem with the card",
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "the driver's library is missing",
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "this driver is too old to tell",
    pynvml.NVML_ERROR_CORRUPTED_INFOROM: "the card's information memory is corrupted",
    pynvml.NVML_ERROR_GPU_IS_LOST: "the card is lost: it fell off the bus",
    pynvml.NVML_ERROR_RESET_REQUIRED: "the card needs a reset",
    pynvml.NVML_ERROR_OPERATING_SYSTEM: "the operating system blocks the driver",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the driver and its library are of different versions",
    pynvml.NVML_ERROR_IN_USE: "the card is in use",
    pynvml.NVML_ERROR_MEMORY: "not enough memory for the driver",
    pynvml.NVML_ERROR_NO_DATA: "no value at present",
    pynvml.NVML_ERROR_GPU_NOT_FOUND: "the card is not found",
    pynvml.NVML_ERROR_UNKNOWN: "the driver reports an unknown error",
}
# Why the driver cannot be used at all, and what to do about it.
REMEDIES = {
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "load it (modprobe nvidia) or install it for the running kernel",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "reboot, or reload the driver, after its upgrade",
    pynvml.NVML_ERROR_NO_PERMISSION: "give this user read and write access to /dev/nvidia* (often the group video)",
    pynvml.NVML_ERROR_GPU_IS_LOST: "reboot the machine or have its power and seating checked",
    pynvml.NVML_ERROR_RESET_REQUIRED: "reset it or reboot the machine",
}
LASTING = {  # reasons that will not go away while the process lives: no need to ask again
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_INVALID_ARGUMENT,
}
LOST = {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_GPU_NOT_FOUND}
NUM_TRIES = 3  # of a call that fails with an unknown error (999): drivers give it now and then without meaning it


def in_words(error: pynvml.NVMLError) -> str:
    """The driver's reason in words, with its number."""
    return f"{_WORDS.get(error.value, 'the driver reports an error that is not known')} (NVML {error.value})"


def asked(call: Callable[[], Any]) -> Any:
    """The answer; an unknown error is asked again, a few times."""
    for _ in range(NUM_TRIES - 1):
        try:
            return call()
        except pynvml.NVMLError_Unknown:
            continue
    return call()


def as_text(value: str | bytes) -> str:
    """What the driver says as text: older bindings answer in bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
