"""Suites, schedules and quarantine at the terminal."""

from __future__ import annotations

import json
from typing import Any

from tests.builders import seen_device
from tests.cli.test_commands import run as run

UUID = seen_device().uuid


def test_a_suite_is_kept_and_listed_and_can_be_planned(run: Any) -> None:
    code, said, _ = run("suites", "keep", "mine", "matmul/bf16/m=8,n=8,k=8", "--time-limit", "2 min", "--json")
    assert (code, json.loads(said)["benches"]) == (0, ["matmul/bf16/k=8,m=8,n=8"])
    code, said, _ = run("suites", "list", "--json")
    assert [suite["name"] for suite in json.loads(said)["suites"]] == ["smoke", "quick", "standard", "links", "mine"]
    code, said, _ = run("calibrate", "--suite", "mine", "--plan-only", "--json")
    plans = json.loads(said)["plans"]
    assert (code, {plan["suite"] for plan in plans}, {plan["num_benches"] for plan in plans}) == (0, {"mine"}, {1})
    code, _, errors = run("suites", "keep", "mine", "sort/bf16/k=8", "--json")
    assert (code, json.loads(errors)["errors"][0]["field"]) == (2, "benches")


def test_all_schedules_are_paused_and_resumed(run: Any) -> None:
    assert run("schedules", "pause", "--reason", "an audit")[0] == 0
    code, said, _ = run("schedules", "list", "--json")
    assert (code, json.loads(said)["pause"]["reason"]) == (0, "an audit")
    assert run("schedules", "pause", "--reason", "again")[0] == 4
    assert run("schedules", "resume", "--reason", "it is over", "--json")[0] == 0
    assert "Nothing is scheduled" in run("schedules", "list")[1]


def test_a_device_is_put_in_quarantine_and_released(run: Any) -> None:
    assert run("quarantine", "put", UUID, "--reason", "it smells")[0] == 0
    code, said, _ = run("quarantine", "release", UUID, "--reason", "a cable", "--json")
    assert (code, [step["reason"] for step in json.loads(said)["steps"]]) == (0, ["a cable", "it smells"])
    assert run("quarantine", "release", UUID, "--reason", "again")[0] == 4
    assert run("quarantine", "history", "GPU-nothing")[0] == 3
