"""Finished jobs are joined to their estimates, and the next estimate says how those came true."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from planner.errors import Conflict, InvalidInput, NotFound
from planner.estimates.ledger import Metric
from planner.jobs.job import TrainingJob
from planner.services.actual_tables import CSV_COLUMNS, upload_actuals
from planner.services.actuals import (
    get_actual,
    ledger_summary,
    list_actuals,
    record_actual,
    record_step_log,
)
from planner.services.estimates import EstimateView, get_estimate, make_estimate
from planner.services.requests import EstimateRequest, parse
from planner.services.requests.actuals import ActualRequest, StepLogRequest
from planner.store.engine import Session
from planner.store.offers import append_prices, upsert_offers
from planner.store.tables import OfferRow
from tests.builders import offer, price

CODE = "0.0.0+test"


@pytest.fixture
def estimate(session: Session, now: datetime) -> EstimateView:
    """An estimate with one option."""
    upsert_offers(session, [offer(num_gpus=Decimal(1))], now)
    append_prices(session, [(session.execute(select(OfferRow.id)).scalar_one(), price("10"))])
    return make(session, now)


def make(session: Session, now: datetime) -> EstimateView:
    return make_estimate(session, parse(EstimateRequest, {"preset": "finetune-small"}), now, CODE)


def entered(session: Session, estimate: EstimateView, now: datetime, **fields: object) -> str:
    request = parse(ActualRequest, {"estimate_id": estimate.id, **fields})
    return record_actual(session, request, now, CODE).id


def test_what_was_measured_stands_beside_what_was_predicted(
    session: Session, estimate: EstimateView, now: datetime
) -> None:
    option = estimate.answer.options[0]
    row = entered(session, estimate, now, step_seconds=option.step_seconds.mid / 1.1, cost="12.50", seconds="2 h")
    found = get_actual(session, row)
    by_metric = {figure.metric: figure for figure in found.figures}
    assert by_metric[Metric.STEP_SECONDS].error == pytest.approx(0.1)
    assert by_metric[Metric.STEP_SECONDS].predicted == option.step_seconds.mid
    assert by_metric[Metric.SECONDS].measured == 7200
    assert by_metric[Metric.COST].measured == 12.5
    assert found.headline == by_metric[Metric.STEP_SECONDS]
    assert found.gpu_key == option.placement.gpu.key


def test_a_new_estimate_shows_the_error_of_its_kind_and_keeps_it(
    session: Session, estimate: EstimateView, now: datetime
) -> None:
    assert estimate.record_of(estimate.answer.options[0]) is None
    mid = estimate.answer.options[0].step_seconds.mid
    for number in range(6):
        entered(session, estimate, now + timedelta(seconds=number), step_seconds=mid * 1.25)
    later = make(session, now + timedelta(hours=1))
    record = later.record_of(later.answer.options[0])
    assert record is not None
    assert (record.count, record.median) == (6, pytest.approx(-0.2))
    entered(session, estimate, now + timedelta(hours=2), step_seconds=mid * 9)
    assert get_estimate(session, later.id) == later, "what was known then stays as it was"
    assert [found.count for found in ledger_summary(session)] == [7]


def test_pictures_a_second_are_joined_to_a_job_of_single_passes(
    session: Session, estimate: EstimateView, now: datetime
) -> None:
    asked = {"preset": "classify-resnet-50"}
    pictures = make_estimate(session, parse(EstimateRequest, asked), now, CODE)
    said = pictures.answer.options[0].extras["requests_per_second"]
    row = get_actual(session, entered(session, pictures, now, items_per_second=said.mid * 0.8))
    assert row.headline is not None
    assert (row.headline.predicted, row.headline.unit) == (said.mid, "pictures/s")
    assert row.headline.error == pytest.approx(0.25)
    log = "".join(f"batch {number}: {said.mid * 0.8:.2f} images/s\n" for number in range(8))
    logged = record_step_log(session, parse(StepLogRequest, {"estimate_id": pictures.id, "log": log}), now, CODE)
    assert logged.actual.headline is not None
    assert logged.actual.headline.error == pytest.approx(0.25, abs=1e-3)
    later = make_estimate(session, parse(EstimateRequest, asked), now, CODE)
    record = later.record_of(later.answer.options[0])
    assert record is not None
    assert (record.count, record.median) == (2, pytest.approx(0.25, abs=1e-3))


def test_samples_a_second_are_the_tokens_of_training_by_its_sequences(
    session: Session, estimate: EstimateView, now: datetime
) -> None:
    option = estimate.answer.options[0]
    (figure,) = get_actual(session, entered(session, estimate, now, items_per_second=3)).figures
    assert isinstance(estimate.job, TrainingJob)
    assert figure.predicted == pytest.approx(option.tokens_per_second.mid / estimate.job.sequence_length)
    assert figure.unit == "samples/s"


def test_the_same_reference_twice_is_one_row(session: Session, estimate: EstimateView, now: datetime) -> None:
    first = entered(session, estimate, now, seconds=100, reference="job 7")
    assert entered(session, estimate, now, seconds=100, reference="job 7") == first
    with pytest.raises(Conflict, match="job 7"):
        entered(session, estimate, now, seconds=101, reference="job 7")


def test_a_correction_is_a_later_row(session: Session, estimate: EstimateView, now: datetime) -> None:
    wrong = entered(session, estimate, now, step_seconds=1000)
    right = entered(session, estimate, now + timedelta(1), step_seconds=1, replaces=wrong)
    assert get_actual(session, wrong).replaced_by == right
    assert {row.id for row in list_actuals(session)} == {wrong, right}
    assert [found.count for found in ledger_summary(session)] == [1], "what was replaced does not count"
    with pytest.raises(Conflict, match="replaced"):
        entered(session, estimate, now + timedelta(2), step_seconds=2, replaces=wrong)
    with pytest.raises(NotFound):
        entered(session, estimate, now, step_seconds=2, replaces="nothing")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "at least one"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": -3}, "seconds"),
        ({"step_seconds": "soon"}, "step_seconds"),
        ({"seconds": 1, "option": 99}, "option"),
        ({"seconds": 1, "colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_used_is_named(
    session: Session, estimate: EstimateView, now: datetime, fields: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidInput, match=named):
        entered(session, estimate, now, **fields)
    assert list_actuals(session) == []


def test_an_estimate_that_is_not_there(session: Session, now: datetime) -> None:
    with pytest.raises(NotFound):
        record_actual(session, parse(ActualRequest, {"estimate_id": "x", "seconds": 1}), now, CODE)


def test_a_log_of_step_times(session: Session, estimate: EstimateView, now: datetime) -> None:
    log = "step_seconds\n" + "2.0\n" * 10
    request = parse(StepLogRequest, {"estimate_id": estimate.id, "log": log})
    found = record_step_log(session, request, now, CODE)
    assert [figure.measured for figure in found.actual.figures] == [2.0]
    assert "median of 10 steps" in found.actual.note
    assert record_step_log(session, request, now, CODE).actual.id == found.actual.id


def test_a_table_is_entered_once_and_its_bad_lines_are_said(
    session: Session, estimate: EstimateView, now: datetime
) -> None:
    table = (
        "estimate_id,step_seconds,seconds,note\n"
        f"{estimate.id},2.5,,first\n"
        f"{estimate.id},,1.5 h,second\n"
        f"{estimate.id},0,,nothing takes no time\n"
        "missing,1,,\n"
        f"{estimate.id},,,no figure\n"
    )
    found = upload_actuals(session, table, now, CODE)
    assert [view.note for view in found.entered] == ["first", "second"]
    assert [(bad.line, bad.problems[0].field) for bad in found.bad] == [
        (4, "step_seconds"),
        (5, "line"),
        (6, "request"),
    ]
    again = upload_actuals(session, table, now, CODE)
    assert (len(again.entered), again.num_known) == (0, 2)


def test_a_table_with_other_columns_is_refused(session: Session, estimate: EstimateView, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="colour"):
        upload_actuals(session, "estimate_id,colour\nx,red\n", now, CODE)
    with pytest.raises(InvalidInput, match="estimate_id"):
        upload_actuals(session, "seconds\n3\n", now, CODE)
    assert "estimate_id" in CSV_COLUMNS
