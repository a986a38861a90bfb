"""The fleet: every device ever seen, and one device with its fit and its runs."""

from __future__ import annotations

from flask import render_template

from planner.calibration.fit import Fit
from planner.hardware.catalogue import load_catalogue
from planner.hardware.gpu import Gpu
from planner.hardware.link import link_among
from planner.services.devices import get_device, list_devices
from planner.services.fits import newest_fits
from planner.services.owned_offers import owned_hours
from planner.services.quarantine import quarantine_history
from planner.services.runs import list_runs
from planner.web.database import session
from planner.web.pages.blueprint import pages


@pages.get("/devices")
def devices_page() -> str:
    """All devices, by node."""
    return render_template("devices/list.html", devices=list_devices(session()))


@pages.get("/devices/<device_id>")
def device_page(device_id: str) -> str:
    """One device."""
    device = get_device(session(), device_id)
    fits = newest_fits(session())
    fit = fits[device_id][1] if device_id in fits else None
    gpu = None if device.gpu_key is None else load_catalogue().gpus.get(device.gpu_key)
    return render_template(
        "devices/show.html",
        device=device,
        history=quarantine_history(session(), device_id),
        gpu=gpu,
        fit=fit,
        links=_published_links(gpu, fit),
        runs=list_runs(session(), limit=10, device_id=device_id),
        hour=owned_hours(session()).get(device_id),
    )


def _published_links(gpu: Gpu | None, fit: Fit | None) -> dict[int, float]:
    """Bytes/s one way that are published of the links among so many devices as were measured, where they are."""
    sizes = () if gpu is None or fit is None or fit.links is None else [one.num_devices for one in fit.links.groups]
    found = {size: link_among(gpu, size) for size in sizes if gpu is not None}
    return {size: link.bandwidth_among(size) for size, link in found.items() if link is not None}
