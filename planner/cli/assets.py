"""`planner assets`: owned GPUs and planned purchases, what an hour of them costs, and whether to rent instead."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from planner import units
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.services.asset_costs import AssetCost, asset_cost, compare_with_rent
from planner.services.assets import archive_asset, create_asset, list_assets, update_asset
from planner.services.requests import parse, without_blanks
from planner.services.requests.assets import AssetRequest, RentRequest

OPTIONS = {
    "name": "What it is called.",
    "currency": "Of all amounts (default USD).",
    "gpu-key": "Catalogue key of the GPU.",
    "num-gpus": "How many (default 1).",
    "device": "Id of an attached device that it is; may be repeated.",
    "purchased-on": "The day of purchase, as 2026-03-01.",
    "lead-time-days": "From order to first use.",
    "utilisation": "Share of the hours in which it is used, as 60%.",
    "notes": "Anything else.",
    "price": "All-in purchase price per GPU: with its share of server, network, installation and tax.",
    "spares": "Spares bought on top, as a share of the price.",
    "residual": "What a GPU is sold for at the end.",
    "years": "Years of use.",
    "cost-of-capital": "A year, as 10%.",
    "busy-kw": "Draw per GPU in use, with its share of the server, in kW.",
    "idle-kw": "Draw while idle, in kW.",
    "pue": "What the site draws for 1 kWh of the machine.",
    "energy-price": "Per kWh.",
    "hosting-price": "Per kW contracted and month.",
    "contracted-kw": "kW contracted per GPU.",
    "maintenance": "A year, as a share of the price.",
    "staff": "Per GPU and year.",
    "software": "Per GPU and year.",
    "insurance": "Per GPU and year.",
    "failures": "Repairs beyond maintenance, per GPU and year.",
    "availability": "Share of the hours in which it can be used.",
}


def figures(command: Any) -> Any:
    """All that can be said of an asset, as options."""
    for name, words in reversed(OPTIONS.items()):
        command = click.option(f"--{name}", help=words, multiple=name == "device")(command)
    return command


@click.group()
def assets() -> None:
    """Enter owned GPUs and planned purchases, and see what an hour of them costs."""


@assets.command("add", epilog="Example: planner assets add --name Rack-4 --price 40000 --busy-kw 1.275 --device 01KF…")
@figures
@json_option
@pass_edge
def add_command(edge: Edge, /, **options: Any) -> None:
    """Enter an asset. What is left out is assumed, and shown as such."""
    request = _request(options)
    with edge.session() as session:
        view = create_asset(session, request, now())
    if edge.as_json:
        edge.print_json(view)
        return
    edge.console.print(f"Asset {view.id}: {view.num_gpus} × {view.gpu_key or view.name}.")
    for item in view.assumptions:
        edge.console.print(f"  assumed  {item.field} = {units.plain_decimal(item.value)}: {item.words} ({item.source})")


@assets.command("change", epilog="Example: planner assets change 01KF… --name Rack-4 --price 35000 --busy-kw 1.275")
@click.argument("asset_id")
@figures
@json_option
@pass_edge
def change_command(edge: Edge, /, asset_id: str, **options: Any) -> None:
    """Replace what is entered of an asset; how it stood before is kept."""
    request = _request(options)
    with edge.session() as session:
        view = update_asset(session, asset_id, request, now())
    if edge.as_json:
        edge.print_json(view)
    else:
        edge.console.print(f"Asset {view.id} is at version {view.version}.")


@assets.command("remove", epilog="Example: planner assets remove 01KF…")
@click.argument("asset_id")
@json_option
@pass_edge
def remove_command(edge: Edge, asset_id: str) -> None:
    """Take an asset away; its devices cost "unknown" from now on."""
    with edge.session() as session:
        archive_asset(session, asset_id, now())
    if edge.as_json:
        edge.print_json({"removed": asset_id})
    else:
        edge.console.print(f"Asset {asset_id} is taken away.")


@assets.command("list", epilog="Example: planner assets list --json")
@json_option
@pass_edge
def list_command(edge: Edge) -> None:
    """List assets with the cost of an hour in use."""
    moment = now()
    with edge.session() as session:
        found = [asset_cost(session, view.id, moment) for view in list_assets(session)]
    if edge.as_json:
        edge.print_json({"assets": found})
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("id", "name", "GPUs", "used hour", "wall hour", "utilisation", "assumed"):
        table.add_column(heading)
    for cost in found:
        view = cost.view
        wall_hour = cost.wall_hour or cost.always_used
        table.add_row(
            view.id,
            view.name,
            f"{view.num_gpus} × {view.gpu_key or 'unknown'}",
            "unknown" if cost.used_hour is None else units.format_money(cost.used_hour, view.currency),
            units.format_money(wall_hour.total, view.currency),
            "unknown" if cost.utilisation is None else f"{cost.utilisation.share:.0%}",
            ", ".join(item.field for item in view.assumptions) or "nothing",
        )
    edge.console.print(table if found else "No asset is entered yet; try: planner assets add --help")


@assets.command("cost", epilog="Example: planner assets cost 01KF… --rent-per-hour 2.29 --utilisation 60%")
@click.argument("asset_id")
@click.option("--utilisation", help="Share of the hours in which it is used; left out: its own, else the measured one.")
@click.option("--rent-per-hour", help="A rent to hold it against, per GPU and hour in the asset's currency.")
@click.option("--rent-decline", help="By which share the rent falls each year, as 10%.")
@json_option
@pass_edge
def cost_command(edge: Edge, /, asset_id: str, rent_per_hour: str | None, **options: Any) -> None:
    """Say what an hour costs, what moves it most, and from which utilisation on owning beats a rent."""
    asked = parse(RentRequest, without_blanks({"rent_per_hour": rent_per_hour or "1", **options}))
    with edge.session() as session:
        cost = asset_cost(session, asset_id, now(), utilisation=asked.utilisation)
        against = None if rent_per_hour is None else compare_with_rent(session, asset_id, asked, now())[0]
    if edge.as_json:
        edge.print_json({"cost": cost, "against_rent": against})
        return
    _print_cost(edge, cost)
    if against is not None:
        point = against.break_even_utilisation
        where = "never: the rent does not pay for the energy" if point is None else f"from {point:.2%} utilisation on"
        paid = "never" if against.payback_years is None else f"{against.payback_years:.2f} years"
        saved = units.format_money(against.net_present_value, cost.view.currency)
        edge.console.print(f"Owning beats the rent {where}; it saves {saved} today's worth and is paid back in {paid}.")


def _print_cost(edge: Edge, cost: AssetCost) -> None:
    currency = cost.view.currency
    used = "unknown: " + cost.unknown if cost.used_hour is None else units.format_money(cost.used_hour, currency)
    bounds = " to ".join(units.format_money(hour.total, currency) for hour in (cost.never_used, cost.always_used))
    edge.console.print(f"{cost.view.name}: a used hour costs {used}; an hour on the wall clock {bounds}, idle to busy.")
    if cost.utilisation is not None:
        edge.console.print(f"  utilisation {cost.utilisation.share:.1%}, {cost.utilisation.words}")
    for swing in cost.swings:
        ends = " to ".join(units.format_money(value, currency) for value in (swing.cost_at_low, swing.cost_at_high))
        low, high = units.plain_decimal(swing.low), units.plain_decimal(swing.high)
        edge.console.print(f"  {swing.name} {low} to {high}: {ends}")
    for item in cost.view.assumptions:
        edge.console.print(f"  assumed  {item.field} = {units.plain_decimal(item.value)}: {item.words} ({item.source})")


def _request(options: dict[str, Any]) -> AssetRequest:
    values = without_blanks({name: value for name, value in options.items() if name != "device"})
    return parse(AssetRequest, values | {"device_ids": tuple(options["device"])})
