"""The API's operation on services: how many GPUs serve requests at a level."""

from __future__ import annotations

from planner.services.requests.sizing import SizingRequest
from planner.services.sizing import SizingView, cut, size_service
from planner.web.api.resources import api
from planner.web.database import now, session
from planner.web.queries import EstimateQuery


@api.post("/service-sizes", tag="estimates", answers=SizingView, body=SizingRequest, query=EstimateQuery)
def size_a_service(query: EstimateQuery, body: SizingRequest) -> SizingView:
    """Size a service: GPUs, percentiles and costs that keep a level, and what every other way lost on. Nothing is
    stored. `options` and `rejections` cut the two lists; their numbers stand beside them."""
    return cut(size_service(session(), body, now()), query.options, query.rejections)
