"""`planner track`: a locked plan beside what happened, in words and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from planner.cli import main
from planner.plans.plan import plan
from planner.services.plan_search import claim_plan, finish_search
from planner.services.plans import ask_plan, move_plan
from planner.services.requests import parse
from planner.services.requests.plans import PlanQuestion, StageRequest
from planner.settings import Settings
from planner.store.engine import make_engine, session_factory

QUESTION = {
    "name": "week",
    "span": "2 days",
    "jobs": [{"name": "train", "options": [{"gpu": "H100", "num_gpus": 8, "time": "6 h"}], "deadline": "8 h"}],
    "supply": {
        "offers": False,
        "own": False,
        "extra": [{"name": "rent", "gpu": "H100", "kind": "on_demand", "price_per_hour": 2.5}],
    },
}


@pytest.fixture
def locked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """A plan locked ten hours ago."""
    monkeypatch.setenv("PLANNER_HOME", str(settings.home))
    monkeypatch.setenv("PLANNER_DATABASE_URL", settings.database_url)
    begun = datetime.now(UTC) - timedelta(hours=10)
    engine = make_engine(settings.database_url)
    with session_factory(engine).begin() as session:
        made = ask_plan(session, parse(PlanQuestion, QUESTION), begun, "test")
        claim = claim_plan(session, "w", "b", timedelta(minutes=1), begun)
        assert claim is not None
        assert finish_search(session, claim, plan(claim.request, seconds=600), "", begun)
        for stage in ("submitted", "approved", "locked"):
            move_plan(session, made.id, parse(StageRequest, {"stage": stage}), begun)
    engine.dispose()
    return made.id


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["track", *arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def test_a_locked_plan_says_what_was_planned_and_what_is_unknown(
    locked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, locked)
    assert not code
    assert "planned to have spent 120.00 USD" in out
    assert "not entered" in out
    assert "rent: 2.5 then, now unknown: entered by hand" in out
    code, out, _ = run(capsys, locked, "--json")
    found = json.loads(out)
    assert found["totals"]["num_cost_unknown"] == 1
    assert found["totals"]["cost_deviation"] is None


def test_a_plan_that_is_not_there_is_said(locked: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "01J00000000000000000000000")
    assert code == 3
    assert "there is no plan" in err
