"""The guide to the REST API, drawn from the same operations as the OpenAPI document. No script, no CDN."""

from __future__ import annotations

from flask import render_template

from planner.web.api.layer import MARK, Operation
from planner.web.api.resources import api
from planner.web.errors import TITLES
from planner.web.pages.blueprint import pages


@pages.get("/api")
def api_guide() -> str:
    """Every operation with its parameters, and what the kinds of problem mean."""
    return render_template("api/guide.html", operations=api.operations, titles=TITLES, parameters=_parameters)


def _parameters(operation: Operation) -> list[str]:
    """Its parameters by the names that an address has."""
    fields = {} if operation.query is None else operation.query.model_fields
    return [*(field.alias or name for name, field in fields.items()), *((MARK,) if operation.is_table else ())]
