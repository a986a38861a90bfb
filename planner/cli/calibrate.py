"""`planner calibrate`: measure this machine's devices now, with the plan shown before the start."""

from __future__ import annotations

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from planner import units
from planner.calibration.sample import WORDS, Bench
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.errors import NotFound, PlannerError
from planner.services.calibrations import CalibrationPlan, plan_calibration, request_run
from planner.services.devices import DeviceView, list_devices
from planner.services.node_groups import one_of_each_group
from planner.services.runs import RunDetail, get_run
from planner.version import code_version
from planner.worker.calibrate import run_here, wait_for_silent_worker
from planner.worker.discover import discover_here
from planner.worker.spool import Spool


@click.command(epilog="Example: planner calibrate --suite smoke --json")
@click.option("--device", "device_id", help="Id or UUID of the device (default: every device of this machine).")
@click.option(
    "--suite",
    default="quick",
    show_default=True,
    help="Which benches: smoke, quick, standard, custom:OPERATION+OPERATION/FORMAT, or a suite of your own.",
)
@click.option("--plan-only", is_flag=True, help="Show what would be measured and for how long, and stop.")
@json_option
@pass_edge
def calibrate(edge: Edge, device_id: str | None, suite: str, plan_only: bool) -> int:
    """Measure training and inference on this machine's devices; every later estimate uses what comes out."""
    discovery = discover_here(edge.sessions, now())
    with edge.session() as session:
        here = [d for d in list_devices(session) if d.node_machine_id == discovery.node.machine_id and d.state == "ok"]
        chosen = [d for d in here if device_id in (None, d.id, d.uuid)]
        if not chosen:
            raise NotFound(f"this machine has no device {device_id!r}; see: planner devices --scan")
        if device_id is None:
            chosen = one_of_each_group(session, chosen, suite)
        plans = [(device, plan_calibration(session, device.id, suite)) for device in chosen]
    if plan_only:
        if edge.as_json:
            edge.print_json({"plans": [plan for _, plan in plans]})
        else:
            for device, plan in plans:
                print_plan(edge.console, device, plan)
        return 0
    console = Console(stderr=True, highlight=False) if edge.as_json else edge.console
    runs = [measure_device(edge, console, device, plan) for device, plan in plans]
    if edge.as_json:
        edge.print_json({"runs": runs})
    return 0 if all(run.state == "succeeded" for run in runs) else PlannerError.exit_code


def print_plan(console: Console, device: DeviceView, plan: CalibrationPlan) -> None:
    """What will happen, before it does."""
    console.print(f"[bold]Calibrating {device.name}[/bold]")
    console.print(f"  what   {plan.sentence}")
    console.print(
        f"  takes  about {units.format_seconds(plan.expected_seconds)}"
        f"{f' of each of {plan.num_devices} devices' if plan.num_devices > 1 else ''}; "
        f"stops at the latest after {units.format_seconds(plan.time_limit_seconds)}"
    )


def in_words(bench: Bench | None) -> str:
    """A bench for a progress bar: "a training step, bf16"."""
    return "finishing" if bench is None else f"{WORDS[bench.operation]}, {bench.dtype}"


def measure_device(edge: Edge, console: Console, device: DeviceView, plan: CalibrationPlan) -> RunDetail:
    """Show the plan, run it in a child process with a live bar, and say how it ended."""
    print_plan(console, device, plan)
    wait_for_silent_worker(
        edge.sessions,
        device.id,
        on_wait=lambda until: console.print(
            f"  waits  an earlier calibration broke off; this device is free at {until:%H:%M:%S} UTC"
        ),
    )
    with edge.session() as session:
        run_id = request_run(session, device.id, plan.suite, now(), code_version=code_version()).id
    columns = (
        TextColumn("  {task.description:<44.44}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=plan.num_benches)
        run_here(
            edge.sessions,
            run_id,
            on_progress=lambda done, bench: progress.update(task, completed=done, description=in_words(bench)),
            spool=Spool(edge.settings.home / "spool"),
        )
    with edge.session() as session:
        run = get_run(session, run_id)
    style = "green" if run.state == "succeeded" else "red"
    failed = f", {len(run.failures)} failed" if run.failures else ""
    why = "; ".join(words for words in (run.error, run.why_unused) if words)
    console.print(f"  [{style}]{run.state}[/{style}]: {len(run.samples)} samples{failed}{f': {why}' if why else ''}")
    if run.why_unused or run.state == "suspect":
        console.print(f"  no estimate rests on it; again, on an idle machine: planner calibrate --suite {plan.suite}")
    return run
