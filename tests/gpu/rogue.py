"""A measuring process that misbehaves in the way its first argument says; the second is a file for process numbers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SAMPLE = (
    '{"seconds": 0.5, "spread": 0.01, "repeats": 5, "flops": 1.0, "num_bytes": 2.0, "steady": true, '
    '"peak_memory_bytes": null, "details": {}}'
)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def sample(position: int, text: str = SAMPLE) -> None:
    say(f'{{"event": "sample", "position": {position}, "sample": {text}}}')


def leave_numbers(*numbers: int) -> None:
    path = Path(sys.argv[2])
    path.with_suffix(".part").write_text(" ".join(map(str, numbers)))
    path.with_suffix(".part").rename(path)


mode = sys.argv[1]
say('{"event": "started", "conditions": {"mode": "' + mode + '"}}')
say('{"event": "bench", "position": 0}')
if mode == "sleep":
    leave_numbers(os.getpid())
    time.sleep(600)
elif mode == "until":
    while not Path(sys.argv[2]).exists():
        time.sleep(0.02)
    sample(0)
    say('{"event": "finished"}')
elif mode == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif mode == "ignore-sigterm":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leave_numbers(os.getpid())
    time.sleep(600)
elif mode == "grandchildren":
    inner = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    others = [subprocess.Popen([sys.executable, "-c", inner]) for _ in range(2)]
    leave_numbers(os.getpid(), *(other.pid for other in others))
    sample(0)
    say('{"event": "finished"}')
    os._exit(0)
elif mode == "flood":
    block = b"x" * (1 << 20)
    for _ in range(int(sys.argv[3])):
        os.write(1, block)
    os.write(1, b"\n" + b"short noise\n" * 1000)
    sample(0)
    say('{"event": "finished"}')
elif mode == "segfault":
    sys.stderr.write("about to fall\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)
elif mode == "long-stderr":
    sys.stderr.write("early\n" + "y" * 100_000 + "\nthe last words\n")
    sys.exit(7)
elif mode == "bad-samples":
    for position, text in enumerate(
        (
            SAMPLE.replace("0.5", "NaN"),
            SAMPLE.replace("0.5", "-1.0"),
            SAMPLE.replace("0.5", "0"),
            SAMPLE.replace("0.5", "1e999"),
            SAMPLE.replace('"repeats": 5, ', ""),
            SAMPLE[:40],
        )
    ):
        if position:
            say(f'{{"event": "bench", "position": {position}}}')
        sample(position, text)
    say('{"event": "finished"}')
elif mode == "cut-in-mid-line":
    sys.stdout.write('{"event": "sample", "position": 0, "sample": {"seconds": 0.')
    sys.stdout.flush()
    os._exit(0)
elif mode == "tells-twice":
    sample(0)
    sample(0, SAMPLE.replace("0.5", "9.5"))
    say('{"event": "failure", "position": 0, "error_class": "oom", "message": "too late"}')
    sample(99)
    say('{"event": "finished"}')
elif mode == "visits-and-hangs":
    for number in (1, 2):
        for position in (0, 1):
            say(f'{{"event": "bench", "position": {position}}}')
            if (number, position) != (2, 1):
                say(f'{{"event": "visit", "position": {position}, "number": {number}, "of": 2, "sample": {SAMPLE}}}')
    say('{"event": "visit", "position": 1, "number": 3, "of": 2, "sample": ' + SAMPLE + "}")
    say('{"event": "visit", "position": 1, "number": true, "of": 2, "sample": ' + SAMPLE + "}")
    say('{"event": "visit", "position": 7, "number": 1, "of": 2, "sample": ' + SAMPLE + "}")
    leave_numbers(os.getpid())
    time.sleep(600)
elif mode == "begins-for-ever":
    for _ in range(1000):
        say('{"event": "bench", "position": 0}')
    sample(0)
    say('{"event": "finished"}')
elif mode == "forgets":
    say('{"event": "failure", "position": 0, "error_class": "nonsense", "message": "made up"}')
    say('{"event": "finished"}')
else:
    sys.exit(f"no mode {mode!r}")
