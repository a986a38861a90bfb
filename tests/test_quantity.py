"""Ranges, bases and causes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.quantity import Basis, Cause, Quantity, weakest


@given(st.floats(1e-9, 1e12), st.lists(st.floats(0, 3), max_size=5))
def test_a_range_holds_its_middle_and_is_symmetric_in_log_space(mid: float, spreads: list[float]) -> None:
    found = Quantity.around(mid, "s", Basis.DERIVED, [Cause(str(i), spread) for i, spread in enumerate(spreads)])
    assert found.low <= found.mid <= found.high
    assert math.log(found.high / mid) == pytest.approx(math.log(mid / found.low), abs=1e-9)


def test_causes_add_in_quadrature() -> None:
    found = Quantity.around(10.0, "s", Basis.DERIVED, [Cause("transfer", 0.3), Cause("noise", 0.4)])
    assert found.high == pytest.approx(10 * math.exp(0.5))


@pytest.mark.parametrize("values", [(2, 1, 3), (1, 3, 2), (-1, 0, 1), (math.nan, 1, 2), (1, 2, math.inf)])
def test_a_range_out_of_order_or_without_end_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError):
        Quantity(*values, "s", Basis.DERIVED)


def test_the_weakest_part_gives_the_basis_of_the_whole() -> None:
    assert weakest([Basis.MEASURED, Basis.ASSUMED, Basis.TRANSFERRED]) is Basis.ASSUMED


@pytest.mark.parametrize("spread", [-0.1, math.nan, math.inf])
def test_a_cause_needs_a_finite_width(spread: float) -> None:
    with pytest.raises(ValueError, match="transfer"):
        Cause("transfer", spread)
