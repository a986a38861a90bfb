"""The ledger: errors, coverage, and which jobs are held to be comparable."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InvalidInput
from planner.estimates.ledger import ENOUGH, NEWEST, Comparison, Entry, Kind, Metric, compare, track_record
from planner.quantity import Basis, Quantity

KIND = Kind("training", "dense decoders", "H100-80GB-SXM", Basis.INTERPOLATED)


def entry(ratio: float, kind: Kind = KIND, width: float = 0.1) -> Entry:
    """A job predicted at `ratio` times what it took, with a range of ± width in logarithms."""
    mid = 10.0 * ratio
    found = Comparison(
        Metric.STEP_SECONDS, 10.0, mid * math.exp(-width), mid, mid * math.exp(width), Basis.INTERPOLATED
    )
    return Entry(kind, (found,))


def other(**changes: object) -> Kind:
    values = {"job_kind": "training", "family": "dense decoders", "gpu_key": "A100", "basis": Basis.INTERPOLATED}
    return Kind(**{**values, **changes})  # type: ignore[arg-type]


def test_errors_are_of_the_prediction() -> None:
    found = track_record(KIND, [entry(0.97)] * 14)
    assert found is not None
    assert found.median == pytest.approx(-0.03)
    assert found.within == pytest.approx(1 / 0.97 - 1)
    assert found.sentence == (
        "last 14 comparable (training of dense decoders on this GPU model, interpolated): "
        "median −3.0 %, 90 % within ±3.1 %, 14 of 14 inside the stated range"
    )


def test_what_lies_outside_its_range_is_not_covered() -> None:
    found = track_record(KIND, [entry(1.0)] * 4 + [entry(1.5)])
    assert found is not None
    assert found.coverage == pytest.approx(0.8)


def test_nothing_comparable_is_no_record() -> None:
    assert track_record(KIND, []) is None
    assert track_record(KIND, [entry(1.0, other(job_kind="inference"))] * 9) is None
    assert track_record(KIND, [Entry(KIND, ())] * 9) is None


def test_the_narrowest_kind_with_enough_speaks() -> None:
    wide = [entry(2.0, other())] * ENOUGH
    found = track_record(KIND, [entry(1.0)] * ENOUGH + wide)
    assert found is not None
    assert (found.median, found.count) == (0.0, ENOUGH)
    found = track_record(KIND, [entry(1.0)] * (ENOUGH - 1) + wide)
    assert found is not None
    assert "on any GPU" in found.scope
    assert found.count == 2 * ENOUGH - 1


def test_a_better_known_job_is_not_comparable_to_a_guessed_one_while_there_are_enough() -> None:
    measured = [entry(1.0, other(gpu_key=KIND.gpu_key, basis=Basis.MEASURED))] * 20
    found = track_record(KIND, [*measured, *[entry(1.2)] * ENOUGH])
    assert found is not None
    assert found.median == pytest.approx(0.2)


def test_only_the_newest_count() -> None:
    found = track_record(KIND, [entry(1.0)] * NEWEST + [entry(3.0)] * 500)
    assert found is not None
    assert (found.count, found.within) == (NEWEST, 0.0)


@given(st.lists(st.floats(0.2, 5.0), min_size=ENOUGH, max_size=40))
def test_nine_in_ten_lie_within(ratios: list[float]) -> None:
    found = track_record(KIND, [entry(ratio) for ratio in ratios])
    assert found is not None
    inside = sum(abs(math.log(ratio)) <= math.log1p(found.within) + 1e-9 for ratio in ratios)
    assert inside >= math.floor(0.9 * len(ratios))
    assert min(ratios) - 1 - 1e-9 <= found.median <= max(ratios) - 1 + 1e-9


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_figure_that_is_none_is_refused_by_name(value: float) -> None:
    with pytest.raises(InvalidInput, match="step_seconds"):
        compare({Metric.STEP_SECONDS: value}, {})


def test_what_was_not_predicted_is_left_out() -> None:
    predicted = {Metric.SECONDS: Quantity(1.0, 2.0, 3.0, "s", Basis.DERIVED)}
    assert [item.metric for item in compare({Metric.SECONDS: 2.0, Metric.COST: 4.0}, predicted)] == [Metric.SECONDS]
