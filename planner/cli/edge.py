"""The command line's edge: settings, one engine, sessions that commit once, and how faults end a command."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import click

from planner.errors import InvalidInput, PlannerError
from planner.services.documents import document
from planner.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from planner.store.engine import Engine, Session, Sessions


@dataclass
class Edge:
    """What a command works with. Nothing is opened, and no library read, before it is asked for."""

    as_json: bool = False

    @cached_property
    def console(self) -> Console:
        from rich.console import Console

        return Console(highlight=False)

    @cached_property
    def settings(self) -> Settings:
        from planner.cli.logs import log_to_standard_error

        found = Settings.from_env()
        log_to_standard_error(found.log_level)
        return found

    @cached_property
    def engine(self) -> Engine:
        """The database, refused unless its schema is the one of this code."""
        from planner.store.engine import check_schema, make_engine

        engine = make_engine(self.settings.database_url)
        check_schema(engine)
        return engine

    @property
    def sessions(self) -> Sessions:
        """Sessions on that database."""
        from planner.store.engine import session_factory

        return session_factory(self.engine)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One unit of work: committed when the block ends well, else rolled back."""
        with self.sessions.begin() as session:
            yield session

    def print_json(self, value: Any) -> None:
        click.echo(json.dumps(document(value), indent=2, ensure_ascii=False))


pass_edge = click.make_pass_decorator(Edge, ensure=True)


def now() -> datetime:
    """This moment; the one place where the command line looks at a clock."""
    return datetime.now(UTC)


def json_option(command: Any) -> Any:
    """`--json`: the answer, and any error, as JSON."""

    def remember(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value:
            context.ensure_object(Edge).as_json = True

    return click.option(
        "--json", is_flag=True, expose_value=False, callback=remember, is_eager=True, help="Print JSON."
    )(command)


def json_object(data: bytes) -> dict[str, Any]:
    """What a file of a question holds. Raises InvalidInput for what is no JSON object."""
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput.of("FILE.json", f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInput.of("FILE.json", "must be a JSON object")
    return value


def fail(error: PlannerError, as_json: bool) -> NoReturn:
    """Say what is wrong on standard error and leave with the error's own exit code."""
    if as_json:
        problems = error.problems if isinstance(error, InvalidInput) else ()
        body = {"type": error.slug, "detail": str(error), "errors": document(problems)}
        click.echo(json.dumps(body, ensure_ascii=False), err=True)
    elif isinstance(error, InvalidInput):
        for problem in error.problems:
            click.echo(f"Error: {problem}", err=True)
    else:
        click.echo(f"Error: {error}", err=True)
    sys.exit(error.exit_code)
