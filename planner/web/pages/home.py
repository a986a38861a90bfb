"""The first page: the fleet, what runs next, how old the prices are, the last estimates, and what to do first."""

from __future__ import annotations

from flask import render_template, url_for

from planner.services.devices import list_devices
from planner.services.estimates import list_estimates
from planner.services.offers import price_book_age
from planner.services.runs import list_runs
from planner.services.schedules import list_schedules
from planner.web.database import now, session
from planner.web.pages.blueprint import pages

NUM_NEXT = 5
QUESTIONS = (  # what people come with, where it is answered, and the page's endpoint
    (
        "Which GPU for this job, and what will it cost?",
        "Every device and offer ranked, each loser with why",
        "new_estimate",
    ),
    (
        "Training or inference: which pushes a GPU harder?",
        "Arithmetic, bandwidth and power side by side, from the model and from measurements",
        "push_page",
    ),
    ("How many GPUs for this service?", "Replicas that keep a level of latency, and at what price", "services_page"),
    (
        "How many for these cameras?",
        "Frames, pictures and texts within a deadline: who is late, cost of each",
        "pass_services_page",
    ),
    ("Weeks on CPUs or days on GPUs?", "The same job on the devices measured here", "compare_devices_page"),
    ("Own, buy, reserve or rent?", "One plan for all jobs and services, with a bound on its cost", "new_plan"),
    ("What does an hour of our own GPUs cost?", "Break-even against renting, year by year", "assets_page"),
    ("What does a GPU-hour cost today?", "Dated prices of every provider that is read", "prices_page"),
    ("Why believe the number?", "What finished jobs really took beside what was said", "ledger_page"),
)


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
        questions=[(question, words, url_for(f"pages.{name}")) for question, words, name in QUESTIONS],
        uncalibrated=[device for device in devices if device.fit_id is None and device.state == "ok"],
        due=due[:NUM_NEXT],
        schedules=schedules,
        runs=list_runs(session(), limit=NUM_NEXT),
        ages=price_book_age(session(), now()),
        estimates=list_estimates(session(), limit=NUM_NEXT),
    )
