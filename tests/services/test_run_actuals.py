"""The worker's own runs: what the estimator said before, beside what was then measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from planner.calibration.run_states import RunState
from planner.calibration.sample import Operation, Sample
from planner.calibration.suites import get_suite
from planner.inventory.device import Backend
from planner.jobs.job import InferenceJob, TrainingJob
from planner.services.actuals import list_actuals
from planner.services.claims import begin_run
from planner.services.devices import DeviceView
from planner.services.run_actuals import MeasuredRun, bench_job, enter_run, record_run
from planner.store.engine import Session
from tests.builders import NOW
from tests.runs import CODE, claimed, finished, known_devices, queued
from tests.web.world import measured

STANDARD = get_suite("standard").benches_for(Backend.CUDA, 80_000_000_000)


@pytest.fixture
def gpu(session: Session) -> DeviceView:
    return known_devices(session)[0]


def ended(session: Session, device: DeviceView, state: RunState = RunState.SUCCEEDED) -> str:
    """The id of a run of the quick suite that ended in that state."""
    run_id = queued(session, device, "quick")
    claim = claimed(session, device)
    assert begin_run(session, claim, NOW)
    assert finished(session, claim, state)
    return run_id


def run_of(device: DeviceView, *samples: Sample) -> MeasuredRun:
    return MeasuredRun("01M7YNAYM0XYTH9E9XTATPGQVG", device, NOW - timedelta(hours=1), NOW, samples)


def test_benches_that_are_jobs_of_their_own() -> None:
    jobs = {bench.operation: bench_job(bench) for bench in STANDARD}
    assert isinstance(jobs[Operation.TRAIN_STEP], TrainingJob)
    assert isinstance(jobs[Operation.DECODE], InferenceJob)
    assert jobs[Operation.MATMUL] is None
    assert jobs[Operation.COPY] is None


def test_a_run_is_entered_beside_what_was_estimated_before_it(session: Session, gpu: DeviceView) -> None:
    run_id = ended(session, gpu)
    assert list_actuals(session, run_id=run_id) == []
    entered = enter_run(session, run_id, NOW, CODE)
    rows = list_actuals(session, run_id=run_id)
    assert len(rows) == entered > 0
    assert {row.source for row in rows} == {"run"}
    assert all(row.estimate_id is None and row.gpu_key == "H100-80GB-SXM" for row in rows)
    assert any(row.headline is not None for row in rows)
    assert enter_run(session, run_id, NOW, CODE) == 0, "the same run twice is one"


def test_what_never_settled_is_no_measurement(session: Session, gpu: DeviceView) -> None:
    bench = next(bench for bench in STANDARD if bench.operation is Operation.TRAIN_STEP)
    unsteady = replace(measured(bench), steady=False)
    assert record_run(session, run_of(gpu, unsteady), NOW, CODE) == 0


def test_only_runs_that_succeeded_count(session: Session, gpu: DeviceView) -> None:
    run_id = ended(session, gpu, RunState.SUSPECT)
    assert enter_run(session, run_id, NOW, CODE) == 0
    assert list_actuals(session) == []
