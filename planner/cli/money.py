"""`planner rates` and `planner books`: exchange rates with their source, and negotiated price books."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import click

from planner import units
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.errors import InvalidInput
from planner.services.fx import RatesImport, convert_amount, import_rate_file, list_rates
from planner.services.held_rates import approve_rates, list_held_rates, refuse_rates
from planner.services.price_books import add_price_book, list_price_books, withdraw_price_book
from planner.services.price_sources import set_price_source
from planner.services.requests import parse, without_blanks
from planner.services.requests.fx import ConversionRequest, RateQuery
from planner.services.requests.imports import PriceSourceRequest
from planner.services.requests.price_books import PriceBookRequest
from planner.worker.rates import get_rate_feed, import_network_rates


@click.group()
def rates() -> None:
    """Bring exchange rates in and convert at them."""


@rates.command("import", epilog="Example: planner rates import eurofxref-hist.csv --source ecb.europa.eu")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", default="", help="Who states them; needed for a table with a column a currency.")
@click.option("--allow-large-changes", is_flag=True, help="Let changes of more than a fifth pass; else they wait.")
@json_option
@pass_edge
def import_command(edge: Edge, file: Path, source: str, allow_large_changes: bool) -> None:
    """Append the rates of a CSV file or of the European Central Bank's XML; what is known is not stored again."""
    try:
        with file.open("rb") as stream, edge.session() as session:
            found = import_rate_file(session, stream, now(), source, allow_large_changes=allow_large_changes)
    except OSError as error:
        raise InvalidInput.of("file", f"{file} cannot be read: {error}") from None
    _print_import(edge, found)


@rates.command("fetch", epilog="Example: planner rates fetch ecb-rates")
@click.argument("source", default="ecb-rates")
@click.option("--allow-large-changes", is_flag=True, help="Let changes of more than a fifth pass; else they wait.")
@json_option
@pass_edge
def fetch_command(edge: Edge, source: str, allow_large_changes: bool) -> None:
    """Bring the rates of a source on the network in, now."""
    found = import_network_rates(edge.sessions, get_rate_feed(source), now(), allow_large_changes=allow_large_changes)
    _print_import(edge, found)


@rates.command(
    "refresh", epilog='Example: planner rates refresh ecb-rates --cron "30 16 * * 1-5" --timezone Europe/Berlin'
)
@click.argument("source", default="ecb-rates")
@click.option("--cron", help="When to read it again, as 30 16 * * 1-5 (default: every day at six).")
@click.option("--timezone", help="The zone of that clock (default UTC).")
@click.option("--off", is_flag=True, help="Do not read it by itself any more.")
@json_option
@pass_edge
def refresh_command(edge: Edge, /, source: str, off: bool, **options: Any) -> None:
    """Let the worker read a source again by a rule; rates that jump wait for you."""
    request = parse(PriceSourceRequest, without_blanks(options) | {"enabled": not off})
    with edge.session() as session:
        view = set_price_source(session, get_rate_feed(source).name, request, now())
    if edge.as_json:
        edge.print_json(view)
    else:
        edge.console.print(f"{source} is read {view.in_words}." if view.enabled else f"{source} is read no more.")


@rates.command("held", epilog="Example: planner rates held --approve 3 --approve 4")
@click.option("--approve", multiple=True, type=int, help="Let the rate of this number count from now on.")
@click.option("--refuse", multiple=True, type=int, help="The rate of this number is wrong.")
@json_option
@pass_edge
def held_command(edge: Edge, approve: tuple[int, ...], refuse: tuple[int, ...]) -> None:
    """List the rates that are far from what was known and wait for you, and decide on them."""
    moment = now()
    with edge.session() as session:
        if approve:
            approve_rates(session, moment, approve, "command line")
        if refuse:
            refuse_rates(session, moment, refuse, "command line")
        waiting = list_held_rates(session, waiting=True)
    if edge.as_json:
        edge.print_json({"waiting": waiting})
        return
    for held in waiting:
        rate, before = held.rate, units.plain_decimal(held.compared_with)
        edge.console.print(
            f"{held.id}  {rate.rate_date}  1 {rate.base} = {units.plain_decimal(rate.rate)} {rate.quote}, "
            f"{held.change} against {before} of {held.compared_date}  ({rate.source})"
        )
    if not waiting:
        edge.console.print("No rate waits.")


@rates.command("list", epilog="Example: planner rates list --base EUR --limit 5")
@click.option("--base", help="Currency, as EUR.")
@click.option("--quote", help="Currency, as USD.")
@click.option("--limit", help="How many to print (default 20).", default="20")
@json_option
@pass_edge
def list_command(edge: Edge, /, **options: Any) -> None:
    """List stored rates, the last recorded first."""
    with edge.session() as session:
        found = list_rates(session, parse(RateQuery, without_blanks(options)))
    if edge.as_json:
        edge.print_json({"rates": found})
        return
    for view in found:
        rate = view.rate
        edge.console.print(
            f"{rate.rate_date}  1 {rate.base} = {units.plain_decimal(rate.rate)} {rate.quote}  ({rate.source})"
        )
    if not found:
        edge.console.print("No rate is known; amounts are not converted without one.")


@rates.command("convert", epilog="Example: planner rates convert 2.49 EUR USD --on 2026-07-20")
@click.argument("amount")
@click.argument("source")
@click.argument("target")
@click.option("--on", help="The day whose rates count (default today).")
@json_option
@pass_edge
def convert_command(edge: Edge, /, **options: Any) -> None:
    """Convert an amount at the rates of a day; a missing rate is an error."""
    request = parse(ConversionRequest, without_blanks(options))
    moment = now()
    with edge.session() as session:
        on = request.on or moment.astimezone(UTC).date()
        found = convert_amount(session, request.amount, request.source, request.target, on, moment)
    if edge.as_json:
        edge.print_json({"conversion": found, "rate": found.rate, "rate_date": found.rate_date, "source": found.source})
        return
    rate = "" if found.rate is None else f" at {units.plain_decimal(found.rate)} of {found.rate_date} ({found.source})"
    original, amount = units.plain_decimal(found.original), units.plain_decimal(found.amount)
    edge.console.print(f"{original} {found.original_currency} = {amount} {found.currency}{rate}")


def _print_import(edge: Edge, found: RatesImport) -> None:
    if edge.as_json:
        edge.print_json(found)
        return
    edge.console.print(
        f"{found.num_added:,} rates added, {found.num_known:,} known, {found.num_refused:,} refused, "
        f"{found.num_held:,} held: more than a fifth from what was known."
    )
    for refused in found.refused[:10]:
        edge.console.print(f"  refused  line {refused.line}: {refused.reason}")


@click.group()
def books() -> None:
    """Keep negotiated price books: discounts or amounts of one's own, with dates."""


@books.command("add", epilog="Example: planner books add enterprise.json")
@click.argument("file", type=click.File(encoding="utf-8"))
@json_option
@pass_edge
def add_command(edge: Edge, file: Any) -> None:
    """Keep a book from a JSON file (docs/owned.md shows one)."""
    try:
        values = json.load(file)
    except ValueError as error:
        raise InvalidInput.of("file", f"is not JSON ({error})") from None
    if not isinstance(values, dict):
        raise InvalidInput.of("file", "must hold one JSON object")
    request = parse(PriceBookRequest, values)
    with edge.session() as session:
        book = add_price_book(session, request, now())
    if edge.as_json:
        edge.print_json(book)
    else:
        edge.console.print(f"Price book {book.id}: {book.name}, {len(book.terms)} terms.")


@books.command("list", epilog="Example: planner books list --json")
@click.option("--role", "roles", multiple=True, help="A role whose books are shown too; may be repeated.")
@json_option
@pass_edge
def list_books_command(edge: Edge, roles: tuple[str, ...]) -> None:
    """List the books that are open to all, and those of the roles named."""
    with edge.session() as session:
        found = list_price_books(session, now(), frozenset(roles))
    if edge.as_json:
        edge.print_json({"books": found})
        return
    for book in found:
        until = "open" if book.valid_until is None else f"{book.valid_until:%Y-%m-%d}"
        edge.console.print(f"{book.id}  {book.name}: {len(book.terms)} terms, {book.valid_from:%Y-%m-%d} to {until}")
    if not found:
        edge.console.print("There is no price book.")


@books.command("withdraw", epilog="Example: planner books withdraw 01KF…")
@click.argument("book_id")
@click.option("--role", "roles", multiple=True, help="A role that may see the book; may be repeated.")
@json_option
@pass_edge
def withdraw_command(edge: Edge, book_id: str, roles: tuple[str, ...]) -> None:
    """Let a book count no more; estimates made with it stay as they are."""
    with edge.session() as session:
        withdraw_price_book(session, book_id, now(), frozenset(roles))
    if edge.as_json:
        edge.print_json({"withdrawn": book_id})
    else:
        edge.console.print(f"Price book {book_id} counts no more.")
