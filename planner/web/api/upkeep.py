"""The API of keeping calibration in order: quarantine, labels, suites of one's own, the common pause, reviews."""

from __future__ import annotations

from dataclasses import dataclass

from flask import url_for

from planner.services.calibrations import request_run
from planner.services.devices import DeviceView, get_device, set_label
from planner.services.pauses import Pause, current_pause, set_paused
from planner.services.quarantine import DeviceTransition, quarantine_device, quarantine_history, release_device
from planner.services.requests import SuiteRequest
from planner.services.requests.calibration import (
    CheckRequest,
    LabelRequest,
    PauseRequest,
    ReasonRequest,
    ReviewRequest,
)
from planner.services.reviews import review_run
from planner.services.runs import RunDetail, RunView
from planner.services.suites import SuiteView, get_own_suite, keep_suite
from planner.version import code_version
from planner.web.api.resources import api
from planner.web.clients import actor
from planner.web.database import now, session


@dataclass(frozen=True, slots=True)
class QuarantineHistory:
    """Steps into quarantine and out of it, newest first."""

    steps: list[DeviceTransition]


@api.get("/devices/<device_id>/quarantine", tag="devices", answers=QuarantineHistory)
def get_quarantine(device_id: str) -> QuarantineHistory:
    """A device's steps into quarantine and out of it, newest first."""
    return QuarantineHistory(quarantine_history(session(), device_id))


@api.post("/devices/<device_id>/quarantine", tag="devices", answers=DeviceView, body=ReasonRequest)
def put_in_quarantine(device_id: str, body: ReasonRequest) -> DeviceView:
    """Keep a device from work; the first reason stays where it is kept already."""
    quarantine_device(session(), device_id, body.reason, now(), actor())
    return get_device(session(), device_id)


@api.post("/devices/<device_id>/release", tag="devices", answers=DeviceView, body=ReasonRequest, problems=(409,))
def release_from_quarantine(device_id: str, body: ReasonRequest) -> DeviceView:
    """Let a quarantined device work again."""
    release_device(session(), device_id, body.reason, now(), actor())
    return get_device(session(), device_id)


@api.post(
    "/devices/<device_id>/check",
    tag="devices",
    answers=RunView,
    body=CheckRequest,
    status=202,
    problems=(409,),
    location=True,
)
def check_device(device_id: str, body: CheckRequest) -> tuple[RunView, str]:
    """Queue a check, also in quarantine: if it succeeds, the device is let out."""
    version, by = code_version(), actor()
    run = request_run(session(), device_id, body.suite, now(), code_version=version, actor=by, is_check=True)
    return run, url_for("api.get_calibration", run_id=run.id)


@api.put("/devices/<device_id>/label", tag="devices", answers=DeviceView, body=LabelRequest)
def label_device(device_id: str, body: LabelRequest) -> DeviceView:
    """Give a device a word of your own, for the filters of schedules; null takes it away."""
    return set_label(session(), device_id, body.label)


@api.post("/suites", tag="calibrations", answers=SuiteView, body=SuiteRequest, status=201, location=True)
def create_suite(body: SuiteRequest) -> tuple[SuiteView, str]:
    """Keep a suite of benches you chose, by their keys; under a name there is, as its next version."""
    made = keep_suite(session(), body, now(), actor())
    return made, url_for("api.get_one_suite", name=made.name)


@api.get("/suites/<name>", tag="calibrations", answers=SuiteView)
def get_one_suite(name: str) -> SuiteView:
    """The newest version of a suite of your own."""
    return get_own_suite(session(), name)


@api.post("/calibrations/<run_id>/review", tag="calibrations", answers=RunDetail, body=ReviewRequest, problems=(409,))
def review_calibration(run_id: str, body: ReviewRequest) -> RunDetail:
    """Decide of a suspect run: accepted, it draws a new fit. Once."""
    return review_run(session(), run_id, body.accepted, body.reason, now(), code_version(), actor())


@api.get("/pause", tag="schedules", answers=Pause)
def get_pause() -> Pause:
    """Whether all schedules are paused, since when, by whom and why."""
    return current_pause(session())


@api.post("/pause", tag="schedules", answers=Pause, body=PauseRequest, problems=(409,))
def change_pause(body: PauseRequest) -> Pause:
    """Pause all schedules, or resume them. Due times that pass meanwhile do not count."""
    return set_paused(session(), body.paused, body.reason, now(), actor())
