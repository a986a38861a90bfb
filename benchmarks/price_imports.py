"""Whole imports into SQLite: rows per second, memory beyond the start, and how long another writer waits meanwhile.

    python benchmarks/price_imports.py [--history FILE.csv[.gz]] [--offers 100000]

Two lists, each into a database of its own and then once more (when every row is known): a catalogue of so many
different offers, and a spot history of 173,522 rows (FILE, else one made up). While an import runs, another thread
writes one row every 10 ms, as the renewal of a lease does; its longest wait is what the import costs
the others (30 s: it gave up).
Every list goes through beside the lock (as the planner does) and, for comparison, wholly under it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from benchmarks.price_feeds import made_up_history
from planner.hardware.catalogue import load_catalogue
from planner.offers.change_guard import AllowedChanges
from planner.readers.machines import load_machines
from planner.readers.own_csv import template
from planner.readers.registry import get_source
from planner.services import incoming
from planner.services.price_imports import AppliedImport
from planner.store.engine import OperationalError, Sessions, make_engine, session_factory
from planner.store.migrate import upgrade

DAY = "2026-11-01"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--offers", type=int, default=100_000)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        source, path, way = options.one
        print(json.dumps(_measure(source, Path(path), way)))
        return
    with tempfile.TemporaryDirectory() as folder:
        catalogue = made_up_catalogue(Path(folder) / "catalogue.csv", options.offers)
        history = options.history or made_up_history(Path(folder) / "history.csv.gz")
        for source, path in (("own", catalogue), ("history-aws", history)):
            for way in ("beside", "under"):
                command = [sys.executable, "-m", "benchmarks.price_imports", "--one", source, str(path), way]
                answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                for name, found in json.loads(answer).items():
                    print(
                        f"{source:12} {way:6} {name:6} {found['rows']:>8,} rows {found['seconds']:6.1f} s "
                        f"{found['rows'] / found['seconds']:>8,.0f} rows/s  peak +{found['grown_mib']:5.1f} MiB  "
                        f"another writer waits {found['longest_wait']:6.2f} s at most"
                    )


def _measure(source: str, path: Path, way: str) -> dict[str, dict[str, float]]:
    load_catalogue()
    load_machines()
    if way == "under":
        incoming.LARGE = 10**12
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/planner.sqlite3"
        upgrade(url)
        engine = make_engine(url)
        start = _peak_mib()
        now = datetime.now(UTC)
        for number, name in enumerate(("first", "again")):
            found[name] = _import(session_factory(engine), source, path, now + timedelta(hours=number))
            found[name]["grown_mib"] = _peak_mib() - start
        engine.dispose()
    return found


def _import(sessions: Sessions, source: str, path: Path, now: datetime) -> dict[str, float]:
    waits, done = [0.0], threading.Event()

    def renew() -> None:
        while not done.wait(0.01):
            began = time.monotonic()
            try:
                with sessions.begin() as session:
                    session.execute(text("UPDATE leases SET fence = fence"))
            except OperationalError:  # the database was locked for longer than a writer waits
                pass
            finally:
                waits.append(time.monotonic() - began)

    other = threading.Thread(target=renew)
    other.start()
    began = time.monotonic()
    try:
        with path.open("rb") as stream:
            wish = incoming.Wish(AllowedChanges.SPOT)
            done_import = incoming.bring_in(
                sessions, incoming.Incoming(get_source(source), stream, path.name), wish, now
            )
        seconds = time.monotonic() - began
    finally:
        done.set()
        other.join()
    if not isinstance(done_import, AppliedImport):
        raise TypeError("the import was a preview")
    return {"rows": done_import.preview.counts.num_rows, "seconds": seconds, "longest_wait": max(waits)}


def made_up_catalogue(path: Path, num_offers: int) -> Path:
    """So many different offers in the project's own form."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(template().splitlines()[0] + "\n")
        for number in range(num_offers):
            file.write(
                f"cloud-{number % 20},region-{number % 400},,machine-{number},on_demand,USD,H100 SXM,H100-80GB-SXM,"
                f"{number % 8 + 1},{number % 192 + 8},{number % 2000 + 16},yes,{1 + number % 5000 / 100:.2f},{DAY},"
                f"{DAY},made up,,,,,,,,\n"
            )
    return path


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
