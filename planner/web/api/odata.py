"""The API's feed for tools that speak OData 4: Excel, Power BI, Tableau, SAP."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, request, url_for
from werkzeug.exceptions import Forbidden

from planner.errors import NotFound
from planner.web.api.resources import api
from planner.web.clients import current_token
from planner.web.odata.cells import written
from planner.web.odata.filter import parse_filter
from planner.web.odata.metadata import metadata
from planner.web.odata.query import FeedQuery
from planner.web.odata.sets import SETS, EntitySet
from planner.web.security import is_local

PAGE = 5000  # entities of one answer; the next are behind its @odata.nextLink
JSON = "application/json;odata.metadata=minimal;charset=utf-8"


@api.get("/odata", tag="odata", answers=dict[str, Any], slash=True)
def get_odata_service() -> Response:
    """The entity sets that there are, for a tool that is given this address as an OData feed."""
    listed = [{"name": name, "kind": "EntitySet", "url": name} for name in SETS]
    return _answer(json.dumps({"@odata.context": f"{_root()}/$metadata", "value": listed}), JSON)


@api.get("/odata/$metadata", tag="odata", answers=str, content_type="application/xml")
def get_odata_metadata() -> Response:
    """The entity sets with their properties and types (CSDL)."""
    return _answer(metadata(SETS.values()), "application/xml")


@api.get("/odata/<entity_set>", tag="odata", answers=dict[str, Any], query=FeedQuery)
def get_odata_entities(entity_set: str, query: FeedQuery) -> Response:
    """One entity set: the cells of a CSV table, filtered, sorted and chosen as OData 4 says.

    `$filter` takes eq, ne, gt, ge, lt, le, in, and, or, not, contains, startswith and endswith. An answer holds at most
    5000 entities; `@odata.nextLink` leads on. `as_of` and `known_at` are for Prices, `known_at` for Budgets and
    BudgetLines too, `plan_id` for PlanLines.
    """
    found = _set(entity_set)
    query.check_options(found.options)
    names = query.chosen(found.kinds)
    entities = found.entities(query)
    if query.filter:
        test = parse_filter(query.filter, found.kinds)
        entities = [cells for cells in entities if test(cells)]
    query.sorted(entities, found.kinds, found.key)
    window = entities[query.skip :] if query.top is None else entities[query.skip : query.skip + query.top]
    page = window[query.skiptoken : query.skiptoken + PAGE]
    chosen = "" if query.select is None else f"({','.join(names)})"
    parts = [f'"@odata.context":{json.dumps(f"{_root()}/$metadata#{found.name}{chosen}")}']
    if query.count:
        parts.append(f'"@odata.count":{len(entities)}')
    parts.append(f'"value":[{",".join(_entity(cells, names) for cells in page)}]')
    following = query.skiptoken + PAGE
    if following < len(window):
        parts.append(f'"@odata.nextLink":{json.dumps(_next(entity_set, following))}')
    return _answer("{" + ",".join(parts) + "}", JSON)


def _set(name: str) -> EntitySet:
    found, token = SETS.get(name), current_token()
    if found is None:
        raise NotFound(f"there is no entity set {name!r}; there are {', '.join(SETS)}")
    if token is not None and not token.allows(found.scope):
        raise Forbidden(f"This token may not do that: it needs the scope {found.scope.value}.")
    return found


def _entity(cells: dict[str, Any], names: list[str]) -> str:
    return "{" + ",".join(f'"{name}":{written(cells[name])}' for name in names) + "}"


def _next(name: str, following: int) -> str:
    asked = {**request.args.to_dict(), "$skiptoken": following}
    return _origin() + url_for("api.get_odata_entities", entity_set=name, **asked)  # type: ignore[arg-type]


def _root() -> str:
    return _origin() + url_for("api.get_odata_service")


def _origin() -> str:
    """Where the client reached us; under the server's name always by TLS, which the proxy speaks."""
    return f"{request.scheme if is_local() else 'https'}://{request.host}"


def _answer(text: str, content_type: str) -> Response:
    response = Response(text, content_type=content_type)
    response.headers["OData-Version"] = "4.0"
    return response
