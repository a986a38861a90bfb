"""A stored estimate pins what it was made from and is read ever after; `as_of` asks with an old day's prices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from planner.errors import InvalidInput, NotFound
from planner.estimates.estimate import Bottleneck
from planner.quantity import Basis
from planner.services.devices import record_discovery
from planner.services.estimates import EstimateView, get_estimate, list_estimates, make_estimate
from planner.services.requests import EstimateRequest, parse
from planner.store.engine import Session
from planner.store.offers import append_prices, upsert_offers
from planner.store.tables import OfferRow
from tests.builders import discovery, offer, price, seen_cpu, seen_device

CODE = "0.0.0+test"
JULY = datetime(2026, 7, 20, tzinfo=UTC)


@pytest.fixture
def offers(session: Session, now: datetime) -> list[int]:
    """Two priced offers, one whose price is unknown, and one of a GPU that the catalogue does not list."""
    kept = [
        offer(instance_type="one", num_gpus=Decimal(1)),
        offer(instance_type="two", num_gpus=Decimal(2)),
        offer(instance_type="unpriced", num_gpus=Decimal(1)),
        offer(instance_type="odd", gpu_name="Quantum 9", gpu_key=None, num_gpus=Decimal(1)),
    ]
    upsert_offers(session, kept, JULY)
    ids = [_id_of(session, item.instance_type) for item in kept]
    append_prices(session, [(ids[0], price("10")), (ids[1], price("30")), (ids[3], price("1"))])
    return ids


def _id_of(session: Session, instance_type: str) -> int:
    return session.execute(select(OfferRow.id).where(OfferRow.instance_type == instance_type)).scalar_one()


def make(session: Session, now: datetime, **fields: Any) -> EstimateView:
    request = parse(EstimateRequest, {"preset": "finetune-small", **fields})
    return make_estimate(session, request, now, CODE)


def halve(session: Session, offer_id: int, moment: datetime) -> None:
    """From `moment` on the first offer costs half."""
    append_prices(session, [(offer_id, price("5", valid_from=moment, recorded_at=moment, source_date=moment.date()))])


def cost_of(view: EstimateView, instance_type: str) -> float | None:
    for option in view.answer.options:
        if option.placement.offer and option.placement.offer.instance_type == instance_type:
            return None if option.cost is None else option.cost.mid
    raise AssertionError(f"no option on {instance_type}")


def test_an_estimate_is_read_back_as_it_was_made(session: Session, offers: list[int], now: datetime) -> None:
    made = make(session, now)
    assert get_estimate(session, made.id) == made


def test_it_pins_prices_fits_catalogue_and_code(session: Session, offers: list[int], now: datetime) -> None:
    made = make(session, now)
    assert len(made.price_ids) == 2
    assert made.code_version == CODE
    assert made.catalogue_version
    assert made.known_at == made.as_of == now


def test_a_later_price_changes_a_new_estimate_and_not_the_stored_one(
    session: Session, offers: list[int], now: datetime
) -> None:
    before = make(session, now)
    later = now + timedelta(days=1)
    halve(session, offers[0], later)
    after = make(session, later)
    assert cost_of(after, "one") == pytest.approx(0.5 * (cost_of(before, "one") or 0))
    assert get_estimate(session, before.id) == before


def test_asked_as_of_an_old_day_it_takes_that_days_prices(session: Session, offers: list[int], now: datetime) -> None:
    later = now + timedelta(days=1)
    halve(session, offers[0], later)
    old = make(session, later, as_of=now.isoformat())
    assert old.as_of == now
    assert cost_of(old, "one") == pytest.approx(2 * (cost_of(make(session, later), "one") or 0))


def test_an_unknown_price_is_unknown_counted_and_ranked_last(
    session: Session, offers: list[int], now: datetime
) -> None:
    made = make(session, now)
    assert cost_of(made, "unpriced") is None
    assert made.num_unpriced == 1
    last = made.answer.options[-1]
    assert last.placement.offer is not None
    assert last.placement.offer.instance_type == "unpriced"
    assert last.unknown["cost"]


def test_a_gpu_that_the_catalogue_does_not_list_is_rejected_by_name(
    session: Session, offers: list[int], now: datetime
) -> None:
    refused = [item for item in make(session, now).answer.rejections if "Quantum 9" in item.reason]
    assert [item.bottleneck for item in refused] == [Bottleneck.UNKNOWN_GPU]


def test_every_loser_says_what_it_lost_on(session: Session, offers: list[int], now: datetime) -> None:
    best, *others = make(session, now).answer.options
    assert best.why_not == ""
    assert others
    assert all(option.why_not for option in others)


def test_attached_devices_are_options_with_unknown_cost(session: Session, offers: list[int], now: datetime) -> None:
    record_discovery(session, discovery(seen_device(), seen_device(uuid="GPU-2", index=1), seen_cpu()), now)
    made = make(session, now)
    here = [option for option in made.answer.options if option.placement.device_id]
    assert {option.placement.device_name for option in here} >= {
        "NVIDIA H100 80GB HBM3",
        "2 × NVIDIA H100 80GB HBM3",
    }
    assert all(option.cost is None and option.unknown["cost"] for option in here)
    cpu = [item for item in made.answer.rejections if item.placement.device_name == "A CPU"]
    assert cpu, "a CPU without figures and without a calibration cannot be estimated"


def test_a_spec_sheet_estimate_says_that_it_is_derived_with_a_cause(
    session: Session, offers: list[int], now: datetime
) -> None:
    option = make(session, now).answer.options[0]
    assert option.basis is Basis.DERIVED
    assert option.seconds is not None
    assert option.seconds.causes
    assert option.seconds.low < option.seconds.mid < option.seconds.high


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"gpus": ["H100"]}, "gpus"), ({"providers": ["amazon"]}, "providers"), ({"regions": ["moon"]}, "regions")],
)
def test_a_filter_that_nothing_has_is_refused_and_nothing_is_stored(
    session: Session, offers: list[int], now: datetime, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        make(session, now, **fields)
    assert [problem.field for problem in caught.value.problems] == [field]
    assert list_estimates(session) == []


def test_deadline_and_budget_reject_with_figures(session: Session, offers: list[int], now: datetime) -> None:
    slow = make(session, now, deadline="1 s").answer
    assert slow.options == ()
    assert any(item.bottleneck is Bottleneck.DEADLINE and "deadline is 1 s" in item.reason for item in slow.rejections)
    dear = make(session, now, budget="0.01").answer
    assert {item.bottleneck for item in dear.rejections} >= {Bottleneck.BUDGET, Bottleneck.PRICE}


def test_the_list_is_newest_first_and_pages_by_id(session: Session, offers: list[int], now: datetime) -> None:
    made = [make(session, now + timedelta(seconds=number)).id for number in range(3)]
    first = list_estimates(session, limit=2)
    assert [item.id for item in first] == made[:0:-1]
    assert [item.id for item in list_estimates(session, after=first[-1].id)] == [made[0]]
    assert first[0].best is not None
    assert first[0].best.title.startswith("1 × H100-80GB-SXM, aws one us-east-1")


def test_an_unknown_id_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound, match="no estimate"):
        get_estimate(session, "01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_a_step_of_ones_own_moves_the_estimate(session: Session, offers: list[int], now: datetime) -> None:
    plain = make(session, now)
    own = {"measured_step": "20 s", "measured_gpu": "H100-80GB-SXM", "measured_num_gpus": 1}
    moved = make(session, now, **own)
    steps = {option.placement.num_gpus: option for option in moved.answer.options}
    assert steps[Decimal(1)].step_seconds.mid == pytest.approx(20)
    assert steps[Decimal(1)].basis is Basis.MEASURED
    assert steps[Decimal(2)].basis is Basis.TRANSFERRED
    assert get_estimate(session, moved.id) == moved
    assert plain.answer != moved.answer
    with pytest.raises(InvalidInput, match="go together"):
        make(session, now, measured_step="20 s")


def test_only_the_vendors_that_are_asked_for_are_compared(session: Session, offers: list[int], now: datetime) -> None:
    made = make(session, now, vendors=["NVIDIA"])
    assert made.answer.options
    assert {one.placement.gpu.vendor.value for one in made.answer.options} == {"NVIDIA"}
    assert not make(session, now, vendors=["AMD"]).answer.options
    with pytest.raises(InvalidInput, match="vendors"):
        make(session, now, vendors=["Cray"])


def test_what_draws_more_than_the_power_limit_is_rejected_with_both(
    session: Session, offers: list[int], now: datetime
) -> None:
    drawn = {one.placement.num_gpus: one.average_power_watts for one in make(session, now).answer.options}
    one, two = drawn[Decimal(1)], drawn[Decimal(2)]
    assert one is not None
    assert two is not None
    assert one.mid < two.mid
    made = make(session, now, power_limit=(one.mid + two.mid) / 2)
    assert {found.placement.num_gpus for found in made.answer.options} == {Decimal(1)}
    refused = [found for found in made.answer.rejections if found.bottleneck is Bottleneck.POWER]
    assert [found.placement.num_gpus for found in refused] == [Decimal(2)]
    assert "its GPUs draw" in refused[0].reason
    assert "the limit is" in refused[0].reason
