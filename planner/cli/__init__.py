"""The command `planner`: each command reads its arguments, calls one service and prints the answer.

Exit codes: 0 done · 1 a fault of ours · 2 the request cannot be used · 3 no such thing · 4 clashes with what is there ·
5 something outside is not available · 6 nothing fits (every option was rejected) · 130 ended by Ctrl-C.
"""

from planner.cli.main import main

__all__ = ["main"]
