"""`planner plan` and `planner replay`: answers as JSON and in words, faults by field, exit codes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from planner.cli.main import main

QUESTION: dict[str, Any] = {
    "horizon": {"num_slots": 24},
    "supplies": [
        {"name": "own", "gpu": "H100", "kind": "owned", "price_per_hour": 0.2, "num_gpus": 2},
        {"name": "rent", "gpu": "H100", "kind": "on_demand", "price_per_hour": 2.5},
    ],
    "jobs": [{"name": "train", "options": [{"gpu": "H100", "num_gpus": 1, "hours": 6}], "deadline_hours": 12}],
    "services": [
        {
            "name": "chat",
            "replicas": [{"gpu": "H100", "num_gpus": 1, "rate": 10}],
            "demand": {"diurnal": {"low": 5, "high": 25}},
        }
    ],
}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out = capsys.readouterr()
    return int(ended.value.code or 0), out.out, out.err


def asked(folder: Path, **changes: Any) -> str:
    path = folder / "question.json"
    path.write_text(json.dumps(QUESTION | changes), encoding="utf-8")
    return str(path)


def test_a_plan_as_json_adds_up_and_says_its_bound(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "plan", asked(tmp_path), "--json", "--gap", "0")
    found = json.loads(out)
    assert code == 0
    assert found["outcome"] == "optimal"
    assert found["cost"] == pytest.approx(sum(found["costs"].values()))
    assert found["bound"] <= found["cost"]
    assert found["gap"] == pytest.approx(0.0, abs=1e-6)


def test_a_plan_in_words_names_its_cost_and_what_binds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "plan", asked(tmp_path))
    assert code == 0
    assert "no plan costs less than" in out
    assert "one more H100 from hour" in out


def test_what_clashes_is_said_with_the_exit_code_of_nothing_fits(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    slow = [{"name": "slow", "options": [{"gpu": "H100", "num_gpus": 1, "hours": 60}]}]
    code, out, _ = run(capsys, "plan", asked(tmp_path, jobs=slow))
    assert code == 6
    assert "slow cannot be met at all" in out


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"horizon": {"num_slots": 0}}, "horizon"),
        (
            {"horizon": {"num_slots": 20_000}, "jobs": [QUESTION["jobs"][0] | {"name": f"{n}"} for n in range(999)]},
            "horizon",
        ),
        ({"supplies": [{"name": "x"}]}, "supplies.0.gpu"),
        ({"services": [{**QUESTION["services"][0], "demand": {"lunar": {}}}]}, "services.0.demand"),
        (
            {"services": [{**QUESTION["services"][0], "demand": {"diurnal": {"low": 1}}}]},
            "services.0.demand.diurnal.high",
        ),
        ({"color": "red"}, "color"),
    ],
)
def test_every_fault_of_a_request_names_its_field(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    code, _, err = run(capsys, "plan", asked(tmp_path, **changes), "--json")
    assert code == 2
    assert field in [problem["field"] for problem in json.loads(err)["errors"]]


def test_the_schema_of_a_request_names_all_of_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plan", "--schema")
    found = json.loads(out)
    assert code == 0
    assert found["required"] == ["horizon", "supplies"]
    kinds = found["properties"]["supplies"]["items"]["properties"]["kind"]["enum"]
    assert kinds == ["owned", "purchase", "reserved", "on_demand", "spot"]


def test_a_replay_plain_or_packed_says_waits_and_what_more_nodes_would_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = "timestamp,duration,num_gpus,cluster\n0,3600,8,a\n0,3600,8,a\n5,60,1,b\n"
    (tmp_path / "trace.csv").write_text(text, encoding="utf-8")
    (tmp_path / "trace.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("trace.csv", "trace.csv.gz"):
        arguments = ["replay", str(tmp_path / name), "--nodes", "1", "--cluster", "a", "--more-nodes", "1", "--json"]
        code, out, _ = run(capsys, *arguments)
        found = json.loads(out)
        assert code == 0
        assert (found["wait_seconds"], found["more"]["wait_seconds"]) == (1800.0, 0.0)
    code, out, _ = run(capsys, "replay", str(tmp_path / "trace.csv"), "--nodes", "1", "--policy", "sjf")
    assert code == 0
    assert "average wait, h" in out


def test_a_trace_without_jobs_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("timestamp,duration,num_gpus\n", encoding="utf-8")
    code, _, err = run(capsys, "replay", str(tmp_path / "trace.csv"), "--nodes", "1", "--json")
    assert code == 2
    assert json.loads(err)["errors"][0]["field"] == "trace"


def test_the_question_of_the_page_is_answered(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "plans.md").read_text(encoding="utf-8")
    path = tmp_path / "question.json"
    path.write_text(page.split("```json")[1].split("```")[0], encoding="utf-8")
    code, out, _ = run(capsys, "plan", str(path), "--json")
    found = json.loads(out)
    assert code == 0
    assert found["cost"] <= 20_000
    assert found["gap"] <= 0.01
