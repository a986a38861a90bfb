"""`planner plan` and `planner replay`: a capacity plan for a request, and a trace of jobs on a cluster."""

from __future__ import annotations

import json
import signal
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.table import Table

from planner.cli.edge import Edge, json_object, json_option, pass_edge
from planner.cli.estimate import NOTHING_FITS
from planner.errors import InvalidInput
from planner.plans import codec
from planner.plans.assessment import assessment
from planner.plans.linear import Progress
from planner.plans.plan import GAP, SECONDS
from planner.plans.plan import plan as make_plan
from planner.plans.replay.queues import Policy
from planner.plans.replay.replay import Difference, Replay, more_gpus
from planner.plans.replay.replay import replay as run_replay
from planner.plans.replay.trace import read_trace
from planner.plans.request import PlanRequest
from planner.plans.shorthand import expand
from planner.plans.solution import Plan

MOST_TRACE_BYTES = 1_000_000_000
SHOWN = 12


def _print_schema(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo(json.dumps(codec.schema(PlanRequest), indent=1, ensure_ascii=False))
        context.exit()


@click.command(
    name="plan",
    epilog="Example: planner plan week.json --json (its fields: docs/plans.md; Ctrl-C keeps the best plan so far)",
)
@click.argument("file", type=click.File("rb"), metavar="FILE.json")
@click.option("--gap", default=GAP, show_default=True, type=click.FloatRange(0, 1), help="Stop this near the bound.")
@click.option("--seconds", default=SECONDS, show_default=True, type=click.FloatRange(0.1, 86_400), help="Stop by then.")
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_print_schema, help="The request's schema."
)
@json_option
@pass_edge
def plan_command(edge: Edge, /, file: Any, gap: float, seconds: float) -> int:
    """Plan what to own, buy, reserve and rent for the jobs and services of FILE.json, and what runs where and when."""
    request = PlanRequest.from_document(expand(json_object(file.read())))
    with _asked_to_stop() as stopped:
        found = make_plan(
            request,
            gap=gap,
            seconds=seconds,
            on_progress=None if edge.as_json else lambda progress: _tell(edge, progress),
            should_stop=lambda: bool(stopped),
        )
    if edge.as_json:
        edge.print_json(found.to_document())
    else:
        _show_plan(edge, found, gap)
    return 0 if found.is_found else NOTHING_FITS


@click.command(name="replay", epilog="Example: planner replay jobs.csv --nodes 4 --policy backfill --more-nodes 1")
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--nodes", required=True, type=click.IntRange(1, 100_000))
@click.option("--gpus-per-node", default=8, show_default=True, type=click.IntRange(1, 1024))
@click.option(
    "--policy", default=Policy.FIFO.value, show_default=True, type=click.Choice([policy.value for policy in Policy])
)
@click.option("--more-nodes", default=0, type=click.IntRange(0, 100_000), help="What so many more would have done.")
@click.option("--price", type=click.FloatRange(0), help="What a GPU costs an hour, used or not.")
@click.option("--cluster", default="", help="Only the jobs of this cluster (the column of that name).")
@click.option("--starts", is_flag=True, help="With --json: the start of every job.")
@json_option
@pass_edge
def replay_command(
    edge: Edge,
    /,
    trace: Path,
    nodes: int,
    gpus_per_node: int,
    policy: str,
    more_nodes: int,
    price: float | None,
    cluster: str,
    starts: bool,
) -> int:
    """Replay TRACE (CSV: timestamp, duration, num_gpus, perhaps cluster, priority, planned_start), plain or gzip."""
    jobs = read_trace(_text(trace).splitlines())
    if cluster:
        jobs = tuple(job for job in jobs if job.cluster == cluster)
    if not jobs:
        raise InvalidInput.of("trace", "holds no job" + (f" of the cluster {cluster!r}" if cluster else ""))
    chosen = Policy(policy)
    if more_nodes:
        difference = more_gpus(jobs, nodes, gpus_per_node, chosen, more_nodes, price)
        found = difference.before
    else:
        difference = None
        found = run_replay(jobs, nodes, gpus_per_node, chosen, price)
    if edge.as_json:
        document = found.to_document(starts)
        if difference is not None:
            document |= {"more": difference.after.to_document(starts), "sentence": difference.sentence}
        edge.print_json(document)
    else:
        _show_replay(edge, found, difference)
    return 0


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            opener = zlib.decompressobj(wbits=31)
            data = opener.decompress(data, MOST_TRACE_BYTES)
            if opener.unconsumed_tail:
                raise InvalidInput.of("trace", f"is larger than {MOST_TRACE_BYTES // 1_000_000} MB unpacked")
        return data.decode("utf-8-sig")
    except (UnicodeDecodeError, zlib.error) as error:
        raise InvalidInput.of("trace", f"{path.name} is neither text nor gzip ({error})") from None


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """Collects Ctrl-C, so that the search can end with its best plan."""
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(edge: Edge, progress: Progress) -> None:
    cost = "no plan yet" if progress.cost is None else f"{progress.cost:,.2f}"
    bound = "" if progress.bound is None else f", none below {progress.bound:,.2f}"
    edge.console.print(f"{progress.seconds:6.1f} s  {cost}{bound}", style="dim")


def _show_plan(edge: Edge, found: Plan, wanted_gap: float) -> None:
    if found.cost is None:
        words = found.clash.reason if found.clash else "no plan was found in this time"
        edge.console.print(f"No plan: {words}.", markup=False)
        return
    gap = "unknown" if found.gap is None else f"{found.gap:.2%}"
    edge.console.print(
        f"{found.cost:,.2f} {found.currency}; no plan costs less than {found.bound or 0:,.2f} (gap {gap}); "
        f"{found.seconds:.1f} s",
        markup=False,
    )
    costs = Table("component", "cost", box=None)
    for name, cost in found.costs.items():
        if cost:
            costs.add_row(name.replace("_", " "), f"{cost:,.2f}")
    edge.console.print(costs)
    for words in assessment(found, wanted_gap):
        edge.console.print(words, markup=False)
    for item in found.commitments:
        edge.console.print(f"commit {item.num_gpus} of {item.supply} from hour {item.from_hours:g}", markup=False)
    for name in found.dropped:
        edge.console.print(f"left undone: {name}", markup=False)
    for short in found.shortfalls[:SHOWN]:
        edge.console.print(short.sentence, markup=False)
    for price in found.shadow_prices[:SHOWN]:
        edge.console.print(price.sentence, markup=False)
    for refusal in found.refusals[:SHOWN]:
        who = f"{refusal.demand} on {refusal.supply}" if refusal.demand else refusal.supply
        edge.console.print(f"not {who}: {refusal.reason}", style="dim", markup=False)


def _show_replay(edge: Edge, found: Replay, difference: Difference | None) -> None:
    table = Table(box=None, show_header=False)
    hours = 3600.0
    shown = {
        "jobs": f"{found.num_jobs:,}",
        "average wait, h": _number(found.wait_seconds, hours),
        "95 % wait at most, h": _number(found.wait_p95_seconds, hours),
        "average completion, h": _number(found.completion_seconds, hours),
        "makespan, h": _number(found.makespan_seconds, hours),
        "utilisation": "unknown" if found.utilisation is None else f"{found.utilisation:.1%}",
        "cost": "no price given" if found.cost is None else f"{found.cost:,.2f}",
    }
    for name, text in shown.items():
        table.add_row(name, text)
    edge.console.print(table)
    if found.refused:
        edge.console.print(f"{len(found.refused)} jobs are larger than the cluster and were refused", markup=False)
    if difference is not None:
        edge.console.print(difference.sentence, markup=False)


def _number(value: float | None, per: float) -> str:
    return "unknown" if value is None else f"{value / per:,.2f}"
