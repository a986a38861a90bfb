"""`planner devices drift|fits|compare|siblings|cpu-gpu` and `planner devices worth`: what calibrations say."""

from __future__ import annotations

import click
from rich.table import Table

from planner import units
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.services.comparison import cpu_against_gpu, training_against_inference
from planner.services.drift import device_drift
from planner.services.fit_versions import fit_history
from planner.services.siblings import sibling_groups
from planner.services.worth import estimate_worth

UNKNOWN = "unknown"


@click.command(epilog="Example: planner devices drift 01KAH4 --json")
@click.argument("device_id")
@json_option
@pass_edge
def drift(edge: Edge, device_id: str) -> None:
    """Say whether a device got slower against its own history, and what changed on it."""
    with edge.session() as session:
        found = device_drift(session, device_id)
    if edge.as_json:
        edge.print_json(found)
        return
    edge.console.print(found.sentence)
    if found.runs:
        table = _table("when", "suite", "against usual", "changed since the run before")
        for run in found.runs:
            change = UNKNOWN if run.change is None else f"{run.change:+.1%}"
            changed = "; ".join(f"{name} {old} → {new}" for name, (old, new) in run.changed.items())
            table.add_row(f"{run.at:%Y-%m-%d %H:%M}", run.suite, change, changed or "nothing")
        edge.console.print(table)


@click.command(epilog="Example: planner devices fits 01KAH4 --json")
@click.argument("device_id")
@json_option
@pass_edge
def fits(edge: Edge, device_id: str) -> None:
    """List a device's newest fit by part, with the error of samples left out, and the estimates that it narrows."""
    with edge.session() as session:
        found = fit_history(session, device_id)
    if edge.as_json:
        edge.print_json(found)
        return
    if not found.fits:
        edge.console.print("No fit yet: estimates for it rest on published figures, if the catalogue lists it.")
        return
    table = _table("part", "samples", "spread", "error of samples left out")
    for part in found.fits[0].parts:
        error = f"{UNKNOWN}: too few samples" if part.held_out is None else f"±{part.held_out:.1%}"
        table.add_row(part.name, str(part.num_samples), f"±{part.spread:.1%}", error)
    edge.console.print(table)
    for one in found.narrowed:
        edge.console.print(
            f"Narrows {one.job_name}: ±{one.width_before:.0%} → ±{one.width_now:.0%} ({one.estimate_id})"
        )


@click.command(epilog="Example: planner devices compare 01KAH4 --json")
@click.argument("device_id")
@json_option
@pass_edge
def compare(edge: Edge, device_id: str) -> None:
    """Put training beside inference on a device: which pushes it harder, and why."""
    with edge.session() as session:
        found = training_against_inference(session, device_id)
    if edge.as_json:
        edge.print_json(found)
        return
    if found.reason:
        edge.console.print(f"Unknown: {found.reason}.")
    for sides in found.formats:
        table = _table(sides.dtype.value, "arithmetic", "bandwidth", "tokens/s", "step", "power", "energy per token")
        for operation, side in sides.sides.items():
            table.add_row(
                sides.names[operation],
                UNKNOWN if side.compute_share is None else f"{side.compute_share:.0%}",
                UNKNOWN if side.memory_share is None else f"{side.memory_share:.0%}",
                f"{side.tokens_per_second:,.0f}",
                units.format_seconds(side.latency_seconds),
                UNKNOWN if side.power_watts is None else f"{side.power_watts:.0f} W",
                UNKNOWN if side.joules_per_token is None else f"{side.joules_per_token:.3g} J",
            )
        edge.console.print(sides.sentence)
        edge.console.print(table)


@click.command(epilog="Example: planner devices siblings --json")
@json_option
@pass_edge
def siblings(edge: Edge) -> None:
    """Compare equal devices: which is behind the others, by how much, and what that costs a month."""
    with edge.session() as session:
        groups = sibling_groups(session, now())
    if edge.as_json:
        edge.print_json({"groups": groups})
        return
    if not groups:
        edge.console.print("Of every kind of device there is one alone, so none can be held against its equals.")
    for group in groups:
        edge.console.print(f"{len(group.devices)} × {group.name}: {group.sentence}")
        for one in group.devices:
            edge.console.print(f"  {one.hostname} {one.index}: {one.reason}")


@click.command("cpu-gpu", epilog="Example: planner devices cpu-gpu --preset pretrain-tiny --json")
@click.option("--preset", default="pretrain-tiny", show_default=True, help="Which ready job to put on both.")
@json_option
@pass_edge
def cpu_gpu(edge: Edge, preset: str) -> None:
    """Put one job on the measured CPU and GPU: weeks against days, from their own fits alone."""
    with edge.session() as session:
        found = cpu_against_gpu(session, preset)
    if edge.as_json:
        edge.print_json(found)
        return
    edge.console.print(found.sentence)
    for one in found.devices:
        time = UNKNOWN if one.seconds is None else units.format_seconds(one.seconds.mid)
        reason = f" ({one.reason})" if one.reason else ""
        edge.console.print(f"  {one.device_name}: {time}{reason}")


@click.command(epilog="Example: planner devices worth 01KAH4EST --json")
@click.argument("estimate_id")
@json_option
@pass_edge
def worth(edge: Edge, estimate_id: str) -> None:
    """Say which measurements would narrow a stored estimate, for how many minutes, with the command for each."""
    with edge.session() as session:
        found = estimate_worth(session, estimate_id)
    if edge.as_json:
        edge.print_json(found)
        return
    if found.reason:
        edge.console.print(f"Nothing: {found.reason}.")
    for one in found.measurements:
        edge.console.print(one.sentence)
        edge.console.print(f"  planner calibrate --device {one.device_id} --suite {one.suite}", soft_wrap=True)


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    return table
