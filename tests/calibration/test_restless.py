"""A run whose samples never settle was not alone on the device."""

from __future__ import annotations

from planner.calibration.verdict import FEWEST_SAMPLES, why_restless
from tests.builders import sample

SETTLED, RESTLESS = sample(), sample(steady=False)


def test_a_run_of_which_a_third_never_settled_is_not_trusted_and_says_how_many() -> None:
    assert "9 of 24 samples never settled" in why_restless([SETTLED] * 15 + [RESTLESS] * 9)


def test_a_few_restless_samples_are_usual() -> None:
    assert why_restless([SETTLED] * 41 + [RESTLESS] * 3) == ""


def test_a_handful_of_samples_says_nothing_of_the_device() -> None:
    assert why_restless([RESTLESS] * (FEWEST_SAMPLES - 1)) == ""
