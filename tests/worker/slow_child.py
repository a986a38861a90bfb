"""A measuring process without torch: the first bench at once, the others when the file `go` appears in its folder.

It leaves its process number in `pid`; with a file `ignore-sigterm` in the folder it does.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from planner.calibration.theory import bench_theory
from planner.gpu.events import event_line, job_from_json

folder = Path(sys.argv[1])
job = job_from_json(sys.stdin.read())


def say(event: str, **rest: object) -> None:
    sys.stdout.write(event_line(event, **rest) + "\n")
    sys.stdout.flush()


def sample(position: int) -> None:
    theory = bench_theory(job.benches[position])
    body = {
        "seconds": theory.flops / 1e11 + theory.num_bytes / 1e10 + 1e-5,
        "spread": 0.01,
        "repeats": 5,
        "flops": theory.flops,
        "num_bytes": theory.num_bytes,
        "steady": True,
        "peak_memory_bytes": None,
        "details": {},
    }
    say("bench", position=position)
    say("sample", position=position, sample=json.loads(json.dumps(body)))


if (folder / "ignore-sigterm").exists():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("started", conditions={"child": "slow"})
sample(0)
(folder / "pid.part").write_text(str(os.getpid()))
(folder / "pid.part").rename(folder / "pid")
say("bench", position=1)
while not (folder / "go").exists():
    time.sleep(0.02)
for number in range(1, len(job.benches)):
    sample(number)
say("finished")
