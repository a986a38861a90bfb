"""How many nodes: the fewest that keep a deadline, and none is made of parts of GPUs."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from planner.errors import InvalidInput
from planner.services.estimates import EstimateView, make_estimate
from planner.services.node_counts import COUNTS, NodeCounts, node_counts
from planner.services.requests import EstimateRequest, parse
from planner.store.engine import Session
from planner.store.offers import append_prices, upsert_offers
from planner.store.tables import OfferRow
from tests.builders import offer, price

JULY = datetime(2026, 7, 20, tzinfo=UTC)


@pytest.fixture
def offers(session: Session) -> None:
    """A node of eight GPUs, and an eighth of one GPU."""
    kept = [offer(instance_type="whole", num_gpus=Decimal(8)), offer(instance_type="part", num_gpus=Decimal("0.125"))]
    upsert_offers(session, kept, JULY)
    ids = {row.instance_type: row.id for row in session.execute(select(OfferRow.instance_type, OfferRow.id))}
    append_prices(session, [(ids["whole"], price("20")), (ids["part"], price("0.1"))])


def asked(session: Session, now: datetime, **fields: Any) -> tuple[EstimateView, NodeCounts]:
    view = make_estimate(session, parse(EstimateRequest, {"preset": "pretrain-1b", **fields}), now, "0")
    return view, node_counts(session, view.id)


def test_the_fewest_nodes_are_the_first_that_keep_the_deadline(session: Session, now: datetime, offers: None) -> None:
    alone, free = asked(session, now)
    slowest = alone.answer.options[0].seconds
    assert slowest is not None
    assert free.fewest == 1
    view, found = asked(session, now, deadline=slowest.mid / 3)
    assert view.answer.options == ()
    assert found.fewest == 4, "two nodes at most halve the time"
    kept = {one.num_nodes: one.best for one in found.counts}
    assert kept[1] is None
    assert kept[2] is None
    assert kept[4] is not None
    assert kept[4].seconds <= slowest.mid / 3
    assert found.sentence.startswith("4 nodes are the fewest that keep what was asked: 32 × H100-80GB-SXM in 4 nodes")


def test_one_node_is_the_estimate_itself(session: Session, now: datetime, offers: None) -> None:
    view, found = asked(session, now)
    best, first = view.answer.options[0], found.counts[0].best
    assert first is not None
    assert best.seconds is not None
    assert best.cost is not None
    assert (first.placement, first.seconds, first.cost) == (best.placement, best.seconds.mid, best.cost.mid)
    assert tuple(one.num_nodes for one in found.counts) == COUNTS


def test_parts_of_gpus_do_not_add_up_to_whole_ones(session: Session, now: datetime, offers: None) -> None:
    _, found = asked(session, now)
    reached = [one for count in found.counts for one in (count.best, count.fastest) if one is not None]
    assert {one.placement.offer.instance_type for one in reached if one.placement.offer} == {"whole"}


def test_a_deadline_beyond_all_says_how_near_the_fastest_comes(session: Session, now: datetime, offers: None) -> None:
    _, found = asked(session, now, deadline="1 s")
    assert found.fewest is None
    assert found.sentence.startswith("No number of nodes up to 256 keeps what was asked; the fastest is ")


def test_a_service_is_sized_and_not_asked_of_nodes(session: Session, now: datetime, offers: None) -> None:
    with pytest.raises(InvalidInput, match="sizing tells"):
        asked(session, now, preset="serve-llama-3-8b")
