"""Owned GPUs and planned purchases: the list, the form with its live preview, and one asset against renting."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import Conflict, FieldProblem, InvalidInput
from planner.hardware.catalogue import load_catalogue
from planner.offers.assumptions import DEFAULTS, Default
from planner.services.asset_costs import cost_of
from planner.services.asset_reports import AssetReport, asset_report
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
from planner.services.devices import DeviceView, list_devices
from planner.services.fx import known_currencies
from planner.services.requests import parse
from planner.services.requests.assets import AssetRequest, CostQuery, ImaginedAsset
from planner.units import format_money, plain_decimal
from planner.web.charts import break_even_chart, letters_of, payback_chart
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.queries import read_query

LISTS = ("device_ids",)
QUESTIONS = ("rent", "rent_decline")  # of the preview; nothing of the asset
NOT_KEPT = (*QUESTIONS, "preview", "of")
SHARES = frozenset({"utilisation", "cost_of_capital", "maintenance", "spares", "availability", "rent_decline"})
SUMS = frozenset({"price", "residual", "energy_price", "hosting_price", "staff", "software", "insurance", "failures"})
PARTS = ("capital", "energy", "hosting", "maintenance", "staff", "software", "insurance", "failures")
GROUPS = (
    (
        "The purchase",
        (
            ("price", "Price, all in"),
            ("spares", "Spares bought on top"),
            ("residual", "Sold for at the end"),
            ("years", "Years of use"),
            ("cost_of_capital", "Cost of capital a year"),
        ),
    ),
    (
        "Power",
        (
            ("busy_kw", "Draw in use, kW"),
            ("idle_kw", "Draw while idle, kW"),
            ("pue", "PUE of the site"),
            ("energy_price", "Price per kWh"),
        ),
    ),
    (
        "Running it",
        (
            ("hosting_price", "Hosting per kW and month"),
            ("contracted_kw", "Contracted, kW"),
            ("maintenance", "Maintenance a year, of the price"),
            ("staff", "Staff a year"),
            ("software", "Software a year"),
            ("insurance", "Insurance a year"),
            ("failures", "Repairs beyond maintenance a year"),
            ("availability", "Share of the hours it is up"),
        ),
    ),
)
LABELS = {name: label for _, fields in GROUPS for name, label in fields} | {"utilisation": "Utilisation"}
NEEDED_HINTS = {
    "price": "of one GPU with its share of server, network, storage, installation, spares and tax",
    "busy_kw": "of one GPU with its share of the server, at the socket",
}


@pages.get("/assets")
def assets_page() -> str:
    """Owned GPUs and planned purchases, and the devices that nobody entered the cost of."""
    found = [(view, cost_of(session(), view, now())) for view in list_assets(session())]
    owned = {device.id for view, _ in found for device in view.devices}
    return render_template(
        "assets/list.html", assets=found, without=[d for d in list_devices(session()) if d.id not in owned]
    )


@pages.get("/assets/new")
def new_asset() -> tuple[str, int]:
    """An empty form; its fields may stand in the address, and `preview` shows what they would cost."""
    form = Form({"currency": ["USD"], **_asked()})
    return _form_page(form, None, preview="preview" in request.args)


@pages.get("/assets/preview")
def preview_asset() -> str:
    """What the asset in the address would cost, for the form while it is being typed."""
    form = Form(_asked())
    return render_template("assets/_preview.html", **_preview(form, form.value("of")))


@pages.post("/assets")
def create_asset_by_form() -> Response | tuple[str, int]:
    """Keep the asset; a form that cannot be used comes back with its faults."""
    form = Form.sent()
    try:
        made = create_asset(session(), _given(form), now())
    except (InvalidInput, Conflict) as error:
        form.problems = _problems(error)
        return _form_page(form, None, status=_status(error))
    flash(f"{made.name} is entered.", "good")
    return redirect(url_for("pages.asset_page", asset_id=made.id), 303)


@pages.get("/assets/<asset_id>")
def asset_page(asset_id: str) -> tuple[str, int]:
    """What an asset costs by part, against rents, over the years, what moves it most, and how it stood before."""
    query, form = read_query(CostQuery)
    view = get_asset(session(), asset_id)
    try:
        report = asset_report(session(), view, query or CostQuery(), now())
    except InvalidInput as error:
        form.problems = list(error.problems)
        report = asset_report(session(), view, CostQuery(), now())
    page = render_template(
        "assets/show.html",
        form=form,
        asked=query or CostQuery(),
        ranges=_ranges(report, form),
        history=_history(asset_id),
        given=[
            (name, _shown(name, value, view.currency)) for name in LABELS if (value := view.given.get(name)) is not None
        ],
        **_drawn(report),
    )
    return page, 422 if form.problems else 200


@pages.get("/assets/<asset_id>/edit")
def edit_asset(asset_id: str) -> tuple[str, int]:
    """The form of a new revision, filled from how the asset stands, or from the address to preview a change."""
    view = get_asset(session(), asset_id)
    if "preview" in request.args:
        return _form_page(Form(_asked()), view, preview=True)
    return _form_page(_filled(view), view)


@pages.post("/assets/<asset_id>")
def revise_asset(asset_id: str) -> Response | tuple[str, int]:
    """Append a revision; a form that cannot be used comes back with its faults."""
    form = Form.sent()
    try:
        made = update_asset(session(), asset_id, _given(form), now())
    except (InvalidInput, Conflict) as error:
        form.problems = _problems(error)
        return _form_page(form, get_asset(session(), asset_id), status=_status(error))
    flash(f"Revision {made.version} of {made.name} is kept; how it stood before is below.", "good")
    return redirect(url_for("pages.asset_page", asset_id=asset_id), 303)


@pages.post("/assets/<asset_id>/archive")
def archive_asset_by_form(asset_id: str) -> Response:
    """Take an asset away."""
    name = get_asset(session(), asset_id).name
    archive_asset(session(), asset_id, now())
    flash(f"{name} is taken away. Its devices cost unknown from now on.", "good")
    return redirect(url_for("pages.assets_page"), 303)


def _asked() -> dict[str, list[str]]:
    return {name: list(several) for name, several in request.args.lists()}


def _given(form: Form) -> AssetRequest:
    return parse(AssetRequest, form.given(AssetRequest, lists=LISTS, ignore=NOT_KEPT))


def _problems(error: InvalidInput | Conflict) -> list[FieldProblem]:
    return list(error.problems) if isinstance(error, InvalidInput) else [FieldProblem("device_ids", str(error))]


def _status(error: InvalidInput | Conflict) -> int:
    return error.status


def _preview(form: Form, asset_id: str) -> dict[str, Any]:
    """What the form would cost, or what is missing for it."""
    try:
        asked = parse(ImaginedAsset, form.given(ImaginedAsset, lists=LISTS, ignore=("preview", "of")))
        view = imagine_asset(session(), asked, now(), asset_id)
        return {"report": None, "faults": (), **_drawn(asset_report(session(), view, asked, now()))}
    except (InvalidInput, Conflict) as error:
        return {"report": None, "faults": _problems(error)}


def _drawn(report: AssetReport) -> dict[str, Any]:
    return {
        "report": report,
        "view": report.view,
        "cost": report.cost,
        "letters": letters_of(report),
        "chart": break_even_chart(report),
        "years_chart": payback_chart(report),
        "parts": _parts(report),
        "labels": LABELS,
    }


def _parts(report: AssetReport) -> list[dict[str, Any]]:
    """Each part that costs anything, in both views, and its share of the whole."""
    hour, books = report.cost.wall_hour, report.books_wall_hour
    if hour is None or books is None:
        return []
    rows = [
        {
            "name": name,
            "economic": getattr(hour, name),
            "books": getattr(books, name),
            "share": getattr(hour, name) / hour.total if hour.total else 0,
        }
        for name in PARTS
    ]
    return [row for row in rows if row["economic"] or row["books"]]


def _form_page(form: Form, view: AssetView | None, *, preview: bool = False, status: int = 200) -> tuple[str, int]:
    asset_id = "" if view is None else view.id
    shown: dict[str, Any] = {"report": None, "faults": ()}
    if preview:
        shown = _preview(form, asset_id)
        form.problems = list(shown["faults"])
    page = render_template(
        "assets/form.html",
        form=form,
        earlier=view,
        groups=GROUPS,
        hints={default.field: _hint(default) for default in DEFAULTS} | NEEDED_HINTS,
        gpus=[(key, key) for key in sorted(load_catalogue().gpus)],
        currencies=[(code, code) for code in sorted({"USD", "EUR", "GBP", *known_currencies(session())})],
        devices=_choices(asset_id),
        is_preview=preview,
        **shown,
    )
    return page, 422 if form.problems and status == 200 else status


def _hint(default: Default) -> str:
    currency = f", {default.currency} only" if default.currency else ""
    return f"left out: {default.words}{currency}. Source: {default.source}."


def _choices(asset_id: str) -> list[tuple[str, str]]:
    """The devices that belong to no other asset, accelerators first as the fleet lists them."""
    taken = {device.id for view in list_assets(session()) if view.id != asset_id for device in view.devices}
    return [(device.id, _device_words(device)) for device in list_devices(session()) if device.id not in taken]


def _device_words(device: DeviceView) -> str:
    return f"{device.name} ({device.backend} {device.index} on {device.hostname})"


def _filled(view: AssetView) -> Form:
    """The form as somebody would have typed the asset."""
    shares = {name: _typed(name, value) for name, value in view.given.items()}
    return Form.filled(
        {
            "name": view.name,
            "currency": view.currency,
            "gpu_key": view.gpu_key,
            "num_gpus": view.num_gpus,
            "device_ids": [device.id for device in view.devices],
            "purchased_on": view.purchased_on,
            "lead_time_days": view.lead_time_days,
            "utilisation": None if view.utilisation is None else _typed("utilisation", view.utilisation),
            "notes": view.notes,
            **shares,
        }
    )


def _typed(name: str, value: Any) -> str:
    return f"{plain_decimal(value * 100)} %" if name in SHARES else plain_decimal(value)


def _shown(name: str, value: Any, currency: str) -> str:
    if name in SUMS:
        return format_money(value, currency) if value else "none"
    return _typed(name, value)


def _end(name: str, value: Decimal) -> str:
    """An end of a range as it may be typed again, to four digits."""
    return _typed(name, Decimal(f"{value:.4g}"))


def _ranges(report: AssetReport, form: Form) -> list[dict[str, Any]]:
    """The tornado's rows, the widest first: ends as they can be typed again, and where the bar lies from 0 to 100."""
    swings = report.cost.swings
    ends = [end for swing in swings for end in (swing.cost_at_low, swing.cost_at_high)]
    least, most = (min(ends), max(ends)) if ends else (0, 1)
    whole = most - least or 1
    base = report.cost.used_hour or least
    rows = []
    for swing in swings:
        first, last = sorted((swing.cost_at_low, swing.cost_at_high))
        low, high = f"{swing.name}_low", f"{swing.name}_high"
        rows.append(
            {
                "swing": swing,
                "low": form.value(low) or _end(swing.name, swing.low),
                "high": form.value(high) or _end(swing.name, swing.high),
                "x": float((first - least) / whole * 100),
                "width": float((last - first) / whole * 100),
                "base": float((base - least) / whole * 100),
            }
        )
    return rows


def _history(asset_id: str) -> list[dict[str, Any]]:
    """Every revision, newest first, with what it changed of the one before."""
    rows: list[dict[str, Any]] = []
    before: dict[str, Any] = {}
    for version, recorded_at, given in asset_history(session(), asset_id):
        names = [name for name in {**before, **given} if before.get(name) != given.get(name)]
        changes = [(name, before.get(name), given.get(name)) for name in names] if version > 1 else []
        rows.append({"version": version, "recorded_at": recorded_at, "changes": changes})
        before = dict(given)
    return rows[::-1]
