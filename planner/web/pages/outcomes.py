"""What calibrations say: one device over time, equal devices and CPU against GPU, and what is worth measuring."""

from __future__ import annotations

from flask import render_template

from planner.errors import NotFound
from planner.jobs.presets import JOBS
from planner.services.comparison import cpu_against_gpu, training_against_inference
from planner.services.devices import get_device, list_devices
from planner.services.drift import device_drift
from planner.services.estimates import get_estimate
from planner.services.fit_versions import fit_history
from planner.services.node_counts import node_counts
from planner.services.siblings import sibling_groups
from planner.services.worth import estimate_worth
from planner.web.database import now, session
from planner.web.pages.blueprint import pages
from planner.web.queries import CpuGpuQuery, read_query
from planner.web.run_charts import level_chart


@pages.get("/devices/<device_id>/findings")
def findings_page(device_id: str) -> str:
    """One device: drift, training against inference, and its fits."""
    drift = device_drift(session(), device_id)
    return render_template(
        "devices/findings.html",
        device=get_device(session(), device_id),
        drift=drift,
        chart=level_chart(drift.runs),
        comparison=training_against_inference(session(), device_id),
        history=fit_history(session(), device_id),
    )


@pages.get("/devices/compare")
def compare_devices_page() -> tuple[str, int]:
    """Equal devices beside each other, and one job on CPU and GPU."""
    query, form = read_query(CpuGpuQuery)
    preset = (query or CpuGpuQuery()).preset
    if preset not in JOBS:
        raise NotFound(f"there is no ready job {preset!r}")
    form.values.setdefault("preset", [preset])
    page = render_template(
        "devices/compare.html",
        groups=sibling_groups(session(), now()),
        against=cpu_against_gpu(session(), preset),
        devices={device.id: device for device in list_devices(session())},
        form=form,
        presets=[(key, found.title) for key, found in JOBS.items()],
        preset=preset,
    )
    return page, 422 if query is None else 200


@pages.get("/estimates/<estimate_id>/nodes")
def nodes_page(estimate_id: str) -> str:
    """A training job on more and more nodes: time, cost, and the fewest that keep its limits."""
    found = node_counts(session(), estimate_id)
    return render_template("estimates/nodes.html", view=get_estimate(session(), estimate_id), found=found)


@pages.get("/estimates/<estimate_id>/worth")
def worth_page(estimate_id: str) -> str:
    """Which measurements would narrow an estimate, each with a button that asks for it."""
    return render_template(
        "estimates/worth.html", view=get_estimate(session(), estimate_id), worth=estimate_worth(session(), estimate_id)
    )
