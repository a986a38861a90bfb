"""Owned GPUs cost what the check vectors say, show what is assumed, and price the estimates on their devices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from planner.calibration.run_states import RunState
from planner.errors import Conflict, InvalidInput, NotFound
from planner.offers.book import BookEntry
from planner.quantity import Basis
from planner.services.asset_costs import asset_cost, compare_with_rent, measured_utilisation
from planner.services.assets import (
    archive_asset,
    asset_history,
    create_asset,
    get_asset,
    list_assets,
    update_asset,
)
from planner.services.devices import DeviceView, record_discovery
from planner.services.documents import document
from planner.services.estimates import get_estimate, make_estimate
from planner.services.offers import sync_entries
from planner.services.owned_offers import owned_hours
from planner.services.requests import EstimateRequest, parse
from planner.services.requests.assets import AssetRequest, RentRequest
from planner.store.engine import Session
from planner.store.tables import RunRow, TelemetryRow
from tests.builders import discovery, offer, seen_device

VECTOR = {  # of the published check: 40,000 for a GPU with its share of the server, four years at 10 %
    "name": "H100 rack",
    "price": "40000",
    "residual": "8000",
    "years": "4",
    "cost_of_capital": "10 %",
    "busy_kw": "1.275",
    "idle_kw": "0.35",
    "pue": "1.3",
    "energy_price": "0.10",
    "hosting_price": "0",
    "contracted_kw": "1.275",
    "maintenance": "3 %",
    "staff": "900",
    "spares": "0",
    "software": "0",
    "insurance": "0",
    "failures": "0",
    "availability": "1",
}


def request(**changes: Any) -> AssetRequest:
    return parse(AssetRequest, {name: value for name, value in (VECTOR | changes).items() if value is not None})


@pytest.fixture
def devices(session: Session, now: datetime) -> list[DeviceView]:
    """Two equal H100 and a CPU."""
    other = seen_device(uuid="GPU-2", index=1)
    return record_discovery(session, discovery(seen_device(), other), now - timedelta(days=10))


def add_run(session: Session, device_id: str, now: datetime, hours: float, readings: list[float | None]) -> None:
    """A run of that many hours that ended a day ago, with these readings of utilisation."""
    run = RunRow(
        id=f"RUN-{device_id[-10:]}-{hours}"[:26],
        device_id=device_id,
        suite="quick",
        suite_version=1,
        time_limit_seconds=60.0,
        state=RunState.SUCCEEDED.value,
        created_at=now - timedelta(days=2),
        started_at=now - timedelta(days=1, hours=hours),
        finished_at=now - timedelta(days=1),
        num_benches=1,
        num_done=1,
        conditions={},
        code_version="test",
    )
    session.add(run)
    session.flush()
    session.add_all(TelemetryRow(run_id=run.id, seconds_in=float(n), utilization=u) for n, u in enumerate(readings))
    session.flush()


def test_the_check_vectors_hold_to_the_last_printed_digit(session: Session, now: datetime) -> None:
    asset = create_asset(session, request(), now)
    assert asset.assumptions == ()
    expected = {"1": "1.6492", "0.8": "2.0314", "0.6": "2.6685", "0.4": "3.9426", "0.2": "7.7650"}
    for share, cost in expected.items():
        found = asset_cost(session, asset.id, now, utilisation=Decimal(share))
        assert found.used_hour is not None
        assert f"{found.used_hour:.4f}" == cost
        assert found.wall_hour is not None
        assert f"{found.wall_hour.capital:.4f}" == "1.2437"
    for rent, point in {"2.29": "0.7047", "2.95": "0.5403", "3.50": "0.4524", "1.25": "1.3534"}.items():
        ask = parse(RentRequest, {"rent_per_hour": rent, "utilisation": "0.6"})
        against, _ = compare_with_rent(session, asset.id, ask, now)
        assert f"{against.break_even_utilisation:.4f}" == point


def test_the_published_sensitivity_comes_out_widest_first(session: Session, now: datetime) -> None:
    asset = create_asset(session, request(), now)
    ranges = {"price": (Decimal(32000), Decimal(48000)), "residual": (Decimal(0), Decimal(16000))}
    swings = asset_cost(session, asset.id, now, utilisation=Decimal("0.6"), ranges=ranges).swings
    assert [swing.width for swing in swings] == sorted((swing.width for swing in swings), reverse=True)
    by_name = {swing.name: (f"{swing.cost_at_low:.4f}", f"{swing.cost_at_high:.4f}") for swing in swings}
    assert by_name["utilisation"] == ("3.9426", "2.0314")
    assert by_name["price"] == ("2.1427", "3.1943")
    assert by_name["residual"] == ("2.9965", "2.3405")
    assert by_name["years"] == ("3.1960", "2.1457")


def test_an_asset_comes_back_as_it_was_given_on_both_databases(session: Session, now: datetime) -> None:
    asked = request(num_gpus=8, purchased_on="2026-03-01", lead_time_days=90, utilisation="65%", notes="Rack 4")
    asset = create_asset(session, asked, now)
    session.expire_all()
    found = get_asset(session, asset.id)
    assert found == asset
    assert (found.num_gpus, found.lead_time_days, found.utilisation) == (8, 90, Decimal("0.65"))
    assert found.given["cost_of_capital"] == Decimal("0.1")
    assert found.is_planned


def test_what_is_not_given_is_a_labelled_assumption_with_its_source(session: Session, now: datetime) -> None:
    asset = create_asset(session, parse(AssetRequest, {"name": "a", "price": "30000", "busy_kw": "1.2"}), now)
    names = {item.field for item in asset.assumptions}
    assert names == set(VECTOR) - {"name", "price", "busy_kw"}
    assert all(item.words and item.source for item in asset.assumptions)
    assert set(asset.given) == {"price", "busy_kw"}


def test_spares_are_part_of_the_price(session: Session, now: datetime) -> None:
    asset = create_asset(session, request(spares="5 %"), now)
    assert asset.asset.price == 42000
    assert asset.given["price"] == 40000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"price": None}, "price"),
        ({"busy_kw": None}, "busy_kw"),
        ({"residual": "50000"}, "residual"),
        ({"idle_kw": "2"}, "idle_kw"),
        ({"pue": "0.9"}, "pue"),
        ({"cost_of_capital": "10"}, "cost_of_capital"),
        ({"utilisation": "0"}, "utilisation"),
        ({"currency": "usd"}, "currency"),
        ({"currency": "EUR", "staff": None}, "staff"),
        ({"gpu_key": "H1000"}, "gpu_key"),
        ({"device_ids": ("nosuch",)}, "device_ids"),
        ({"price": "NaN"}, "price"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_figures_that_cannot_be_are_refused_by_field(
    session: Session, now: datetime, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        create_asset(session, request(**changes), now)
    assert field in {problem.field for problem in refused.value.problems}
    assert list_assets(session) == []


def test_changing_an_asset_keeps_how_it_stood(session: Session, now: datetime) -> None:
    asset = create_asset(session, request(), now)
    later = update_asset(session, asset.id, request(price="35000"), now + timedelta(days=1))
    assert (later.id, later.version, later.asset.price) == (asset.id, 2, 35000)
    history = asset_history(session, asset.id)
    assert [(version, what["price"]) for version, _, what in history] == [(1, "40000"), (2, "35000")]


def test_a_device_belongs_to_one_asset(session: Session, now: datetime, devices: list[DeviceView]) -> None:
    first = create_asset(session, request(device_ids=(devices[0].id, devices[1].id)), now)
    assert (first.num_gpus, first.gpu_key, first.is_planned) == (2, "H100-80GB-SXM", False)
    with pytest.raises(Conflict, match=f"belongs to asset {first.id} already"):
        create_asset(session, request(device_ids=(devices[0].id,)), now)
    update_asset(session, first.id, request(device_ids=(devices[1].id,)), now)
    assert create_asset(session, request(device_ids=(devices[0].id,)), now).devices[0].id == devices[0].id


def test_an_archived_asset_is_gone_and_its_devices_are_free(
    session: Session, now: datetime, devices: list[DeviceView]
) -> None:
    asset = create_asset(session, request(device_ids=(devices[0].id,)), now)
    archive_asset(session, asset.id, now)
    with pytest.raises(NotFound, match="there is no asset"):
        get_asset(session, asset.id)
    assert owned_hours(session) == {}
    create_asset(session, request(device_ids=(devices[0].id,)), now)


def test_utilisation_is_measured_from_telemetry_and_says_so(
    session: Session, now: datetime, devices: list[DeviceView]
) -> None:
    asset = create_asset(session, request(device_ids=(devices[0].id,)), now)
    unknown = asset_cost(session, asset.id, now)
    assert (unknown.utilisation, unknown.wall_hour, unknown.used_hour, unknown.swings) == (None, None, None, ())
    assert unknown.unknown == "how much it is used is neither given nor measured for a week"
    assert unknown.never_used.total < unknown.always_used.total
    add_run(session, devices[0].id, now, 24.0, [0.5, 1.0, None])
    add_run(session, devices[0].id, now, 12.0, [None])  # a driver that tells nothing: unknown, not 0
    found = asset_cost(session, asset.id, now)
    assert found.utilisation is not None
    assert found.utilisation.basis is Basis.MEASURED
    assert float(found.utilisation.share) == pytest.approx(24 * 0.75 / 240)
    assert found.utilisation.words.startswith("measured: 2 readings in 1 run over 10.0 days")
    assert found.used_hour is not None
    assert found.used_hour > 10


def test_a_utilisation_that_was_given_comes_before_the_measured_one(
    session: Session, now: datetime, devices: list[DeviceView]
) -> None:
    add_run(session, devices[0].id, now, 24.0, [0.5])
    asset = create_asset(session, request(device_ids=(devices[0].id,), utilisation="60 %"), now)
    found = asset_cost(session, asset.id, now)
    assert found.utilisation is not None
    assert (found.utilisation.share, found.utilisation.basis) == (Decimal("0.6"), Basis.ASSUMED)
    assert f"{found.used_hour:.4f}" == "2.6685"
    measured = measured_utilisation(session, [devices[0].id], now)
    assert measured is not None
    assert float(measured.share) == pytest.approx(0.05)


def test_a_comparison_with_rent_needs_a_utilisation(session: Session, now: datetime) -> None:
    asset = create_asset(session, request(), now)
    with pytest.raises(InvalidInput, match="utilisation: is needed"):
        compare_with_rent(session, asset.id, parse(RentRequest, {"rent_per_hour": "2.29"}), now)


def test_owning_saves_above_the_break_even_and_costs_below(session: Session, now: datetime) -> None:
    asset = create_asset(session, request(lead_time_days=0), now)
    for share, saves in (("0.75", True), ("0.65", False)):
        ask = parse(RentRequest, {"rent_per_hour": "2.29", "utilisation": share})
        found, used = compare_with_rent(session, asset.id, ask, now)
        assert (found.owning_is_cheaper, used.share) == (saves, Decimal(share))


def test_waiting_for_delivery_and_falling_rents_make_owning_worth_less(session: Session, now: datetime) -> None:
    ask = {"rent_per_hour": "3.50", "utilisation": "0.8"}
    at_once = create_asset(session, request(), now)
    later = create_asset(session, request(lead_time_days=365), now)
    base, _ = compare_with_rent(session, at_once.id, parse(RentRequest, ask), now)
    waited, _ = compare_with_rent(session, later.id, parse(RentRequest, ask), now)
    falling, _ = compare_with_rent(session, at_once.id, parse(RentRequest, ask | {"rent_decline": "10 %"}), now)
    assert base.net_present_value > waited.net_present_value
    assert base.net_present_value > falling.net_present_value
    assert base.payback_years is not None
    assert waited.payback_years is not None
    assert waited.payback_years > base.payback_years


def own_options(session: Session, now: datetime) -> list[Any]:
    view = make_estimate(session, EstimateRequest(preset="serve-small", offer_kinds=("owned",)), now, "test")
    stored = get_estimate(session, view.id)
    assert stored.answer == view.answer
    return [option for option in stored.answer.options if option.placement.device_id is not None]


def test_an_estimate_on_a_device_without_an_asset_costs_unknown_and_not_nothing(
    session: Session, now: datetime, devices: list[DeviceView]
) -> None:
    options = own_options(session, now)
    assert options
    assert {option.cost for option in options} == {None}
    assert options[0].unknown["cost"] == "what an hour of this attached device costs has not been entered"


def test_an_estimate_on_an_owned_device_costs_what_its_asset_says(
    session: Session, now: datetime, devices: list[DeviceView]
) -> None:
    asset = create_asset(session, request(device_ids=(devices[0].id, devices[1].id), utilisation="0.6"), now)
    by_count = {option.placement.num_gpus: option for option in own_options(session, now)}
    for count, option in by_count.items():
        assert option.placement.price is not None
        assert f"{option.placement.price.amount:.3f}" == f"{Decimal('2.66851') * count:.3f}"
        assert option.cost_per_hour is not None
        assert option.cost_per_hour.basis is Basis.DERIVED
        assert f"asset H100 rack ({asset.id}, version 1): a used hour at 60% utilisation" in option.notes[-1]
    assert Decimal(2) in by_count


def test_a_cost_that_rests_on_assumptions_says_so(session: Session, now: datetime, devices: list[DeviceView]) -> None:
    create_asset(session, request(device_ids=(devices[0].id,), staff=None), now)
    options = own_options(session, now)
    (alone,) = (option for option in options if option.cost is not None)
    assert alone.placement.device_id == devices[0].id
    assert alone.cost_per_hour.basis is Basis.ASSUMED
    assert "no idle hours in it, since no utilisation is given; assumed: staff" in alone.notes[-1]
    assert f"{alone.placement.price.amount:.4f}" == "1.6492"
    together = [option for option in options if option.placement.num_gpus == 2]
    assert [option.cost for option in together] == [None]  # only one of the two has an asset


def planned_options(session: Session, now: datetime, **asked: Any) -> list[Any]:
    wanted = EstimateRequest(preset="serve-small", offer_kinds=("owned",), **asked)
    view = make_estimate(session, wanted, now, "test")
    assert get_estimate(session, view.id).answer == view.answer
    return [option for option in view.answer.options if option.placement.device_id is None]


def test_a_planned_purchase_is_an_owned_offer_of_one_gpu_and_of_a_server(session: Session, now: datetime) -> None:
    asked = request(gpu_key="H100-80GB-SXM", num_gpus=64, utilisation="0.6", lead_time_days=90)
    asset = create_asset(session, asked, now)
    by_count = {option.placement.num_gpus: option for option in planned_options(session, now)}
    assert set(by_count) == {1, 8}
    for count, option in by_count.items():
        assert f"{option.placement.price.amount:.3f}" == f"{Decimal('2.66851') * count:.3f}"
        assert option.placement.offer.lead_time_seconds == 90 * 86_400
        assert f"({asset.id}, version 1): a used hour at 60% utilisation" in option.notes[-1]
    assert planned_options(session, now, gpus=("A100-80GB-SXM",)) == []
    archive_asset(session, asset.id, now)
    assert planned_options(session, now) == []


def test_a_purchase_whose_gpu_is_not_named_is_no_offer(session: Session, now: datetime) -> None:
    create_asset(session, request(), now)
    assert planned_options(session, now) == []


def test_a_gpu_that_the_catalogue_dropped_since_is_estimated_without_figures(session: Session, now: datetime) -> None:
    held = offer(provider="attic", gpu_name="H900", gpu_key="H900-RETIRED")
    day = datetime(2026, 7, 20, tzinfo=UTC)
    sync_entries(session, (BookEntry(held, Decimal("1.00"), day, "a list", day.date()),), now)
    view = make_estimate(session, EstimateRequest(preset="serve-small", providers=("attic",)), now, "test")
    assert view.answer.options == ()
    (refused,) = view.answer.rejections
    assert refused.placement.gpu.key == "H900 (unlisted)"


def test_amounts_are_exact_decimals_in_documents(session: Session, now: datetime) -> None:
    asset = create_asset(session, request(price="40000.10"), now)
    shown = document(asset_cost(session, asset.id, now, utilisation=Decimal("0.6")))
    assert shown["view"]["given"]["price"] == "40000.1"
    assert isinstance(shown["used_hour"], str)
