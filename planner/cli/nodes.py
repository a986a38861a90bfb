"""`planner nodes`: how many nodes a stored estimate's training job needs."""

from __future__ import annotations

import click
from rich.table import Table

from planner import units
from planner.cli.edge import Edge, json_option, pass_edge
from planner.cli.estimate import NOTHING_FITS
from planner.services.node_counts import NodeCounts, Reached, node_counts


@click.command(epilog="Example: planner nodes 01M8021XWR5H1GCZ5864VMKG8K --json")
@click.argument("estimate_id")
@json_option
@pass_edge
def nodes(edge: Edge, estimate_id: str) -> int:
    """Work out a stored training estimate on 1, 2, 4 … 256 nodes: the fewest that keep its deadline and budget."""
    with edge.session() as session:
        found = node_counts(session, estimate_id)
    if edge.as_json:
        edge.print_json(found)
    else:
        _show(edge, found)
    return 0 if found.fewest is not None else NOTHING_FITS


def _show(edge: Edge, found: NodeCounts) -> None:
    edge.console.print(f"[bold]{found.sentence}[/bold]")
    table = Table("nodes", "the best", "time", "cost", "the fastest", "time", "cost")
    for one in found.counts:
        none = "none keeps what was asked" if one.fastest else one.reason
        table.add_row(str(one.num_nodes), *_cells(one.best, none), *_cells(one.fastest, "none"))
    edge.console.print(table)


def _cells(reached: Reached | None, none: str) -> tuple[str, str, str]:
    if reached is None:
        return none, "", ""
    currency = reached.placement.currency
    cost = "unknown" if reached.cost is None else units.format_money(reached.cost, currency)
    return reached.placement.title, units.format_seconds(reached.seconds), cost
