"""The error that pages show is the one of docs/accuracy.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.published_error import FACTS, facts_of, write_facts
from planner.estimates.published_error import published_error, read_published_errors

PAGE = (
    "# Accuracy\n\nhead\n\n## Training\n\n**Each source predicted with priors fitted without it: median over sources "
    "12.4%, 90th percentile 34.0%, bias -1.3%; ranges hold 88.4% of the rows** (518 rows of 40 sources, at most 16)\n"
)


def test_the_facts_are_those_of_the_page_of_scores() -> None:
    page = (Path(__file__).parents[2] / "docs" / "accuracy.md").read_text(encoding="utf-8")
    written = read_published_errors(facts_of(page))
    assert set(written) == {"training", "inference"}
    for kind, error in written.items():
        assert published_error(kind) == error, "run make accuracy, or benchmarks.published_error on docs/accuracy.md"


def test_they_are_read_from_the_headline_of_each_section(tmp_path: Path) -> None:
    path = tmp_path / "facts.toml"
    path.write_text("# head\n\n[training]\nmedian = 0.5\n", encoding="utf-8")
    write_facts(PAGE, path)
    assert path.read_text(encoding="utf-8").startswith("# head\n\n[training]\nmedian = 0.124\n")
    found = read_published_errors(path.read_text(encoding="utf-8"))["training"]
    assert (found.median, found.p90, found.inside, found.num_rows, found.num_sources) == (0.124, 0.34, 0.884, 518, 40)


def test_a_section_without_its_headline_is_refused() -> None:
    with pytest.raises(ValueError, match="inference"):
        facts_of("# Accuracy\n\n## Inference\n\nnothing\n")


def test_the_facts_file_says_where_it_comes_from() -> None:
    assert "docs/accuracy.md" in FACTS.read_text(encoding="utf-8").partition("\n[")[0]
