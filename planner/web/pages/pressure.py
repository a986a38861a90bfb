"""Training against inference: the form (model, both workloads, GPUs) and which of them presses each GPU harder."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput
from planner.hardware.catalogue import load_catalogue
from planner.jobs.architecture import Transformer
from planner.jobs.presets import ARCHITECTURES
from planner.services.devices import list_devices
from planner.services.pressure import USUAL, PressureView, compare_pressure
from planner.services.requests import parse
from planner.services.requests.pressure import PressureRequest
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages

LISTS = frozenset({"gpus"})
EXAMPLE = {
    "architecture": "llama-3-8b",
    "dtype": "bf16",
    "sequence_length": "2048",
    "batch": "8",
    "prompt_tokens": "1024",
    "output_tokens": "256",
    "concurrency": "32",
}


@pages.get("/services/training-or-inference")
def push_page() -> tuple[str, int]:
    """The question, and its answer where the address holds one."""
    if not request.args:
        return _page(Form.filled(EXAMPLE), None, 200)
    form = Form({name: list(several) for name, several in request.args.lists()})
    try:
        given: dict[str, Any] = form.given(PressureRequest, lists=LISTS)
        view = compare_pressure(session(), parse(PressureRequest, given), now())
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _page(form, None, 422)
    return _page(form, view, 200)


@pages.post("/services/training-or-inference")
def compare_push_page() -> Response:
    """The question goes into the address."""
    asked = {name: several for name, several in Form.sent().values.items() if any(several)}
    return redirect(url_for("pages.push_page", **asked), 303)  # type: ignore[arg-type]


def _page(form: Form, view: PressureView | None, status: int) -> tuple[str, int]:
    page = render_template(
        "services/pressure.html",
        form=form,
        view=view,
        usual=USUAL,
        device_names={device.id: device.name for device in list_devices(session())} if view else {},
        architectures=sorted(
            (
                (key, found.title)
                for key, found in ARCHITECTURES.items()
                if isinstance(found.architecture, Transformer) and found.architecture.causal
            ),
            key=lambda pair: pair[1],
        ),
        gpus=sorted((key, key) for key in load_catalogue().gpus),
    )
    return page, status
