"""`planner rates`: a bank's file by command, what jumps is held, decided on and read by the clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.test_commands import run
from tests.readers.test_ecb_rates import ecb

__all__ = ["run"]


def answer(run: Any, *arguments: str) -> Any:
    code, output, errors = run("--json", *arguments) if arguments[0] == "--json" else run(*arguments, "--json")
    assert code == 0, errors
    return json.loads(output)


def test_the_file_of_the_bank_comes_in_and_a_jump_waits_until_it_is_decided_on(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "eurofxref-daily.xml"
    path.write_bytes(ecb({"2026-07-21": {"USD": "1.08"}}))
    assert answer(run, "rates", "import", str(path))["num_added"] == 1
    path.write_bytes(ecb({"2026-07-22": {"USD": "10.8"}}))
    code, output, _ = run("rates", "import", str(path))
    assert (code, "1 held: more than a fifth" in output) == (0, True)
    (held,) = answer(run, "rates", "held")["waiting"]
    assert (held["change"], held["compared_with"]) == ("+900 %", "1.08")
    assert "1 EUR = 10.8 USD, +900 % against 1.08" in run("rates", "held")[1].replace("\n", " ")
    assert answer(run, "rates", "held", "--refuse", str(held["id"]))["waiting"] == []
    code, _, errors = run("rates", "held", "--approve", str(held["id"]))
    assert (code, "waits for a decision" in errors) == (4, True)
    code, _, errors = run("rates", "import", str(path))
    assert (code, "was refused on" in errors) == (2, True)


def test_a_jump_passes_where_it_is_said_to(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    for day, rate in (("2026-07-21", "1.08"), ("2026-07-22", "2.16")):
        path.write_text(f"date,base,quote,rate,source\n{day},EUR,USD,{rate},a bank\n")
        found = answer(run, "rates", "import", str(path), "--allow-large-changes")
        assert (found["num_added"], found["num_held"]) == (1, 0)


def test_a_source_is_read_by_the_clock_and_no_more(run: Any) -> None:
    found = answer(run, "rates", "refresh", "ecb-rates", "--cron", "30 16 * * 1-5", "--timezone", "Europe/Berlin")
    assert (found["name"], found["enabled"], found["cron"]) == ("ecb-rates", True, "30 16 * * 1-5")
    assert answer(run, "rates", "refresh", "ecb-rates", "--off")["enabled"] is False
    assert run("rates", "refresh", "nowhere")[0] == 3
    assert run("rates", "fetch", "nowhere")[0] == 3
    assert run("rates", "refresh", "ecb-rates", "--cron", "never")[0] == 2
