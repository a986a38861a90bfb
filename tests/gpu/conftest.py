"""What the tests of this room share: the fake NVIDIA driver, small jobs, and a look at processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.gpu.process import helper_environment

HERE = Path(__file__).parent
CARDS = ("GPU-11111111-2222-3333-4444-000000000000", "GPU-11111111-2222-3333-4444-000000000001")


@pytest.fixture(scope="session")
def build_fake_nvml(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile the fake driver library and give the folder to put on the loader's path."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None or sys.platform != "linux":
        pytest.skip("the fake NVIDIA driver needs a C compiler (cc, gcc or clang) on Linux")

    def build(*flags: str) -> Path:
        folder = tmp_path_factory.mktemp("nvml")
        target = folder / "libnvidia-ml.so.1"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-Wall", "-Wextra", *flags, "-o", target, HERE / "fake_nvml.c"], check=True
        )
        return folder

    return build


@pytest.fixture(scope="session")
def fake_nvml(build_fake_nvml: Callable[..., Path]) -> Path:
    """The fake driver of today."""
    return build_fake_nvml()


@pytest.fixture(scope="session")
def old_fake_nvml(build_fake_nvml: Callable[..., Path]) -> Path:
    """A driver that lacks the functions that came late."""
    return build_fake_nvml("-DOLD_DRIVER")


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python code in a process of its own with this package importable."""

    def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env=helper_environment() | environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    return run


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(claim: Callable[[], bool], seconds: float) -> bool:
    """Whether the claim comes true within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if claim():
            return True
        time.sleep(0.02)
    return claim()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
