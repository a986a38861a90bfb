"""The API's operation on services of single passes: GPUs that answer pictures, frames, texts or drawings in time."""

from __future__ import annotations

from planner.services.pass_sizing import PassSizingView, cut_passes, size_pass_service
from planner.services.requests.pass_sizing import PassSizingRequest
from planner.web.api.resources import api
from planner.web.database import now, session
from planner.web.queries import EstimateQuery


@api.post("/pass-sizes", tag="estimates", answers=PassSizingView, body=PassSizingRequest, query=EstimateQuery)
def size_a_pass_service(query: EstimateQuery, body: PassSizingRequest) -> PassSizingView:
    """Size a service of single passes: pictures, frames of cameras with a deadline, texts to embed, drawings. Nothing
    is stored. `options` and `rejections` cut the two lists; their numbers stand beside them."""
    return cut_passes(size_pass_service(session(), body, now()), query.options, query.rejections)
