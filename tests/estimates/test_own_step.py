"""A measured step time: itself where it was measured, the model's ratio elsewhere."""

from __future__ import annotations

import pytest

from planner.errors import InvalidInput
from planner.estimates.answer import answer
from planner.estimates.own_step import OwnStep
from planner.hardware.catalogue import load_catalogue
from planner.quantity import Basis
from tests.builders import training_job
from tests.estimates.makers import rented

H100 = load_catalogue().get("H100-80GB-SXM")
A100 = load_catalogue().get("A100-80GB-SXM")
PLACES = [rented(H100), rented(A100)]


def test_the_measured_step_stands_where_it_was_measured_and_moves_the_rest() -> None:
    job = training_job()
    plain = {option.placement.gpu.key: option for option in answer(job, PLACES, {}).options}
    own = OwnStep(2 * plain[H100.key].step_seconds.mid, H100.key, 1)
    moved = {option.placement.gpu.key: option for option in answer(job, PLACES, {}, own_step=own).options}
    assert moved[H100.key].step_seconds.mid == pytest.approx(own.seconds)
    assert moved[H100.key].basis is Basis.MEASURED
    assert moved[A100.key].step_seconds.mid == pytest.approx(2 * plain[A100.key].step_seconds.mid)
    assert moved[A100.key].basis is Basis.TRANSFERRED
    assert any("you measured" in note for note in moved[A100.key].notes)
    for key in plain:
        width = moved[key].step_seconds.high / moved[key].step_seconds.low
        assert width < plain[key].step_seconds.high / plain[key].step_seconds.low
    rate = moved[A100.key].tokens_per_second.mid / plain[A100.key].tokens_per_second.mid
    assert rate == pytest.approx(0.5)


def test_a_place_that_cannot_run_the_job_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="measured_gpu"):
        answer(training_job(), PLACES, {}, own_step=OwnStep(1.0, "Quantum 9", 1))


@pytest.mark.parametrize("values", [(0.0, 1), (float("nan"), 1), (1.0, 0)])
def test_no_step_takes_no_time(values: tuple[float, int]) -> None:
    with pytest.raises(ValueError, match="measured step"):
        OwnStep(values[0], "H100-80GB-SXM", values[1])
