"""Calibration runs as pages, API and terminal show them: lists, and one with all that it measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from planner.calibration.run_states import RunState
from planner.calibration.sample import BenchFailure, Sample
from planner.calibration.verdict import why_restless
from planner.errors import NotFound
from planner.services.devices import device_row
from planner.store import aftermath as ends
from planner.store import runs as store
from planner.store.engine import Session
from planner.store.span import EVER, Span
from planner.store.tables import DeviceRow, RunRow

WRITTEN = "written"  # among the conditions of a run: the last that its measuring process wrote in words


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a run: when, to which state, by whom, under which fence, why."""

    at: datetime
    state: RunState
    actor: str
    fence: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class LateResult:
    """What came after the claim it was measured under had ended: evidence, used for nothing."""

    received_at: datetime
    fence: int
    worker_id: str
    state: RunState
    reason: str
    num_samples: int


@dataclass(frozen=True, slots=True)
class Review:
    """A person's word on a suspect run."""

    at: datetime
    accepted: bool
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class TelemetryPoint:
    """One reading beside a run; None is what the driver did not tell."""

    seconds_in: float
    power_watts: float | None
    energy_joules: float | None
    temperature_celsius: float | None
    clock_hz: float | None
    memory_clock_hz: float | None
    utilization: float | None
    memory_used_bytes: int | None
    throttle_reasons: int | None


@dataclass(frozen=True, slots=True)
class RunView:
    """A run for lists; `RunDetail` adds what it measured."""

    id: str
    device_id: str
    device_name: str
    suite: str
    suite_version: int
    state: RunState
    schedule_id: str | None
    due_at: datetime | None
    num_missed: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    num_benches: int
    num_done: int
    current_bench: str | None
    time_limit_seconds: float
    error: str | None
    worker_id: str | None
    code_version: str
    attempt: int
    retry_of: str | None  # the run that this one tries again
    not_before: datetime | None  # it waits until then
    retry_until: datetime | None  # a busy device is waited for until then
    is_check: bool  # whether it may let its device out of quarantine
    peers: tuple[str, ...]  # ids of further devices that it holds or held beside its own

    @property
    def num_devices(self) -> int:
        """How many devices it holds or held at once."""
        return 1 + len(self.peers)

    @property
    def is_final(self) -> bool:
        return self.state.is_final

    @property
    def seconds(self) -> float | None:
        """How long it ran, None while it has not ended or never started."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class RunDetail(RunView):
    """A run with its samples and failures (in the suite's order), telemetry, conditions and history.

    `late` is what workers had measured whose claim did not count any more; `review` what a person decided of a suspect
    run; `retried_by` the run that tries it again.
    """

    samples: tuple[Sample, ...]
    failures: tuple[BenchFailure, ...]
    telemetry: tuple[TelemetryPoint, ...]
    conditions: Mapping[str, Any]
    transitions: tuple[Transition, ...]
    late: tuple[LateResult, ...]
    review: Review | None
    retried_by: str | None

    @property
    def why_unused(self) -> str:
        """Why no fit is drawn from a run that was cut at its time limit: it was not left in peace. Empty where its
        samples do not say so."""
        return why_restless(self.samples) if self.state is RunState.TIMED_OUT else ""

    @property
    def written(self) -> str:
        """The last that the measuring process and its libraries wrote in words; empty where it wrote nothing."""
        return str(self.conditions.get(WRITTEN, ""))

    @property
    def may_be_reviewed(self) -> bool:
        """Whether a person may decide that it counts, or that it does not."""
        return self.state is RunState.SUSPECT and self.review is None and bool(self.samples)


def list_runs(
    session: Session,
    limit: int | None = 50,
    device_id: str | None = None,
    state: str | None = None,
    after: str | None = None,
    span: Span = EVER,
) -> list[RunView]:
    """The newest first; `after` is the id of the last one already seen."""
    found = store.newest_runs(session, limit, device_id, state, after, span)
    peers = store.peers_of(session, [run.id for run, _ in found])
    return [run_view(run, device, peers.get(run.id, ())) for run, device in found]


def get_run(session: Session, run_id: str) -> RunDetail:
    """The run with all that it measured; raises NotFound."""
    run = store.get_run(session, run_id)
    if run is None:
        raise NotFound(f"there is no calibration run {run_id!r}")
    view = run_view(run, device_row(session, run.device_id), store.peers_of(session, [run_id]).get(run_id, ()))
    outcomes = [stored.outcome for stored in store.samples_of(session, [run_id])]
    return RunDetail(
        **{name: getattr(view, name) for name in RunView.__dataclass_fields__},
        samples=tuple(outcome for outcome in outcomes if isinstance(outcome, Sample)),
        failures=tuple(outcome for outcome in outcomes if isinstance(outcome, BenchFailure)),
        telemetry=tuple(
            TelemetryPoint(**{name: getattr(row, name) for name in store.READING_FIELDS})
            for row in store.readings_of(session, run_id)
        ),
        conditions=run.conditions,
        transitions=tuple(
            Transition(row.at, RunState(row.state), row.actor, row.fence, row.reason)
            for row in store.transitions(session, run_id)
        ),
        late=tuple(
            LateResult(
                row.received_at,
                row.fence,
                row.worker_id,
                RunState(row.state),
                row.reason,
                sum("sample" in outcome for outcome in row.document.get("outcomes", ())),
            )
            for row in ends.late_results_of(session, run_id)
        ),
        review=_review(session, run_id),
        retried_by=store.retry_of(session, run_id),
    )


def _review(session: Session, run_id: str) -> Review | None:
    row = ends.review_of(session, run_id)
    return None if row is None else Review(row.at, row.accepted, row.actor, row.reason)


def run_view(run: RunRow, device: DeviceRow, peers: Sequence[DeviceRow] = ()) -> RunView:
    """The row as a view, with the further devices that it holds."""
    return RunView(
        id=run.id,
        device_id=run.device_id,
        device_name=device.name,
        suite=run.suite,
        suite_version=run.suite_version,
        state=RunState(run.state),
        schedule_id=run.schedule_id,
        due_at=run.due_at,
        num_missed=run.num_missed,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        num_benches=run.num_benches,
        num_done=run.num_done,
        current_bench=run.current_bench,
        time_limit_seconds=run.time_limit_seconds,
        error=run.error,
        worker_id=run.worker_id,
        code_version=run.code_version,
        attempt=run.attempt,
        retry_of=run.retry_of,
        not_before=run.not_before,
        retry_until=run.retry_until,
        is_check=run.is_check,
        peers=tuple(peer.id for peer in peers),
    )
