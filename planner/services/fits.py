"""Fits: efficiencies drawn from what a device's runs measured; appended, the newest of each device counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from planner.calibration.conditions import what_differs
from planner.calibration.draw import fit_samples
from planner.calibration.fit import FIT_FORM, Fit
from planner.calibration.run_states import RunState
from planner.calibration.sample import BenchFailure, Sample
from planner.calibration.suites import SUITES
from planner.calibration.verdict import why_restless
from planner.hardware.catalogue import load_catalogue, unlisted_gpu
from planner.hardware.gpu import Gpu, GpuKind
from planner.inventory.device import Backend
from planner.services.devices import device_row
from planner.store import devices as device_store
from planner.store import fits as store
from planner.store import runs as run_store
from planner.store.engine import Session
from planner.store.tables import DeviceRow, RunRow

WATTS = "power_watts"  # mean power while the bench ran, among the details of its sample


def newest_fits(session: Session) -> dict[str, tuple[str, Fit]]:
    """(fit id, fit) by device id, the newest of each device; those of another form wait for `refit_outdated`."""
    rows = [row for row in device_store.newest_fit_rows(session) if row.document.get("form") == FIT_FORM]
    return {row.device_id: (row.id, Fit.from_document(row.document)) for row in rows}


def refit_outdated(session: Session, now: datetime, code_version: str) -> list[str]:
    """Draw fits anew, from the stored samples, where the newest one was written in a form this code does not read.

    Returns the ids of the appended fits. The old ones stay: estimates made from them are read, not computed again.
    """
    appended = []
    for row in device_store.newest_fit_rows(session):
        if row.document.get("form") != FIT_FORM:
            fit = _fit(session, device_row(session, row.device_id), row.run_ids)
            appended.append(
                store.add_fit(session, row.device_id, row.gpu_key, row.run_ids, fit.to_document(), code_version, now)
            )
    return appended


def device_gpu(device_name: str, vendor: str, backend: str, gpu_key: str | None, memory_bytes: int | None) -> Gpu:
    """The catalogue entry of a device, or one without figures where the catalogue does not know its name."""
    listed = load_catalogue().gpus.get(gpu_key) if gpu_key is not None else None
    if listed is not None:
        return listed
    kind = GpuKind.CPU if backend == Backend.CPU else GpuKind.GPU
    return unlisted_gpu(device_name, vendor, kind, memory_bytes)


def deserves_fit(session: Session, run: RunRow, outcomes: Mapping[int, Sample | BenchFailure]) -> bool:
    """A run that succeeded does; one cut at its time limit only where the device has no fit yet and was left in peace.

    Each of its samples is whole, so a slow machine gets estimates of its own, but never in place of a full suite's.
    """
    if RunState(run.state) is RunState.TIMED_OUT:
        samples = [outcome for outcome in outcomes.values() if isinstance(outcome, Sample)]
        return bool(samples) and not why_restless(samples) and run.device_id not in newest_fits(session)
    return RunState(run.state) is RunState.SUCCEEDED


def append_fit(session: Session, run: RunRow, code_version: str, now: datetime) -> None:
    """Draw a fit from the run; one of chosen benches measures a part, so it adds to what the newest fit was drawn from.

    It does not where the conditions differ: a run under another driver or limit is of another machine.
    """
    device = device_row(session, run.device_id)
    run_ids = [*_added_to(session, run), run.id]
    fit = _fit(session, device, run_ids)
    store.add_fit(session, device.id, device.gpu_key, run_ids, fit.to_document(), code_version, now)


def _added_to(session: Session, run: RunRow) -> list[str]:
    if run.suite in SUITES:
        return []
    newest = store.fits_of(session, run.device_id, 1)
    earlier = [] if not newest else [run_store.get_run(session, run_id) for run_id in newest[0].run_ids]
    found = [one for one in earlier if one is not None]
    return [] if any(what_differs(one.conditions, run.conditions) for one in found) else [one.id for one in found]


def _fit(session: Session, device: DeviceRow, run_ids: Sequence[str]) -> Fit:
    outcomes = [stored.outcome for stored in run_store.samples_of(session, run_ids)]
    samples = [outcome for outcome in outcomes if isinstance(outcome, Sample)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, BenchFailure)]
    gpu = device_gpu(device.name, device.vendor, device.backend, device.gpu_key, device.memory_bytes)
    watts = {sample.bench.key: sample.details[WATTS] for sample in samples if WATTS in sample.details}
    return fit_samples(samples, gpu, watts, failures)
