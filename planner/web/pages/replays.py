"""Replays: a trace of jobs on a cluster under every policy, side by side, and what more nodes would have done."""

from __future__ import annotations

from flask import render_template, request

from planner.errors import InvalidInput
from planner.services.replays import replay_policies, replay_trace
from planner.services.requests import parse
from planner.services.requests.replays import ReplayRequest
from planner.services.trace_files import trace_text
from planner.web.forms import Form
from planner.web.pages.blueprint import pages


@pages.get("/replays")
def replays_page() -> str:
    """The form."""
    form = Form.filled({"nodes": 4, "gpus_per_node": 8, "more_nodes": 1})
    return render_template("replays/show.html", form=form, replays=(), difference=None)


@pages.post("/replays")
def replay_page() -> tuple[str, int]:
    """The trace that was sent, under every policy."""
    form = Form.sent()
    sent = request.files.get("trace")
    try:
        asked = parse(ReplayRequest, form.given(ReplayRequest))
        text = trace_text(sent.read() if sent is not None else b"")
        replays = replay_policies(text, asked)
        difference = replay_trace(text, asked) if asked.more_nodes else None
    except InvalidInput as error:
        form.problems = list(error.problems)
        return render_template("replays/show.html", form=form, replays=(), difference=None), 422
    return render_template("replays/show.html", form=form, replays=replays, difference=difference), 200
