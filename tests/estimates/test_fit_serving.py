"""The fitting of serving priors: it finds its numbers where they stand, moves like with like, and covers as asked."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.robust_fit import Loss, covering, solve
from benchmarks.serving_cases import Facts, using
from benchmarks.serving_parameters import FACTS, every_parameter, latent_moves
from benchmarks.serving_widths import MOST_SEEN, NEW_COVERAGE, trimmed
from planner.estimates.priors import load_priors
from planner.estimates.priors.serving import load_serving_priors, read_serving_priors
from planner.estimates.serving_ranges import ServingClass

PARAMETERS = every_parameter([prior.name for _, prior in load_priors().families])
LOSS = Loss(scale=0.12, noise=0.15)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: f"{parameter.kind}.{parameter.name}")
def test_every_parameter_stands_once_in_the_facts_and_is_within_its_limit(parameter) -> None:
    text = FACTS.read_text(encoding="utf-8")
    value = parameter.read(text)
    assert 0 < value <= parameter.limit * 1.001
    written = parameter.write(text, 0.4321)
    assert parameter.read(written) == pytest.approx(0.4321)
    assert len(written.splitlines()) == len(text.splitlines())
    assert sum(old != new for old, new in zip(text.splitlines(), written.splitlines(), strict=True)) <= 1


def test_like_numbers_move_together_and_each_for_itself() -> None:
    spread, deviations = latent_moves(PARAMETERS)
    assert spread.shape == (len(PARAMETERS), deviations.size)
    assert deviations.size > len(PARAMETERS)
    together = spread[:, len(PARAMETERS) :]
    assert (together.sum(axis=0) > 1).all()
    assert set(together.sum(axis=1).tolist()) <= {0.0, 1.0}


def test_the_solver_leaves_outliers_out_and_stays_where_nothing_tells() -> None:
    random = np.random.default_rng(7)
    jacobian = np.hstack([random.normal(size=(400, 5)), np.zeros((400, 1))])
    truth = np.array([0.1, -0.2, 0.05, 0.0, 0.3, 0.0])
    offset = -jacobian @ truth
    offset[::50] += 3.0
    found = solve(jacobian, offset, np.ones(400), np.zeros(6), np.full(6, 0.5), LOSS)
    assert np.abs(found - truth).max() < 0.02
    assert found[5] == 0.0


def test_the_loss_grows_with_residuals_and_with_strain() -> None:
    rows, ones = np.array([0.1, -0.4]), np.ones(2)
    assert LOSS.of(rows, ones, np.zeros(1)) < LOSS.of(2 * rows, ones, np.zeros(1))
    assert LOSS.of(rows, ones, np.zeros(1)) < LOSS.of(rows, ones, np.ones(1))


def test_a_covering_width_holds_as_many_as_asked_and_no_fewer() -> None:
    errors = np.random.default_rng(3).normal(size=200).tolist()
    width = covering(errors, [1.0] * 200, 0.9)
    assert 0.9 <= sum(abs(error) <= width for error in errors) / 200 <= 0.92
    assert covering([0.5], [1.0], 0.9) == 0.5
    assert covering([0.1, 0.2, 5.0], [100.0, 100.0, 1.0], 0.6) == 0.2  # what weighs little is left outside


def test_a_width_is_trimmed_to_what_both_kinds_of_rows_need_and_never_widened() -> None:
    seen, new = np.linspace(0.0, 0.2, 101), np.linspace(0.0, 0.4, 101)
    found = trimmed(1.0, seen, new)
    assert found < 1.0
    assert NEW_COVERAGE <= np.mean(new <= found) < 0.9  # rows without their source decide
    assert np.mean(seen <= trimmed(1.0, seen, new / 10.0)) == pytest.approx(MOST_SEEN, abs=0.01)
    assert trimmed(0.1, seen, new) == 0.1


def test_the_estimator_takes_other_facts_and_gives_the_packaged_ones_back() -> None:
    packaged = load_serving_priors()
    parameter = next(parameter for parameter in PARAMETERS if parameter.name == "vllm.decode")
    with Facts(FACTS.read_text(encoding="utf-8")).at([parameter], np.array([[math.log(3.0)]])):
        assert max(prior.decode for prior in load_serving_priors().engines.values()) == pytest.approx(3.0)
    assert load_serving_priors() == packaged
    document = Facts(FACTS.read_text(encoding="utf-8")).document
    document["range"]["single"]["half_width"] = 0.5
    with using(document):
        assert load_serving_priors().ranges["single"] == 0.5
    assert load_serving_priors() == packaged


def test_every_class_has_a_width_and_every_section_a_source() -> None:
    text = FACTS.read_text(encoding="utf-8")
    beside = {"engine", "engine_none", "family_none", "release", "unpacking"}
    assert {kind.value for kind in ServingClass} | beside == set(read_serving_priors(text).ranges)
    for section in text.split("\n[")[1:]:
        assert "source = " in section, section.splitlines()[0]
