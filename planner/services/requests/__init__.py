"""What users may ask, as validated models: one set of fields, bounds and sentences for page, API and terminal."""

from planner.services.requests.base import Request, parse, problems_of, without_blanks
from planner.services.requests.calibration import CalibrationRequest, ScheduleRequest, SuiteRequest
from planner.services.requests.estimate import EstimateRequest
from planner.services.requests.prices import PriceQuery

__all__ = [
    "CalibrationRequest",
    "EstimateRequest",
    "PriceQuery",
    "Request",
    "ScheduleRequest",
    "SuiteRequest",
    "parse",
    "problems_of",
    "without_blanks",
]
