"""Addresses of pages and lists: the query string read by request models, or the faults beside its fields."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal, TypeVar

from flask import request
from pydantic import BaseModel, Field

from planner.calibration.run_states import RunState
from planner.errors import InvalidInput
from planner.hardware.gpu import GpuKind, Vendor
from planner.services.offers import PriceFilter
from planner.services.requests import PriceQuery, Request, parse, without_blanks
from planner.services.requests.base import Key, Moment, whole
from planner.services.requests.imports import ImportRequest, ReadRequest
from planner.services.requests.lists import ListQuery as ListQuery
from planner.services.requests.lists import SpanQuery
from planner.web.api.layer import query_values
from planner.web.forms import Form

Model = TypeVar("Model", bound=BaseModel)


RowId = Annotated[int, Field(ge=1, le=2**63 - 1)]


class RunsQuery(ListQuery):
    """Which calibration runs, newest first."""

    device_id: Key | None = None
    state: RunState | None = None


class LedgerQuery(ListQuery):
    """Which rows of the ledger, newest first."""

    estimate_id: Key | None = None


class RunsOfSpanQuery(RunsQuery, SpanQuery):
    """Which calibration runs of a stretch of time, newest first."""


class LedgerOfSpanQuery(LedgerQuery, SpanQuery):
    """Which rows of the ledger of a stretch of time, newest first."""


class MomentQuery(Request):
    """What held at `as_of`, as far as was known at `known_at` (both: now)."""

    as_of: Moment | None = None
    known_at: Moment | None = None


class EstimateQuery(Request):
    """How many options and rejections of an estimate are wanted, best first."""

    options: Annotated[int, *whole(0, 10_000)] = 50
    rejections: Annotated[int, *whole(0, 10_000)] = 50


class CatalogueQuery(Request):
    """Which models of the hardware catalogue."""

    vendor: Vendor | None = None
    kind: GpuKind | None = None
    text: Annotated[str, Field(max_length=200)] | None = None


class PlanQuery(Request):
    """Which device would be measured, with which suite."""

    device_id: Key
    suite: Key = "quick"


class PreviewQuery(Request):
    """A cron rule in an IANA time zone, and how many due times are wanted."""

    cron: Annotated[str, Field(min_length=1, max_length=200)]
    timezone: Annotated[str, Field(min_length=1, max_length=100)] = "UTC"
    number: Annotated[int, *whole(1, 50)] = 5


class NewEstimateQuery(Request):
    """What an estimate form starts from: a preset, an earlier estimate (on so many nodes), or only the kind of job."""

    preset: Key | None = None
    like: Key | None = None
    nodes: Annotated[int, Field(ge=1, le=10_000)] | None = None
    kind: Key | None = None


class NewCalibrationQuery(Request):
    """Which device and suite a calibration form starts from."""

    device_id: Key | None = None
    suite: Key | None = None


class CpuGpuQuery(Request):
    """Which ready job to put on the measured devices."""

    preset: Annotated[str, Field(max_length=100)] = "pretrain-tiny"


class ImportQuery(ImportRequest):
    """How a file that is the body of a request is brought in; its name may help to tell what it is."""

    filename: Annotated[str, Field(max_length=200)] = ""


class ApplyRequest(ReadRequest):
    """A file that waits since its preview."""

    token: Key
    filename: Annotated[str, Field(max_length=200)] = ""


class ImportRowsQuery(Request):
    """Rejected rows after that one."""

    after: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None


class RowsQuery(Request):
    """Rows that an import did not take, in the order in which they stood."""

    outcome: Literal["held", "rejected"] | None = None
    waiting: bool = False
    limit: Annotated[int, *whole(1, 1000)] = 100
    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0


class RowsRequest(Request):
    """Which held rows are decided on: these, or all that wait."""

    rows: Annotated[tuple[RowId, ...], Field(min_length=1, max_length=1000)] | None = None
    all: bool = False

    @property
    def chosen(self) -> tuple[int, ...] | None:
        """The rows, None for all that wait. Raises InvalidInput where neither or both are said."""
        if self.all == (self.rows is not None):
            raise InvalidInput.of("rows", "choose at least one row, or all of them")
        return self.rows


def read_query(model: type[Model]) -> tuple[Model | None, Form]:
    """The query, None where it cannot be used, and the form with what was asked and its faults."""
    form = Form({name: list(several) for name, several in request.args.lists()})
    try:
        return parse(model, without_blanks(query_values())), form
    except InvalidInput as error:
        form.problems = list(error.problems)
        return None, form


def read_repeated(model: type[Model], lists: Collection[str]) -> tuple[Model | None, Form]:
    """The same for an address that may give the fields of `lists` several times, as ticked boxes do."""
    form = Form({name: list(several) for name, several in request.args.lists()})
    try:
        return parse(model, form.given(model, lists)), form
    except InvalidInput as error:
        form.problems = list(error.problems)
        return None, form


def price_filter(query: PriceQuery) -> PriceFilter:
    """The part of a price query that says which offers."""
    return PriceFilter(
        gpu_key=query.gpu,
        provider=query.provider,
        region=query.region,
        kind=query.kind,
        min_memory_bytes=query.min_memory,
        text=query.text,
    )
