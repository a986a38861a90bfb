"""A leash for helper processes: die with the parent, then become the command given.

Run by file path with `python -I -S leash.py PARENT_PID COMMAND…`, so it imports nothing of ours and starts in a few
milliseconds. On Linux it asks the kernel to send SIGKILL when the thread that started it ends (also when the parent
itself is killed with SIGKILL), then replaces itself by the command, which keeps that setting. The parent's id is
compared after asking: a parent that died in between is noticed. Elsewhere there is no such call and no leash.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def leashed(command: list[str]) -> list[str]:
    """The command line that runs `command` on a leash held by this process."""
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(os.getpid()), *command]


def main(arguments: list[str]) -> None:
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent:
            sys.exit("the process that started this one is gone")
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
