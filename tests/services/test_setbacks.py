"""A locked plan whose supply is gone in the middle: the rest is asked anew, and its price stands beside the other."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from planner.errors import InvalidInput
from planner.plans.plan import plan
from planner.services.estimates import EstimateView
from planner.services.plan_comparison import compare_family
from planner.services.plan_search import claim_plan, finish_search
from planner.services.plans import ask_rest
from planner.services.requests import parse
from planner.services.requests.plans import ReplanRequest
from planner.store.engine import Session
from tests.services.test_plan_tracking import CODE, HAND, TERM, estimate, locked

__all__ = ["estimate"]
CHEAP = {"name": "spot", "gpu": "H100-80GB-SXM", "kind": "spot", "price_per_hour": 1.0}
DEAR = {"name": "rent", "gpu": "H100-80GB-SXM", "kind": "on_demand", "price_per_hour": 3.0}


@pytest.mark.fault(80)
def test_the_rest_without_what_is_gone_costs_more_and_the_family_shows_by_how_much(
    session: Session,
    estimate: EstimateView,
    now: datetime,
) -> None:
    supply = {"offers": False, "own": False, "extra": [CHEAP, DEAR]}
    night = {**HAND, "options": [{"gpu": "H100-80GB-SXM", "num_gpus": 1, "time": "5 h"}], "divisible": True}
    view = locked(session, estimate, now, jobs=[night], supply=supply)
    assert view.plan is not None
    assert {use.supply for use in view.plan.uses} == {"spot"}
    at = now + timedelta(hours=1)
    found = {}
    for name, gone in (("as planned", ()), ("spot is gone", ("spot",))):
        asked = parse(ReplanRequest, {"name": name, "gone": list(gone), "done": {"night": 0.1}, "from_ledger": False})
        rest = ask_rest(session, view.id, asked, at, CODE)
        claim = claim_plan(session, "w", "b", TERM, at)
        assert claim is not None
        assert finish_search(session, claim, plan(claim.request, seconds=600), "", at)
        found[name] = rest.id
    costs = {one.name: one for one in compare_family(session, view.id)}
    lost, planned = costs["spot is gone"], costs["as planned"]
    assert set(lost.gpu_hours) == {"on_demand"}
    assert lost.cost == pytest.approx(4.5 * 3.0)
    assert planned.cost is not None
    assert lost.against_first is not None
    assert planned.against_first is not None
    assert lost.against_first - planned.against_first == pytest.approx(4.5 * 3.0 - planned.cost)
    with pytest.raises(InvalidInput, match="no supply 'nobody'"):
        ask_rest(session, view.id, parse(ReplanRequest, {"gone": ["nobody"]}), at, CODE)
