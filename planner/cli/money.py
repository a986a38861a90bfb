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
from planner.services.fx import convert_amount, import_rates, list_rates
from planner.services.price_books import add_price_book, list_price_books, withdraw_price_book
from planner.services.requests import parse, without_blanks
from planner.services.requests.fx import ConversionRequest, RateQuery
from planner.services.requests.price_books import PriceBookRequest


@click.group()
def rates() -> None:
    """Bring exchange rates in and convert at them."""


@rates.command("import", epilog="Example: planner rates import eurofxref-hist.csv --source ecb.europa.eu")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--source", default="", help="Who states them; needed for a table with a column a currency.")
@json_option
@pass_edge
def import_command(edge: Edge, file: Path, source: str) -> None:
    """Append the rates of a CSV file; what is known already is not stored again."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines, edge.session() as session:
            found = import_rates(session, lines, now(), source)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput.of("file", f"{file} cannot be read: {error}") from None
    if edge.as_json:
        edge.print_json(found)
        return
    edge.console.print(f"{found.num_added:,} rates added, {found.num_known:,} known, {found.num_refused:,} refused.")
    for refused in found.refused[:10]:
        edge.console.print(f"  refused  line {refused.line}: {refused.reason}")


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
