"""Lists narrowed to a stretch of time, and tokens, on each kind of database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from planner.errors import NotFound
from planner.services.estimates import list_estimates, make_estimate
from planner.services.offers import sync_price_book
from planner.services.plans import ask_plan, list_plans
from planner.services.requests import EstimateRequest, parse
from planner.services.requests.lists import SpanQuery
from planner.services.requests.plans import PlanQuestion
from planner.services.requests.tokens import Scope, TokenRequest
from planner.services.tokens import find_token, keep_token, list_tokens, note_use, revoke_token
from planner.store.engine import Session
from tests.builders import NOW

RENT = {"name": "rent", "gpu": "H100", "kind": "on_demand", "price_per_hour": 2.5}
JOB = {"name": "train", "options": [{"gpu": "H100", "num_gpus": 4, "time": "6 h"}]}
SUPPLY = {"offers": False, "own": False, "extra": [RENT]}


@pytest.mark.parametrize(
    ("asked", "days"),
    [
        ({}, [2, 1, 0]),
        ({"since": "2026-11-22"}, [2, 1]),
        ({"before": "2026-11-22"}, [0]),
        ({"since": "2026-11-22", "before": "2026-11-23"}, [1]),
        ({"since": "2026-11-22T09:00:00Z"}, [2, 1]),
    ],
)
def test_plans_and_estimates_of_a_stretch_of_time(session: Session, asked: dict[str, str], days: list[int]) -> None:
    sync_price_book(session, NOW)
    question = parse(PlanQuestion, {"name": "day", "span": "1 day", "jobs": [JOB], "supply": SUPPLY})
    plans, estimates = [], []
    for day in range(3):
        moment = NOW + timedelta(days=day)
        plans.append(ask_plan(session, question, moment, "tests", client=f"client {day}").id)
        request = EstimateRequest(preset="serve-small", gpus=("H100-80GB-SXM",))
        estimates.append(make_estimate(session, request, moment, "tests").id)
    span = parse(SpanQuery, asked).span
    listed = list_plans(session, limit=None, span=span)
    assert [plan.id for plan in listed] == [plans[day] for day in days]
    assert {plan.currency for plan in listed} == {"USD"}
    assert [item.id for item in list_estimates(session, limit=None, span=span)] == [estimates[day] for day in days]
    assert list_estimates(session, kind="training") == []


def test_a_token_lives_from_its_making_to_its_end(session: Session) -> None:
    request = TokenRequest(name="Finance", scopes=(Scope.READ_COSTS, Scope.READ_COSTS, Scope.WRITE_PLANS), days=30)
    made = keep_token(session, request, "planner_secret-of-a-test", NOW, "cli")
    assert made.scopes == (Scope.READ_COSTS, Scope.WRITE_PLANS)
    assert find_token(session, "planner_secret-of-a-test", NOW) == made
    assert find_token(session, "planner_secret-of-a-tesT", NOW) is None
    assert find_token(session, "planner_secret-of-a-test", NOW + timedelta(days=30)) is None
    assert (made.allows(Scope.WRITE_PLANS), made.allows(Scope.ADMIN)) == (True, False)
    note_use(session, made, NOW)
    revoke_token(session, made.id, NOW)
    session.expire_all()
    (ended,) = list_tokens(session)
    assert (ended.last_used_at, ended.revoked_at) == (NOW, NOW)
    assert find_token(session, "planner_secret-of-a-test", NOW) is None
    with pytest.raises(NotFound):
        revoke_token(session, made.id, NOW)
