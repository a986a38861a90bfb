"""`planner run`: from an empty folder to a first calibrated estimate and the open service."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import webbrowser
from os import environ

import click

from planner.cli.calibrate import measure_device
from planner.cli.devices import device_line
from planner.cli.edge import Edge, now, pass_edge
from planner.cli.estimate import print_estimate
from planner.errors import Unavailable
from planner.hardware.catalogue import load_catalogue
from planner.jobs.presets import FIRST_RUN_JOBS
from planner.services.calibrations import plan_calibration
from planner.services.devices import DeviceView, list_devices
from planner.services.estimates import make_estimate
from planner.services.fits import refit_outdated
from planner.services.offers import price_book_age, sync_price_book
from planner.services.requests import EstimateRequest
from planner.settings import Settings
from planner.store.migrate import upgrade
from planner.version import code_version
from planner.worker.discover import discover_here

STOP_SECONDS = 10.0


@click.command(epilog="Example: PLANNER_PORT=8800 planner run --no-browser")
@click.option("--suite", default="quick", show_default=True, help="Which benches the first calibration runs.")
@click.option("--no-calibrate", is_flag=True, help="Start without measuring; estimates then rest on published figures.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser window.")
@click.option("--once", is_flag=True, help="Stop after the first estimate instead of serving.")
@pass_edge
def run(edge: Edge, suite: str, no_calibrate: bool, no_browser: bool, once: bool) -> int:
    """Set everything up, calibrate this machine once, print a first estimate and serve until Ctrl-C.

    Safe to repeat: data is kept, and a device that is calibrated already is not measured again.
    """
    settings = edge.settings
    if not once:
        refuse_taken_port(settings)
    prepare(edge)
    if not no_calibrate:
        for device in devices_to_calibrate(edge):
            with edge.session() as session:
                plan = plan_calibration(session, device.id, suite)
            measure_device(edge, edge.console, device, plan)
    first_estimates(edge)
    return 0 if once else serve_until_stopped(edge, no_browser)


def refuse_taken_port(settings: Settings) -> None:
    """Say before the long part, not after it, that the address cannot be used."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise Unavailable(
                f"port {settings.port} of {settings.host} cannot be used ({error.strerror}): another process has it; "
                f"choose a free one, for example: PLANNER_PORT={settings.port + 1} make run"
            ) from None


def prepare(edge: Edge) -> None:
    """Schema, catalogue, price book and devices; each said in a line."""
    settings, console = edge.settings, edge.console
    settings.home.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database_url)
    catalogue = load_catalogue()
    moment = now()
    discovery = discover_here(edge.sessions, moment)
    with edge.session() as session:
        sync_price_book(session, moment)
        refit_outdated(session, moment, code_version())
        ages = price_book_age(session, moment)
        found = list_devices(session)
    console.print(f"[bold]GPU Planner[/bold] {code_version()}")
    console.print(f"  data       {settings.home}")
    console.print(f"  catalogue  {len(catalogue.gpus)} GPU and CPU models (version {catalogue.version})")
    console.print(
        f"  prices     {sum(age.num_offers for age in ages)} offers of {len(ages)} providers, "
        f"stated {min(age.newest_days for age in ages)} to {max(age.newest_days for age in ages)} days ago"
    )
    for problem in discovery.problems:
        console.print(f"  note       {problem}", style="yellow")
    for device in found:
        console.print(f"  device     {device_line(device)}")


def devices_to_calibrate(edge: Edge) -> list[DeviceView]:
    """The devices of this machine that work and were never calibrated."""
    machine_id = discover_here(edge.sessions, now()).node.machine_id
    with edge.session() as session:
        return [
            device
            for device in list_devices(session)
            if device.node_machine_id == machine_id and device.state == "ok" and device.fit_id is None
        ]


def first_estimates(edge: Edge) -> None:
    """A real training job and a real service, estimated on what is here and on what can be rented."""
    for preset in FIRST_RUN_JOBS:
        with edge.session() as session:
            view = make_estimate(session, EstimateRequest(preset=preset), now(), code_version())
        edge.console.print()
        print_estimate(edge.console, view, top=3)


def serve_until_stopped(edge: Edge, no_browser: bool) -> int:
    """Run the pages and the worker as two processes until Ctrl-C or SIGTERM, or until one of them ends."""
    settings = edge.settings
    address = f"http://{settings.host}:{settings.port}/"
    parts = {name: subprocess.Popen([sys.executable, "-m", "planner", name]) for name in ("serve", "worker")}
    signal.signal(signal.SIGTERM, _end)
    try:
        _wait_until_open(settings, parts["serve"])
        edge.console.print(f"\nOpen [bold]{address}[/bold]  (Ctrl-C ends it)")
        if not no_browser and _has_display():
            webbrowser.open(address)
        while True:
            ended = [name for name, process in parts.items() if process.poll() is not None]
            if ended:
                edge.console.print(f"planner {ended[0]} ended by itself; its last words are above.", style="red")
                return 1
            time.sleep(0.5)
    except KeyboardInterrupt:
        edge.console.print("\nEnding …")
        return 0
    finally:
        _stop(parts)


def _end(*_: object) -> None:
    """SIGTERM ends the service as Ctrl-C does, also where a shell started it in the background with SIGINT ignored."""
    raise KeyboardInterrupt


def _wait_until_open(settings: Settings, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection((settings.host, settings.port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


def _stop(parts: dict[str, subprocess.Popen[bytes]]) -> None:
    for process in parts.values():
        if process.poll() is None:
            process.terminate()
    for process in parts.values():
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _has_display() -> bool:
    return sys.stdout.isatty() and bool(
        sys.platform == "darwin" or environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    )
