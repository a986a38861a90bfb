"""Pages that keep calibration in order: quarantine, labels, suites of one's own, the common pause, reviews."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.calibration.chosen import parameter_names
from planner.calibration.sample import COLLECTIVES, WORDS, Operation
from planner.errors import InvalidInput, PlannerError
from planner.services.calibrations import plan_calibration, request_run
from planner.services.devices import get_device, list_devices, set_label
from planner.services.pauses import set_paused
from planner.services.quarantine import quarantine_device, release_device
from planner.services.requests import SuiteRequest, parse
from planner.services.requests.calibration import (
    CheckRequest,
    LabelRequest,
    PauseRequest,
    ReasonRequest,
    ReviewRequest,
)
from planner.services.reviews import review_run
from planner.services.suites import keep_suite, list_suites
from planner.version import code_version
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages


@pages.get("/suites")
def suites_page() -> str:
    """All suites: those of the code and your own."""
    return render_template("suites/list.html", suites=list_suites(session()))


@pages.get("/suites/new")
def new_suite() -> tuple[str, int]:
    """Choose benches of the standard suite, and write shapes of your own."""
    return _suite_form(Form.filled({"name": request.args.get("name", "")}), 200)


@pages.post("/suites")
def create_own_suite() -> Response | tuple[str, int]:
    """Keep the suite, or its next version; a form that cannot be used comes back with its faults."""
    form = Form.sent()
    try:
        given = form.given(SuiteRequest, lists=("benches",), ignore=("own", "device_id"))
        lines = [line.strip() for line in form.value("own").splitlines() if line.strip()]
        asked = parse(SuiteRequest, {**given, "benches": [*given.get("benches", []), *lines]})
        made = keep_suite(session(), asked, now())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _suite_form(form, 422)
    flash(f"“{made.name}” is kept as version {made.version}: {len(made.benches)} benches.", "good")
    return redirect(url_for("pages.new_calibration", suite=made.name), 303)


@pages.post("/devices/<device_id>/quarantine")
def quarantine(device_id: str) -> Response:
    """Keep the device from work."""
    asked = parse(ReasonRequest, Form.sent().given(ReasonRequest))
    quarantine_device(session(), device_id, asked.reason, now())
    return _back_to_device(device_id, "The device is kept from work.")


@pages.post("/devices/<device_id>/release")
def release(device_id: str) -> Response:
    """Let it work again."""
    asked = parse(ReasonRequest, Form.sent().given(ReasonRequest))
    release_device(session(), device_id, asked.reason, now())
    return _back_to_device(device_id, "The device may work again.")


@pages.post("/devices/<device_id>/check")
def check(device_id: str) -> Response:
    """Queue a check, also in quarantine."""
    asked = parse(CheckRequest, Form.sent().given(CheckRequest))
    run = request_run(session(), device_id, asked.suite, now(), code_version=code_version(), is_check=True)
    return redirect(url_for("pages.calibration_page", run_id=run.id), 303)


@pages.post("/devices/<device_id>/label")
def label(device_id: str) -> Response:
    """Give it a word of your own, or none."""
    asked = parse(LabelRequest, Form.sent().given(LabelRequest))
    set_label(session(), device_id, asked.label)
    return _back_to_device(device_id, "The label is changed.")


@pages.post("/schedules/pause")
def pause_all() -> Response:
    """Pause all schedules, or resume them."""
    asked = parse(PauseRequest, Form.sent().given(PauseRequest))
    set_paused(session(), asked.paused, asked.reason, now())
    flash("All schedules are paused." if asked.paused else "Schedules are on again.", "good")
    return redirect(url_for("pages.schedules_page"), 303)


@pages.post("/calibrations/<run_id>/review")
def review(run_id: str) -> Response:
    """Decide of a suspect run."""
    asked = parse(ReviewRequest, Form.sent().given(ReviewRequest))
    review_run(session(), run_id, asked.accepted, asked.reason, now(), code_version())
    flash("The run counts: a new fit is drawn." if asked.accepted else "The run does not count.", "good")
    return redirect(url_for("pages.calibration_page", run_id=run_id), 303)


def _back_to_device(device_id: str, words: str) -> Response:
    flash(words, "good")
    return redirect(url_for("pages.device_page", device_id=device_id), 303)


def _suite_form(form: Form, status: int) -> tuple[str, int]:
    devices = [device for device in list_devices(session()) if device.state == "ok"]
    device_id = form.value("device_id") or request.args.get("device_id") or (devices[0].id if devices else "")
    benches: dict[str, list[str]] = {}
    try:
        plan = plan_calibration(session(), get_device(session(), device_id).id, "standard") if device_id else None
    except PlannerError:
        plan = None  # the device in the address is none: the shapes of one's own can be written all the same
    for bench in () if plan is None else plan.benches:
        if bench.operation not in COLLECTIVES | {Operation.SENTINEL}:
            benches.setdefault(WORDS[bench.operation], []).append(bench.key)
    page = render_template(
        "suites/form.html",
        form=form,
        benches=benches,
        shapes={operation.value: parameter_names(operation) for operation in Operation if parameter_names(operation)},
    )
    return page, status
