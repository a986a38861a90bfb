"""Sizing a service over offers and devices: the answer, the reasons of the losers, and what is refused by name."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from planner.errors import InvalidInput
from planner.quantity import Basis
from planner.services.devices import record_discovery
from planner.services.requests import parse
from planner.services.requests.sizing import SizingRequest
from planner.services.sizing import SizingView, size_service
from planner.services.trace_files import trace_text
from planner.store.engine import Session
from planner.store.offers import append_prices, upsert_offers
from planner.store.tables import OfferRow
from tests.builders import discovery, offer, price

JULY = datetime(2026, 7, 20, tzinfo=UTC)
ASKED: dict[str, Any] = {
    "architecture": "llama-3-8b",
    "prompt_tokens": 1024,
    "output_tokens": 256,
    "rate": 40,
    "first_token": "500 ms",
    "per_token": "50 ms",
}
TRACE = "arrival_seconds,prompt_tokens,output_tokens\n" + "".join(
    f"{second * 0.25},{300 + 10 * (second % 20)},{20 + second % 30}\n" for second in range(400)
)

LONG_TRACE = "arrival_seconds,prompt_tokens,output_tokens\n0,10,10\n1,9000,10\n"


@pytest.fixture
def offers(session: Session) -> None:
    """One and eight H100 at the same price for each GPU and dearer singles, and an L4 that is too slow."""
    kept = [
        offer(instance_type="one", num_gpus=Decimal(1), gpu_key="H100-80GB-SXM"),
        offer(instance_type="eight", num_gpus=Decimal(8), gpu_key="H100-80GB-SXM"),
        offer(instance_type="dear", num_gpus=Decimal(1), gpu_key="H100-80GB-SXM"),
        offer(instance_type="small", num_gpus=Decimal(1), gpu_key="L4"),
        offer(instance_type="unpriced", num_gpus=Decimal(1), gpu_key="H100-80GB-SXM"),
    ]
    upsert_offers(session, kept, JULY)
    ids = {
        name: session.execute(select(OfferRow.id).where(OfferRow.instance_type == name)).scalar_one()
        for name in ("one", "eight", "dear", "small")
    }
    amounts = {"one": "3", "eight": "24", "dear": "3.30", "small": "0.7"}
    append_prices(session, [(ids[name], price(amount)) for name, amount in amounts.items()])


def ask(session: Session, now: datetime, **changes: Any) -> SizingView:
    given = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    return size_service(session, parse(SizingRequest, given), now)


def test_best_way_keeps_the_level_and_its_bill_adds_up(session: Session, offers: None, now: datetime) -> None:
    found = ask(session, now)
    best = found.options[0]
    assert found.sentence == best.sentence
    assert best.found.first_token.p95 <= 0.5
    assert best.found.per_token is not None
    assert best.found.per_token.p95 <= 0.05
    assert best.cost_per_hour == pytest.approx(3.0 * best.num_gpus)
    assert best.bill.cost_per_thousand_requests == pytest.approx(best.cost_per_hour / (40 * 3.6))
    assert best.bill.cost_per_million_tokens == pytest.approx(best.cost_per_hour / (40 * 3600 * 1280) * 1e6)
    assert best.basis is Basis.DERIVED


def test_every_way_that_lost_says_why(session: Session, offers: None, now: datetime) -> None:
    found = ask(session, now)
    assert [option.why_not for option in found.options].count("") == 1
    assert all(option.why_not for option in found.options[1:])
    assert all(other.reason for other in found.others)
    dear = next(option for option in found.options if " dear " in option.title)
    assert "10% more" in dear.why_not
    unpriced = next(option for option in found.options if " unpriced " in option.title)
    assert unpriced.cost_per_hour is None
    assert "no price" in unpriced.why_not


def test_tighter_level_never_costs_less(session: Session, offers: None, now: datetime) -> None:
    costs = [ask(session, now, per_token=f"{limit} ms").options[0].cost_per_hour for limit in (60, 35, 25, 18)]
    assert costs == sorted(costs)  # type: ignore[type-var]
    assert costs[0] != costs[-1]


def test_duty_raises_the_cost_of_a_token_and_not_of_an_hour(session: Session, offers: None, now: datetime) -> None:
    always, half = ask(session, now).options[0], ask(session, now, duty=0.5).options[0]
    assert half.cost_per_hour == always.cost_per_hour
    assert half.bill.cost_per_million_tokens == pytest.approx(2 * (always.bill.cost_per_million_tokens or 0))


def test_slow_end_of_the_range_never_needs_fewer_replicas(session: Session, offers: None, now: datetime) -> None:
    found = ask(session, now).replica_range
    assert found is not None
    assert found.low <= found.mid
    assert found.high is None or found.mid <= found.high
    assert found.causes


def test_level_below_the_floor_names_it(session: Session, offers: None, now: datetime) -> None:
    found = ask(session, now, first_token="1 ms")
    assert found.options == ()
    assert "below the floor" in found.sentence
    assert found.curve is None


def test_api_is_compared_at_the_mean_rate(session: Session, offers: None, now: datetime) -> None:
    found = ask(session, now, api_input_price="0.20", api_output_price="0.60").api
    assert found is not None
    assert found.api_per_request == pytest.approx((1024 * 0.20 + 256 * 0.60) / 1e6)
    assert found.api_per_hour == pytest.approx(found.api_per_request * 40 * 3600)
    assert (found.break_even_per_second is not None) == (found.own_per_hour <= found.api_per_hour)


def test_trace_is_replayed_and_told(session: Session, offers: None, now: datetime) -> None:
    found = ask(session, now, prompt_tokens=None, output_tokens=None, rate=None, trace=TRACE)
    assert (found.demand.source, found.demand.num_requests) == ("trace", 400)
    assert found.demand.rate == pytest.approx(400 / 99.75)
    assert found.options[0].found.num_requests == 400
    faster = ask(session, now, prompt_tokens=None, output_tokens=None, rate=200, trace=TRACE)
    assert faster.options[0].num_gpus > found.options[0].num_gpus


def test_server_in_front_is_named_and_yours_takes_its_place(session: Session, offers: None, now: datetime) -> None:
    assumed, bare, own = ask(session, now), ask(session, now, front="0 s"), ask(session, now, front="50 ms")
    assert "in the server in front of the engine" in " ".join(assumed.notes)
    assert "in front of the engine" not in " ".join(own.notes)
    assert bare.floor is not None
    assert own.floor is not None
    assert own.floor.first_token.p50 - bare.floor.first_token.p50 == pytest.approx(0.050)
    refused = ask(session, now, front="600 ms")
    assert not refused.options
    assert "below the floor" in refused.sentence


def test_mix_of_a_trace_is_proven_and_never_dearer_than_one_kind(session: Session, offers: None, now: datetime) -> None:
    found = ask(session, now, prompt_tokens=None, output_tokens=None, rate=100, trace=TRACE).mix
    assert found is not None
    assert found.is_optimal
    assert found.cost_per_hour is not None
    assert found.best_alone_per_hour is not None
    assert found.cost_per_hour <= found.best_alone_per_hour + 1e-9
    assert sum(route.requests_per_second for route in found.routes) == pytest.approx(100)
    for route in found.routes:
        assert sum(route.to.values()) == pytest.approx(route.requests_per_second)
    assert sum(part.cost_per_hour for part in found.parts) == pytest.approx(found.cost_per_hour)
    assert all(loser.why_not for loser in found.losers)
    assert ask(session, now).mix is None


def test_prefill_and_decode_apart_are_sized_where_a_link_is_given(
    session: Session, offers: None, now: datetime
) -> None:
    found = ask(session, now, apart_link="50GB").apart
    assert found is not None
    assert found.found is not None
    assert found.found.first_token.p95 <= 0.5
    assert found.num_gpus is not None
    assert found.sentence.startswith(f"{found.num_gpus} GPUs")
    assert ask(session, now).apart is None


def test_hours_of_a_day_give_the_mean_and_what_each_hour_needs(session: Session, offers: None, now: datetime) -> None:
    day = [1, 1, 1, 1, 1, 1, 2, 4, 8, 8, 8, 8, 8, 8, 8, 8, 6, 6, 4, 4, 2, 2, 1, 1]
    found = ask(session, now, rate=100, hours=day)
    assert found.demand.mean_rate == pytest.approx(100 * sum(day) / 24 / 8)
    assert found.hours is not None
    assert len(found.hours.hours) == 24
    assert found.hours.hours[8].requests_per_second == 100
    assert found.hours.followed_gpu_hours <= found.hours.fixed_gpu_hours
    assert found.hours.fixed_cost == pytest.approx(24 * (found.options[0].cost_per_hour or 0))
    as_text = ask(session, now, rate=100, hours=", ".join(map(str, day)))
    assert as_text.hours == found.hours
    assert ask(session, now).hours is None


def test_experts_are_spread_as_asked_and_told(session: Session, offers: None, now: datetime) -> None:
    found = ask(session, now, architecture="mixtral-8x7b", rate=10, expert_parallel=4, first_token="2 s")
    assert found.options
    assert {option.layout for option in found.options} <= {
        "TP 1, EP 4, DP 4 in attention",
        "TP 2, EP 8, DP 4 in attention",
    }
    assert any("The experts are spread over groups" in note for note in found.notes)


def test_attached_device_is_one_way_without_a_price(session: Session, offers: None, now: datetime) -> None:
    record_discovery(session, discovery(), now)
    found = ask(session, now, rate=0.001, first_token=None, per_token=None, offer_kinds=["owned"])
    titles = [option.title for option in found.options] + [other.title for other in found.others]
    assert any("attached" in title for title in titles)
    assert all(option.cost_per_hour is None for option in found.options)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompt_tokens": 9000}, "prompt_tokens"),
        ({"rate": None}, "rate"),
        ({"percentile": 90}, "percentile"),
        ({"api_input_price": "1"}, "api_output_price"),
        ({"architecture": None}, "architecture"),
        ({"architecture": "bert-large"}, "architecture"),
        ({"trace": TRACE}, "prompt_tokens"),
        ({"trace": TRACE, "prompt_tokens": None, "output_tokens": None, "variation": 2}, "variation"),
        ({"trace": "nothing", "prompt_tokens": None, "output_tokens": None, "rate": None}, "trace"),
        ({"trace": LONG_TRACE, "prompt_tokens": None, "output_tokens": None, "rate": None}, "trace"),
        ({"gpus": ["H1000"]}, "gpus"),
        ({"hours": [1, 2, 3]}, "hours"),
        ({"hours": [0] * 24}, "hours"),
        ({"hours": [1] * 24, "duty": 0.5}, "duty"),
        ({"trace": TRACE, "prompt_tokens": None, "output_tokens": None, "hours": [1] * 24}, "hours"),
        ({"expert_parallel": 2}, "expert_parallel"),
        ({"trace": TRACE, "prompt_tokens": None, "output_tokens": None, "balancing": "random"}, "balancing"),
    ],
)
def test_question_that_cannot_be_answered_is_refused_by_field(
    changes: dict[str, Any], field: str, session: Session, offers: None, now: datetime
) -> None:
    with pytest.raises(InvalidInput) as refused:
        ask(session, now, **changes)
    assert field in {problem.field for problem in refused.value.problems}


def test_trace_files_may_be_gzip_and_broken_ones_are_refused() -> None:
    assert trace_text(gzip.compress(TRACE.encode())) == TRACE
    assert trace_text(("\ufeff" + TRACE).encode()) == TRACE
    for data, message in (
        (b"", "is empty"),
        (gzip.compress(TRACE.encode())[:50], "broken"),
        (b"\xff\xfe\xff", "not UTF-8"),
    ):
        with pytest.raises(InvalidInput, match=message):
            trace_text(data)
