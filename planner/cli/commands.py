"""Which commands there are: where each lies and what it does, so that only the one asked for is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import click


@dataclass(frozen=True)
class Entry:
    """A command's module in this room, its name there, and the first paragraph of its help."""

    module: str
    name: str
    words: str


COMMANDS: Mapping[str, Entry] = {
    "actuals": Entry("actuals", "actuals", "Enter what finished jobs took and see how estimates have come true."),
    "assets": Entry("assets", "assets", "Enter owned GPUs and planned purchases, and see what an hour of them costs."),
    "books": Entry("money", "books", "Keep negotiated price books: discounts or amounts of one's own, with dates."),
    "budgets": Entry(
        "budgets", "budgets", "Hold what finished jobs cost against budgets, cause by cause, and close months."
    ),
    "calibrate": Entry(
        "calibrate",
        "calibrate",
        "Measure training and inference on this machine's devices; every later estimate uses what comes out.",
    ),
    "db": Entry("serve", "db", "Look after the database schema."),
    "devices": Entry(
        "devices",
        "devices",
        "List the nodes' devices: what the driver calls them, which catalogue entry they are, and their state.",
    ),
    "estimate": Entry(
        "estimate",
        "estimate",
        "Estimate time, memory, energy and cost of a job, with ranges, and say why the other options lost.",
    ),
    "nodes": Entry(
        "nodes",
        "nodes",
        "Work out a stored training estimate on 1, 2, 4 … 256 nodes: the fewest that keep its deadline and budget.",
    ),
    "plan": Entry(
        "plan",
        "plan_command",
        "Plan what to own, buy, reserve and rent for the jobs and services of FILE.json, and what runs where and when.",
    ),
    "press": Entry(
        "pressure",
        "press",
        "Compare training with inference of one model on the same GPUs: which presses them harder, and in what.",
    ),
    "prices": Entry(
        "prices", "prices", "List prices (as `planner prices` does without a further word), and bring prices in."
    ),
    "quarantine": Entry("quarantine", "quarantine", "Devices kept from work until somebody looks or a check passes."),
    "rates": Entry("money", "rates", "Bring exchange rates in and convert at them."),
    "replay": Entry(
        "plan",
        "replay_command",
        "Replay TRACE (CSV: timestamp, duration, num_gpus, perhaps cluster, priority, planned_start), plain or gzip.",
    ),
    "run": Entry(
        "run",
        "run",
        "Set everything up, calibrate this machine once, print a first estimate and serve until Ctrl-C.",
    ),
    "schedules": Entry("schedules", "schedules", "Schedules of recurring calibration."),
    "serve": Entry(
        "serve",
        "serve",
        "Serve the pages and the REST API at http://127.0.0.1:8750 (PLANNER_PORT) until Ctrl-C.",
    ),
    "size": Entry(
        "size",
        "size",
        "Size a service: replicas × GPUs that keep a level, with percentiles and costs. FILE.json is the question.",
    ),
    "suites": Entry("suites", "suites", "Suites: those of the planner and your own."),
    "tokens": Entry("tokens", "tokens", "Tokens by which programs on other computers ask the REST API (docs/rest.md)."),
    "track": Entry(
        "track",
        "track_command",
        "What became of the locked plan PLAN_ID so far: planned against the ledger, prices then against now.",
    ),
    "validate": Entry(
        "validate",
        "validate_command",
        "Score the estimator on TABLE, a CSV of measured runs (columns: docs/accuracy.md).",
    ),
    "worker": Entry(
        "serve",
        "worker",
        "Watch the schedules and calibrate this machine's devices when they are due, until Ctrl-C.",
    ),
}


class Commands(click.Group):
    """All commands of the table; each is read when it is asked for, none for the list of them."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _context: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(import_module(f"planner.cli.{entry.module}"), entry.name)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        rows = [
            (name, click.Command(name, help=COMMANDS[name].words).get_short_help_str(limit))
            for name in self.list_commands(context)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
