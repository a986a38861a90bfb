"""The fitting of priors: it reads and writes its numbers where they stand, and finds what made synthetic residuals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import sections
from benchmarks.fit_priors import solve
from benchmarks.prior_parameters import FACTS, PARAMETERS
from benchmarks.range_widths import with_told
from planner.estimates.priors import load_priors, read_priors
from planner.estimates.ranges import TITLES, RangeCause


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_every_parameter_stands_once_in_the_facts_and_is_within_its_limit(parameter) -> None:
    text = FACTS.read_text(encoding="utf-8")
    value = parameter.read(text)
    assert 0 < value <= parameter.limit * 1.001
    written = parameter.write(text, 0.4321)
    assert parameter.read(written) == pytest.approx(0.4321)
    assert parameter.write(written, value).count("0.4321") == text.count("0.4321")
    assert [other.read(written) for other in PARAMETERS if other != parameter] == [
        other.read(text) for other in PARAMETERS if other != parameter
    ]


def test_the_solver_finds_the_moves_that_explain_residuals_and_leaves_outliers_out() -> None:
    random = np.random.default_rng(7)
    jacobian = random.normal(size=(600, len(PARAMETERS)))
    truth = np.array([0.1 * (-1) ** place for place in range(len(PARAMETERS))])
    offset = -jacobian @ truth
    offset[::50] += 3.0  # a few rows that are simply wrong
    found = solve(jacobian, offset, np.arange(600) % 6, np.zeros(len(PARAMETERS)))
    assert np.abs(found - truth).max() < 0.02


def test_every_cause_has_a_width_and_a_title_and_every_prior_a_source() -> None:
    assert set(load_priors().ranges) == {cause.value for cause in RangeCause}
    assert set(TITLES) == set(RangeCause)
    text = FACTS.read_text(encoding="utf-8")
    assert read_priors(text) == load_priors()
    for section in text.split("\n[")[1:]:
        assert "source = " in section, section.splitlines()[0]


def test_the_numbers_of_sources_are_written_where_they_stand() -> None:
    text = FACTS.read_text(encoding="utf-8")
    written = with_told(text, {"NVIDIA Hopper": 3, "CPUs": 0})
    assert read_priors(written).told == {"NVIDIA Hopper": 3, "CPUs": 0}
    assert with_told(written, {name: int(number) for name, number in read_priors(text).told.items()}) == text


def test_a_section_of_the_scores_is_found_by_its_heading(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.md"
    path.write_text("# Accuracy\n\nhead\n\n## Training\n\na\n\n### By GPU\n\n## Inference\n\nb\n", encoding="utf-8")
    assert sections(path) == {"Training": "## Training\n\na\n\n### By GPU\n", "Inference": "## Inference\n\nb\n"}


def test_what_a_whole_source_lies_off_hardly_moves_the_priors() -> None:
    """Rows that differ tell as much; that one source is 30 % slower throughout tells little."""
    random = np.random.default_rng(7)
    jacobian = np.abs(random.normal(size=(300, len(PARAMETERS))))
    offset = np.zeros(300)
    sources = np.arange(300) // 100
    offset[sources == 0] = 0.3
    together = solve(jacobian, offset, np.arange(300), np.zeros(len(PARAMETERS)))
    apart = solve(jacobian, offset, sources, np.zeros(len(PARAMETERS)))
    assert np.abs(jacobian @ apart).mean() < np.abs(jacobian @ together).mean()
