"""What tensors give back stays with the measuring process: no fault per page in every step."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, statistics, sys
import torch
from planner.gpu.benches.accelerator import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()

def step():
    large, larger = torch.ones(4_000_000), torch.ones(20_000_000)
    del large, larger

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(statistics.median(faults() for _ in range(9)))
"""


def _faults(how: str) -> float:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True)
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory by rules of its own")
def test_memory_that_was_given_back_is_not_asked_of_the_system_again() -> None:
    assert _faults("kept") < 100 < _faults("as it is")
