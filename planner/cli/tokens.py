"""`planner tokens`: let programs on other computers ask the REST API."""

from __future__ import annotations

import secrets
from datetime import datetime

import click
from rich.table import Table

from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.services.requests import parse
from planner.services.requests.tokens import Scope, TokenRequest
from planner.services.tokens import TokenView, keep_token, list_tokens, revoke_token

PREFIX = "planner_"


@click.group(epilog="Example: planner tokens add Finance --scope read:costs")
def tokens() -> None:
    """Tokens by which programs on other computers ask the REST API (docs/rest.md)."""


@tokens.command(epilog="Example: planner tokens add 'Power BI' --scope read:costs --days 180")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice([scope.value for scope in Scope]), help="Default: read:costs."
)
@click.option("--days", help="Ends by itself after so many days (default: 90).")
@json_option
@pass_edge
def add(edge: Edge, name: str, scopes: tuple[str, ...], days: str | None) -> None:
    """Make a token under a NAME. It is shown this once and kept as a hash only."""
    given = {"name": name, "scopes": list(scopes), "days": days}
    request = parse(TokenRequest, {field: value for field, value in given.items() if value})
    secret = PREFIX + secrets.token_urlsafe(32)
    with edge.session() as session:
        made = keep_token(session, request, secret, now(), "cli")
    if edge.as_json:
        edge.print_json({"token": made, "secret": secret})
        return
    click.echo(secret)
    click.echo(f"Shown this once. It may {', '.join(made.scopes)} until {made.expires_at:%Y-%m-%d}.", err=True)


@tokens.command("list", epilog="Example: planner tokens list --json")
@json_option
@pass_edge
def list_command(edge: Edge) -> None:
    """Every token with its scopes, when it ends and when it was last used."""
    with edge.session() as session:
        found = list_tokens(session)
    if edge.as_json:
        edge.print_json({"tokens": found})
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("id", no_wrap=True, min_width=26)  # whole: `revoke` takes it
    for heading in ("name", "begins with", "scopes", "state", "last used"):
        table.add_column(heading)
    for token in found:
        used = "never" if token.last_used_at is None else f"{token.last_used_at:%Y-%m-%d}"
        table.add_row(token.id, token.name, token.prefix, ", ".join(token.scopes), _state(token, now()), used)
    edge.console.print(table)


@tokens.command(epilog="Example: planner tokens revoke 01K9ZX3V8QWERTYUIOPASDFGHJ")
@click.argument("token_id")
@pass_edge
def revoke(edge: Edge, token_id: str) -> None:
    """End the token of an id at once; `planner tokens list` shows the ids."""
    with edge.session() as session:
        revoke_token(session, token_id, now())
    click.echo(f"Token {token_id} is ended.")


def _state(token: TokenView, moment: datetime) -> str:
    if token.revoked_at is not None:
        return f"ended {token.revoked_at:%Y-%m-%d}"
    return f"until {token.expires_at:%Y-%m-%d}" if token.is_live(moment) else f"expired {token.expires_at:%Y-%m-%d}"
