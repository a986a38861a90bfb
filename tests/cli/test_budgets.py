"""`planner budgets`: kept from a file, reported by cause, closed by month."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.test_commands import run
from tests.web.money import BUDGET

__all__ = ["run"]


def answer(run: Any, *arguments: str) -> Any:
    code, output, errors = run(*arguments, "--json")
    assert code == 0, errors
    return json.loads(output)


def test_a_budget_is_kept_listed_reported_and_withdrawn(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    path.write_text(json.dumps(BUDGET))
    made = answer(run, "budgets", "add", str(path))
    assert made["budget"]["amount"] == "125"
    (listed,) = answer(run, "budgets", "list", "--month", "2026-10")["budgets"]
    assert (listed["actual"], listed["difference"]) == ("0", "-125")
    said = run("budgets", "report", made["id"])[1]
    assert "0.00 USD of 125.00 USD spent" in said
    assert "quantity   -125.00 USD" in said
    assert "Training, autumn" in run("budgets", "list")[1]
    assert answer(run, "budgets", "withdraw", made["id"])["withdrawn_at"]
    assert run("budgets", "withdraw", made["id"])[0] == 4
    assert "There is no budget." in run("budgets", "list")[1]
    assert run("budgets", "report", "nothing")[0] == 3
    path.write_text("[]")
    assert run("budgets", "add", str(path))[0] == 2


def test_a_month_is_closed_once(run: Any) -> None:
    assert (
        "2020-01 is closed: nothing in 0 charges." in run("budgets", "close", "2020-01", "--note", "before our time")[1]
    )
    assert run("budgets", "close", "2020-01")[0] == 4
    assert run("budgets", "close", "2199-01")[0] == 2
    assert answer(run, "budgets", "changes")["changes"] == []
    assert run("budgets", "changes", "2020-02")[0] == 3
