"""A device against its own history: whether it got slower, by how much, and what changed on it meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from planner.calibration.drift import History, drift, levels
from planner.calibration.run_states import RunState
from planner.calibration.suites import is_about_several
from planner.services.devices import device_row
from planner.store import runs as store
from planner.store.engine import Session

NUM_RUNS = 60  # of the newest; a year of weekly runs


@dataclass(frozen=True, slots=True)
class RunLevel:
    """One run: `change` 0.05 is five per cent slower than usual for its conditions, None without another to compare.

    `changed` names what differs from the run before (field → before and after): a driver, a clock rule, a limit.
    """

    run_id: str
    at: datetime
    suite: str
    change: float | None
    num_benches: int
    changed: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class BenchChange:
    """One bench of the newest run against the runs before; `spread` is what it usually differs by."""

    key: str
    change: float
    spread: float
    num_runs: int
    is_real: bool


@dataclass(frozen=True, slots=True)
class DeviceDrift:
    """The newest run against those before it, and every run against the usual, oldest first.

    `change` is None while there is too little history; `sentence` says why, or what was found.
    """

    device_id: str
    change: float | None
    is_real: bool
    num_runs: int
    sentence: str
    benches: tuple[BenchChange, ...]
    runs: tuple[RunLevel, ...]


def device_drift(session: Session, device_id: str) -> DeviceDrift:
    """What the device's succeeded runs say of it over time. Raises NotFound."""
    device_row(session, device_id)
    succeeded = store.newest_runs(session, NUM_RUNS, device_id, RunState.SUCCEEDED.value)
    rows = [run for run, _ in succeeded if not is_about_several(run.suite)][::-1]
    if not rows:
        sentence = "No run of this device has succeeded yet, so there is nothing to compare."
        return DeviceDrift(device_id, None, False, 0, sentence, (), ())
    samples = store.samples_by_run(session, [row.id for row in rows])
    histories = [History.of(row.started_at or row.created_at, row.conditions, samples[row.id]) for row in rows]
    by_moment = {history.at: row for history, row in zip(histories, rows, strict=True)}
    *earlier, newest = sorted(histories, key=lambda history: history.at)
    found = drift(newest, earlier)
    return DeviceDrift(
        device_id=device_id,
        change=found.change,
        is_real=found.is_real,
        num_runs=found.num_runs,
        sentence=found.sentence,
        benches=tuple(BenchChange(b.key, b.change, b.spread, b.num_runs, b.is_real) for b in found.benches),
        runs=tuple(
            RunLevel(
                by_moment[level.at].id,
                level.at,
                by_moment[level.at].suite,
                level.change,
                level.num_benches,
                level.changed,
            )
            for level in levels(histories)
        ),
    )
