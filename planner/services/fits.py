"""Fits: efficiencies drawn from what a device's runs measured; appended, the newest of each device counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from planner.calibration.basis import RunSamples, best_basis, has_moved
from planner.calibration.conditions import what_differs
from planner.calibration.draw import fit_samples
from planner.calibration.fit import FIT_FORM, Fit
from planner.calibration.run_states import RunState
from planner.calibration.sample import BenchFailure, Sample
from planner.calibration.suites import FULL, SUITES
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

WHOLE = frozenset(name for name, suite in SUITES.items() if not suite.needs_several)
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
            fit, used = _fit(session, device_row(session, row.device_id), row.run_ids)
            appended.append(
                store.add_fit(session, row.device_id, row.gpu_key, used, fit.to_document(), code_version, now)
            )
    return appended


def named_gpu(device_name: str, vendor: str, backend: str, gpu_key: str | None, memory_bytes: int | None) -> Gpu:
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
    """Draw a fit from the run and what the newest fit rests on, of each kind of work the fullest run (basis.py).

    Runs under other conditions are of another machine and are left out, as are those before the device changed. A run
    that measured no kind of work more fully than was known, as a smoke test does, changes no estimate: then there is
    no new fit.
    """
    kept = _kept_with(session, run)
    if kept is None:
        return
    device = device_row(session, run.device_id)
    fit, used = _fit(session, device, [*kept, run.id])
    if run.id in used:
        store.add_fit(session, device.id, device.gpu_key, used, fit.to_document(), code_version, now)


def _kept_with(session: Session, run: RunRow) -> list[str] | None:
    """The runs that the newest fit rests on and that this one may be put beside; None where it is a part of what a fit
    needs and there is none to put it beside."""
    newest = store.fits_of(session, run.device_id, 1)
    found = [] if not newest else [run_store.get_run(session, run_id) for run_id in newest[0].run_ids]
    earlier = [one for one in found if one is not None]
    same = [one for one in earlier if not what_differs(one.conditions, run.conditions)]
    if run.suite not in FULL and len(same) < len(earlier):
        return None
    if run.suite not in WHOLE:
        return [one.id for one in same]
    after = _run_samples(session, run)
    return [one.id for one in same if not has_moved(_run_samples(session, one), after)]


def _run_samples(session: Session, run: RunRow) -> RunSamples:
    outcomes = [stored.outcome for stored in run_store.samples_of(session, [run.id])]
    return RunSamples(run.id, run.suite in WHOLE, tuple(one for one in outcomes if isinstance(one, Sample)))


def _fit(session: Session, device: DeviceRow, run_ids: Sequence[str]) -> tuple[Fit, list[str]]:
    """The fit, and those of the runs that it rests on, oldest first."""
    found = [run for run_id in run_ids if (run := run_store.get_run(session, run_id)) is not None]
    runs = sorted(found, key=lambda run: run.created_at)
    chosen = best_basis([_run_samples(session, run) for run in runs])
    used = [run.id for run in runs if run.id in chosen]
    samples = [sample for run_id in used for sample in chosen[run_id]]
    outcomes = [stored.outcome for stored in run_store.samples_of(session, used)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, BenchFailure)]
    gpu = named_gpu(device.name, device.vendor, device.backend, device.gpu_key, device.memory_bytes)
    watts = {sample.bench.key: sample.details[WATTS] for sample in samples if WATTS in sample.details}
    return fit_samples(samples, gpu, watts, failures), used
