"""The difference between budget and actual: worked by hand, and adding up whatever is known."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.budgets.budget import Budget, Line, Scope, Subject
from planner.budgets.rounding import apportioned, exact_sum, minor_units
from planner.budgets.variance import Cause, Gap, Spending, variance

JOB = Subject("aws", "us-east-1", "H100", "on_demand", "training", "team-a/tune")
LINES = (Line("H100", Decimal(100), Decimal(3)), Line("A100", Decimal(100), Decimal(1)))
BUDGET = Budget("USD", "2026-10", "2026-10", Decimal(400), lines=LINES, planned_rates={"EUR": Decimal("1.10")})
SPENT = Spending(
    id="a",
    subject=JOB,
    cost=Decimal(500),
    currency="EUR",
    rate=Decimal("1.20"),
    hours=Decimal(180),
    lost_hours=Decimal(20),
    estimated_hours=Decimal(150),
    estimated_lost_hours=Decimal(5),
    estimated_cost=Decimal(400),
)


def amounts(budget: Budget, *spent: Spending) -> dict[Cause, Decimal]:
    return {effect.cause: effect.amount for effect in variance(budget, spent).effects}


def test_a_job_is_walked_from_budget_to_cost_as_by_hand() -> None:
    """The average budgeted hour is 2 USD; the job's GPU was budgeted at 3 USD."""
    assert amounts(BUDGET, SPENT) == {
        Cause.QUANTITY: Decimal(-100),  # 150 h foreseen at 2, less the budget of 400
        Cause.MIX: Decimal(150),  # 150 h at 3 instead of 2
        Cause.SPEED: Decimal(45),  # 160 h of work instead of 145, at 3
        Cause.FAILURES: Decimal(45),  # 20 h lost instead of 5, at 3
        Cause.PRICE: Decimal(10),  # 500 EUR planned to be 550 USD, less 180 h at 3
        Cause.CURRENCY: Decimal(50),  # 500 EUR at 1.20 instead of 1.10
    }
    found = variance(BUDGET, [SPENT])
    assert (found.actual, found.total) == (Decimal(600), Decimal(200))
    assert found.untold == ()


def test_what_ran_as_budgeted_differs_by_nothing() -> None:
    budget = replace(BUDGET, amount=Decimal(300), lines=LINES[:1])
    spent = replace(
        SPENT, cost=Decimal(300), currency="USD", rate=Decimal(1), hours=Decimal(100), estimated_hours=Decimal(100),
        lost_hours=Decimal(2), estimated_lost_hours=Decimal(2),
    )  # fmt: skip
    assert set(amounts(budget, spent).values()) == {Decimal(0)}


def test_a_budget_without_hours_has_one_cause_for_the_work() -> None:
    """The estimate's price is 400 EUR at 1.10 for 150 h."""
    budget = Budget("USD", "2026-10", "2026-10", Decimal(400), planned_rates=BUDGET.planned_rates)
    found = amounts(budget, SPENT)
    price = Decimal(440) / 150
    assert found[Cause.WORK] == Decimal(40)
    assert found[Cause.SPEED] == pytest.approx(15 * price)
    assert found[Cause.FAILURES] == pytest.approx(15 * price)
    assert found[Cause.PRICE] == pytest.approx(550 - 180 * price)
    assert exact_sum(found.values()) == Decimal(200)
    assert Cause.QUANTITY not in found


def test_a_gpu_that_is_not_budgeted_is_mix_at_its_foreseen_price() -> None:
    found = amounts(BUDGET, replace(SPENT, subject=replace(JOB, gpu_key="B200")))
    assert found[Cause.MIX] == Decimal(440) - 150 * 2


def test_a_line_of_the_kind_of_offer_comes_before_one_of_any() -> None:
    lines = (Line("H100", Decimal(50), Decimal(1), "spot"), Line("H100", Decimal(50), Decimal(3)))
    budget = replace(BUDGET, amount=Decimal(200), lines=lines)
    assert amounts(budget, SPENT)[Cause.MIX] == Decimal(150)
    on_spot = replace(SPENT, subject=replace(JOB, offer_kind="spot"))
    assert amounts(budget, on_spot)[Cause.MIX] == Decimal(-150)


@pytest.mark.parametrize(
    ("unknown", "gap", "without", "with_it"),
    [
        ({"lost_hours": None}, Gap.NO_LOST_TIME, Cause.FAILURES, Cause.SPEED),
        ({"estimated_hours": None, "estimated_lost_hours": None}, Gap.NO_ESTIMATED_TIME, Cause.SPEED, Cause.QUANTITY),
        ({"hours": None}, Gap.NO_HOURS, Cause.PRICE, Cause.NOT_SPLIT),
        ({"hours": None, "estimated_hours": None}, Gap.NOTHING, Cause.PRICE, Cause.NOT_SPLIT),
        ({"currency": "JPY", "rate": Decimal("0.006")}, Gap.NO_PLANNED_RATE, Cause.CURRENCY, Cause.PRICE),
    ],
)
def test_what_is_unknown_is_counted_and_taken_with_its_neighbour(
    unknown: dict[str, Decimal | None], gap: Gap, without: Cause, with_it: Cause
) -> None:
    found = variance(BUDGET, [replace(SPENT, **unknown)])  # type: ignore[arg-type]
    causes = [effect.cause for effect in found.effects]
    assert without not in causes
    assert with_it in causes
    assert [(one.num_charges, one.reason) for one in found.untold] == [(1, gap.value)]
    assert exact_sum(effect.amount for effect in found.effects) == found.total


def test_a_derived_cost_says_that_its_price_is_the_estimates() -> None:
    (told,) = variance(BUDGET, [replace(SPENT, price_is_estimated=True)]).untold
    assert (told.cause, told.reason) == (Cause.PRICE, Gap.PRICE_OF_ESTIMATE.value)


def test_nothing_spent_is_all_of_the_budget_in_quantity() -> None:
    assert amounts(BUDGET) == {Cause.QUANTITY: Decimal(-400)}


some = st.decimals("0.0001", "1e6", places=7)
maybe = st.none() | some


@given(
    st.lists(
        st.tuples(some, some, maybe, maybe, maybe, maybe, maybe, st.sampled_from(["USD", "EUR", "JPY"])), max_size=6
    ),
    st.booleans(),
    st.sampled_from(["H100", "A100", "B200"]),
)
def test_causes_and_charges_add_up_to_the_last_digit_whatever_is_known(
    figures: list[
        tuple[Decimal, Decimal, Decimal | None, Decimal | None, Decimal | None, Decimal | None, Decimal | None, str]
    ],
    has_lines: bool,
    gpu: str,
) -> None:
    budget = BUDGET if has_lines else replace(BUDGET, lines=(), amount=Decimal("123.4567891234567"))
    spent = [
        Spending(
            str(n), replace(JOB, gpu_key=gpu), cost, code, Decimal(1) if code == "USD" else rate, *known
        )
        for n, (cost, rate, *known, code) in enumerate(figures)  # type: ignore[misc]
    ]  # fmt: skip
    found = variance(budget, spent)
    assert (
        exact_sum(effect.amount for effect in found.effects) == found.total == exact_sum((found.actual, -budget.amount))
    )
    assert found.actual == exact_sum(one.cost for one in found.explained)
    for one in found.explained:
        assert exact_sum(effect.amount for effect in one.effects) == one.cost


class TestScopes:
    def test_a_scope_holds_what_has_all_that_it_names(self) -> None:
        assert Scope().holds(JOB)
        assert Scope(provider="aws", job_starts="team-a/").holds(JOB)
        assert not Scope(provider="aws", gpu_key="A100").holds(JOB)
        assert not Scope(job_starts="team-b/").holds(JOB)

    def test_what_is_unknown_of_a_job_is_in_no_scope_that_asks_for_it(self) -> None:
        assert not Scope(region="us-east-1").holds(replace(JOB, region=None))


class TestBudgets:
    def test_its_months_are_whole_and_in_order(self) -> None:
        budget = replace(BUDGET, from_month="2026-11", until_month="2027-02")
        assert budget.months == ("2026-11", "2026-12", "2027-01", "2027-02")
        assert (budget.starts_at.isoformat(), budget.ends_at.isoformat()) == (
            "2026-11-01T00:00:00+00:00",
            "2027-03-01T00:00:00+00:00",
        )

    @pytest.mark.parametrize(
        "wrong",
        [
            {"until_month": "2026-09"},
            {"amount": Decimal("400.01")},
            {"planned_rates": {"USD": Decimal(1)}},
            {"lines": (LINES[0], LINES[0]), "amount": Decimal(600)},
        ],
    )
    def test_parts_that_do_not_agree_are_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"budget"):
            replace(BUDGET, **wrong)  # type: ignore[arg-type]


class TestRounding:
    def test_parts_add_up_to_the_rounded_sum(self) -> None:
        thirds = [Decimal(10) / 3] * 3
        assert apportioned(thirds, 2) == (Decimal("3.34"), Decimal("3.33"), Decimal("3.33"))
        assert sum(apportioned([Decimal("-0.005"), Decimal("0.015")], 2)) == Decimal("0.01")

    @given(st.lists(st.decimals("-1e9", "1e9", places=9), max_size=9), st.sampled_from([0, 2, 3]))
    def test_no_part_moves_by_a_whole_unit(self, parts: list[Decimal], places: int) -> None:
        rounded = apportioned(parts, places)
        unit = Decimal(1).scaleb(-places)
        assert all(abs(after - before) < unit for before, after in zip(parts, rounded, strict=True))
        assert abs(exact_sum(rounded) - exact_sum(parts)) <= unit / 2

    def test_places_are_those_of_the_currency(self) -> None:
        assert [minor_units(code) for code in ("JPY", "USD", "KWD")] == [0, 2, 3]
