"""Schedules of recurring calibration: the list, the form with its reading in words, and run now."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput, Stale
from planner.services.devices import list_devices
from planner.services.pauses import current_pause
from planner.services.requests import ScheduleRequest, parse
from planner.services.run_now import run_schedule_now
from planner.services.schedules import (
    ScheduleView,
    archive_schedule,
    create_schedule,
    get_schedule,
    list_schedules,
    preview,
    set_enabled,
    update_schedule,
)
from planner.services.suites import list_suites
from planner.version import code_version
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages

FIELDS = (
    *("name", "cron", "timezone", "suite", "device_id"),
    *("window_start", "window_end", "daily_minutes", "daily_amount", "daily_currency"),
)


@pages.get("/schedules")
def schedules_page() -> str:
    """All schedules with their next due times."""
    found = list_schedules(session(), now())
    return render_template("schedules/list.html", schedules=found, pause=current_pause(session()))


@pages.get("/schedules/new")
def new_schedule() -> tuple[str, int]:
    """An empty form; its fields may stand in the address."""
    start = {"cron": "0 3 * * 6", "timezone": "UTC", "suite": "quick", "enabled": "true"}
    given = {name: text for name, text in request.args.items() if name in FIELDS}
    return _form_page(Form.filled({**start, **given}), None, 200)


@pages.get("/schedules/preview")
def preview_schedule() -> str:
    """What the rule in the address means, for the form while it is being typed."""
    reading, fault = _reading(Form.filled(request.args.to_dict()))
    return render_template("schedules/_preview.html", reading=reading, fault=fault)


@pages.post("/schedules")
def create() -> Response | tuple[str, int]:
    """Keep the schedule; a form that cannot be used comes back with its faults."""
    form = Form.sent()
    try:
        made = create_schedule(session(), _asked(form), now())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _form_page(form, None, 422)
    flash(f"“{made.name}” is kept: {made.in_words}.", "good")
    return redirect(url_for("pages.schedules_page"), 303)


@pages.get("/schedules/<schedule_id>")
def edit_schedule(schedule_id: str) -> tuple[str, int]:
    """The form of a schedule that there is."""
    found = get_schedule(session(), schedule_id, now())
    values = {name: getattr(found, name) for name in FIELDS} | dict(found.only) | {"revision": found.revision}
    return _form_page(Form.filled({**values, "enabled": found.enabled}), found, 200)


@pages.post("/schedules/<schedule_id>")
def update(schedule_id: str) -> Response | tuple[str, int]:
    """Change the schedule."""
    found = get_schedule(session(), schedule_id, now())
    form = Form.sent()
    if form.value("revision") not in ("", str(found.revision)):
        raise Stale(f"“{found.name}” was changed since you opened its form; open it again and then decide")
    try:
        update_schedule(session(), schedule_id, _asked(form), now())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _form_page(form, found, 422)
    flash(f"“{found.name}” is changed.", "good")
    return redirect(url_for("pages.schedules_page"), 303)


@pages.post("/schedules/<schedule_id>/enabled")
def switch(schedule_id: str) -> Response:
    """Pause or resume."""
    wanted = request.form.get("enabled")
    if wanted not in ("true", "false"):
        raise InvalidInput.of("enabled", f"must be true or false, not {wanted!r}")
    changed = set_enabled(session(), schedule_id, wanted == "true", now())
    flash(f"“{changed.name}” is {'on again' if changed.enabled else 'paused'}.", "good")
    return redirect(url_for("pages.schedules_page"), 303)


@pages.post("/schedules/<schedule_id>/run")
def run_now(schedule_id: str) -> Response:
    """Queue its runs at once."""
    done = run_schedule_now(session(), schedule_id, now(), code_version())
    for reason in done.refused:
        flash(f"Not queued: {reason}", "warn")
    if len(done.queued) == 1:
        return redirect(url_for("pages.calibration_page", run_id=done.queued[0].id), 303)
    flash(f"{len(done.queued)} runs are queued.", "good")
    return redirect(url_for("pages.calibrations_page"), 303)


@pages.post("/schedules/<schedule_id>/delete")
def delete_schedule(schedule_id: str) -> Response:
    """Take it away; its past runs stay."""
    found = get_schedule(session(), schedule_id, now())
    archive_schedule(session(), schedule_id, now())
    flash(f"“{found.name}” is taken away. Its past runs stay.", "good")
    return redirect(url_for("pages.schedules_page"), 303)


def _asked(form: Form) -> ScheduleRequest:
    """A check box that is not ticked is not sent, so its absence means no."""
    values = form.given(ScheduleRequest, ignore=("revision",))
    return parse(ScheduleRequest, {**values, "enabled": values.get("enabled", False)})


def _reading(form: Form) -> tuple[object | None, str]:
    try:
        return preview(form.value("cron"), form.value("timezone") or "UTC", now()), ""
    except InvalidInput as error:
        return None, "; ".join(problem.message for problem in error.problems)


def _form_page(form: Form, schedule: ScheduleView | None, status: int) -> tuple[str, int]:
    reading, fault = _reading(form)
    page = render_template(
        "schedules/form.html",
        form=form,
        schedule=schedule,
        reading=reading,
        fault=fault,
        suites=[(suite.name, f"{suite.name}: {suite.title}") for suite in list_suites(session())],
        devices=[(device.id, f"{device.name} on {device.hostname}") for device in list_devices(session())],
    )
    return page, status
