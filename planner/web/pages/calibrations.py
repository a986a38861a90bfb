"""Calibrations: the list, the form with its plan, and one run with live progress."""

from __future__ import annotations

from flask import make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import Conflict, InvalidInput, NotFound
from planner.services.calibrations import cancel_run, plan_calibration, request_run
from planner.services.devices import list_devices
from planner.services.requests import CalibrationRequest, parse
from planner.services.runs import get_run, list_runs
from planner.services.suites import find_suite, list_suites
from planner.version import code_version
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.queries import NewCalibrationQuery, RunsQuery, read_query
from planner.web.run_charts import traces
from planner.web.sample_groups import sample_groups


@pages.get("/calibrations")
def calibrations_page() -> tuple[str, int]:
    """The newest runs."""
    query, form = read_query(RunsQuery)
    wanted = query or RunsQuery()
    found = list_runs(session(), wanted.limit, wanted.device_id, wanted.state, wanted.after)
    page = render_template(
        "calibrations/list.html",
        runs=found,
        form=form,
        query=wanted,
        devices=[
            (device.id, f"{device.name} {device.index} on {device.hostname}") for device in list_devices(session())
        ],
        more=found[-1].id if len(found) == wanted.limit else None,
    )
    return page, 422 if query is None else 200


@pages.get("/calibrations/new")
def new_calibration() -> tuple[str, int]:
    """Choose device and suite, and see what would be measured and for how long."""
    query, asked = read_query(NewCalibrationQuery)
    if query is None:
        return _form_page(Form(problems=asked.problems), 422)
    return _form_page(Form.filled({"device_id": query.device_id, "suite": query.suite or "quick"}), 200)


@pages.post("/calibrations")
def create_calibration() -> Response | tuple[str, int]:
    """Queue the run and go to it."""
    form = Form.sent()
    try:
        asked = parse(CalibrationRequest, form.given(CalibrationRequest))
        run = request_run(session(), asked.device_id, asked.suite, now(), code_version=code_version())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _form_page(form, 422)
    except (Conflict, NotFound) as error:
        form.problems = list(InvalidInput.of("device_id", str(error)).problems)
        return _form_page(form, error.status)
    return redirect(url_for("pages.calibration_page", run_id=run.id), 303)


@pages.get("/calibrations/<run_id>")
def calibration_page(run_id: str) -> str:
    """One run: progress while it runs, then samples, failures, telemetry and its history."""
    run = get_run(session(), run_id)
    devices = {device.id: device for device in list_devices(session())}
    peers = [devices[peer] for peer in run.peers]
    page = {"run": run, "device": devices[run.device_id], "peers": peers}
    return render_template("calibrations/show.html", **page, traces=traces(run), groups=sample_groups(run.samples))


@pages.get("/calibrations/<run_id>/progress")
def calibration_progress(run_id: str) -> Response:
    """The moving part of a run's page; once the run has ended it asks for the whole page."""
    run = get_run(session(), run_id)
    response = make_response(render_template("calibrations/_progress.html", run=run, traces=traces(run)))
    if run.is_final and request.headers.get("HX-Request") == "true":
        response.headers["HX-Refresh"] = "true"
    return response


@pages.post("/calibrations/<run_id>/cancel")
def cancel_calibration(run_id: str) -> Response:
    """Ask for the run to end."""
    cancel_run(session(), run_id, now())
    return redirect(url_for("pages.calibration_page", run_id=run_id), 303)


def _form_page(form: Form, status: int) -> tuple[str, int]:
    devices = [device for device in list_devices(session()) if device.state == "ok"]
    if not form.value("device_id") and devices:
        form.values["device_id"] = [devices[0].id]
    chosen = next((device for device in devices if device.id == form.value("device_id")), None)
    known = chosen is not None and find_suite(session(), form.value("suite")) is not None
    plan = None
    if chosen is not None and known:
        try:
            plan = plan_calibration(session(), chosen.id, form.value("suite"))
        except InvalidInput as error:
            form.problems, status = list(error.problems), 422
    page = render_template(
        "calibrations/form.html",
        form=form,
        devices=[(device.id, f"{device.name} {device.index} on {device.hostname}") for device in devices],
        suites=[(suite.name, f"{suite.name}: {suite.title}") for suite in list_suites(session())],
        chosen=chosen,
        plan=plan,
    )
    return page, status
