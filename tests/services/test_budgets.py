"""Budgets held against the ledger: scopes, rates, what is unknown, and months that stay as they were booked."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from planner.budgets.variance import Cause, Gap
from planner.errors import Conflict, InvalidInput, NotFound
from planner.estimates.document import answer_from_document, option_from_document
from planner.offers.currency import Rate
from planner.services.actuals import record_actual
from planner.services.budget_reports import BudgetReport, budget_report
from planner.services.budgets import BudgetView, add_budget, get_budget, list_budgets, withdraw_budget
from planner.services.charges import CostKind
from planner.services.closings import changes_since_closing, close_month, get_closing, list_closings
from planner.services.estimates import EstimateView, make_estimate
from planner.services.fx import keep_rates
from planner.services.job_costs import CostsQuery, job_costs
from planner.services.offers import sync_price_book
from planner.services.requests import EstimateRequest, parse
from planner.services.requests.actuals import ActualRequest
from planner.services.requests.budgets import BudgetRequest, BudgetsQuery, ClosingRequest
from planner.store import estimates as estimate_store
from planner.store.engine import Session
from planner.store.offers import append_prices, upsert_offers
from planner.store.tables import OfferRow
from tests.builders import offer, price

CODE = "0.0.0+test"
BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 3, tzinfo=UTC)
OCTOBER = {"name": "October", "currency": "USD", "from_month": "2026-10"}


@pytest.fixture
def estimate(session: Session) -> EstimateView:
    """An estimate with one option, priced at 10 USD an hour."""
    upsert_offers(session, [offer(num_gpus=Decimal(1))], BEGIN)
    append_prices(session, [(session.execute(select(OfferRow.id)).scalar_one(), price("10"))])
    return make_estimate(session, parse(EstimateRequest, {"preset": "finetune-small"}), BEGIN, CODE)


def entered(session: Session, estimate: EstimateView, at: datetime, **fields: object) -> str:
    asked = {"estimate_id": estimate.id, "measured_at": "2026-10-20T12:00:00Z", **fields}
    return record_actual(session, parse(ActualRequest, asked), at, CODE).id


def budgeted(session: Session, at: datetime = BEGIN, **fields: object) -> BudgetView:
    return add_budget(session, parse(BudgetRequest, {**OCTOBER, "amount": "100", **fields}), at, "tests")


def closed(session: Session, at: datetime) -> None:
    close_month(session, ClosingRequest(month="2026-10"), at, "tests", CODE)


def amounts(report: BudgetReport) -> dict[Cause, Decimal]:
    return {effect.cause: effect.amount for effect in report.effects}


def test_lines_are_held_against_hours_prices_and_lost_time(session: Session, estimate: EstimateView) -> None:
    option = estimate.answer.options[0]
    line = {"gpu_key": option.placement.gpu.key, "gpu_hours": "20", "price_per_gpu_hour": "8"}
    view = budgeted(session, amount=None, lines=[line])
    assert view.budget.amount == 160
    entered(session, estimate, BEGIN, seconds="10 h", lost_seconds="1 h", cost="95")
    report = budget_report(session, view.id, NOVEMBER)
    assert option.seconds is not None
    foreseen = Decimal(repr(option.seconds.mid)) / 3600
    parts = [part.mid for name, part in option.time_parts if name in ("lost work", "restarts")]
    lost = sum(map(Decimal, map(repr, parts)), Decimal(0))
    found = amounts(report)
    assert report.actual == Decimal(95)
    assert report.difference == Decimal(-65) == sum(found.values())
    assert found[Cause.PRICE] == Decimal(15)  # 95 less 10 h at 8
    assert found[Cause.MIX] == 0
    assert float(found[Cause.QUANTITY]) == pytest.approx(float(foreseen * 8 - 160))
    assert float(found[Cause.FAILURES]) == pytest.approx(float((1 - lost / 3600) * 8))
    assert float(found[Cause.SPEED]) == pytest.approx(float((9 - foreseen + lost / 3600) * 8))
    assert report.untold == ()
    assert report.foreseen.num_charges == 1
    assert report.foreseen.mid is not None
    assert float(report.foreseen.mid) == pytest.approx(option.cost.mid if option.cost else None)


def test_one_option_is_read_as_it_is_among_all(session: Session) -> None:
    sync_price_book(session, BEGIN)
    made = make_estimate(session, parse(EstimateRequest, {"preset": "finetune-small", "vendors": ["amd"]}), BEGIN, CODE)
    found = estimate_store.get(session, made.id)
    assert found is not None
    options = answer_from_document(found.result).options
    assert len(options) > 2
    assert [option_from_document(found.result, place) for place in range(len(options))] == list(options)


def test_a_job_outside_of_scope_or_months_does_not_count(session: Session, estimate: EstimateView) -> None:
    entered(session, estimate, BEGIN, cost="40")
    entered(session, estimate, BEGIN, cost="7", measured_at="2026-09-30T12:00:00Z")
    for scope, actual in (
        ({}, 40),
        ({"job_kind": "training", "job_starts": estimate.job_name[:5]}, 40),
        ({"job_kind": "inference"}, 0),
        ({"provider": "nobody"}, 0),
        ({"from_month": "2026-09", "until_month": "2026-10"}, 47),
    ):
        assert budget_report(session, budgeted(session, **scope).id, NOVEMBER).actual == actual, scope


def test_an_unknown_cost_is_named_and_never_nothing(session: Session, estimate: EstimateView) -> None:
    view = budgeted(session)
    paced = entered(session, estimate, BEGIN, step_seconds=0.5)
    report = budget_report(session, view.id, NOVEMBER)
    assert (report.actual, report.difference, report.used, report.effects) == (None, None, None, ())
    assert [(one.actual_id, one.reason) for one in report.uncounted] == [
        (paced, "neither its cost nor its whole time was measured")
    ]
    entered(session, estimate, BEGIN, cost="40")
    report = budget_report(session, view.id, NOVEMBER)
    assert (report.actual, len(report.uncounted)) == (Decimal(40), 1)


def test_nothing_that_ran_is_nothing_spent(session: Session) -> None:
    report = budget_report(session, budgeted(session).id, NOVEMBER)
    assert (report.actual, report.difference) == (0, -100)
    assert amounts(report) == {Cause.WORK: -100}


def test_a_currency_without_a_rate_is_in_no_sum_until_one_is_brought_in(
    session: Session, estimate: EstimateView
) -> None:
    view = budgeted(session, currency="EUR", planned_rates=[{"currency": "USD", "rate": "0.8"}])
    entered(session, estimate, BEGIN, cost="100")
    report = budget_report(session, view.id, NOVEMBER)
    assert report.actual is None
    assert report.uncounted[0].reason == "no rate from USD to EUR is known for 2026-10-20"
    keep_rates(session, [Rate("USD", "EUR", Decimal("0.9"), date(2026, 10, 19), "a bank")], NOVEMBER)
    later = budget_report(session, view.id, NOVEMBER + timedelta(days=1))
    assert later.actual == Decimal(90)
    assert amounts(later)[Cause.CURRENCY] == Decimal(10)
    assert budget_report(session, view.id, NOVEMBER - timedelta(days=1)).actual is None, "it was not known then"


class TestClosing:
    def test_booked_figures_stay_and_what_comes_later_is_a_correction(
        self, session: Session, estimate: EstimateView
    ) -> None:
        view = budgeted(session)
        billed = entered(session, estimate, BEGIN, cost="40")
        paced = entered(session, estimate, BEGIN, step_seconds=0.5)
        closed(session, NOVEMBER)
        later = NOVEMBER + timedelta(days=2)
        corrected = entered(session, estimate, later, cost="45", replaces=billed)
        known = entered(session, estimate, later, cost="5", replaces=paced)
        late = entered(session, estimate, later, cost="2")
        report = budget_report(session, view.id, later)
        assert (report.actual, report.closed_months) == (Decimal(40), ("2026-10",))
        assert (report.corrections.amount, report.corrections.num_charges) == (Decimal(12), 4)
        assert len(report.uncounted) == 1
        changes = {change.actual_id: change for change in changes_since_closing(session, ["2026-10"], later)}
        assert {key: (one.booked, one.known, one.difference) for key, one in changes.items()} == {
            billed: (Decimal(40), None, Decimal(-40)),
            corrected: (None, Decimal(45), Decimal(45)),
            known: (None, Decimal(5), Decimal(5)),
            late: (None, Decimal(2), Decimal(2)),
        }
        assert changes[billed].reason.startswith("corrected by a later row")
        assert changes[late].reason == "entered after the month was closed"
        assert changes_since_closing(session, ["2026-10"], NOVEMBER + timedelta(days=1)) == []

    def test_an_earlier_day_is_told_as_it_was(self, session: Session, estimate: EstimateView) -> None:
        view = budgeted(session)
        billed = entered(session, estimate, NOVEMBER, cost="40")
        entered(session, estimate, NOVEMBER + timedelta(days=2), cost="45", replaces=billed)
        for days, actual in ((-1, 0), (0, 40), (1, 40), (2, 45)):
            assert budget_report(session, view.id, NOVEMBER + timedelta(days=days)).actual == actual, days
        query = CostsQuery(cost_kind=CostKind.ACTUAL, known_at=NOVEMBER + timedelta(days=1))
        assert [charge.cost for charge in job_costs(session, query).charges] == [Decimal(40)]

    def test_a_rate_that_is_corrected_later_moves_no_booked_figure(
        self, session: Session, estimate: EstimateView
    ) -> None:
        view = budgeted(session, currency="EUR")
        entered(session, estimate, BEGIN, cost="100")
        keep_rates(
            session, [Rate("USD", "EUR", Decimal("0.9"), date(2026, 10, 20), "a bank")], BEGIN + timedelta(days=25)
        )
        closed(session, NOVEMBER)
        keep_rates(
            session, [Rate("USD", "EUR", Decimal("0.95"), date(2026, 10, 20), "a bank")], NOVEMBER + timedelta(days=1)
        )
        report = budget_report(session, view.id, NOVEMBER + timedelta(days=2))
        assert (report.actual, report.corrections.amount) == (Decimal(90), Decimal(5))
        assert report.untold[0].reason == Gap.NO_PLANNED_RATE.value

    def test_a_month_is_closed_once_and_after_it_has_ended(self, session: Session) -> None:
        with pytest.raises(InvalidInput, match="has not ended"):
            closed(session, datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
        closed(session, NOVEMBER)
        with pytest.raises(Conflict, match="closed already"):
            closed(session, NOVEMBER + timedelta(days=1))
        assert [one.month for one in list_closings(session, NOVEMBER)] == ["2026-10"]
        with pytest.raises(NotFound):
            get_closing(session, "2026-10", NOVEMBER - timedelta(days=1))

    def test_a_charge_is_read_back_as_it_was_booked(self, session: Session, estimate: EstimateView) -> None:
        view = budgeted(session)
        entered(session, estimate, BEGIN, seconds="10 h", lost_seconds=0, energy_joules=7_200_000)
        before = budget_report(session, view.id, NOVEMBER)
        closed(session, NOVEMBER)
        after = budget_report(session, view.id, NOVEMBER)
        assert [line.charge for line in after.lines] == [line.charge for line in before.lines]
        assert after.lines[0].is_booked
        assert after.effects == before.effects
        assert after.lines[0].charge.lost_gpu_hours == 0


class TestRevisions:
    def test_a_revision_replaces_and_the_old_one_is_kept(self, session: Session) -> None:
        first = budgeted(session)
        second = budgeted(session, BEGIN + timedelta(days=1), amount="120", replaces=first.id)
        listed = list_budgets(session, BudgetsQuery(), NOVEMBER, None)
        assert [view.id for view in listed] == [second.id]
        assert get_budget(session, first.id, NOVEMBER).replaced_by == second.id
        assert get_budget(session, first.id, BEGIN).counts, "it counted then"
        assert len(list_budgets(session, BudgetsQuery(replaced=True), NOVEMBER, None)) == 2
        with pytest.raises(Conflict, match="is replaced by"):
            budgeted(session, NOVEMBER, replaces=first.id)
        with pytest.raises(NotFound):
            budgeted(session, NOVEMBER, replaces="nothing")

    def test_one_that_is_withdrawn_counts_no_more_from_then_on(self, session: Session) -> None:
        view = budgeted(session)
        assert withdraw_budget(session, view.id, NOVEMBER).withdrawn_at == NOVEMBER
        assert list_budgets(session, BudgetsQuery(), NOVEMBER, None) == []
        assert len(list_budgets(session, BudgetsQuery(known_at=BEGIN), NOVEMBER, None)) == 1
        with pytest.raises(Conflict):
            withdraw_budget(session, view.id, NOVEMBER)

    def test_budgets_of_a_month_are_those_that_hold_it(self, session: Session) -> None:
        view = budgeted(session, until_month="2026-12")
        for month, ids in (("2026-09", []), ("2026-10", [view.id]), ("2026-12", [view.id]), ("2027-01", [])):
            found = list_budgets(session, BudgetsQuery(month=month), NOVEMBER, None)
            assert [one.id for one in found] == ids, month

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"amount": None}, "amount"),
            ({"from_month": "2026-13"}, "from_month"),
            ({"until_month": "2026-09"}, "until_month"),
            ({"gpu_key": "H1000"}, "gpu_key"),
            ({"planned_rates": [{"currency": "USD", "rate": "1"}]}, "planned_rates"),
            ({"lines": [{"gpu_key": "H100-80GB-SXM", "gpu_hours": "10", "price_per_gpu_hour": "2"}]}, "amount"),
            ({"lines": [{"gpu_key": "none", "gpu_hours": "10", "price_per_gpu_hour": "10"}]}, "lines.0.gpu_key"),
        ],
    )
    def test_what_cannot_be_a_budget_is_refused_by_its_field(
        self, session: Session, fields: dict[str, object], field: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            budgeted(session, **fields)
        assert [problem.field for problem in refused.value.problems] == [field]


def test_ten_places_of_an_amount_are_kept_as_they_were_given(session: Session) -> None:
    amount = "123456789012.0123456789"
    line = {"gpu_key": "H100-80GB-SXM", "gpu_hours": "3", "price_per_gpu_hour": "41152263004.0041152263"}
    view = budgeted(session, amount=amount, lines=[line])
    assert get_budget(session, view.id, NOVEMBER).budget.amount == Decimal(amount)
