"""`planner prices`: the price book, as it holds now or held on another day."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from planner import units
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.services.offers import PricedOffer, PriceFilter, find_prices
from planner.services.requests import PriceQuery, parse, without_blanks


@click.command(epilog="Example: planner prices --gpu H100-80GB-SXM --kind spot --limit 10")
@click.option("--gpu", help="Catalogue key of the GPU.")
@click.option("--provider", help="Provider, as `aws`.")
@click.option("--region", help="Region, as the provider names it.")
@click.option("--kind", help="owned, on_demand, spot, reserved_1y or reserved_3y.")
@click.option("--text", help="Words to look for in the instance type and GPU name.")
@click.option("--min-memory", help="Least memory of one GPU, as 40GB.")
@click.option("--order", help="per_gpu_hour (default), per_hour, gpu, provider or age.")
@click.option("--limit", help="How many to print (default 20).", default="20")
@click.option("--as-of", help="The prices that held at this moment, as 2026-01-31T00:00:00Z.")
@click.option("--known-at", help="… as far as was known at this moment.")
@json_option
@pass_edge
def prices(edge: Edge, /, **options: Any) -> None:
    """Print offers with the price that holds, cheapest GPU-hour first. Every price shows its age."""
    query = parse(PriceQuery, without_blanks(options))
    moment = now()
    filters = PriceFilter(
        gpu_key=query.gpu,
        provider=query.provider,
        region=query.region,
        kind=query.kind,
        text=query.text,
        min_memory_bytes=query.min_memory,
    )
    with edge.session() as session:
        found = find_prices(
            session, filters, query.as_of or moment, query.known_at or moment, order=query.order, limit=query.limit
        )
    if edge.as_json:
        edge.print_json({"as_of": query.as_of or moment, "known_at": query.known_at or moment, "prices": found})
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("provider", "instance type", "region", "kind", "GPUs"):
        table.add_column(heading, overflow="fold")
    for heading in ("per hour", "per GPU-hour", "age"):
        table.add_column(heading, justify="right")
    for item in found:
        offer = item.offer
        table.add_row(
            offer.provider,
            offer.instance_type,
            offer.region,
            offer.kind,
            f"{units.plain_decimal(offer.num_gpus)} × {offer.gpu_key or offer.gpu_name + ' (unmapped)'}",
            _amount(item, None if item.price is None else item.price.amount),
            _amount(item, item.per_gpu_hour),
            "unknown" if (days := item.age_days(moment)) is None else f"{days} days",
        )
    edge.console.print(table if found else "No offer passes these filters.")


def _amount(item: PricedOffer, amount: Any) -> str:
    return "unknown" if amount is None else units.format_money(amount, item.offer.currency)
