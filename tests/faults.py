"""Which test injects which fault: `python -m tests.faults` writes docs/faults.md from the tests' `fault` markers.

The markers are read from the syntax trees, so nothing has to run. Where: F fake driver, P process, D database,
C clock, A page or API; G needs (also) a real GPU.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "faults.md"

# number → (where it is injected, the fault, what is to happen)
FAULTS: dict[int, tuple[str, str, str]] = {
    1: ("P", "two schedulers run", "one run per schedule and due time"),
    2: ("C", "the scheduler was down across five due times", "one run, the latest; four missed are shown"),
    3: ("C", "the spring gap", "exactly one run, at the first valid instant"),
    4: ("C", "the autumn fold", "exactly one run"),
    5: ("C", "the wall clock jumps an hour ahead", "no lease ends early, no run twice"),
    6: ("C", "the wall clock jumps an hour back", "no standstill, no run twice, durations right"),
    7: ("C", "the worker's clock is ten minutes off the database's", "leases unaffected, the skew shown"),
    8: ("C", "a time zone is removed or its rule changed", "next times computed anew"),
    9: ("A", "a schedule that never falls due", "refused at input"),
    10: ("P", "due again while still running", "left out with the reason, not queued twice"),
    11: ("A", "a schedule changed or deleted with a run queued", "the queued run keeps its definition or is cancelled"),
    12: ("D", "the database is down at the start", "waits, not ready, no crash loop"),
    13: ("D", "the database goes away between claim and start", "nothing starts without a confirmed lease"),
    14: ("D", "… in mid-run, for less than the lease", "the run goes on, one result"),
    15: (
        "D",
        "… for longer than the lease",
        "the child is ended before the lease; the next fence is higher",
    ),
    16: ("D", "a zombie worker writes after a new claim", "refused by the fence, kept as evidence"),
    17: ("D", "the database goes away at the result", "kept on disk, replayed once"),
    18: ("D", "the commit is done, its answer lost", "the retry finds the row, nothing twice"),
    19: ("D", "deadlock or serialisation failure", "tried again, with bounds"),
    20: ("D", "a failover loses the last commits", "no double effect; the lost run becomes lost"),
    21: ("D", "the pool is exhausted", "a clear error; the heartbeat has its own connection"),
    22: ("D", "the schema is newer or older than the code", "refuses to start and names the revision"),
    23: ("P", "the disk is full", "the run fails clean, old results intact"),
    24: ("P", "the worker is killed in mid-run", "the child dies at once; lost after the lease; tried again"),
    25: ("P", "the worker is asked to end", "no new work, the child gets its grace, exit 0"),
    26: ("P", "the host crashed (new boot id)", "runs of the older boot are lost at once"),
    27: ("P", "the child crashes", "failed, with the signal and the last words"),
    28: ("P", "the host's memory runs out", "told from a crash by the control group's counter"),
    29: ("P, G", "the device's memory runs out", "oom; the rest goes on; memory back to the baseline"),
    30: ("P", "the child hangs", "timed out within limit and grace"),
    31: ("P", "SIGTERM is ignored", "SIGKILL to the group"),
    32: ("P, G", "the child cannot be killed", "the device is quarantined, others go on"),
    33: ("P", "grandchildren are left behind", "killed, none on the device"),
    34: ("P", "gigabytes on standard output", "bounded; the run goes on"),
    35: ("P", "NaN, infinity, a negative or zero result", "refused, the reason stored"),
    36: ("P", "a result cut short or missing", "failed, never partly stored"),
    37: ("P", "the parent loads torch or touches CUDA", "the build fails"),
    38: ("P", "a thousand runs", "no growth of descriptors, zombies, memory"),
    39: ("P", "a workload that always kills its worker", "quarantined after some, others are served"),
    40: ("P", "cancelled while queued, claimed, running", "one final state, the lease free"),
    41: ("P", "code or a dependency changed between runs", "both versions shown, not averaged together"),
    42: ("F", "the driver's library is missing", "“no NVIDIA GPU here”, the service is up"),
    43: ("F", "the driver is not loaded (9)", "the cause and what to do"),
    44: ("F", "driver and library differ (18)", "“reboot or reload the driver”"),
    45: ("F", "no permission (4)", "which right is missing"),
    46: ("F", "a function is missing (13)", "the field is NULL, the run goes on"),
    47: ("F", "not supported (3)", "NULL, never 0"),
    48: ("F", "an unknown error now and then (999)", "three tries, then without the field"),
    49: ("F", "a driver call hangs", "a deadline, the helper replaced, others served"),
    50: ("F, G", "the card is lost in mid-run (15)", "the run failed, the card quarantined, its neighbours unaffected"),
    51: ("F", "Xid 79", "the same, within two seconds"),
    52: ("F", "Xid 48, 63, 64, 94, 95", "the result invalid, advice to drain and reset"),
    53: ("F", "Xid 13, 31, 43", "the run failed, the card kept"),
    54: ("F", "Xid 74, 119, 120, 154", "the recovery action shown"),
    55: ("F", "fewer devices, other numbers", "identity by UUID, the missing one marked with a date"),
    56: ("F", "another card in the same slot", "a new item; old calibrations stay with the old one"),
    57: ("F", "uncorrected ECC errors rise in the run", "the result invalid"),
    58: ("F", "a row remap is pending or failed", "not measured; a reset asked for"),
    59: ("F", "retired pages pending", "the same"),
    60: ("F, G", "slowed by heat", "suspect; again after it has cooled"),
    61: ("F", "power cap, power brake", "a remark; suspect"),
    62: ("F", "clocks locked by an administrator", "stored, not mixed with free clocks"),
    63: ("F", "another program before the start", "busy, tried later, visible"),
    64: ("F", "another program comes in mid-run", "invalid"),
    65: ("F", "foreign memory, an empty process list", "busy"),
    66: ("F, G", "compute mode prohibited, or exclusive and taken", "said in words"),
    67: ("F, G", "MIG is on", "slices listed; the whole card is refused"),
    68: ("F", "MIG flips between inventory and run", "refused at the start"),
    69: ("F", "an MPS server is active", "busy"),
    70: ("F", "persistence is off", "warmed up until stable, recorded"),
    71: ("F", "fewer PCIe lanes or an older generation than usual", "flagged"),
    72: ("F", "the memory size changed", "another set of conditions"),
    73: ("P", "torch without CUDA, or for other architectures", "a clear text naming both versions"),
    74: ("F, P", "torch sees another number than the driver", "said, and no run"),
    75: ("F, G", "suspend, or the driver reloaded while idle", "opened anew, no stale handles"),
    76: ("A", "the price feed is stale or gone", "the last price with its age; refused beyond the limit"),
    77: ("A", "an exchange rate is missing for the date", "an error, never 1.0"),
    78: ("A", "a plan that cannot be met", "which demands clash"),
    79: ("P", "a calibration ten times off", "held for review"),
    80: ("A", "a spot interruption, a reservation ending", "planned anew from there, the difference shown"),
    81: ("A", "two editors", "412 on a stale If-Match"),
    82: ("A", "a POST sent twice", "the same answer; another body is refused"),
    83: ("A", "asked as of before a correction", "exactly what was said then"),
    84: ("C", "leap day, month end, days of 23 and 25 hours in billing", "hours sum to the calendar"),
}


def main() -> None:
    PAGE.write_text(page())


def page() -> str:
    """The table: each fault with the tests that inject it, those without a test last."""
    tests = injected()
    lines = [
        "# Faults and the tests that inject them",
        "",
        "Written by `python -m tests.faults` from the tests' `fault` markers; do not edit by hand. Where: F the fake",
        "NVIDIA driver in C, P processes, D the database, C the clock, A page or API; G needs (also) a real GPU.",
        "",
        f"{len(tests)} of {len(FAULTS)} are injected.",
        "",
        "| # | where | fault | what happens | injected by |",
        "|---|---|---|---|---|",
    ]
    for number, (where, fault, outcome) in FAULTS.items():
        if number in tests:
            names = "<br>".join(f"`{path}`: {name}" for path, name in tests[number])
            lines.append(f"| {number} | {where} | {fault} | {outcome} | {names} |")
    missing = {number: words for number, words in FAULTS.items() if number not in tests}
    if missing:
        lines += ["", "## Not injected yet", "", "| # | where | fault | what should happen |", "|---|---|---|---|"]
        lines += [f"| {number} | {' | '.join(words)} |" for number, words in missing.items()]
    return "\n".join(lines) + "\n"


@cache
def injected() -> dict[int, list[tuple[str, str]]]:
    """Fault number → the tests marked with it, as (file, name in words)."""
    found: dict[int, list[tuple[str, str]]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        where = path.relative_to(TESTS.parent).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                name = node.name.removeprefix("test_").replace("_", " ")
                for number in dict.fromkeys(_numbers(node)):
                    found.setdefault(number, []).append((where, name))
    return found


def _numbers(test: ast.FunctionDef) -> Iterator[int]:
    """The numbers of every `pytest.mark.fault(n)` among the test's decorators, also inside parameters."""
    for decorator in test.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                yield from (int(ast.literal_eval(argument)) for argument in node.args)


if __name__ == "__main__":
    main()
