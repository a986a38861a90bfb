"""`planner validate`: what it prints, and its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.cli import main
from tests.estimates.validation.test_validation import HEADER, _line


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["validate", *arguments])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_the_json_form_holds_totals_sources_and_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "runs.csv"
    table.write_text("\n".join((HEADER, _line("a"), _line("b", "parsecs"), "short")), encoding="utf-8")
    code, out, _ = _run(capsys, str(table), "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found["overall"]) == {
        *("median_of_source_medians", "p90", "bias", "coverage", "median_range_width", "rows", "declined")
    }
    assert set(found["sources"][0]) == {"source", "rows", "declined", "median", "p90", "bias", "coverage"}
    assert found["rows"][1]["declined"] == "the metric 'parsecs' is not supported"
    assert found["rows"][0]["ratio"] == pytest.approx(found["rows"][0]["predicted"] / 3000)
    assert found["bad_rows"][0]["line"] == 4


def test_people_are_told_scores_reasons_and_bad_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "runs.csv"
    table.write_text("\n".join((HEADER, _line("a"), _line("b", "parsecs"), "short")), encoding="utf-8")
    code, out, _ = _run(capsys, str(table), "--per-source")
    assert code == 0
    assert "source a" in out
    assert "2 rows, of which 1 were declined" in out
    assert "line 4 was left out" in out


def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "poem.csv"
    table.write_text("roses are red\n", encoding="utf-8")
    code, _, err = _run(capsys, str(table))
    assert code == 2
    assert "columns source" in err
