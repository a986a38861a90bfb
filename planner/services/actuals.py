"""The ledger: what finished jobs took, joined to their estimates, and how estimates of a kind have come true."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from planner.errors import Conflict, InvalidInput, NotFound
from planner.estimates.document import answer_from_document
from planner.estimates.estimate import Option
from planner.estimates.ledger import (
    UNITS,
    Comparison,
    Entry,
    Kind,
    Metric,
    TrackRecord,
    compare,
    predictions,
    track_record,
)
from planner.estimates.step_log import StepLog, read_step_log
from planner.jobs.architecture import Transformer
from planner.jobs.document import job_from_document
from planner.jobs.job import Job
from planner.quantity import Basis, Quantity
from planner.services.documents import document
from planner.services.requests.actuals import ActualRequest, StepLogRequest, Subject
from planner.store import actuals as store
from planner.store import estimates as estimate_store
from planner.store.actuals import NewActual, StoredActual
from planner.store.engine import Session
from planner.store.span import EVER, Span

LOOKED_AT = 2000  # of the newest actuals of a sort of job, for its track record


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """One measured figure with its prediction; `error` is predicted ÷ measured − 1, all null without a prediction."""

    metric: Metric
    unit: str
    measured: float
    predicted: float | None
    low: float | None
    high: float | None
    basis: Basis | None
    error: float | None
    is_inside: bool | None


@dataclass(frozen=True, slots=True)
class ActualView:
    """A row of the ledger. `replaced_by` names the row that corrects it; a corrected row no longer counts."""

    id: str
    recorded_at: datetime
    measured_at: datetime | None
    source: str
    reference: str
    estimate_id: str | None
    run_id: str | None
    option: int | None
    title: str
    job_kind: str
    family: str
    gpu_key: str
    basis: Basis
    figures: tuple[MeasuredFigure, ...]
    note: str
    code_version: str
    replaces: str | None
    replaced_by: str | None

    @property
    def headline(self) -> MeasuredFigure | None:
        """The figure that speaks for the job; None where nothing of it was predicted."""
        found = _entry_of(self).headline
        return None if found is None else next(figure for figure in self.figures if figure.metric is found.metric)


@dataclass(frozen=True, slots=True)
class KindRecord:
    """The record that estimates on one GPU model and basis had when an estimate was made; None: nothing comparable."""

    gpu_key: str
    basis: Basis
    record: TrackRecord | None


@dataclass(frozen=True, slots=True)
class Logged:
    """A step log's row in the ledger, and what was read from the log."""

    actual: ActualView
    log: StepLog


def record_actual(
    session: Session, request: ActualRequest, now: datetime, code_version: str, source: str = "api"
) -> ActualView:
    """Enter what a job took beside what its estimate said.

    The same reference with the same figures gives the row that is there already. Raises NotFound for an estimate or
    option that is not there, Conflict for a known reference with other figures or a row that is replaced already.
    """
    return enter(session, request, request.measured(), now, code_version, source)[0]


def record_step_log(session: Session, request: StepLogRequest, now: datetime, code_version: str) -> Logged:
    """Enter the median step of a program's log, or its median rate. Raises InvalidInput for a log of neither."""
    log = read_step_log(request.log)
    note = "; ".join(part for part in (request.note, log.sentence) if part)
    digest = hashlib.sha256(request.log.encode()).hexdigest()[:32]
    reference = request.reference or f"{request.estimate_id}:{request.option}:{digest}"
    subject = request.model_copy(update={"note": note, "reference": reference})
    return Logged(enter(session, subject, _measured(log), now, code_version, "log")[0], log)


def _measured(log: StepLog) -> dict[Metric, float]:
    """The figure that the log is of."""
    known = {Metric.STEP_SECONDS: log.step_seconds, Metric.ITEMS_PER_SECOND: log.items_per_second}
    return {metric: value for metric, value in known.items() if value is not None}


def get_actual(session: Session, actual_id: str) -> ActualView:
    """One row of the ledger; raises NotFound."""
    found = store.get(session, actual_id)
    if found is None:
        raise NotFound(f"the ledger has no row {actual_id!r}")
    return _view(found)


def list_actuals(
    session: Session,
    limit: int | None = 50,
    after: str | None = None,
    estimate_id: str | None = None,
    run_id: str | None = None,
    span: Span = EVER,
) -> list[ActualView]:
    """The newest first, corrected ones too; `after` is the id of the last one already seen."""
    found = store.newest(session, limit, after=after, estimate_id=estimate_id, run_id=run_id, span=span)
    return [_view(row) for row in found]


def track_records(session: Session, job_kind: str, kinds: Sequence[Kind]) -> tuple[KindRecord, ...]:
    """How estimates of each of these kinds have come true so far, one per GPU model and basis."""
    if not kinds:
        return ()
    rows = store.newest(session, LOOKED_AT, job_kind=job_kind, counted_only=True)
    entries = [_entry_of(_view(row)) for row in rows]
    seen: dict[tuple[str, Basis], KindRecord] = {}
    for kind in kinds:
        place = (kind.gpu_key, kind.basis)
        if place not in seen:
            seen[place] = KindRecord(*place, track_record(kind, entries))
    return tuple(seen.values())


def ledger_summary(session: Session) -> tuple[TrackRecord, ...]:
    """The whole ledger's record by sort of job and basis, for the ledger's page; empty while nothing is entered."""
    entries = [_entry_of(_view(row)) for row in store.newest(session, LOOKED_AT, counted_only=True)]
    kinds = sorted(
        {(entry.kind.job_kind, entry.kind.basis) for entry in entries}, key=lambda kind: (kind[0], kind[1].rank)
    )
    found = []
    for job_kind, basis in kinds:
        same = [entry for entry in entries if (entry.kind.job_kind, entry.kind.basis) == (job_kind, basis)]
        record = track_record(Kind(job_kind, "", "", basis), same)
        if record is not None:
            found.append(record)
    return tuple(found)


def records_to_document(records: Sequence[KindRecord]) -> dict[str, Any]:
    """What an estimate keeps of the records that held when it was made."""
    return {"kinds": document(list(records))}


def records_from_document(stored: Mapping[str, Any] | None) -> tuple[KindRecord, ...]:
    """What `records_to_document` wrote; empty for an estimate that was made before there was a ledger."""
    return tuple(
        KindRecord(
            gpu_key=kind["gpu_key"],
            basis=Basis(kind["basis"]),
            record=None if kind["record"] is None else TrackRecord(**kind["record"]),
        )
        for kind in (stored or {}).get("kinds", ())
    )


def kind_of(job: Job, job_kind: str, option: Option) -> Kind:
    """What makes an option comparable to others."""
    return Kind(job_kind, family_of(job), option.placement.gpu.key, option.basis)


def family_of(job: Job) -> str:
    """Which sort of network a job runs, in a word or two."""
    architecture = job.architecture
    if not isinstance(architecture, Transformer):
        return "convolutional networks"
    if architecture.num_experts > 1:
        return "mixtures of experts"
    return "dense decoders" if architecture.causal else "encoders"


def enter(
    session: Session,
    subject: Subject,
    measured: Mapping[Metric, float],
    now: datetime,
    code_version: str,
    source: str,
) -> tuple[ActualView, bool]:
    """The row of these figures, and whether it is new. Raises as `record_actual` does."""
    estimate = estimate_store.get(session, subject.estimate_id)
    if estimate is None:
        raise NotFound(f"there is no estimate {subject.estimate_id!r}")
    options = answer_from_document(estimate.result).options
    if subject.option >= len(options):
        raise InvalidInput.of("option", f"the estimate has {len(options)} options, counted from 0")
    option = options[subject.option]
    job = job_from_document(estimate.job_spec)
    predicted = predictions(option, job)
    compare(measured, predicted)  # refuses figures that are none
    new = NewActual(
        recorded_at=now,
        measured_at=subject.measured_at,
        source=source,
        reference=subject.reference,
        estimate_id=estimate.id,
        run_id=None,
        option_position=subject.option,
        title=f"{estimate.job_name}, on {option.placement.title}"[:500],
        job_kind=estimate.job_kind,
        family=family_of(job),
        gpu_key=option.placement.gpu.key,
        basis=option.basis.value,
        measured={metric.value: value for metric, value in measured.items()},
        predicted={metric.value: prediction_document(quantity) for metric, quantity in predicted.items()},
        note=subject.note,
        code_version=code_version,
        replaces_id=subject.replaces,
    )
    known = None if subject.reference is None else store.by_reference(session, source, subject.reference)
    if known is not None:
        if (known.estimate_id, known.option_position, known.measured) != (
            new.estimate_id,
            new.option_position,
            new.measured,
        ):
            raise Conflict(f"the ledger has other figures under the reference {subject.reference!r}: {known.id}")
        return _view(known), False
    _check_replaced(session, new)
    return _view(store.add(session, new)), True


def _check_replaced(session: Session, new: NewActual) -> None:
    if new.replaces_id is None:
        return
    old = store.get(session, new.replaces_id)
    if old is None:
        raise NotFound(f"the ledger has no row {new.replaces_id!r} to replace")
    if old.replaced_by is not None:
        raise Conflict(f"{old.id} is replaced by {old.replaced_by} already")
    if old.estimate_id != new.estimate_id:
        raise InvalidInput.of("replaces", "belongs to another estimate")


def prediction_document(quantity: Quantity) -> dict[str, Any]:
    """A prediction as the ledger keeps it."""
    ends = {"low": quantity.low, "mid": quantity.mid, "high": quantity.high}
    return {**ends, "unit": quantity.unit, "basis": quantity.basis.value}


def _view(row: StoredActual) -> ActualView:
    return ActualView(
        id=row.id,
        recorded_at=row.recorded_at,
        measured_at=row.measured_at,
        source=row.source,
        reference=row.reference or row.id,
        estimate_id=row.estimate_id,
        run_id=row.run_id,
        option=row.option_position,
        title=row.title,
        job_kind=row.job_kind,
        family=row.family,
        gpu_key=row.gpu_key,
        basis=Basis(row.basis),
        figures=tuple(_figure(Metric(name), value, row.predicted.get(name)) for name, value in row.measured.items()),
        note=row.note,
        code_version=row.code_version,
        replaces=row.replaces_id,
        replaced_by=row.replaced_by,
    )


def _figure(metric: Metric, measured: float, predicted: Mapping[str, Any] | None) -> MeasuredFigure:
    if predicted is None:
        return MeasuredFigure(metric, UNITS[metric], measured, None, None, None, None, None, None)
    ends = (predicted["low"], predicted["mid"], predicted["high"])
    found = Comparison(metric, measured, *ends, Basis(predicted["basis"]))
    return MeasuredFigure(
        metric,
        predicted["unit"],
        measured,
        found.mid,
        found.low,
        found.high,
        found.basis,
        found.mid / found.measured - 1 if found.measured else None,  # of none, no error in shares
        found.is_inside,
    )


def _entry_of(view: ActualView) -> Entry:
    comparisons = tuple(
        Comparison(figure.metric, figure.measured, figure.low, figure.predicted, figure.high, figure.basis)
        for figure in view.figures
        if figure.measured > 0
        and figure.predicted is not None
        and figure.low is not None
        and figure.high is not None
        and figure.basis is not None
    )
    return Entry(Kind(view.job_kind, view.family, view.gpu_key, view.basis), comparisons)
