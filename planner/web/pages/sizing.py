"""Services: the form (requests, level, where) and how many GPUs keep the level; the address holds the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput
from planner.hardware.catalogue import load_catalogue
from planner.jobs.architecture import Transformer
from planner.jobs.presets import ARCHITECTURES
from planner.services.offers import price_facets
from planner.services.requests import parse
from planner.services.requests.sizing import SizingRequest
from planner.services.sizing import OptionView, OtherView, SizingView, cut, size_service
from planner.services.trace_files import trace_text
from planner.web.config_files import take_config
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.hours_chart import hours_chart
from planner.web.load_chart import load_chart
from planner.web.pages.blueprint import pages
from planner.web.pages.estimates import OFFER_KINDS

LISTS = frozenset({"gpus", "providers", "regions", "offer_kinds"})
NOT_TYPED = frozenset({"trace", "trace_file"})
SHOWN = 25
ENGINES = ("vllm", "sglang", "tensorrt-llm", "lmdeploy")  # those that batch continuously
LEFT_OUT = {"percentile": ["95"], "dtype": ["bf16"]}  # what a list that shows something shows where nothing was said
EXAMPLE = {
    "architecture": "llama-3-8b",
    "dtype": "bf16",
    "prompt_tokens": "1024",
    "output_tokens": "256",
    "rate": "20",
    "percentile": "95",
    "first_token": "500 ms",
    "per_token": "50 ms",
}


@pages.get("/services")
def services_page() -> tuple[str, int]:
    """The question, and its answer where the address holds one."""
    if not request.args:
        return _page(Form.filled(EXAMPLE), None, 200)
    form = Form({**LEFT_OUT, **{name: list(several) for name, several in request.args.lists()}})
    return _answered(form, None)


@pages.post("/services")
def size_service_page() -> Response | tuple[str, int]:
    """A question with a trace or a configuration is answered at once; any other goes into the address."""
    form = Form.sent()
    sent = request.files.get("trace_file")
    data = sent.read() if sent is not None else b""
    try:
        is_configured = take_config(form)
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _page(form, None, 422)
    if data or is_configured:
        return _answered(form, data or None)
    asked = {name: several for name, several in form.values.items() if any(several) and name not in NOT_TYPED}
    return redirect(url_for("pages.services_page", **asked), 303)  # type: ignore[arg-type]


def _answered(form: Form, trace: bytes | None) -> tuple[str, int]:
    try:
        given: dict[str, Any] = form.given(SizingRequest, lists=LISTS, ignore=NOT_TYPED)
        if trace is not None:
            given["trace"] = trace_text(trace, "trace_file")
        view = size_service(session(), parse(SizingRequest, given), now())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _page(form, None, 422)
    return _page(form, view, 200)


def _page(form: Form, view: SizingView | None, status: int) -> tuple[str, int]:
    facets = price_facets(session())
    others = [] if view is None else grouped(view.others)
    catalogue = load_catalogue()
    page = render_template(
        "services/size.html",
        form=form,
        view=None if view is None else cut(view, SHOWN, 0),
        others=others[:SHOWN],
        num_other_groups=len(others),
        charts=None if view is None or view.curve is None else _charts(view),
        runner_up=None if view is None else _runner_up(view),
        architectures=sorted(
            (
                (key, found.title)
                for key, found in ARCHITECTURES.items()
                if isinstance(found.architecture, Transformer) and found.architecture.causal
            ),
            key=lambda pair: pair[1],
        ),
        gpus=[(facet.value, facet.value) for facet in facets.gpu_keys if facet.value in catalogue.gpus],
        providers=[(facet.value, facet.value) for facet in facets.providers],
        regions=sorted((facet.value, facet.value) for facet in facets.regions),
        kinds=OFFER_KINDS,
        engines=[(name, name) for name in ENGINES],
    )
    return page, status


@dataclass(frozen=True, slots=True)
class OtherGroup:
    """Ways that lost on the same: their titles, the GPUs of a replica and the reason."""

    titles: tuple[str, ...]
    gpus_per_replica: int | None
    reason: str


def grouped(others: Sequence[OtherView]) -> list[OtherGroup]:
    """The ways by what they lost on, in the order in which each reason comes first."""
    titles: dict[tuple[int | None, str], list[str]] = {}
    for other in others:
        titles.setdefault((other.gpus_per_replica, other.reason), []).append(other.title)
    return [OtherGroup(tuple(names), number, reason) for (number, reason), names in titles.items()]


def _runner_up(view: SizingView) -> OptionView | None:
    """The cheapest way that costs more than the best: what the best is worth."""
    costs = [option for option in view.options if option.cost_per_hour is not None]
    least = costs[0].cost_per_hour if costs else None
    dearer = (option for option in costs if least is not None and (option.cost_per_hour or 0.0) > least * (1.0 + 1e-9))
    return next(dearer, None)


def _charts(view: SizingView) -> dict[str, Any]:
    if view.curve is None:
        return {}
    charts = {"first": load_chart(view.curve, "first"), "whole": load_chart(view.curve)}
    if view.hours is not None:
        charts["hours"] = hours_chart(view.hours, view.options[0].replicas)
    return charts
