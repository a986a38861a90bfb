"""Services of single passes: the form (network, items or cameras, deadline) and how many GPUs answer in time."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput
from planner.estimates.load.pass_networks import named_networks
from planner.hardware.catalogue import load_catalogue
from planner.services.offers import price_facets
from planner.services.pass_sizing import PassSizingView, cut_passes, size_pass_service
from planner.services.requests import parse
from planner.services.requests.pass_sizing import PassSizingRequest
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.load_chart import pass_chart
from planner.web.pages.blueprint import pages
from planner.web.pages.estimates import OFFER_KINDS
from planner.web.pages.sizing import LISTS, SHOWN, grouped

ENGINES = (("tensorrt", "TensorRT, compiled graphs"), ("compiled", "torch.compile, XLA"), ("pytorch", "PyTorch, eager"))
LEFT_OUT = {"percentile": ["99"]}  # what the list shows where nothing was said
EXAMPLE = {
    "network": "yolov5m",
    "image_size": "1280",
    "dtype": "fp16",
    "engine": "tensorrt",
    "cameras": "16",
    "frame_rate": "30",
    "deadline": "50 ms",
    "percentile": "99",
}


@pages.get("/services/passes")
def pass_services_page() -> tuple[str, int]:
    """The question, and its answer where the address holds one."""
    if not request.args:
        return _page(Form.filled(EXAMPLE), None, 200)
    form = Form({**LEFT_OUT, **{name: list(several) for name, several in request.args.lists()}})
    try:
        given: dict[str, Any] = form.given(PassSizingRequest, lists=LISTS)
        view = size_pass_service(session(), parse(PassSizingRequest, given), now())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _page(form, None, 422)
    return _page(form, view, 200)


@pages.post("/services/passes")
def size_pass_service_page() -> Response:
    """The question goes into the address."""
    asked = {name: several for name, several in Form.sent().values.items() if any(several)}
    return redirect(url_for("pages.pass_services_page", **asked), 303)  # type: ignore[arg-type]


def _page(form: Form, view: PassSizingView | None, status: int) -> tuple[str, int]:
    facets = price_facets(session())
    others = [] if view is None else grouped(view.others)
    catalogue = load_catalogue()
    page = render_template(
        "services/passes.html",
        form=form,
        view=None if view is None else cut_passes(view, SHOWN, 0),
        others=others[:SHOWN],
        num_other_groups=len(others),
        chart=None if view is None or not view.curve else pass_chart(view),
        networks=named_networks(),
        engines=ENGINES,
        gpus=[(facet.value, facet.value) for facet in facets.gpu_keys if facet.value in catalogue.gpus],
        providers=[(facet.value, facet.value) for facet in facets.providers],
        regions=sorted((facet.value, facet.value) for facet in facets.regions),
        kinds=OFFER_KINDS,
    )
    return page, status
