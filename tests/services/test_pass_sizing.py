"""Sizing of single passes over offers and devices: the bill, the floor, and what is refused by name."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from planner.errors import InvalidInput
from planner.quantity import Basis
from planner.services.devices import record_discovery
from planner.services.pass_sizing import PassSizingView, size_pass_service
from planner.services.requests import parse
from planner.services.requests.pass_sizing import PassSizingRequest
from planner.store.engine import Session
from planner.store.offers import append_prices, upsert_offers
from planner.store.tables import OfferRow
from tests.builders import discovery, offer, price

JULY = datetime(2026, 7, 20, tzinfo=UTC)
CAMERAS: dict[str, Any] = {
    "network": "YOLOv5m",
    "image_size": 1280,
    "cameras": 40,
    "frame_rate": 30,
    "deadline": "60 ms",
}


@pytest.fixture
def offers(session: Session) -> None:
    """One H100, one L4, and four L4 together."""
    kept = [
        offer(instance_type="h100", num_gpus=Decimal(1), gpu_key="H100-80GB-SXM"),
        offer(instance_type="l4", num_gpus=Decimal(1), gpu_key="L4"),
        offer(instance_type="four", num_gpus=Decimal(4), gpu_key="L4"),
    ]
    upsert_offers(session, kept, JULY)
    ids = {
        name: session.execute(select(OfferRow.id).where(OfferRow.instance_type == name)).scalar_one()
        for name in ("h100", "l4", "four")
    }
    amounts = {"h100": "3", "l4": "0.7", "four": "2.6"}
    append_prices(session, [(ids[name], price(amount)) for name, amount in amounts.items()])


def ask(session: Session, now: datetime, **changes: Any) -> PassSizingView:
    given = {name: value for name, value in {**CAMERAS, **changes}.items() if value is not None}
    return size_pass_service(session, parse(PassSizingRequest, given), now)


def test_cameras_are_answered_in_time_and_the_bill_adds_up(session: Session, offers: None, now: datetime) -> None:
    found = ask(session, now)
    best = found.options[0]
    assert found.item == "frame"
    assert (found.rate, found.sentence) == (1_200.0, best.sentence)
    assert best.waited.p99 <= 0.060
    assert best.late_share is not None
    assert best.late_share <= 0.01
    assert best.cost_per_hour is not None
    assert best.bill.cost_per_thousand == pytest.approx(best.cost_per_hour * 1e3 / (1_200 * 3600))
    assert best.bill.joules_per_item is not None
    assert best.basis is Basis.DERIVED
    assert found.gpu_range is not None
    assert found.gpu_range.low <= found.gpu_range.mid
    assert all(option.why_not for option in found.options[1:])


def test_duty_raises_the_cost_of_a_frame_and_not_of_an_hour(session: Session, offers: None, now: datetime) -> None:
    always, half = ask(session, now).options[0], ask(session, now, duty=0.5).options[0]
    assert half.cost_per_hour == always.cost_per_hour
    assert half.bill.cost_per_thousand == pytest.approx(2 * (always.bill.cost_per_thousand or 0))


def test_a_deadline_below_one_pass_names_the_nearest_floor(session: Session, offers: None, now: datetime) -> None:
    found = ask(session, now, deadline="0.1 ms")
    assert found.options == ()
    assert "H100" in found.sentence
    assert "below the floor: one item with the GPU to itself takes" in found.sentence
    assert found.curve == ()


def test_random_texts_and_drawings_are_sized_too(session: Session, offers: None, now: datetime) -> None:
    texts = ask(
        session, now, network="bert-base", tokens=128, image_size=None, cameras=None, frame_rate=None, rate=5000
    )
    assert texts.item == "text"
    assert texts.options
    drawings = ask(
        session,
        now,
        network="sdxl-turbo",
        steps=4,
        image_size=None,
        cameras=None,
        frame_rate=None,
        rate=1,
        deadline="10 s",
    )
    assert drawings.item == "drawing"
    assert drawings.options
    assert "drawings a second" in drawings.job_sentence


def test_curve_rises_with_the_load(session: Session, offers: None, now: datetime) -> None:
    curve = ask(session, now, cameras=None, frame_rate=None, rate=300).curve
    medians = [point.waited.p50 for point in curve]
    assert medians[0] < medians[-1]
    assert curve[0].keeps_deadline


def test_attached_device_is_one_way_without_a_price(session: Session, offers: None, now: datetime) -> None:
    record_discovery(session, discovery(), now)
    found = ask(session, now, cameras=1, frame_rate=0.01, deadline=None, dtype="fp32", offer_kinds=["owned"])
    assert found.options or found.others
    assert all(option.cost_per_hour is None for option in found.options)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"network": "nothing"}, "network"),
        ({"rate": 5}, "rate"),
        ({"cameras": None}, "frame_rate"),
        ({"cameras": None, "frame_rate": None}, "rate"),
        ({"variation": 2}, "variation"),
        ({"percentile": 90}, "percentile"),
        ({"tokens": 5}, "tokens"),
        ({"steps": 5}, "steps"),
        ({"network": "bert-base", "image_size": None, "tokens": 4096}, "tokens"),
        ({"gpus": ["H1000"]}, "gpus"),
    ],
)
def test_question_that_cannot_be_answered_is_refused_by_field(
    changes: dict[str, Any], field: str, session: Session, offers: None, now: datetime
) -> None:
    with pytest.raises(InvalidInput) as refused:
        ask(session, now, **changes)
    assert field in {problem.field for problem in refused.value.problems}
