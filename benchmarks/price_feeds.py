"""Rows per second and peak memory of our readers against reading the same file with pandas, in one run.

    python -m benchmarks.price_feeds [FILE.csv[.gz]] [--catalogue] [--repeats 3]

Without a file, one of the form and size of the AWS history is made up (173,522 rows); with `--catalogue` one of 100,000
different offers in the project's own form. Each reading runs in a process of its own, so
that the peak is its own; pandas is no dependency of the project and is left out where it is not installed. Both do the
whole work of their kind: the reader checks every row and makes a quote of it, pandas parses columns and no more.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

NUM_ROWS = 173_522
NUM_OFFERS = 100_000
CATALOGUE = "offers.csv"
_HEADER = (
    "date,instance_type,region,availability_zone_id,accelerator_name,accelerator_count,"
    "on_demand_usd_per_hour,spot_usd_per_hour,event\n"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--catalogue", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", choices=_READINGS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_measure(_READINGS[options.one], options.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make, name = (made_up_catalogue, CATALOGUE) if options.catalogue else (made_up_history, "history.csv.gz")
        path = options.file or make(Path(folder) / name)
        best = {name: _best(name, path, options.repeats) for name in _READINGS if _is_there(name)}
    for name, found in best.items():
        pace = found["rows"] / found["seconds"]
        print(f"{name:8} {found['rows']:>9,} rows  {found['seconds']:6.2f} s  {pace:>9,.0f} rows/s", end="  ")
        print(f"peak {found['peak_mib']:6.1f} MiB (of which {found['base_mib']:.1f} before the first row)")
    if "pandas" not in best:
        print("pandas is not installed here: nothing to compare with")
        return
    ours, theirs = best["planner"], best["pandas"]
    ratio = (ours["rows"] / ours["seconds"]) / (theirs["rows"] / theirs["seconds"])
    grown, theirs_grown = ours["peak_mib"] - ours["base_mib"], theirs["peak_mib"] - theirs["base_mib"]
    print(f"planner / pandas: {ratio:.3f} of the rows per second, {grown / theirs_grown:.3f} of the memory for rows")


def _read_with_planner(path: Path) -> Callable[[], int]:
    from planner.hardware.catalogue import load_catalogue
    from planner.readers.machines import load_machines
    from planner.readers.registry import get_source, read_file
    from planner.readers.source import ReadContext

    load_machines()
    context = ReadContext(load_catalogue(), datetime.now(UTC))

    def read() -> int:
        with path.open("rb") as file:
            return sum(
                1 for _ in read_file(get_source("own" if path.name == CATALOGUE else "history-aws"), file, context)
            )

    return read


def _read_with_pandas(path: Path) -> Callable[[], int]:
    import pandas

    return lambda: len(pandas.read_csv(path))


_READINGS = {"planner": _read_with_planner, "pandas": _read_with_pandas}


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _measure(prepare: Callable[[Path], Callable[[], int]], path: Path) -> dict[str, float]:
    read = prepare(path)
    base = _peak_mib()
    began = time.perf_counter()
    num_rows = read()
    return {
        "rows": num_rows,
        "seconds": time.perf_counter() - began,
        "base_mib": base,
        "peak_mib": _peak_mib(),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _best(name: str, path: Path, repeats: int) -> dict[str, float]:
    """The quickest of some processes."""
    command = [sys.executable, __file__, str(path), "--one", name]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(repeats)
    ]
    return min(runs, key=lambda run: run["seconds"])


def made_up_history(path: Path) -> Path:
    """A history of the same form and size as the real one: 336 machines in zones, one price each a day."""
    day, zones, types = date(2022, 12, 2), 6, ("p3.2xlarge", "p4d.24xlarge", "g4dn.xlarge", "g5.48xlarge")
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        file.write(_HEADER)
        for row in range(NUM_ROWS):
            place = row % (len(types) * zones * 14)
            machine, zone = types[place % len(types)], f"use{place // 24 + 1}-az{place % zones + 1}"
            event = "new" if row == place else "change"
            stated = day + timedelta(days=row // (len(types) * zones * 14))
            spot = 0.5 + (row * 7919 % 10_007) / 10_007
            file.write(f"{stated},{machine},region-{place // 24},{zone},GPU,1.0,3.06,{spot:.6f},{event}\n")
    return path


def made_up_catalogue(path: Path) -> Path:
    """100,000 different offers in the project's own form, as `benchmarks.price_imports` imports them."""
    from benchmarks import price_imports

    return price_imports.made_up_catalogue(path, NUM_OFFERS)


if __name__ == "__main__":
    main()
