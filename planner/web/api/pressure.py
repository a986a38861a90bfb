"""The API's operation on training against inference: which of them presses a GPU harder."""

from __future__ import annotations

from planner.services.pressure import PressureView, compare_pressure
from planner.services.requests.pressure import PressureRequest
from planner.web.api.resources import api
from planner.web.database import now, session


@api.post("/training-against-inference", tag="estimates", answers=PressureView, body=PressureRequest)
def compare_training_against_inference(body: PressureRequest) -> PressureView:
    """Which presses a GPU harder, training a model or serving it: shares of arithmetic, memory bandwidth and power of
    each phase, from the model and as measured on attached devices. Nothing is stored."""
    return compare_pressure(session(), body, now())
