"""The API of what calibrations say: drift, fits, training against inference, siblings, CPU against GPU, worth."""

from __future__ import annotations

from dataclasses import dataclass

from planner.services.comparison import (
    CpuAgainstGpu,
    TrainingAgainstInference,
    cpu_against_gpu,
    training_against_inference,
)
from planner.services.drift import DeviceDrift, device_drift
from planner.services.fit_versions import FitHistory, fit_history
from planner.services.node_counts import NodeCounts, node_counts
from planner.services.siblings import SiblingGroup, sibling_groups
from planner.services.worth import EstimateWorth, estimate_worth
from planner.web.api.resources import api
from planner.web.database import now, session
from planner.web.queries import CpuGpuQuery


@dataclass(frozen=True, slots=True)
class SiblingList:
    """Kinds of device of which there are several."""

    groups: list[SiblingGroup]


@api.get("/devices/<device_id>/drift", tag="devices", answers=DeviceDrift)
def get_drift(device_id: str) -> DeviceDrift:
    """A device against its own history: whether it got slower, and what changed on it meanwhile."""
    return device_drift(session(), device_id)


@api.get("/devices/<device_id>/fits", tag="devices", answers=FitHistory)
def get_fits(device_id: str) -> FitHistory:
    """A device's fits with their errors on samples left out, and the stored estimates that the newest narrows."""
    return fit_history(session(), device_id)


@api.get("/devices/<device_id>/comparison", tag="devices", answers=TrainingAgainstInference)
def get_training_against_inference(device_id: str) -> TrainingAgainstInference:
    """Training beside inference on one device, as measured."""
    return training_against_inference(session(), device_id)


@api.get("/siblings", tag="devices", answers=SiblingList)
def list_siblings() -> SiblingList:
    """Equal devices beside each other: which is behind, by how much, and what that costs a month."""
    return SiblingList(sibling_groups(session(), now()))


@api.get("/cpu-against-gpu", tag="devices", answers=CpuAgainstGpu, query=CpuGpuQuery, problems=(404,))
def get_cpu_against_gpu(query: CpuGpuQuery) -> CpuAgainstGpu:
    """One ready job on every measured device, from each device's own fit alone."""
    return cpu_against_gpu(session(), query.preset)


@api.get("/estimates/<estimate_id>/nodes", tag="estimates", answers=NodeCounts, problems=(422,))
def get_node_counts(estimate_id: str) -> NodeCounts:
    """A stored estimate's training job on 1, 2, 4 … 256 nodes: best, fastest, and the fewest inside its limits."""
    return node_counts(session(), estimate_id)


@api.get("/estimates/<estimate_id>/worth", tag="estimates", answers=EstimateWorth)
def get_worth(estimate_id: str) -> EstimateWorth:
    """Which measurements would narrow a stored estimate, for how many minutes of a device; best first."""
    return estimate_worth(session(), estimate_id)
