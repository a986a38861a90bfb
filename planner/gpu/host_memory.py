"""Whether the kernel killed for want of memory in our control group."""

from __future__ import annotations

from pathlib import Path

from planner.gpu.cpu import ROOT, cgroup_folders


def num_oom_kills(root: Path = ROOT) -> int | None:
    """How many processes of this control group were killed for want of memory so far; None where it is not told.

    Version 2 counts in memory.events (the group and all below it), version 1 in memory.oom_control.
    """
    for folder in cgroup_folders(root, "memory"):
        for name in ("memory.events", "memory.oom_control"):
            count = _count(folder / name)
            if count is not None:
                return count
    return None


def _count(path: Path) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdigit():
            return int(value)
    return None
