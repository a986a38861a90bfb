"""The group that all commands hang on, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import sys
from typing import Any

import click

from planner.cli.commands import Commands
from planner.cli.edge import Edge, fail
from planner.errors import FieldProblem, InvalidInput, PlannerError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(message="gpu-planner %(version)s", package_name="gpu-planner")
@click.pass_context
def planner(context: click.Context) -> None:
    """Estimate what GPU jobs take and cost, from measurements of your own devices and a dated price book.

    \b
    Start with:  planner run
    Then try:    planner estimate --preset finetune-llama-3-8b --offer-kinds on_demand

    \b
    Exit codes: 0 done, 1 a fault of ours, 2 the request cannot be used, 3 no such thing,
    4 clashes with what is there, 5 something outside is not available, 6 nothing fits.
    """
    context.ensure_object(Edge)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; always ends in SystemExit with a code that scripts can use."""
    edge = Edge()
    try:
        status: Any = planner.main(args=arguments, prog_name="planner", standalone_mode=False, obj=edge)
    except PlannerError as error:
        fail(error, edge.as_json)
    except click.UsageError as error:
        edge.as_json = edge.as_json or "--json" in (sys.argv[1:] if arguments is None else arguments)
        if edge.as_json:
            fail(InvalidInput([FieldProblem(_option_name(error), error.format_message())]), as_json=True)
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Ended by Ctrl-C.", err=True)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _option_name(error: click.UsageError) -> str:
    parameter = getattr(error, "param", None)
    return (parameter.name if parameter is not None else None) or getattr(error, "option_name", None) or "arguments"
