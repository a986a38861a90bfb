"""Providers' words for GPUs that no alias knows, and the form that says what one stands for."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from planner.errors import InvalidInput
from planner.hardware.catalogue import load_catalogue
from planner.services.gpu_names import map_gpu_name, unmapped_names
from planner.services.requests import parse
from planner.services.requests.imports import MapNameRequest
from planner.web.database import now, session
from planner.web.forms import Form
from planner.web.pages.blueprint import pages
from planner.web.price_files import ACTOR


@pages.get("/gpu-names")
def gpu_names_page() -> tuple[str, int]:
    """Names without a GPU, the most frequent first; a name in the address stands in the form."""
    given = {name: request.args.get(name, "") for name in ("name", "scope")}
    return _page(Form.filled({name: text for name, text in given.items() if text}), 200)


@pages.post("/gpu-names")
def map_name() -> Response | tuple[str, int]:
    """Say which GPU a name stands for."""
    form = Form.sent()
    try:
        asked = parse(MapNameRequest, form.given(MapNameRequest))
        done = map_gpu_name(session(), asked.name, asked.scope, asked.gpu_key, now(), ACTOR)
    except InvalidInput as error:
        form.problems = list(error.problems)
        return _page(form, 422)
    flash(f"“{done.name}” is {done.gpu_key} from now on; {done.num_offers:,} offers follow it.", "good")
    return redirect(url_for("pages.gpu_names_page"), 303)


def _page(form: Form, status: int) -> tuple[str, int]:
    found = unmapped_names(session())
    providers = sorted({name.provider for name in found} | ({form.value("scope")} - {""}))
    page = render_template(
        "imports/names.html",
        form=form,
        names=found,
        providers=[(provider, provider) for provider in providers],
        gpus=[(key, key) for key in load_catalogue().gpus],
    )
    return page, status
