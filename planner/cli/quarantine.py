"""`planner quarantine`: keep a device from work, let it out, and read what was decided before."""

from __future__ import annotations

import click

from planner.cli.edge import Edge, json_option, now, pass_edge
from planner.errors import NotFound
from planner.services.devices import list_devices
from planner.services.quarantine import quarantine_device, quarantine_history, release_device
from planner.store.engine import Session


@click.group(epilog='Example: planner quarantine release GPU-1111 --reason "the cable was loose"')
def quarantine() -> None:
    """Devices kept from work until somebody looks or a check passes."""


@quarantine.command("put", epilog='Example: planner quarantine put GPU-1111 --reason "it smells"')
@click.argument("device")
@click.option("--reason", required=True, help="Why; it is kept and shown.")
@json_option
@pass_edge
def put_command(edge: Edge, device: str, reason: str) -> None:
    """Keep DEVICE (its id or UUID) from work."""
    with edge.session() as session:
        quarantine_device(session, _device_id(session, device), reason, now(), "cli")
    _tell(edge, device)


@quarantine.command(epilog='Example: planner quarantine release GPU-1111 --reason "the cable was loose"')
@click.argument("device")
@click.option("--reason", required=True, help="Why; it is kept and shown.")
@json_option
@pass_edge
def release(edge: Edge, device: str, reason: str) -> None:
    """Let DEVICE (its id or UUID) work again."""
    with edge.session() as session:
        release_device(session, _device_id(session, device), reason, now(), "cli")
    _tell(edge, device)


@quarantine.command(epilog="Example: planner quarantine history GPU-1111 --json")
@click.argument("device")
@json_option
@pass_edge
def history(edge: Edge, device: str) -> None:
    """What was decided of DEVICE (its id or UUID), newest first."""
    _tell(edge, device)


def _tell(edge: Edge, device: str) -> None:
    with edge.session() as session:
        steps = quarantine_history(session, _device_id(session, device))
    if edge.as_json:
        edge.print_json({"steps": steps})
        return
    for step in steps:
        edge.console.print(f"{step.at:%Y-%m-%d %H:%M} UTC  {step.state}  by {step.actor}: {step.reason}")
    if not steps:
        edge.console.print("It was never in quarantine.")


def _device_id(session: Session, device: str) -> str:
    for found in list_devices(session):
        if device in (found.id, found.uuid):
            return found.id
    raise NotFound(f"there is no device {device!r}; see: planner devices")
