"""`planner prices`: the price book as it holds now or held on another day, and bringing prices in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from planner import units
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.errors import InvalidInput
from planner.offers.offer import OfferKind
from planner.services.incoming import Wish
from planner.services.offers import PricedOffer, PriceFilter, find_prices
from planner.services.price_imports import (
    AppliedImport,
    ImportPreview,
    ImportView,
    approve_rows,
    import_rows,
    list_imports,
    map_gpu_name,
    refuse_rows,
    roll_back_import,
    unmapped_names,
)
from planner.services.price_sources import list_price_sources, set_price_source
from planner.services.requests import PriceQuery, parse, without_blanks
from planner.services.requests.imports import DecisionRequest, ImportRequest, MapNameRequest, PriceSourceRequest
from planner.worker.prices import get_feed, import_file, import_network

NUM_SHOWN = 10


class ListByDefault(click.Group):
    """A group whose first command is meant where none is named: `planner prices --gpu …` lists."""

    default = "list"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


@click.group(cls=ListByDefault)
def prices() -> None:
    """List prices (as `planner prices` does without a further word), and bring prices in."""


@prices.command("list", epilog="Example: planner prices list --gpu H100-80GB-SXM --kind spot --limit 10")
@click.option("--gpu", help="Catalogue key of the GPU.")
@click.option("--provider", help="Provider, as `aws`.")
@click.option("--region", help="Region, as the provider names it.")
@click.option("--kind", help=f"One of {', '.join(OfferKind)}.")
@click.option("--text", help="Words to look for in the instance type and GPU name.")
@click.option("--min-memory", help="Least memory of one GPU, as 40GB.")
@click.option("--order", help="per_gpu_hour (default), per_hour, gpu, provider or age.")
@click.option("--limit", help="How many to print (default 20).", default="20")
@click.option("--as-of", help="The prices that held at this moment, as 2026-01-31T00:00:00Z.")
@click.option("--known-at", help="… as far as was known at this moment.")
@json_option
@pass_edge
def list_command(edge: Edge, /, **options: Any) -> None:
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
    table = _table("provider", "instance type", "region", "kind", "GPUs", right=("per hour", "per GPU-hour", "age"))
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


@prices.command("import", epilog="Example: planner prices import prices.csv --dry-run --json")
@click.argument("file_or_source", metavar="FILE|SOURCE")
@click.option("--source", help="The source whose format the file has, where it is not recognised.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; store nothing.")
@click.option("--allow-large-changes", help="Let changes of more than a fifth pass: none (default), spot or all.")
@click.option("--stated-date", help="The day that the prices are of, where the file does not say it, as 2026-07-20.")
@json_option
@pass_edge
def import_command(edge: Edge, /, file_or_source: str, **options: Any) -> None:
    """Bring prices in from a file, or from a source by its name over the network.

    What moves by more than a fifth waits: see `planner prices held` and `planner prices approve`.
    """
    request = parse(ImportRequest, without_blanks(options))
    wish = Wish(request.allow_large_changes, request.dry_run, request.stated_date, actor="command line")
    path = Path(file_or_source)
    if path.exists():
        found = import_file(edge.sessions, path, request.source, wish, now())
    elif request.source is not None:
        raise InvalidInput.of("file", f"there is no file {file_or_source}")
    else:
        found = import_network(edge.sessions, get_feed(file_or_source), wish, now())
    preview = found.preview if isinstance(found, AppliedImport) else found
    import_id = found.id if isinstance(found, AppliedImport) else None
    if edge.as_json:
        edge.print_json({"import_id": import_id, **_shown(preview)})
    else:
        _print_preview(edge, preview, import_id)
    if preview.unusable:
        raise InvalidInput.of("file", f"{preview.unusable}; nothing of it can be stored")


@prices.command("imports", epilog="Example: planner prices imports --limit 5 --json")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to print.")
@json_option
@pass_edge
def imports_command(edge: Edge, limit: int) -> None:
    """List what was brought in, approved and rolled back, the newest first."""
    with edge.session() as session:
        found = list_imports(session, limit)
    if edge.as_json:
        edge.print_json({"imports": found})
        return
    table = _table("id", "at", "action", "source", "from", right=("rows", "taken", "held", "rejected", "waiting"))
    for view in found:
        numbers = (view.counts.num_rows, view.counts.num_accepted, view.counts.num_held, view.counts.num_rejected)
        table.add_row(
            view.id,
            f"{view.recorded_at:%Y-%m-%d %H:%M}",
            view.action + (", rolled back" if view.rolled_back_by else ""),
            view.source,
            view.origin,
            *map(str, (*numbers, view.num_waiting)),
        )
    edge.console.print(table if found else "Nothing was imported yet.")


@prices.command("held", epilog="Example: planner prices held --json")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many to print.")
@json_option
@pass_edge
def held_command(edge: Edge, limit: int) -> None:
    """List the rows that wait for a person, with what they were compared with."""
    with edge.session() as session:
        found = import_rows(session, waiting=True, limit=limit)
    if edge.as_json:
        edge.print_json({"held": found})
        return
    table = _table("row", "import", "provider", "instance type", "region", "kind", "from", "why")
    for row in found:
        moment = "" if row.valid_from is None else f"{row.valid_from:%Y-%m-%d}"
        what = (row.provider, row.instance_type, row.region, row.kind)
        table.add_row(str(row.id), row.import_id, *(text or "" for text in what), moment, row.reason)
    edge.console.print(table if found else "No price waits for approval.")


@prices.command("approve", epilog="Example: planner prices approve 01KF… --rows 12,14")
@click.argument("import_id")
@click.option("--rows", help="Numbers of the rows, with commas between; left out: all that wait.")
@click.option("--refuse", is_flag=True, help="Refuse them instead: the same amounts are rejected from now on.")
@json_option
@pass_edge
def approve_command(edge: Edge, import_id: str, rows: str | None, refuse: bool) -> None:
    """Take the prices that an import held, or refuse them."""
    request = parse(DecisionRequest, {} if rows is None else {"rows": tuple(rows.split(","))})
    with edge.session() as session:
        if refuse:
            number = refuse_rows(session, import_id, now(), request.rows, actor="command line")
            answer: dict[str, Any] = {"refused": number}
        else:
            view = approve_rows(session, import_id, now(), request.rows, actor="command line")
            answer = {"approved": view.counts.num_rows, "approval_id": view.id}
    if edge.as_json:
        edge.print_json(answer)
    else:
        edge.console.print(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in answer.items()))


@prices.command("rollback", epilog="Example: planner prices rollback 01KF… --json")
@click.argument("import_id")
@json_option
@pass_edge
def rollback_command(edge: Edge, import_id: str) -> None:
    """Let everything hold as if an import had never been; nothing is deleted."""
    with edge.session() as session:
        view: ImportView = roll_back_import(session, import_id, now(), actor="command line")
    if edge.as_json:
        edge.print_json(view)
    else:
        edge.console.print(f"Import {import_id} is rolled back by {view.id}: {view.counts.num_rows} prices.")


@prices.command("unmapped", epilog="Example: planner prices unmapped --json")
@json_option
@pass_edge
def unmapped_command(edge: Edge) -> None:
    """List providers' words for GPUs that no alias knows."""
    with edge.session() as session:
        found = unmapped_names(session)
    if edge.as_json:
        edge.print_json({"unmapped": found})
        return
    table = _table("provider", "name", "for example", right=("offers",))
    for name in found:
        table.add_row(name.provider, name.gpu_name, name.example, str(name.num_offers))
    edge.console.print(table if found else "Every GPU name is mapped.")


@prices.command("map", epilog='Example: planner prices map "A100 (80 GB)" A100-80GB-SXM --scope lambda')
@click.argument("name")
@click.argument("gpu_key")
@click.option("--scope", help="The provider whose word it is; left out: all.")
@json_option
@pass_edge
def map_command(edge: Edge, /, **options: Any) -> None:
    """Say which GPU a provider's word stands for; its offers follow."""
    request = parse(MapNameRequest, without_blanks(options))
    with edge.session() as session:
        found = map_gpu_name(session, request.name, request.scope, request.gpu_key, now(), actor="command line")
    if edge.as_json:
        edge.print_json(found)
    else:
        edge.console.print(f"{found.name!r} is {found.gpu_key}: {found.num_offers} offers follow.")


@prices.command("refresh", epilog='Example: planner prices refresh azure --cron "0 6 * * *"')
@click.argument("source", required=False)
@click.option("--cron", help="When to read the source again, as 0 6 * * * (default: every day at six).")
@click.option("--timezone", help="The zone of that clock (default UTC).")
@click.option("--off", is_flag=True, help="Do not read it by itself any more.")
@click.option("--allow-large-changes", help="Let changes of more than a fifth pass: none (default), spot or all.")
@json_option
@pass_edge
def refresh_command(edge: Edge, /, source: str | None, off: bool, **options: Any) -> None:
    """Let the worker read a source again by a rule; without a source, list the rules and the last results."""
    request = parse(PriceSourceRequest, without_blanks(options) | {"enabled": not off})
    moment = now()
    with edge.session() as session:
        if source is not None:
            get_feed(source)
            set_price_source(session, source, request, moment)
        found = list_price_sources(session, moment)
    if edge.as_json:
        edge.print_json({"sources": found})
        return
    table = _table("source", "when", "last success", "last error", right=("rows",))
    for view in found:
        success = "never" if view.last_success_at is None else f"{view.last_success_at:%Y-%m-%d %H:%M}"
        when = view.in_words if view.enabled else "off"
        table.add_row(view.name, when, success, view.last_error or "", str(view.last_num_rows or "unknown"))
    edge.console.print(table if found else "No source is read by itself yet.")


def _shown(preview: ImportPreview) -> dict[str, Any]:
    unmapped = [
        {"provider": provider, "gpu_name": name, "num_offers": number}
        for (provider, name), number in preview.unmapped.items()
    ]
    counts = {"num_accepted": preview.counts.num_accepted, **vars(preview.counts)}
    return {
        "source": preview.source,
        "unusable": preview.unusable,
        "counts": counts,
        "changed": preview.changed,
        "held": preview.held,
        "rejected": preview.rejected,
        "unmapped": unmapped,
        "left_out": preview.left_out,
    }


def _print_preview(edge: Edge, preview: ImportPreview, import_id: str | None) -> None:
    counts = preview.counts
    head = "Nothing is stored (dry run)" if import_id is None else f"Import {import_id}"
    edge.console.print(
        f"{head}: {preview.source}, {counts.num_rows:,} rows: {counts.num_new:,} new, {counts.num_changed:,} changed, "
        f"{counts.num_withdrawn:,} withdrawn, {counts.num_confirmed:,} confirmed, {counts.num_unchanged:,} known, "
        f"{counts.num_held:,} held, {counts.num_rejected:,} rejected."
    )
    for name, number in preview.left_out.items():
        edge.console.print(f"  left out  {number:,} {name}")
    for row in preview.held[:NUM_SHOWN]:
        edge.console.print(f"  held      {row.place}: {row.offer.provider} {row.offer.instance_type}: {row.reason}")
    for refused in preview.rejected[:NUM_SHOWN]:
        edge.console.print(f"  rejected  {refused.place}: {refused.reason}")
    for (provider, name), number in list(preview.unmapped.items())[:NUM_SHOWN]:
        edge.console.print(f"  unmapped  {provider} {name!r}: {number:,} rows")


def _table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    for heading in right:
        table.add_column(heading, justify="right")
    return table


def _amount(item: PricedOffer, amount: Any) -> str:
    return "unknown" if amount is None else units.format_money(amount, item.offer.currency)
