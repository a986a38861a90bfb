"""Plans beside those of other planners: `python -m benchmarks.plans --data DIR [--only gavel,philly] [--json]`.

DIR holds the instances, flat or in the folders peer/ and traces/; an instance that is not there is skipped and said.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.plan_cases import CASES, Case, Folder


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0 where every case holds, 1 where one does not, 2 where nothing could be run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of instances")
    parser.add_argument("--only", default=",".join(CASES), help=f"some of {', '.join(CASES)}")
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    given = parser.parse_args(arguments)
    names = [name.strip() for name in given.only.split(",") if name.strip()]
    unknown = [name for name in names if name not in CASES]
    if unknown or not given.data.is_dir():
        parser.error(f"there is no case {unknown[0]!r}" if unknown else f"{given.data} is no folder")
    found: list[Case] = []
    for name in names:
        try:
            cases = CASES[name](Folder(given.data))
        except FileNotFoundError as missing:
            print(f"{name}: skipped, {missing} is not in {given.data}", file=sys.stderr)
            continue
        found.extend(cases)
        if not given.json:
            show(cases)
    if given.json:
        print(json.dumps([asdict(case) for case in found], indent=1, ensure_ascii=False))
    if not found:
        return 2
    return 0 if all(case.ok for case in found) else 1


def show(cases: list[Case]) -> None:
    """The rows of one peer."""
    print(f"{'case':<58} {'ours':>14} {'peer':>14} {'bound':>14} {'seconds':>8} ok   note")
    for case in cases:
        figures = " ".join(
            f"{'—' if value is None else f'{value:,.4f}':>14}" for value in (case.ours, case.peer, case.bound)
        )
        print(f"{case.case:<58} {figures} {case.seconds:>8.2f} {'yes' if case.ok else 'NO':<4} {case.note}")


if __name__ == "__main__":
    sys.exit(main())
