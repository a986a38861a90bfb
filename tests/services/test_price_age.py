"""A price list that is not renewed any more: its last prices count with their age, and not beyond the limit."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from planner.errors import InvalidInput
from planner.estimates.estimate import Bottleneck
from planner.services.estimates import EstimateView, get_estimate, make_estimate
from planner.services.offers import PriceFilter, find_prices
from planner.services.requests import EstimateRequest, parse
from planner.store.engine import Session
from planner.store.offers import append_prices, upsert_offers
from planner.store.tables import OfferRow
from tests.builders import offer, price

CODE = "0.0.0+test"
OLD = datetime(2025, 11, 21, tzinfo=UTC)


@pytest.fixture
def offers(session: Session) -> None:
    """Two offers: one whose list was read in the summer, and one of a year ago."""
    kept = [offer(instance_type=name, num_gpus=Decimal(1)) for name in ("renewed", "stale")]
    upsert_offers(session, kept, OLD)
    ids = {row.instance_type: row.id for row in session.execute(select(OfferRow)).scalars()}
    old = price("1", valid_from=OLD, recorded_at=OLD, source_date=OLD.date(), source="a list that went away")
    append_prices(session, [(ids["renewed"], price("10")), (ids["stale"], old)])


def estimated(session: Session, now: datetime, **fields: object) -> EstimateView:
    return make_estimate(session, parse(EstimateRequest, {"preset": "finetune-small", **fields}), now, CODE)


def names(view: EstimateView) -> list[str]:
    return [option.placement.offer.instance_type for option in view.answer.options if option.placement.offer]


@pytest.mark.fault(76)
def test_the_last_price_counts_and_says_how_old_it_is(session: Session, offers: None, now: datetime) -> None:
    assert names(estimated(session, now)) == ["stale", "renewed"], "the cheaper one first"
    ages = {item.offer.instance_type: item.age_days(now) for item in find_prices(session, PriceFilter(), now, now)}
    assert ages == {"stale": 365, "renewed": 124}


@pytest.mark.fault(76)
def test_beyond_the_limit_it_is_refused_with_its_age_its_day_and_its_source(
    session: Session, offers: None, now: datetime
) -> None:
    view = estimated(session, now, price_age_days=364)
    assert names(view) == ["renewed"]
    assert view.answer.options[0].why_not == "", "it is the best one now"
    (lost,) = [one for one in view.answer.rejections if one.placement.offer is not None]
    assert lost.bottleneck is Bottleneck.PRICE
    assert lost.reason == (
        "its last price was stated 365 days ago (2025-11-21, a list that went away): the limit is 364 days"
    )
    assert get_estimate(session, view.id) == view
    assert names(estimated(session, now, price_age_days=365)) == ["stale", "renewed"], "at the limit it still counts"


@pytest.mark.fault(76)
def test_the_age_is_that_of_the_moment_that_is_asked_about(session: Session, offers: None, now: datetime) -> None:
    earlier = {"as_of": datetime(2025, 12, 1, tzinfo=UTC).isoformat(), "price_age_days": 30}
    assert names(estimated(session, now, **earlier))[0] == "stale"


def test_an_age_below_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="price_age_days"):
        parse(EstimateRequest, {"preset": "finetune-small", "price_age_days": -1})


def test_a_price_from_today_is_no_day_old(session: Session, now: datetime) -> None:
    upsert_offers(session, [offer(num_gpus=Decimal(1))], now)
    offer_id = session.execute(select(OfferRow.id)).scalar_one()
    append_prices(session, [(offer_id, price("1", valid_from=now, recorded_at=now, source_date=date(2026, 11, 21)))])
    assert len(names(estimated(session, now, price_age_days=0))) == 1
