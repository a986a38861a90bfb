"""The API of owned GPUs and planned purchases: entered, revised, and asked what they cost against renting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from flask import url_for

from planner.offers.assumptions import DEFAULTS, Assumption, Default
from planner.offers.cash_flow import Year
from planner.offers.ownership import Asset, HourlyCost, Swing
from planner.services.asset_costs import UsedHour, Utilisation, cost_of
from planner.services.asset_reports import AssetReport, RentLine, asset_report
from planner.services.assets import (
    AssetView,
    archive_asset,
    asset_history,
    create_asset,
    get_asset,
    imagine_asset,
    list_assets,
    update_asset,
)
from planner.services.requests.assets import AssetRequest, CostQuery, ImaginedAsset
from planner.web.api.resources import api
from planner.web.database import now, session
from planner.web.exports import Table

ASSET_COLUMNS = (
    *("asset_id", "version", "name", "gpu_key", "num_gpus", "currency", "purchased_on", "lead_time_days", "is_planned"),
    *("utilisation", "utilisation_basis", "wall_hour", "used_hour", "unknown_reason", "assumptions", "updated_at"),
)


@dataclass(frozen=True, slots=True)
class HourView:
    """An hour on the wall clock by part, and their sum."""

    parts: HourlyCost
    total: Decimal


@dataclass(frozen=True, slots=True)
class BothHours:
    """A wall hour and a used hour; `used_hour` is null for a GPU that is never used."""

    wall_hour: HourView
    used_hour: Decimal | None


@dataclass(frozen=True, slots=True)
class AssetItem:
    """An asset with what an hour of it costs; null figures have their reason in `unknown`."""

    asset: AssetView
    utilisation: Utilisation | None
    wall_hour: Decimal | None
    used_hour: Decimal | None
    unknown: str


@dataclass(frozen=True, slots=True)
class AssetList:
    assets: list[AssetItem]


@dataclass(frozen=True, slots=True)
class DefaultList:
    defaults: tuple[Default, ...]


@dataclass(frozen=True, slots=True)
class RevisionView:
    """An asset as it was given from `recorded_at` on."""

    version: int
    recorded_at: datetime
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AssetDetail:
    asset: AssetView
    revisions: list[RevisionView]


@dataclass(frozen=True, slots=True)
class RentView:
    rent: RentLine
    owning_is_cheaper: bool | None


@dataclass(frozen=True, slots=True)
class YearView:
    year: Year
    saved_so_far: Decimal


@dataclass(frozen=True, slots=True)
class AssetCostAnswer:
    """What an asset costs, in its currency; all of it is of one GPU. Null figures have their reason beside them.

    `economic` spreads the purchase as an annuity at the cost of capital, `accounting` in equal parts. A wall hour lies
    between `never_used` and `always_used`. `years` are held against the first of `rents`.
    """

    asset_id: str | None
    version: int | None
    name: str
    currency: str
    gpu_key: str | None
    num_gpus: int
    figures: Asset
    assumptions: tuple[Assumption, ...]
    utilisation: Utilisation | None
    measured_utilisation: Utilisation | None
    unknown: str
    economic: BothHours | None
    accounting: BothHours | None
    never_used: HourView
    always_used: HourView
    curve: tuple[UsedHour, ...]
    swings: tuple[Swing, ...]
    rents: list[RentView]
    rents_unknown: str
    rents_left_out: Mapping[str, int]
    years: list[YearView]
    years_unknown: str


@api.get("/assets", tag="assets", answers=AssetList)
def list_all_assets() -> AssetList:
    """Owned GPUs and planned purchases by name, with what an hour of one GPU costs."""
    return AssetList([_item(view) for view in list_assets(session())])


@api.table("/assets", tag="assets")
def list_assets_table() -> Table:
    """The same as CSV, a line per asset; figures are of one GPU."""
    return Table("assets", ASSET_COLUMNS, asset_rows(list_assets(session())))


def asset_rows(found: list[AssetView]) -> list[list[Any]]:
    """The cells of ASSET_COLUMNS."""
    return [_row(_item(view)) for view in found]


@api.post("/assets", tag="assets", answers=AssetView, body=AssetRequest, status=201, location=True, problems=(409,))
def create_one_asset(body: AssetRequest) -> tuple[AssetView, str]:
    """Enter an asset. Price and draw are needed; what else is left out is assumed, and listed in `assumptions`."""
    made = create_asset(session(), body, now())
    return made, url_for("api.get_one_asset", asset_id=made.id)


@api.get("/asset-defaults", tag="assets", answers=DefaultList)
def list_asset_defaults() -> DefaultList:
    """What is assumed for a figure that is not given, each with its source."""
    return DefaultList(DEFAULTS)


@api.post("/asset-costs", tag="assets", answers=AssetCostAnswer, body=ImaginedAsset, problems=(409,))
def imagine_one_asset(body: ImaginedAsset) -> AssetCostAnswer:
    """What an asset would cost. Nothing is stored."""
    view = imagine_asset(session(), body, now())
    return _answer(asset_report(session(), view, body, now()))


@api.get("/assets/<asset_id>", tag="assets", answers=AssetDetail)
def get_one_asset(asset_id: str) -> AssetDetail:
    """An asset as it stands, and each revision as it was given, oldest first."""
    history = asset_history(session(), asset_id)
    return AssetDetail(get_asset(session(), asset_id), [RevisionView(*entry) for entry in history])


@api.delete("/assets/<asset_id>", tag="assets", answers=None, status=204)
def archive_one_asset(asset_id: str) -> None:
    """Take an asset away: its devices cost unknown from now on. Its revisions stay for the estimates that name it."""
    archive_asset(session(), asset_id, now())


@api.post(
    "/assets/<asset_id>/revisions",
    tag="assets",
    answers=AssetView,
    body=AssetRequest,
    status=201,
    location=True,
    problems=(409,),
)
def revise_one_asset(asset_id: str, body: AssetRequest) -> tuple[AssetView, str]:
    """Append a revision: the asset as it is given now. How it stood before is kept."""
    made = update_asset(session(), asset_id, body, now())
    return made, url_for("api.get_one_asset", asset_id=asset_id)


@api.get("/assets/<asset_id>/cost", tag="assets", answers=AssetCostAnswer, query=CostQuery)
def get_asset_cost(asset_id: str, query: CostQuery) -> AssetCostAnswer:
    """What an asset costs by part, against rents, over the years, and what moves it most.

    `utilisation` left out: the asset's own, else what telemetry measured. `rent` stands first among the rents; the
    others are offers of the same GPU. `…_low` and `…_high` are the ends of the sensitivity's ranges.
    """
    return _answer(asset_report(session(), get_asset(session(), asset_id), query, now()))


def _item(view: AssetView) -> AssetItem:
    cost = cost_of(session(), view, now())
    wall_hour = None if cost.wall_hour is None else cost.wall_hour.total
    return AssetItem(view, cost.utilisation, wall_hour, cost.used_hour, cost.unknown)


def _row(item: AssetItem) -> list[Any]:
    view, used = item.asset, item.utilisation
    return [
        *(view.id, view.version, view.name, view.gpu_key, view.num_gpus, view.currency, view.purchased_on),
        *(view.lead_time_days, view.is_planned, None if used is None else used.share),
        *(None if used is None else used.basis, item.wall_hour, item.used_hour, item.unknown),
        *("; ".join(f"{each.field}: {each.words}" for each in view.assumptions), view.updated_at),
    ]


def _answer(report: AssetReport) -> AssetCostAnswer:
    view, cost = report.view, report.cost
    return AssetCostAnswer(
        asset_id=view.id or None,
        version=view.version or None,
        name=view.name,
        currency=view.currency,
        gpu_key=view.gpu_key,
        num_gpus=view.num_gpus,
        figures=view.asset,
        assumptions=view.assumptions,
        utilisation=cost.utilisation,
        measured_utilisation=report.measured,
        unknown=cost.unknown,
        economic=_both(cost.wall_hour, cost.used_hour),
        accounting=_both(report.books_wall_hour, report.books_used_hour),
        never_used=_hour(cost.never_used),
        always_used=_hour(cost.always_used),
        curve=cost.curve,
        swings=cost.swings,
        rents=[RentView(line, line.owning_is_cheaper) for line in report.rents],
        rents_unknown=report.rents_unknown,
        rents_left_out=report.rents_left_out,
        years=[YearView(year, year.saved_so_far) for year in report.years],
        years_unknown=report.years_unknown,
    )


def _both(wall_hour: HourlyCost | None, used_hour: Decimal | None) -> BothHours | None:
    return None if wall_hour is None else BothHours(_hour(wall_hour), used_hour)


def _hour(cost: HourlyCost) -> HourView:
    return HourView(cost, cost.total)
