"""The fits of a device, newest first: how well each part is known, and which stored estimates the newest narrows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from planner.calibration.correction import Quality
from planner.calibration.fit import FIT_FORM, Fit
from planner.estimates.answer import answer
from planner.estimates.estimate import Option
from planner.quantity import Basis, Quantity
from planner.services.devices import device_row
from planner.services.estimates import EstimateView, get_estimate, list_estimates
from planner.services.fits import newest_fits
from planner.store import fits as store
from planner.store.engine import Session
from planner.store.tables import FitRow

NUM_FITS = 20
NUM_ESTIMATES = 30  # of the newest that are looked at for what a fit would change
NARROWER = 0.9  # a range counts as narrowed below this share of its width


@dataclass(frozen=True, slots=True)
class PartQuality:
    """How well a part of a fit is known: log half-widths meant to hold nine times in ten.

    `held_out` is the error of each sample predicted from the others, None where a part has too few for that.
    """

    name: str
    num_samples: int
    spread: float
    held_out: float | None


@dataclass(frozen=True, slots=True)
class FitVersion:
    """One fit: drawn from which runs by which code, what it covers, and what it left out (reason → how many)."""

    id: str
    created_at: datetime
    run_ids: tuple[str, ...]
    code_version: str
    is_readable: bool  # False: written in a form that this code does not read
    parts: tuple[PartQuality, ...]
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True)
class NarrowedEstimate:
    """A stored estimate's option on this device: its width (log half-width) as stored and as it would be made now."""

    estimate_id: str
    job_name: str
    created_at: datetime
    width_before: float
    width_now: float
    basis_before: Basis
    basis_now: Basis


@dataclass(frozen=True, slots=True)
class FitHistory:
    """A device's fits, newest first, and the stored estimates that the newest would narrow, most first."""

    device_id: str
    fits: tuple[FitVersion, ...]
    narrowed: tuple[NarrowedEstimate, ...]


def fit_history(session: Session, device_id: str) -> FitHistory:
    """The fits of a device and what the newest changes. Raises NotFound."""
    device_row(session, device_id)
    fits = tuple(_version(row) for row in store.fits_of(session, device_id, NUM_FITS))
    return FitHistory(device_id, fits, _narrowed(session, device_id))


def _version(row: FitRow) -> FitVersion:
    is_readable = row.document.get("form") == FIT_FORM
    fit = Fit.from_document(row.document) if is_readable else None
    return FitVersion(
        id=row.id,
        created_at=row.created_at,
        run_ids=tuple(row.run_ids),
        code_version=row.code_version,
        is_readable=is_readable,
        parts=() if fit is None else tuple(_parts(fit)),
        left_out={} if fit is None else dict(fit.left_out),
    )


def _parts(fit: Fit) -> list[PartQuality]:
    found = [_part(f"matrix products in {dtype.value}", quality) for dtype, quality in fit.matmul_quality.items()]
    if fit.bandwidth_quality is not None:
        found.append(_part("memory bandwidth", fit.bandwidth_quality))
    for (operation, dtype), correction in fit.corrections.items():
        found.append(_part(f"{operation.value.replace('_', ' ')} in {dtype.value}", correction.quality))
    return found


def _part(name: str, quality: Quality) -> PartQuality:
    return PartQuality(name, quality.num_samples, quality.spread, quality.held_out)


def _narrowed(session: Session, device_id: str) -> tuple[NarrowedEstimate, ...]:
    fits = newest_fits(session)
    if device_id not in fits:
        return ()
    found = []
    for summary in list_estimates(session, NUM_ESTIMATES):
        view = get_estimate(session, summary.id)
        before = _own_option(view, device_id)
        if before is None or before.fit_id == fits[device_id][0]:
            continue
        made = answer(view.job, [before.placement], fits)
        if made.options:
            found.append(_compared(view, before, made.options[0]))
    narrower = [one for one in found if one.width_now < NARROWER * one.width_before]
    return tuple(sorted(narrower, key=lambda one: one.width_now / one.width_before))


def _own_option(view: EstimateView, device_id: str) -> Option | None:
    options = (option for option in view.answer.options if option.placement.device_id == device_id)
    return next((option for option in options if option.placement.num_gpus == 1), None)


def _compared(view: EstimateView, before: Option, now: Option) -> NarrowedEstimate:
    widths = _width(before), _width(now)
    return NarrowedEstimate(view.id, view.job_name, view.created_at, *widths, before.basis, now.basis)


def _width(option: Option) -> float:
    quantity: Quantity = option.seconds if option.seconds is not None else option.tokens_per_second
    return math.log(quantity.high / quantity.low) / 2 if quantity.low > 0 else math.inf
