"""`planner devices`: what is attached, asked of the drivers now or read from the database."""

from __future__ import annotations

import click
from rich.table import Table

from planner import units
from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.cli.findings import compare, cpu_gpu, drift, fits, siblings, worth
from planner.services.devices import DeviceView, list_devices
from planner.worker.discover import discover_here


@click.group(invoke_without_command=True, epilog="Example: planner devices --scan --json")
@click.option("--scan", is_flag=True, help="Ask the drivers of this machine first and record what they say.")
@json_option
@click.pass_context
@pass_edge
def devices(edge: Edge, context: click.Context, scan: bool) -> None:
    """List the nodes' devices: what the driver calls them, which catalogue entry they are, and their state."""
    if context.invoked_subcommand is not None:
        return
    problems: tuple[str, ...] = ()
    if scan:
        problems = discover_here(edge.sessions, now()).problems
    with edge.session() as session:
        found = list_devices(session)
    if edge.as_json:
        edge.print_json({"devices": found, "problems": problems})
        return
    for problem in problems:
        edge.console.print(f"Note: {problem}", style="yellow")
    edge.console.print(devices_table(found) if found else "No device is recorded yet; try: planner devices --scan")


for command in (drift, fits, compare, siblings, cpu_gpu, worth):
    devices.add_command(command)


def device_line(device: DeviceView) -> str:
    """A device in a line: "AMD EPYC (25.3 GB), not in the catalogue, not calibrated"."""
    memory = "memory unknown" if device.memory_bytes is None else units.format_bytes(device.memory_bytes)
    key = device.gpu_key or "not in the catalogue: its own measurements count"
    fit = "calibrated" if device.fit_id else "not calibrated"
    state = "" if device.state == "ok" else f", {device.state}: {device.state_reason}"
    return f"{device.name} ({memory}), {key}, {fit}{state}"


def devices_table(found: list[DeviceView]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("id", "device", "catalogue", "memory", "driver", "state", "fit"):
        table.add_column(heading)
    for device in found:
        table.add_row(
            device.id,
            device.name,
            device.gpu_key or "unknown",
            "unknown" if device.memory_bytes is None else units.format_bytes(device.memory_bytes),
            device.driver_version or "unknown",
            device.state,
            "calibrated" if device.fit_id else "not calibrated",
        )
    return table
