"""A whole table against the estimator, row by row: predicted with its range, or declined with the reason."""

from __future__ import annotations

import math
from dataclasses import replace

from planner.errors import InvalidInput
from planner.estimates.answer import check as check_job
from planner.estimates.answer import work_out
from planner.estimates.estimate import Bottleneck
from planner.estimates.outcome import Outcome
from planner.estimates.profile import Lack
from planner.estimates.ranges import assumed_cause
from planner.estimates.validation.inference import InferenceTrial, inference_range, inference_trial
from planner.estimates.validation.score import Scored
from planner.estimates.validation.subjects import Declined
from planner.estimates.validation.table import Row, Table
from planner.estimates.validation.trials import Trial, training_trial
from planner.hardware.catalogue import Catalogue
from planner.quantity import Quantity


def validate_table(table: Table, catalogue: Catalogue) -> list[Scored]:
    """Every readable row of the table, scored in its own metric, without any calibration."""
    if table.is_inference:
        return [_inference(row, catalogue) for row in table.rows]
    return [_training(row, catalogue) for row in table.rows]


def _training(row: Row, catalogue: Catalogue) -> Scored:
    trial = training_trial(row, catalogue)
    if isinstance(trial, Declined):
        return Scored(row, None, reason=trial.reason)
    outcome = run_trial(trial)
    if isinstance(outcome, Lack):
        return Scored(row, None, reason=outcome.reason, gpu_key=trial.placement.gpu.key)
    seconds = step_range(trial, outcome)
    ends = sorted((trial.metric_of(seconds.low), trial.metric_of(seconds.high)))
    return Scored(
        row,
        trial.metric_of(seconds.mid),
        ends[0],
        ends[1],
        gpu_key=trial.placement.gpu.key,
        basis=outcome.basis.value,
        assumptions=trial.assumptions,
    )


def run_trial(trial: Trial) -> Outcome | Lack:
    """The step of a trial. What was published has run, so memory that our bill finds short does not refuse it."""
    try:
        check_job(trial.job)
    except InvalidInput as error:
        return Lack(Bottleneck.FRACTION, str(error))
    for recompute in trial.recomputes or (trial.job.recompute,):
        found = work_out(replace(trial.job, recompute=recompute), trial.placement, None)
        if not isinstance(found, Lack) or found.bottleneck is not Bottleneck.MEMORY:
            return found
    return work_out(trial.job, trial.placement, None, usable=math.inf)


def step_range(trial: Trial, outcome: Outcome) -> Quantity:
    """The seconds of a step with the range of the estimate, wider where the table left something to be assumed."""
    seconds = outcome.step_seconds
    if not trial.is_open:
        return seconds
    causes = (*seconds.causes, assumed_cause())
    return Quantity.around(seconds.mid, seconds.unit, seconds.basis, causes)


def _inference(row: Row, catalogue: Catalogue) -> Scored:
    trial = inference_trial(row, catalogue)
    if isinstance(trial, Declined):
        return Scored(row, None, reason=trial.reason)
    try:
        check_job(trial.job)
    except InvalidInput as error:
        return Scored(row, None, reason=str(error))
    outcome = run_inference(trial)
    if isinstance(outcome, Lack):
        return Scored(row, None, reason=outcome.reason, gpu_key=trial.placement.gpu.key)
    found = trial.quantity_of(outcome)
    if isinstance(found, Declined):
        return Scored(row, None, reason=found.reason, gpu_key=trial.placement.gpu.key)
    quantity = inference_range(trial, found)
    return Scored(
        row,
        quantity.mid,
        quantity.low,
        quantity.high,
        gpu_key=trial.placement.gpu.key,
        basis=outcome.basis.value,
        assumptions=trial.assumptions,
        kind=trial.kind.value,
    )


def run_inference(trial: InferenceTrial) -> Outcome | Lack:
    """The outcome of a trial. What was published has run: requests beyond what memory holds waited their turn, and
    where our bill finds no room for one, it is our bill that is too long."""
    found = work_out(trial.job, trial.placement, None)
    if not (isinstance(found, Lack) and found.bottleneck is Bottleneck.MEMORY):
        return found
    found = work_out(replace(trial.job, concurrency=None), trial.placement, None)
    if not (isinstance(found, Lack) and found.bottleneck is Bottleneck.MEMORY):
        return found
    concurrency = trial.job.concurrency or 1
    return work_out(replace(trial.job, concurrency=concurrency), trial.placement, None, usable=math.inf)
