"""The first page: the fleet, what runs next, how old the prices are, the last estimates, and what to do first."""

from __future__ import annotations

from flask import render_template

from planner.services.devices import list_devices
from planner.services.estimates import list_estimates
from planner.services.offers import price_book_age
from planner.services.runs import list_runs
from planner.services.schedules import list_schedules
from planner.web.database import now, session
from planner.web.pages.blueprint import pages

NUM_NEXT = 5


@pages.get("/")
def home() -> str:
    """The overview."""
    devices = list_devices(session())
    schedules = list_schedules(session(), now())
    pairs = [(moment, schedule) for schedule in schedules for moment in schedule.next_due[:2]]
    due = sorted(pairs, key=lambda pair: pair[0])
    return render_template(
        "home/show.html",
        devices=devices,
        uncalibrated=[device for device in devices if device.fit_id is None and device.state == "ok"],
        due=due[:NUM_NEXT],
        schedules=schedules,
        runs=list_runs(session(), limit=NUM_NEXT),
        ages=price_book_age(session(), now()),
        estimates=list_estimates(session(), limit=NUM_NEXT),
    )
